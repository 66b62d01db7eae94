"""The errors of Tagstream, in one tree.

TagstreamError
├── ConfigurationError      a setting, a file or the environment is wrong; the message says what to change
├── NotAnEvent              a queue message is no S3 event notification
├── ModelError              a model or its weights cannot be had or read
├── ImageRejected           an image that can never be classified; ``reason`` is for people
├── CatalogError            OpenSearch refused or did not answer
├── QueryError              a search that cannot be answered as asked; the message says what to change
├── LocalCloudError         the local cloud could not be started, deployed to or stopped
└── TopicError              see :mod:`tagstream.topics`
"""

from __future__ import annotations

__all__ = [
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


class CatalogError(TagstreamError):
    """OpenSearch refused a request or did not answer; trying again may help."""


class QueryError(TagstreamError):
    """A search that cannot be answered as asked; the message says what to change."""


class LocalCloudError(TagstreamError):
    """The local cloud could not be started, deployed to or stopped."""


class TopicError(TagstreamError):
    """Base of the errors of :mod:`tagstream.topics`; ``topic`` names the topic where there is one."""

    def __init__(self, message: str, *, topic: str | None = None) -> None:
        super().__init__(message)
        self.topic = topic
