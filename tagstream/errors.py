"""The errors of Tagstream, in one tree.

TagstreamError
├── ConfigurationError      a setting, a file or the environment is wrong; the message says what to change
├── NotAnEvent              a queue message is no S3 event notification
├── ModelError              a model or its weights cannot be had or read
├── ImageRejected           an image that can never be classified; ``reason`` is for people
├── AwsError                AWS refused a request or did not answer
├── CatalogError            OpenSearch refused or did not answer
├── QueryError              a search that cannot be answered as asked; the message says what to change
├── LocalCloudError         the local cloud could not be started, deployed to or stopped
└── TopicError              see :mod:`tagstream.topics`
"""

from __future__ import annotations

import unicodedata

__all__ = [
    "AwsError",
    "CatalogError",
    "ConfigurationError",
    "ImageRejected",
    "LocalCloudError",
    "ModelError",
    "NotAnEvent",
    "QueryError",
    "TagstreamError",
    "TopicError",
]


class TagstreamError(Exception):
    """Base of all errors; its message is one sentence that says what to do next."""


class ConfigurationError(TagstreamError):
    """A setting, a file or the environment is wrong."""


class NotAnEvent(TagstreamError):
    """A queue message is no S3 event notification."""


class ModelError(TagstreamError):
    """A model or its weights cannot be had or read."""


class ImageRejected(TagstreamError):
    """An image that can never be classified, however often it is tried.

    ``reason`` is a short sentence for people, without the name of the image.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class AwsError(TagstreamError):
    """AWS refused a request or did not answer, or there are no credentials or no region to ask it with."""


class CatalogError(TagstreamError):
    """OpenSearch refused a request or did not answer; trying again may help."""


class QueryError(TagstreamError):
    """A search that cannot be answered as asked; the message says what to change.

    Where the place is known, ``at`` are the first and the last character (exclusive) of it in ``text``, and the
    message goes on with the text and carets under the place. ``sentence`` is the message without that.
    """

    def __init__(self, sentence: str, *, text: str | None = None, at: tuple[int, int] | None = None) -> None:
        super().__init__(sentence if text is None or at is None else f"{sentence}\n{_pointed_at(text, *at)}")
        self.sentence = sentence
        self.at = at


_AROUND = 30
"""Characters shown on either side of a place."""


def _pointed_at(text: str, start: int, end: int) -> str:
    """The text around a place, and a line with carets under it.

    >>> print(_pointed_at("dog colr:red", 4, 9))
      dog colr:red
          ^^^^^
    """
    end = min(end, start + 2 * _AROUND)
    first, last = max(0, start - _AROUND), end + _AROUND
    before, place, after = (_printable(part) for part in (text[first:start], text[start:end], text[end:last]))
    before = ("…" if first else "") + before
    after += "…" if last < len(text) else ""
    return f"  {before}{place}{after}\n  {' ' * _columns(before)}{'^' * max(1, _columns(place))}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _columns(text: str) -> int:
    """How wide a terminal shows it."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


class LocalCloudError(TagstreamError):
    """The local cloud could not be started, deployed to or stopped."""


class TopicError(TagstreamError):
    """Base of the errors of :mod:`tagstream.topics`; ``topic`` names the topic where there is one."""

    def __init__(self, message: str, *, topic: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic
