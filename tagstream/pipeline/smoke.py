"""Trying a deployed pipeline with a photo of one's own: put it into the bucket, find it, remove it, and time each."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tagstream.errors import CatalogError
from tagstream.pipeline.arrivals import arrivals

__all__ = ["Questions", "Step", "photo", "questions_by", "smoke"]

_SIDE = 64
_PAUSE = 0.25
_LONGEST_PAUSE = 2.0
_FOUND_AMONG = 100


class Questions(Protocol):
    """What the catalog is asked."""

    def at(self, locations: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """The images that it has at these S3 locations."""

    def newest(self, tag: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """The newest images that show what this tag says, and no other."""


@dataclass(frozen=True, slots=True)
class Step:
    """One of ``uploaded``, ``classified``, ``found``, ``removed``: how long it took; why it failed, if it did."""

    step: str
    seconds: float
    reason: str | None = None


def photo() -> bytes:
    """A PNG of 64 by 64 pixels that nobody has seen before: bands of colours by chance."""
    chance = os.urandom(3 * _SIDE)
    rows = b"".join(b"\0" + chance[3 * row : 3 * row + 3] * _SIDE for row in range(_SIDE))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def smoke(
    s3: Any,
    questions: Questions,
    bucket: str,
    key: str,
    *,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Step]:
    """Yields each step as it is done, up to the first that fails, within ``timeout`` seconds for all of them.

    ``s3`` is a client of S3. Whatever happens, the photo is removed at the end, with the version that it was; what
    errors AWS or the catalog give are raised.
    """
    deadline = clock() + timeout
    content = photo()
    location = f"s3://{bucket}/{key}"
    began = clock()

    def taken() -> float:
        nonlocal began
        seconds, began = clock() - began, clock()
        return seconds

    def late(what: str) -> str:
        return f"after {timeout:g} s in all {what}"

    version = s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType="image/png").get("VersionId")
    removed = False

    def remove() -> None:
        nonlocal removed
        named = {"VersionId": version} if version else {}
        s3.delete_object(Bucket=bucket, Key=key, **named)
        removed = True

    try:
        yield Step("uploaded", taken())
        etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
        image = next(
            arrivals(questions.at, {location: etag}, timeout=deadline - clock(), clock=clock, sleep=sleep), None
        )
        if image is None:
            yield Step("classified", taken(), late(f"{location} is not in the catalog"))
            return
        if image["status"] == "rejected":
            yield Step("classified", taken(), f"{location} was rejected: {image.get('reason')}")
            return
        yield Step("classified", taken())

        tags = image.get("tags") or ()
        if not tags:
            yield Step("found", taken(), f"{location} has no tags to find it by")
            return

        def found() -> bool:
            answer = questions.newest(str(tags[0]["tag"]), _FOUND_AMONG)
            return any(one["s3_location"] == location for one in answer)

        if not _becomes(found, deadline, clock, sleep):
            yield Step("found", taken(), late(f"{location} is not among what is {tags[0]['tag']!r}"))
            return
        yield Step("found", taken())

        remove()
        if not _becomes(lambda: not questions.at([location]), deadline, clock, sleep):
            yield Step("removed", taken(), late(f"{location} is removed from the bucket, and still in the catalog"))
            return
        yield Step("removed", taken())
    finally:
        if not removed:
            remove()


def _becomes(
    state: Callable[[], bool], deadline: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> bool:
    """Whether ``state`` becomes true before the deadline."""
    pause = _PAUSE
    while not state():
        if clock() >= deadline:
            return False
        sleep(max(0.0, min(pause, deadline - clock())))
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    return True


def questions_by(ask: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Questions:
    """The questions as the search function takes them; ``ask`` gives its answers."""
    return _Asked(ask)


class _Asked:
    def __init__(self, ask: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
        self._ask = ask

    def at(self, locations: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        return self._images({"query": "locations", "locations": [*locations]})

    def newest(self, tag: str, limit: int) -> Sequence[Mapping[str, Any]]:
        return self._images({"query": "search", "q": tag, "exact": True, "sort": "newest", "limit": limit})

    def _images(self, request: dict[str, Any]) -> Sequence[Mapping[str, Any]]:
        answer = self._ask(request)
        if "images" not in answer:
            raise CatalogError(str(answer.get("error") or answer.get("missing") or answer))
        images: Sequence[Mapping[str, Any]] = answer["images"]
        return images
