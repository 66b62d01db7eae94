"""Rows, and what is made of them: the table, the JSON and the plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from tagstream.classifier.models import default_model
from tagstream.machine import int8_instructions

__all__ = ["Row", "Skipped", "compared", "document", "faster", "limited", "machine", "median", "noted", "plot", "table"]

_TIMES = "\N{MULTIPLICATION SIGN}"
_PACKAGES = ("ai-edge-litert", "boto3", "keras", "numpy", "opensearch-py", "pillow", "tensorflow-cpu")


@dataclass(frozen=True)
class Row:
    """One measurement.

    ``ours`` and ``reference`` are in ``unit``. ``ratio`` is the number that is held against ``target``: it has to be
    at least the target where ``better`` is ``higher``, at most the target where it is ``lower``. Without a target
    the row only informs.
    """

    name: str
    ours: float
    reference: float | None
    unit: str
    ratio: float | None
    target: float | None
    better: Literal["higher", "lower"]

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target

    @property
    def multiple(self) -> bool:
        """Whether the ratio is read as a multiple ("3 times") rather than as a share ("40 %")."""
        measure = self.ratio if self.target is None else self.target
        return measure is not None and measure > 1


@dataclass(frozen=True)
class Skipped:
    """A measurement that could not be made here, and why."""

    name: str
    why: str


@dataclass
class Results:
    """What one part measured."""

    rows: list[Row] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def median(values: Iterable[float]) -> float:
    """The middle value; raises ``statistics.StatisticsError`` when there is none.

    >>> median([3.0, 1.0, 100.0])
    3.0
    """
    return statistics.median(values)


def faster(
    name: str, ours: Sequence[float], reference: Sequence[float], *, target: float | None, unit: str = "ms"
) -> Row:
    """A row of durations in ``unit``: how many times ours fits into the reference, by the medians.

    >>> faster("a", [10, 11, 12], [30, 33, 36], target=2).ratio
    3.0
    """
    mine, theirs = median(ours), median(reference)
    return Row(name, mine, theirs, unit, theirs / mine, target, "higher")


def compared(name: str, ours: float, reference: float, *, unit: str, at_least: float | None) -> Row:
    """A row of amounts of which more is better (photos a second, photos that agree): ours over the reference."""
    return Row(name, ours, reference, unit, ours / reference, at_least, "higher")


def limited(name: str, ours: float, reference: float, *, unit: str, at_most: float) -> Row:
    """A row of amounts of which less is better; ``at_most`` is in ``unit``, as ours and the reference are.

    >>> limited("bundle", 100.0, 250.0, unit="MB", at_most=120.0)
    Row(name='bundle', ours=100.0, reference=250.0, unit='MB', ratio=0.4, target=0.48, better='lower')
    """
    return Row(name, ours, reference, unit, ours / reference, at_most / reference, "lower")


def noted(name: str, ours: float, *, unit: str, better: Literal["higher", "lower"] = "lower") -> Row:
    """A row that only informs."""
    return Row(name, ours, None, unit, None, None, better)


def machine() -> dict[str, Any]:
    """What the numbers were taken on; ``load`` above the number of cores means that others were at work, too."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "int8_instructions": list(int8_instructions()),
        "default_model": default_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load": [round(load, 1) for load in os.getloadavg()],
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def document(results: Results, about: Mapping[str, Any], rounds: int) -> str:
    """The JSON of a run."""
    content = {
        "rows": [asdict(row) for row in results.rows],
        "skipped": [asdict(skipped) for skipped in results.skipped],
        "notes": results.notes,
        "rounds": rounds,
        "machine": about,
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table(results: Results) -> str:
    """The rows for people, one a line, with their verdicts."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("measured", overflow="fold")
    for name in ("ours", "reference", "", "ratio", "target"):
        shown.add_column(name, justify="left" if not name else "right", no_wrap=True)
    shown.add_column("", no_wrap=True)
    for row in results.rows:
        sign = "≥" if row.better == "higher" else "≤"
        shown.add_row(
            row.name,
            _number(row.ours),
            "" if row.reference is None else _number(row.reference),
            row.unit,
            "" if row.ratio is None else _share(row.ratio, times=row.multiple),
            "" if row.target is None else f"{sign} {_share(row.target, times=row.multiple)}",
            {True: "reached", False: "MISSED", None: ""}[row.met],
        )
    for skipped in results.skipped:
        shown.add_row(skipped.name, "", "", "", "", "", "not measured")
    console = Console(width=150, force_terminal=False)
    with console.capture() as captured:
        console.print(shown, highlight=False)
    lines = [captured.get().rstrip()]
    lines += [f"Not measured: {skipped.name}: {skipped.why}" for skipped in results.skipped]
    lines += results.notes
    return "\n".join(lines)


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"


def _share(ratio: float, *, times: bool) -> str:
    if times:
        return f"{ratio:,.0f} {_TIMES}" if ratio >= 100 else f"{ratio:.3g} {_TIMES}"
    return f"{100 * ratio:.3g} %"


def plot(results: Results, about: Mapping[str, Any], path: Path) -> None:
    """Draw the rows that have a target as bars, with the target as a mark, into a PNG at ``path``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measured = [row for row in results.rows if row.met is not None]
    speeds = [row for row in measured if row.multiple]
    shares = [row for row in measured if not row.multiple]
    panels = [panel for panel in (speeds, shares) if panel]
    if not panels:
        return
    figure, axes = pyplot.subplots(
        len(panels),
        1,
        figsize=(11, 1.6 + 0.55 * len(measured)),
        height_ratios=[len(panel) + 0.6 for panel in panels],
        squeeze=False,
        layout="constrained",
    )
    for panel, axis in zip(panels, axes[:, 0], strict=True):
        times = panel is speeds
        _bars(panel, axis, times=times)
        axis.set_title(
            "How many times the reference's speed (or amount, where it says at most)"
            if times
            else "Share of the reference",
            loc="left",
            fontsize=10,
            fontweight="bold",
        )
    instructions = ", ".join(about["int8_instructions"]) or "no int8 instructions"
    figure.suptitle(f"Tagstream on {about['cpu']}, {about['cores']} cores ({instructions})", fontsize=11)
    figure.supxlabel("black mark: target · green: reached · red: missed", fontsize=8)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _bars(rows: Sequence[Row], axis: Any, *, times: bool) -> None:
    scale = 1.0 if times else 100.0
    values = [scale * (row.ratio or 0.0) for row in rows]
    targets = [scale * (row.target or 0.0) for row in rows]
    places = range(len(rows))
    axis.barh(places, values, height=0.62, color=["#2a9d5c" if row.met else "#d1495b" for row in rows])
    axis.scatter(targets, places, marker="|", s=330, linewidths=2.4, color="black", zorder=3)
    axis.set_yticks(places, [row.name for row in rows], fontsize=8)
    axis.invert_yaxis()
    top = max([*values, *targets])
    if times:
        axis.set_xscale("log")
        # Room for what is written behind the longest bar.
        axis.set_xlim(1, max(top**1.5, 4 * top))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} {_TIMES}")
    else:
        axis.set_xlim(0, top * 1.5)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axis.tick_params(axis="x", labelsize=8)
    for place, row in enumerate(rows):
        end = max(values[place], targets[place])
        amounts = f"{_number(row.ours)} / {_number(row.reference or 0.0)} {row.unit}"
        text = f"{_share(row.ratio or 0.0, times=times)}   {amounts}"
        axis.text(end * (1.06 if times else 1.0) + (0 if times else 0.015 * top), place, text, va="center", fontsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(axis="x", alpha=0.25)
    axis.set_axisbelow(True)
