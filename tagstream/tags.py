"""Tags: what classifiers say of a photo, and the catalog keeps."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Tag"]


@dataclass(frozen=True, slots=True)
class Tag:
    """A word for what an image shows, and its probability, from 0 to 1."""

    tag: str
    score: float
