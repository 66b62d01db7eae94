"""Tags: what classifiers say of a photo, and the catalog keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["STEPS", "Tag", "kept_score"]

STEPS = 10_000
"""Scores are kept in so many steps: finer than any model is sure of, and few enough that a search can count them
together with what else it ranks by, in a whole number that 32 bits hold."""


def kept_score(score: float) -> float:
    """The score as the catalog keeps it.

    >>> kept_score(0.93451234)
    0.9345
    """
    return round(score * STEPS) / STEPS


@dataclass(frozen=True, slots=True)
class Tag:
    """A word for what an image shows, and its probability, from 0 to 1.

    A ``leaf`` is a class of the model, an ``ancestor`` ("dog", "food") the sum of the classes below it.
    """

    tag: str
    score: float
    kind: Literal["leaf", "ancestor"] = "leaf"
