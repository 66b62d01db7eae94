"""Which topics are being downloaded on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagstream.places import cache
from tagstream.topics.errors import DownloadRefused

__all__ = ["only_download_of"]


@contextmanager
def only_download_of(url: str, target: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep others on this machine from downloading the topic into another file, which would split it for good.

    Raises :class:`DownloadRefused` when somebody does already, unless ``shared``. The claim is a lock on a file, which
    ends with its process however that ends. Where no such file can be made, nothing is claimed.
    """
    claim = cache() / "downloads" / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.download"
    try:
        claim.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(claim, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            other = os.pread(descriptor, 8_192, 0).decode(errors="replace")
            if not shared:
                raise DownloadRefused(
                    f"this topic is being downloaded into {other}: two downloads would split it for good. Wait for "
                    "that one, or say --shared.",
                    topic=url,
                ) from error
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{target.absolute()} (process {os.getpid()})".encode(errors="replace"), 0)
        yield
    finally:
        os.close(descriptor)
