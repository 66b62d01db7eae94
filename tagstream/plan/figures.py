"""Prices, quotas and measurements, each with its source and its day: ``figures.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Instance", "figure", "instances", "measured", "price", "quota", "tiered", "uncertain"]

MIB_A_GIB = 1024


@cache
def _figures() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(__file__).with_name("figures.json").read_text())
    return found


def figure(section: str, name: str) -> Any:
    """A value of ``figures.json``; KeyError for one that is not there."""
    return _figures()[section][name]["value"]


def price(name: str) -> Any:
    """Dollars, or tiers of them: ``[[up to, dollars], …, [None, dollars]]``."""
    return figure("prices", name)


def quota(name: str) -> Any:
    """A limit of AWS or of Lucene."""
    return figure("quotas", name)


def measured(name: str) -> Any:
    """What was measured here, or is assumed."""
    return figure("measured", name)


def tiered(amount: float, tiers: Sequence[tuple[float | None, float]]) -> float:
    """Dollars for an amount, of which each part is paid for by the tier that it is in.

    >>> tiered(3_000_000, [(1_000_000, 0.001), (None, 0.0008)])
    2600.0
    """
    total, below = 0.0, 0.0
    for end, dollars in tiers:
        part = amount - below if end is None else min(amount, end) - below
        if part <= 0:
            break
        total += part * dollars
        below = end or 0.0
    return round(total, 9)


@dataclass(frozen=True)
class Instance:
    """A type of OpenSearch node; ``volume_gb`` is the most gp3 that it takes."""

    name: str
    dollars_an_hour: float
    vcpus: int
    memory_gib: int
    volume_gb: int


@cache
def instances() -> Mapping[str, Instance]:
    """The types that a plan chooses from, by name, the smallest first."""
    return {name: Instance(name, **about) for name, about in _figures()["instances"]["value"].items()}


def uncertain() -> Iterator[tuple[str, str]]:
    """Each figure that was not looked up, or is assumed: its name, and what is to be known about it."""
    for section in ("prices", "quotas", "measured"):
        for name, about in _figures()[section].items():
            if not about["certain"]:
                yield name, f"{about['unit']}; {about['source']}" + (f" ({about['note']})" if "note" in about else "")
