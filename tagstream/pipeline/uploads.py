"""Putting many photos into a bucket: which files, under which keys, several at a time."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagstream.errors import ConfigurationError

__all__ = ["Upload", "find_uploads", "upload_all"]

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
_MAX_KEY_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and the key it gets."""

    path: Path
    key: str


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


def upload_all(
    client: Any, bucket: str, uploads: Sequence[Upload], *, workers: int = 8
) -> Iterator[tuple[Upload, Exception | None]]:
    """Upload, ``workers`` files at a time; yields each with its error, or None, as it is done.

    Large files go in parts. ``client`` is a boto3 S3 client whose connection pool has room for ``workers``.
    Closing the iterator early drops what was not begun and waits for the rest.
    """
    from boto3.exceptions import Boto3Error
    from boto3.s3.transfer import TransferConfig
    from botocore.exceptions import BotoCoreError, ClientError

    # The files go in parallel; their parts need not.
    config = TransferConfig(use_threads=False)

    def send(upload: Upload) -> None:
        extra = {"ContentType": content_type(upload.path)}
        client.upload_file(str(upload.path), bucket, upload.key, ExtraArgs=extra, Config=config)

    pool = ThreadPoolExecutor(workers)
    try:
        running = {pool.submit(send, upload): upload for upload in uploads}
        for future in as_completed(running):
            error = future.exception()
            if error is not None and not isinstance(error, Boto3Error | BotoCoreError | ClientError | OSError):
                raise error
            yield running[future], error
    finally:
        pool.shutdown(cancel_futures=True)
