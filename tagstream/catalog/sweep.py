"""Removing thumbnails that no document names: what was left when functions died, or when S3 did not do as asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tagstream.catalog.store import CatalogStore
from tagstream.errors import CatalogError
from tagstream.thumbnails.bucket import Kept

__all__ = ["Swept", "sweep"]


class Shelf(Protocol):
    """What keeps thumbnails: :class:`tagstream.thumbnails.bucket.Thumbnails`."""

    def pages(self, *, after: str = "") -> Iterator[list[Kept]]: ...

    def remove_objects(self, objects: Iterable[Kept]) -> Mapping[str, str]: ...


@dataclass
class Swept:
    """``looked`` at so many objects, ``removed`` so many; ``complete`` if that were all there are."""

    looked: int = 0
    removed: int = 0
    complete: bool = False


def sweep(
    catalog: CatalogStore,
    shelf: Shelf,
    *,
    before: datetime,
    first: str = "",
    seconds: float = 20.0,
    clock: Callable[[], float] = time.monotonic,
) -> Swept:
    """Remove what was written ``before`` and is named by no document, for about ``seconds``, in the order of names.

    It begins behind the name ``first``, and goes on from the beginning after the last: another start each day goes
    through all of it in the end, however much there is. What is younger may be of a document that is yet to come; no
    event comes so late that it would name what is older (as with tombstones). Raises :class:`CatalogError`.
    """
    swept, deadline = Swept(), clock() + seconds
    for page in _round(shelf, first):
        swept.looked += len(page)
        swept.removed += _remove(catalog, shelf, [kept for kept in page if kept.since < before])
        if clock() >= deadline:
            return swept
    swept.complete = True
    return swept


def _round(shelf: Shelf, first: str) -> Iterator[Sequence[Kept]]:
    yield from shelf.pages(after=first)
    if first:
        for page in shelf.pages():
            yield [kept for kept in page if kept.name <= first]
            if page and page[-1].name > first:
                return


def _remove(catalog: CatalogStore, shelf: Shelf, old: Sequence[Kept]) -> int:
    if not old:
        return 0
    named = catalog.thumbnail_keys(sorted({kept.image for kept in old}))
    strays = [kept for kept in old if named.get(kept.image) != kept.key]
    if not strays:
        return 0
    failed = shelf.remove_objects(strays)
    if failed:
        raise CatalogError(f"thumbnails could not be removed: {next(iter(failed.values()))}")
    return len(strays)
