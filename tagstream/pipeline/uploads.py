"""Putting many photos into a bucket: which files, under which keys, several at a time."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tagstream.errors import ConfigurationError

__all__ = ["Outcome", "Upload", "etag_of", "find_uploads", "is_photo", "looks_like_a_photo", "upload_all"]

_TYPES = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".jpe": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
}
_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_HEAD = 64
_MAX_KEY_BYTES = 1024
_PART = 8 * 1024 * 1024
"""Bytes of a part of a large file: what the AWS CLI and SDKs take, so that ETags of theirs are recognised as well."""
_WORTH_A_LISTING = 20
"""Files: S3 takes for a page of a listing what it takes for 12.5 HEADs, and reading one of 1,000 keys takes longer."""
_ASKS_FROM = 2 * 1024 * 1024
"""Bytes from which S3 is asked before they are sent, as by AWS' SDKs for Go and Kotlin; botocore always asks."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and the key it gets."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an upload: the ``etag`` that the object has, or the ``error`` if it failed."""

    upload: Upload
    status: Literal["uploaded", "unchanged", "failed"]
    etag: str | None = None
    error: Exception | None = None


def find_uploads(paths: Iterable[Path], *, prefix: str = "") -> tuple[list[Upload], list[Path]]:
    """The files to upload, sorted by key, and those left out.

    A file is taken as it is, under its name. A folder gives every image in it and below, by the ending of
    its name, under the name relative to the folder; hidden files and folders in it are passed over.
    ``prefix`` is put before each key. Raises :class:`ConfigurationError` if two files would get one key,
    or a name makes no valid key.
    """
    found: dict[str, Path] = {}
    left_out: list[Path] = []
    for path in paths:
        if path.is_dir():
            entries, others = _in_folder(path)
            left_out += others
        else:
            entries = [(path.name, path)]
        for name, file in entries:
            key = _checked_key(prefix + name, file)
            other = found.setdefault(key, file)
            if not other.samefile(file):
                raise ConfigurationError(
                    f"{other} and {file} would both become {key!r}: upload them apart, with a --prefix each"
                )
    return [Upload(file, key) for key, file in sorted(found.items())], left_out


def _in_folder(folder: Path) -> tuple[list[tuple[str, Path]], list[Path]]:
    images: list[tuple[str, Path]] = []
    others: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(parent, name)
            if name.startswith(".") or not file.is_file():
                continue
            if file.suffix.lower() in _TYPES:
                images.append((file.relative_to(folder).as_posix(), file))
            else:
                others.append(file)
    return images, others


def _checked_key(key: str, file: Path) -> str:
    try:
        length = len(key.encode())
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"the name of {os.fsencode(file)!r} is no UTF-8: rename the file") from error
    if length > _MAX_KEY_BYTES:
        raise ConfigurationError(f"the key {key[:40]!r}… has {length} bytes, and S3 takes {_MAX_KEY_BYTES}: shorten it")
    return key


def content_type(path: Path) -> str:
    """What a browser is told; the classifier looks at the content instead.

    >>> content_type(Path("a.HEIC")), content_type(Path("notes"))
    ('image/heic', 'application/octet-stream')
    """
    return _TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"


def looks_like_a_photo(path: Path) -> bool:
    """Whether a file begins as one of the formats that are classified does; True if it can't be read.

    Enough for a warning before the upload. The classify function looks at the rest of it.
    """
    try:
        with path.open("rb") as file:
            return is_photo(file.read(_HEAD))
    except OSError:
        return True


def is_photo(head: bytes) -> bool:
    """Whether a file that begins with these bytes (at least 12) may be a photo, whatever its name.

    >>> is_photo(b"\x89PNG\r\n\x1a\n\0\0\0\r"), is_photo(b"Dear diary, ")
    (True, False)
    """
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    # HEIC and AVIF are boxes, as films are; which of them it is, the first box says.
    return head.startswith(_SIGNATURES) or (head[4:8] == b"ftyp" and any(brand in head for brand in _BRANDS))


def etag_of(path: Path) -> str:
    """The ETag that S3 gives a file which :func:`upload_all` uploads: MD5, or of several parts that of their MD5s.

    It holds in buckets that encrypt with S3's own keys, as the pipeline's does.
    """
    parts, size = [], 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            parts.append(hashlib.md5(part, usedforsecurity=False))
            size += len(part)
    if size < _PART:
        return parts[0].hexdigest() if parts else hashlib.md5(usedforsecurity=False).hexdigest()
    return f"{hashlib.md5(b''.join(part.digest() for part in parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


@dataclass(frozen=True, slots=True)
class _There:
    """What is under a key already."""

    etag: str
    size: int


_Look: TypeAlias = Callable[[], _There | None]


def upload_all(
    client: Any, bucket: str, uploads: Sequence[Upload], *, workers: int = 8, again: bool = False
) -> Iterator[Outcome]:
    """Upload what is not there yet, ``workers`` files at a time; yields what became of each as it is done.

    A file is there when the object under its key has its size and ETag: nothing that only our own uploads would have
    left. What is there is listed, as long as each page of the listing is about enough of the files, and asked for by
    a HEAD for each of the others: what it costs grows with the files and not with the bucket. An object that another
    program uploaded in parts of another size looks different, and is replaced. ``again`` uploads everything. Large
    files go in parts. ``client`` is a boto3 S3 client whose connection pool has room for ``workers``; small objects,
    it sends from now on without asking first. Closing the iterator early drops what was not begun and waits for the
    rest.
    """
    from boto3.exceptions import Boto3Error
    from boto3.s3.transfer import TransferConfig
    from botocore.exceptions import BotoCoreError, ClientError

    # The files go in parallel; their parts need not.
    config = TransferConfig(use_threads=False, multipart_threshold=_PART, multipart_chunksize=_PART)
    # Last, and so after botocore's own.
    client.meta.events.register_last("before-call.s3", _send_at_once, unique_id="tagstream-send-at-once")

    def send(upload: Upload, look: _Look) -> Outcome:
        try:
            there, size = look(), upload.path.stat().st_size
            if there and there.size == size and there.etag == etag_of(upload.path):
                return Outcome(upload, "unchanged", there.etag)
            kind = content_type(upload.path)
            if size < _PART:
                with upload.path.open("rb") as file:
                    put = client.put_object(Bucket=bucket, Key=upload.key, Body=file, ContentType=kind)
                return Outcome(upload, "uploaded", put["ETag"].strip('"'))
            etag, extra = etag_of(upload.path), {"ContentType": kind}
            client.upload_file(str(upload.path), bucket, upload.key, ExtraArgs=extra, Config=config)
        except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
            return Outcome(upload, "failed", error=error)
        return Outcome(upload, "uploaded", etag)

    pool = ThreadPoolExecutor(workers)
    try:
        running: set[Future[Outcome]] = set()
        looks = _looks(client, bucket, uploads, again=again)
        more = True
        while more or running:
            # The next page is listed while the last files of this one go.
            while more and len(running) < 2 * workers:
                page = next(looks, None)
                more = page is not None
                running |= {pool.submit(send, upload, look) for upload, look in page or ()}
            # Not for ever at once: a signal that comes while a thread waits without a limit may not wake it.
            done, running = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _nothing() -> None:
    """Nobody looked."""


def _looks(client: Any, bucket: str, uploads: Sequence[Upload], *, again: bool) -> Iterator[list[tuple[Upload, _Look]]]:
    """All uploads, some at a time, each with what tells whether its object is there; ``again``: as if none were."""
    from botocore.exceptions import BotoCoreError, ClientError

    if again:
        yield [(upload, _nothing) for upload in uploads]
        return
    left, listed = sorted(uploads, key=lambda upload: upload.key), ""
    while len(left) >= _WORTH_A_LISTING:
        first, last = left[0].key, left[-1].key
        try:
            page = client.list_objects_v2(
                Bucket=bucket,
                Prefix=os.path.commonprefix([first, last]),  # noqa: RUF071 - keys are strings, not paths
                StartAfter=max(listed, first[:-1]),  # both of which come before the first one
            )
        except (BotoCoreError, ClientError):
            break  # who may put objects need not be allowed to list them; what else is wrong, each file tells
        found = {one["Key"]: _There(one["ETag"].strip('"'), one["Size"]) for one in page.get("Contents", ())}
        # Both sides are in the order of the keys' code points, which is that of their UTF-8.
        listed = max(found, default="")
        told = bisect_right(left, listed, key=lambda upload: upload.key) if page["IsTruncated"] else len(left)
        yield [(upload, partial(found.get, upload.key)) for upload in left[:told]]
        left = left[told:]
        if told < _WORTH_A_LISTING:
            break
    yield [(upload, partial(_head, client, bucket, upload.key)) for upload in left]


def _head(client: Any, bucket: str, key: str) -> _There | None:
    from botocore.exceptions import ClientError

    try:
        found = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        # Who may put objects need not be allowed to look at them.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return None
        raise
    return _There(found["ETag"].strip('"'), found["ContentLength"])


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """To ask is a way to S3 and back (``Expect: 100-continue``), which spares sending in vain what is refused."""
    from botocore.utils import determine_content_length

    headers = params["headers"]
    if "Expect" in headers and (determine_content_length(params["body"]) or 0) < _ASKS_FROM:
        del headers["Expect"]
