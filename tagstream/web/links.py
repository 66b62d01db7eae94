"""Presigned URLs: who has one gets the picture for a while, and needs nothing else.

An answer has sixty of them. botocore takes 0.3 ms for each, more than everything else together, most of it for what is
the same in all: where the bucket is, with whose key and for how long. So botocore is asked once for each bucket where
that is, and the rest is the signature itself, as AWS describes it ("Authenticating Requests: Using Query Parameters");
a test compares it with botocore's.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

__all__ = ["GOOD_FOR", "RENEWED", "Links", "picture_type"]

GOOD_FOR = 900
"""Seconds that a URL works at least."""

RENEWED = 300
"""Seconds for which answers name the same URL, so that browsers find in their cache what they have."""

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


class _Place(NamedTuple):
    """Where the objects of a bucket are: ``path`` comes before a key."""

    scheme: str
    host: str
    path: str


class Links:
    """URLs for what ``client``, an S3 client, may get with ``credentials``, those of its session.

    All that are made within :data:`RENEWED` seconds are signed as of their beginning, and so are the same for the same
    object.
    """

    def __init__(self, client: Any, credentials: Any, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._credentials = credentials
        self._clock = clock
        self._places: dict[str, _Place] = {}

    @property
    def expire_at(self) -> str:
        """When the URLs that are given out now stop working."""
        until = datetime.fromtimestamp(self._since() + RENEWED + GOOD_FOR, UTC)
        return until.isoformat(timespec="seconds")

    def get(self, bucket: str, key: str, content_type: str) -> str:
        """A URL for GET; the answer says that it is of ``content_type``."""
        place, signed_at = self._place(bucket), datetime.fromtimestamp(self._since(), UTC)
        known, region = self._credentials.get_frozen_credentials(), self._client.meta.region_name
        scope = f"{signed_at:%Y%m%d}/{region}/s3/aws4_request"
        said = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{known.access_key}/{scope}",
            "X-Amz-Date": f"{signed_at:%Y%m%dT%H%M%SZ}",
            "X-Amz-Expires": str(RENEWED + GOOD_FOR),
            **({"X-Amz-Security-Token": known.token} if known.token else {}),
            "X-Amz-SignedHeaders": "host",
            "response-content-type": content_type,
        }
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in said.items())
        path = place.path + quote(key, safe="/")
        asked = f"GET\n{path}\n{query}\nhost:{place.host}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(asked.encode()).hexdigest()
        signature = f"AWS4-HMAC-SHA256\n{said['X-Amz-Date']}\n{scope}\n{digest}"
        signed = hmac.new(_signing_key(known.secret_key, scope), signature.encode(), hashlib.sha256).hexdigest()
        return f"{place.scheme}://{place.host}{path}?{query}&X-Amz-Signature={signed}"

    def _since(self) -> float:
        return self._clock() // RENEWED * RENEWED

    def _place(self, bucket: str) -> _Place:
        if bucket not in self._places:
            url = urlsplit(self._client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "-"}))
            self._places[bucket] = _Place(url.scheme, url.netloc, url.path.removesuffix("-"))
        return self._places[bucket]


@functools.lru_cache(maxsize=8)
def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
