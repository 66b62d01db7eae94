"""How far a transfer of files is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is. ``total_lines`` and ``total_bytes`` are 0 where nobody can know (downloads)."""

    lines: int = 0
    bytes: int = 0
    messages: int = 0
    requests: int = 0
    total_lines: int = 0
    total_bytes: int = 0
