"""The rows of docs/scale.md's table of three sizes: ``python -m benchmarks.sizes``. Arithmetic: nothing is measured."""

from __future__ import annotations

from tagstream.plan import Workload, costs, limits, rekognition, size

__all__ = ["rows"]

_LOADS = (("10 thousand", 329, 1), ("10 thousand", 329, 3), ("10 million", 329_000, 3), ("1 billion", 32_900_000, 3))


def rows() -> list[str]:
    """In Markdown, one for each load."""
    return [_row(*load) for load in _LOADS]


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
    print("\n".join(rows()))
