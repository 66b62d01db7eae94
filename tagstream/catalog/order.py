"""Which of two catalog updates of one image is the newer one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias

__all__ = ["MAX_SEQUENCER", "Position", "newer", "position"]

MAX_SEQUENCER = 64
"""Digits of a sequencer, at most: S3's have 16 to 18, and what is far longer was not written by S3."""

Position: TypeAlias = tuple[str, float]
"""Where an update stands in the history of its image; positions compare with ``<`` and ``==``."""


def position(sequencer: str, processed_at: str | None) -> Position:
    """The place of an update among those of its image: by S3's sequencer, then by when it was processed.

    Sequencers are hexadecimal, of differing length, and compare after right-padding the shorter one with
    zeros; dropping the zeros at the end says the same. Two updates caused by one event have one sequencer:
    a second classification (another model, a changed limit, an older version that resurfaced) looked at the
    bucket later, so the one processed later is right. An update without a readable time comes first.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html

    >>> position("0A", None) == position("0a00", None)
    True
    >>> position("0A", "2026-01-01T00:00:01Z") > position("0A", "2026-01-01T00:00:00Z")
    True
    """
    return sequencer.lower().rstrip("0"), instant(processed_at)


def newer(sequencer: str, other: str) -> bool:
    """Whether ``sequencer`` belongs to a later event of the same key than ``other``.

    >>> newer("00B", "00A1"), newer("00A1", "00A"), newer("00A0", "00A")
    (True, True, False)
    """
    return position(sequencer, None) > position(other, None)


def instant(text: str | None) -> float:
    """Seconds since 1970 of an ISO 8601 time, in UTC if it names no zone; 0 for what is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
