"""Batches within the limits of SQS, where the bill is lowest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from tagstream.topics.messages import BATCH_ENTRIES, BILLED_BYTES, MAX_BYTES, Outgoing

__all__ = ["batches", "billed_requests"]


def batches(messages: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """Cut into batches of at most 10 messages and 1 MiB, where the bill is lowest.

    SQS bills a call by its payload, every started 64 KB once. When the next message would start another 64 KB, the
    batch ends there, unless messages of the size seen so far would make a fuller batch cheaper by the message.

    >>> [len(batch) for batch in batches([Outgoing("x" * 9_000)] * 20)]
    [7, 7, 6]
    >>> [len(batch) for batch in batches([Outgoing("x" * 6_000)] * 20)]
    [10, 10]
    """
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        grown = size + message.size
        full = len(batch) == BATCH_ENTRIES or grown > MAX_BYTES
        if batch and (full or (billed_requests(grown) > billed_requests(size) and _cheaper_now(size, len(batch)))):
            yield batch
            batch, grown = [], message.size
        batch.append(message)
        size = grown
    if batch:
        yield batch


def billed_requests(size: int) -> int:
    """How many requests a call with a payload of so many bytes is billed as."""
    return max(1, math.ceil(size / BILLED_BYTES))


def _cheaper_now(size: int, count: int) -> bool:
    mean = size / count
    most = min(BATCH_ENTRIES, int(MAX_BYTES / mean))
    now = billed_requests(size) / count
    return all(now < math.ceil(mean * more / BILLED_BYTES) / more for more in range(count + 1, most + 1))
