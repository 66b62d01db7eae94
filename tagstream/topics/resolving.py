"""Which of the parcels that came for a place stand in the file, and which are missing. Pure."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tagstream.topics.parcels import Place

__all__ = ["Resolved", "numbers", "resolve"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resolved:
    """Which places stand for a parcel, in order; what is missing; how many were dropped for others of the same."""

    places: tuple[Place, ...]
    missing: tuple[str, ...]
    dropped: int
    last: bool


def resolve(places: Sequence[Place], depth: int) -> Resolved:
    """Choose among what came for one parcel: itself, or its parts of one variant, the first that is complete.

    ``places`` all share their first ``depth`` levels.
    """
    last = any(place.levels[depth - 1].last for place in places)
    whole = [place for place in places if len(place.levels) == depth]
    if whole:
        return Resolved((whole[0],), (), len(places) - 1, last)
    best: Resolved | None = None
    name = Place(tuple(replace(level, last=False) for level in places[0].levels[:depth]))
    ordered = sorted(places, key=lambda place: (place.levels[depth].variant, place.levels[depth].index))
    for variant, siblings in itertools.groupby(ordered, key=lambda place: place.levels[depth].variant):
        chosen: list[Place] = []
        missing: list[str] = []
        dropped = expected = 0
        ended = False
        for index, group in itertools.groupby(siblings, key=lambda place: place.levels[depth].index):
            part = resolve(list(group), depth + 1)
            if index > expected:
                missing.append(f"parcel {name}: {numbers(expected, index - 1, 'part')} missing")
            missing += part.missing
            chosen += part.places
            dropped += part.dropped
            expected, ended = index + 1, part.last
        if not ended:
            missing.append(f"parcel {name}: everything after part {expected - 1} missing")
        found = Resolved(tuple(chosen), tuple(missing), len(places) - len(chosen), last)
        if best is None or (best.missing and len(found.missing) < len(best.missing)):
            best = found
        log.debug("parcel %s, variant %r: %d missing", name, variant, len(missing))
    assert best is not None  # noqa: S101 - places is never empty
    return best


def numbers(first: int, last: int, word: str = "parcel") -> str:
    """A range in words.

    >>> numbers(3, 3), numbers(3, 5, "part")
    ('parcel 3', 'parts 3 to 5')
    """
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"
