"""Parcels become messages on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from tagstream.topics.messages import Outgoing
from tagstream.topics.parcels import Parcel, ParcelSettings, outgoing

__all__ = ["packed"]


def packed(parcels: Iterable[Parcel], settings: ParcelSettings, fifo: bool, salt: str = "") -> Generator[Outgoing]:
    """The parcels' messages, in order, packed on all cores (both compressors let other threads run)."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[Outgoing]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pack") as pool:
        try:
            for parcel in parcels:
                waiting.append(pool.submit(outgoing, parcel, settings, fifo=fifo, salt=salt))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
