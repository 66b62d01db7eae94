"""Writes what docs/scale.md says that `tagstream plan` prints, its table of sizes and its uncertain figures anew.

``python -m benchmarks.sizes``, after a change of the figures. Arithmetic: nothing is measured.
"""

from __future__ import annotations

import re
import shlex

from click.testing import CliRunner

from stacks.settings import ROOT, SettingsError, settings_for
from tagstream.cli import main
from tagstream.plan import Workload, costs, limits, rekognition, size, uncertain

__all__ = ["PAGE", "filled"]

PAGE = ROOT / "docs" / "scale.md"
_LOADS = (("10 thousand", 329, 1), ("10 thousand", 329, 3), ("10 million", 329_000, 3), ("1 billion", 32_900_000, 3))
_TYPED = re.compile(r"^\$ ((?:tagstream plan|npx cdk synth) .*)\n((?:(?!\$ |```).*\n)*)", re.MULTILINE)


def filled(page: str) -> str:
    """The page with today's numbers."""
    page = _TYPED.sub(lambda typed: f"$ {typed[1]}\n{_printed(typed[1])}\n", page)
    rows = iter([_row(*load) for load in _LOADS])
    named = "|".join({load[0] for load in _LOADS})
    page = re.sub(rf"^\| (?:{named}) \|.*$", lambda _: next(rows), page, flags=re.MULTILINE)
    known = dict(uncertain())
    return re.sub(
        r"^\| `(\w+)` \| .*$",
        lambda row: f"| `{row[1]}` | {known[row[1]]} |" if row[1] in known else row[0],
        page,
        flags=re.MULTILINE,
    )


def _printed(command: str) -> str:
    program, *arguments = shlex.split(command)
    if program == "npx":
        settings = (arguments[n + 1].partition("=")[::2] for n, word in enumerate(arguments) if word == "-c")
        try:
            settings_for(dict(settings))
        except SettingsError as error:
            return "\n".join(f"Error: {problem}" for problem in error.problems)
        raise ValueError(f"nothing is wrong with {command}")
    done = CliRunner().invoke(main, arguments)
    lines = [line.rstrip() for line in done.stdout.rstrip().splitlines()]
    if "--stage" in arguments:
        # What the stage lacks; what comes before stands above.
        begin = next(number for number, line in enumerate(lines) if line.startswith("What stage"))
        lines = lines[begin:] + [line for line in done.stderr.splitlines() if "are uncertain" not in line]
    return "\n".join(lines)


def _row(called: str, a_day: int, zones: int) -> str:
    load = Workload(a_day, zones=zones)
    planned = size(load)
    bill = costs(load, planned)
    kept = sum(line.dollars for line in bill if line.what == "photos kept")
    first = limits(load, planned)[0]
    cells = (
        called,
        f"{a_day}" + (" `--zones 1`" if zones == 1 else ""),
        f"{load.images:,.0f}",
        f"{first.name}: {100 * first.share:,.1f} %" if first.share < 1 else f"{first.name}: {first.share:,.0f} times",
        f"{planned.classify_max_concurrency} + {planned.catalog_max_concurrency}",
        f"{planned.shards}",
        f"{planned.data_nodes} {planned.instance_type.removesuffix('.search')}"
        + (f" + {planned.managers}" if planned.managers else ""),
        f"${sum(line.dollars for line in bill) - kept:,.0f}",
        f"${kept:,.0f}",
        f"${rekognition(load):,.0f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
    print(f"Written: {PAGE}")
