"""The errors of Tagstream, in one tree.

TagstreamError
├── ConfigurationError      a setting, a file or the environment is wrong; the message says what to change
├── NotAnEvent              a queue message is no S3 event notification
├── ModelError              a model or its weights cannot be had or read
├── ImageRejected           an image that can never be classified; ``reason`` is for people
├── MissingPackage          a package that a part of Tagstream needs is not installed
├── AwsError                AWS refused a request or did not answer
├── CatalogError            OpenSearch refused or did not answer; see :mod:`tagstream.catalog.client`
├── QueryError              a search that cannot be answered as asked; the message says what to change
├── LocalCloudError         the local cloud could not be started, deployed to or stopped
└── TopicError              see :mod:`tagstream.topics`
"""

from __future__ import annotations

import unicodedata
from types import TracebackType

__all__ = [
    "AwsError",
    "CatalogError",
    "ConfigurationError",
    "ImageRejected",
    "LocalCloudError",
    "MissingPackage",
    "ModelError",
    "NotAnEvent",
    "QueryError",
    "TagstreamError",
    "TopicError",
    "needs",
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


class MissingPackage(TagstreamError, ImportError):
    """A package that a part of Tagstream needs is not installed; the message names the extra that brings it."""


class needs:
    """What is imported within comes with an extra: where it is missing, :class:`MissingPackage` says which.

    >>> with needs("topics"):
    ...     import no_such_package
    Traceback (most recent call last):
    tagstream.errors.MissingPackage: no_such_package is not installed: run pip install 'tagstream[topics]'
    """

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] != "tagstream":
            missing = error.name.partition(".")[0]
            raise MissingPackage(
                f"{missing} is not installed: run pip install 'tagstream[{self._extra}]'", name=missing
            ) from error


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
