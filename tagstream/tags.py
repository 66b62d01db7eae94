"""Tags: what classifiers say of a photo, and the catalog keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Tag"]


@dataclass(frozen=True, slots=True)
class Tag:
    """A word for what an image shows, and its probability, from 0 to 1.

    A ``leaf`` is a class of the model, an ``ancestor`` ("dog", "food") the sum of the classes below it.
    """

    tag: str
    score: float
    kind: Literal["leaf", "ancestor"] = "leaf"
