"""Waiting until what was uploaded can be searched: asked for in pages, for a limited time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["PAGE", "arrivals"]

PAGE = 100
"""Images that are asked for at once."""

_PAUSE = 0.25
_LONGEST_PAUSE = 2.0


def arrivals(
    ask: Callable[[Sequence[str]], Sequence[Mapping[str, Any]]],
    expected: Mapping[str, str],
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Mapping[str, Any]]:
    """Yields the catalog's image of each location in ``expected`` (location: ETag), once it is that of this ETag.

    Ends when all have come, or ``timeout`` seconds after the start. ``ask`` gets up to ``PAGE`` locations and returns
    the images that the catalog has of them. When all have been asked for once, there is a pause, a longer one while
    nothing comes.
    """
    deadline = clock() + timeout
    left = dict(expected)
    pause = _PAUSE
    while left:
        before = len(left)
        for page in _batched(list(left), PAGE):
            for image in ask(page):
                location = image["s3_location"]
                if location in left and image.get("etag") == left[location]:
                    del left[location]
                    yield image
            if clock() >= deadline:
                return
        pause = _PAUSE if len(left) < before else min(pause * 1.5, _LONGEST_PAUSE)
        if left:
            sleep(max(0.0, min(pause, deadline - clock())))


def _batched(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))
