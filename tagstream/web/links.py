"""Presigned URLs: who has one gets the picture, or may upload, for a while, and needs nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

__all__ = ["GOOD_FOR", "RENEWED", "Links", "picture_type"]

GOOD_FOR = 900
"""Seconds that a URL works at least."""

RENEWED = 300
"""Seconds for which answers name the same URL, so that browsers find in their cache what they have."""

_KEPT = 10_000
_TYPES = {
    "avif": "image/avif",
    "bmp": "image/bmp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "jpe": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "webp": "image/webp",
}


def picture_type(key: str) -> str:
    """The type that a browser is told an object has, whatever its uploader said: a picture's, which runs nothing.

    >>> picture_type("2026/cat.JPG"), picture_type("cat.jpg.svg")
    ('image/jpeg', 'application/octet-stream')
    """
    return _TYPES.get(PurePosixPath(key).suffix.lower().removeprefix("."), "application/octet-stream")


class Links:
    """URLs signed by an S3 client, one for each object and :data:`RENEWED` seconds."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._signed: dict[tuple[str, str, str], str] = {}
        self._until = 0.0

    @property
    def expire_at(self) -> str:
        """When the URLs that are given out now stop working; never too late."""
        self._renew()
        return datetime.fromtimestamp(self._until + GOOD_FOR, UTC).isoformat(timespec="seconds")

    def get(self, bucket: str, key: str, content_type: str) -> str:
        """A URL for GET."""
        self._renew()
        asked = (bucket, key, content_type)
        if asked not in self._signed:
            if len(self._signed) >= _KEPT:
                self._signed.clear()
            left = int(self._until - self._clock())
            self._signed[asked] = self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": bucket, "Key": key, "ResponseContentType": content_type},
                ExpiresIn=GOOD_FOR + max(left, 0),
            )
        return self._signed[asked]

    def _renew(self) -> None:
        now = self._clock()
        if now >= self._until:
            self._signed.clear()
            self._until = (now // RENEWED + 1) * RENEWED
