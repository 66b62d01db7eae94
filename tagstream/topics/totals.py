"""What a worker has done, in numbers."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Totals"]


@dataclass(frozen=True, slots=True)
class Totals:
    """What a worker has done. ``messages_in`` were processed and acknowledged, ``messages_out`` published for them.

    ``repackaged`` parcels were split and republished, ``failed`` runs of the step went wrong, ``dead_lettered``
    inputs were given up, ``released`` ones were given back unprocessed, ``lost`` ones outlived their deadline.
    """

    messages_in: int = 0
    lines_in: int = 0
    messages_out: int = 0
    lines_out: int = 0
    repackaged: int = 0
    failed: int = 0
    dead_lettered: int = 0
    released: int = 0
    lost: int = 0
    seconds: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        names = (item.name for item in fields(Totals))
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in names})

    def __str__(self) -> str:
        seconds = max(self.seconds, 1e-9)
        text = (
            f"{self.messages_in:,} messages in ({self.messages_in / seconds:,.1f}/s), {self.messages_out:,} out; "
            f"{self.lines_in:,} lines in ({self.lines_in / seconds:,.0f}/s), {self.lines_out:,} out"
        )
        others = ("repackaged", "failed", "dead_lettered", "released", "lost")
        rest = [f"{getattr(self, name):,} {name.replace('_', '-')}" for name in others if getattr(self, name)]
        return "; ".join([text, *rest])
