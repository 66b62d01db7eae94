"""The bucket that keeps thumbnails: written beside what else is to be done with a photo, removed by their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tagstream.thumbnails.making import make_thumbnail
from tagstream.thumbnails.names import SIZES, objects_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Kept", "Thumbnails", "Written"]

_AT_ONCE = 1000
"""Objects that S3 removes by one request, and lists by one."""

_THREADS = 2 * len(SIZES)
_THERE_ALREADY = {"412", "PreconditionFailed"}
# Whoever has the address may look for as long as that is valid; nobody in between may keep it.
_CACHING = "private, max-age=86400, immutable"


@dataclass(frozen=True, slots=True)
class Written:
    """What came of writing the thumbnails of a photo.

    ``thumbnails`` is what its document is to say: the key, and the sizes that are there. With an ``error`` some are
    missing, and trying again may help.
    """

    thumbnails: dict[str, Any]
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An object of the bucket: the ``image`` and the ``key`` that it belongs to, its full ``name``, and since when."""

    image: str
    key: str
    name: str
    since: datetime


@dataclass(frozen=True)
class Thumbnails:
    """``s3`` gives a client of boto3 or botocore, when it is needed; it gives up within seconds: photos wait for it."""

    s3: Callable[[], Any]
    bucket: str
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_THREADS, "thumbnails"), repr=False)

    def begin(self, picture: Image, key: str) -> Writing:
        """Make and write all sizes of ``picture`` in other threads; ask what is returned for how that went."""
        return Writing(key, {size: self._pool.submit(self._write, picture, key, size) for size in SIZES})

    def _write(self, picture: Image, key: str, size: int) -> list[int]:
        from botocore.exceptions import ClientError

        made = make_thumbnail(picture, size)
        try:
            self.s3().put_object(
                Bucket=self.bucket,
                Key=f"{key}/{size}.jpg",
                Body=made.content,
                ContentType="image/jpeg",
                CacheControl=_CACHING,
                # Of one and the same key the content is the same.
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in _THERE_ALREADY:
                raise
        return [made.width, made.height]

    def remove(self, keys: Iterable[str]) -> dict[str, str]:
        """Remove all that may be there under these keys; what failed, with the reason, by its key. Does not raise."""
        return self._remove({name: key for key in keys for name in objects_of(key)})

    def remove_objects(self, objects: Iterable[Kept]) -> dict[str, str]:
        """The same, for objects that were listed."""
        return self._remove({kept.name: kept.key for kept in objects})

    def _remove(self, keys: dict[str, str]) -> dict[str, str]:
        failed: dict[str, str] = {}
        names = list(keys)
        for start in range(0, len(names), _AT_ONCE):
            batch = names[start : start + _AT_ONCE]
            try:
                answer = self.s3().delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": name} for name in batch], "Quiet": True}
                )
            except Exception as error:  # noqa: BLE001  nobody knows what was removed: once more does no harm
                failed |= {keys[name]: str(error) for name in batch}
                continue
            failed |= {
                keys[error["Key"]]: f"{error.get('Code')}: {error.get('Message')}" for error in answer.get("Errors", ())
            }
        return failed

    def pages(self, *, after: str = "") -> Iterator[list[Kept]]:
        """All that is kept, in the order of the names, from behind ``after`` on; up to 1,000 at once."""
        listed = self.s3().get_paginator("list_objects_v2").paginate(Bucket=self.bucket, StartAfter=after)
        for page in listed:
            yield [
                Kept(name.partition("/")[0], name.rpartition("/")[0], name, entry["LastModified"])
                for entry in page.get("Contents", ())
                for name in (entry["Key"],)
            ]


@dataclass(frozen=True, slots=True)
class Writing:
    """Thumbnails that are being made and written."""

    key: str
    _sizes: dict[int, Future[list[int]]]

    def result(self) -> Written:
        """Wait until all of it is done or has failed. Does not raise."""
        sizes: dict[str, list[int]] = {}
        error: Exception | None = None
        for size, future in self._sizes.items():
            try:
                sizes[str(size)] = future.result()
            except Exception as failure:  # noqa: BLE001  a photo without them is better than none
                error = error or failure
        return Written({"key": self.key, "sizes": sizes}, error)
