"""Which images of a catalog are the same picture: byte for byte, or resized, recompressed, a little cropped.

Copies have the same ETag and size; near ones have perceptual hashes that differ in few bits. Whoever differs from a
hash in up to seven of its bits shares one of its eight bytes with it, so only images that do are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BITS", "Copy", "Group", "duplicates"]

MOST_BITS = 7
"""Bits that hashes may differ in and be sure to be compared."""

_BANDS = 8


@dataclass(frozen=True, slots=True)
class Copy:
    """An image that could go: ``bits`` of its hash differ from that of the image to keep; None: every byte is equal."""

    key: str
    size: int
    bits: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """Images of one picture: the one to keep, and its copies, the nearest first."""

    keep: str
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class _Image:
    """What of a document is needed here; a million of them fit into memory."""

    key: str
    size: int
    rank: tuple[int, int, str, str]
    phash: int | None


def duplicates(images: Iterable[Mapping[str, Any]], *, bits: int = 6) -> Iterator[Group]:
    """The groups among catalog documents, largest first; read are key, etag, size, width, height, phash, uploaded_at.

    Of each, the image to keep is the one of most pixels, then of most bytes, then the oldest; every other one is
    within ``bits`` (0 to 7) of that one, and not only of a neighbour. Memory and time grow with the number of
    images, not with that of pairs.
    """
    if not 0 <= bits <= MOST_BITS:
        raise ValueError(f"hashes are compared up to {MOST_BITS} bits")
    same: dict[Any, list[_Image]] = {}
    for number, document in enumerate(images):
        image = _image(document)
        # Without an ETag nothing is known of the bytes.
        content = (document["etag"], image.size) if document.get("etag") else number
        same.setdefault(content, []).append(image)
    pictures = sorted((sorted(copies, key=_rank) for copies in same.values()), key=lambda copies: copies[0].rank)
    found = []
    for place, near in _stars([copies[0].phash for copies in pictures], bits):
        keep, *equal = pictures[place]
        copies = [Copy(image.key, image.size, None) for image in equal]
        copies += [Copy(image.key, image.size, away) for other, away in near for image in pictures[other]]
        if copies:
            found.append(Group(keep.key, tuple(copies)))
    # Sorting keeps the order of those that are equally large.
    yield from sorted(found, key=lambda group: -len(group.copies))


def _image(document: Mapping[str, Any]) -> _Image:
    size, phash = document.get("size") or 0, document.get("phash")
    pixels = (document.get("width") or 0) * (document.get("height") or 0)
    rank = (-pixels, -size, document.get("uploaded_at") or "", document["key"])
    return _Image(document["key"], size, rank, int(phash, 16) if phash else None)


def _rank(image: _Image) -> tuple[int, int, str, str]:
    return image.rank


def _stars(hashes: list[int | None], bits: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each place that no earlier one has taken, with the later places that it takes and how many bits they are away."""
    places = np.array([place for place, phash in enumerate(hashes) if phash is not None], np.intp)
    values = np.array([phash for phash in hashes if phash is not None], np.uint64)
    index = _Index(values)
    taken = np.zeros(len(hashes), bool)
    number = -1
    for place, phash in enumerate(hashes):
        number += phash is not None
        if taken[place]:
            continue
        taken[place] = True
        near: list[tuple[int, int]] = []
        if phash is not None:
            candidates = index.candidates(number)
            away = np.bitwise_count(values[candidates] ^ values[number])
            close = away <= bits
            distances = dict(zip(places[candidates[close]].tolist(), away[close].tolist(), strict=True))
            near = sorted(((o, d) for o, d in distances.items() if not taken[o]), key=lambda found: found[::-1])
            taken[[other for other, _ in near]] = True
        yield place, near


class _Index:
    """Hashes by each of their bytes."""

    def __init__(self, values: NDArray[np.uint64]) -> None:
        self._bytes = values.astype(">u8").view(np.uint8).reshape(-1, _BANDS)
        self._order = [np.argsort(column, kind="stable").astype(np.int32) for column in self._bytes.T]
        self._starts = [
            np.searchsorted(self._bytes[order, band], np.arange(257)) for band, order in enumerate(self._order)
        ]

    def candidates(self, number: int) -> NDArray[np.int32]:
        """Those that have a byte in common with one, once for each byte."""
        parts = []
        for band, value in enumerate(self._bytes[number].tolist()):
            starts = self._starts[band]
            parts.append(self._order[band][starts[value] : starts[value + 1]])
        return np.concatenate(parts)
