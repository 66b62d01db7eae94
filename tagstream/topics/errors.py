"""What can go wrong with topics; each message says which topic and what to do.

TopicError                  (in :mod:`tagstream.errors`)
├── TopicNotFound           there is no such topic
├── TopicExists             a queue of that name exists with other attributes
├── TopicBusy               SQS wants a wait: deleted or purged less than 60 s ago
├── Misuse                  an argument, a file or a step that can't be used so; a ConfigurationError as well
├── InvalidTopic            a name, an attribute or a setting that SQS would refuse; all problems at once
├── LookCounts              a look at a topic's messages would count as a receive
├── MessageTooLarge         a message, or a line of a file, that fits no message
├── PublishFailed           ``result`` has the count accepted, and what failed and why
├── ParcelDamaged           a parcel whose content does not match its checksum
├── DownloadIncomplete      ``gaps`` lists what is missing; what did arrive is kept for the next try
├── DownloadRefused         the target exists, is busy, or holds another topic's unfinished download
└── StepFailed              a step failed on its input: ``returncode`` and ``stderr`` (of a function: what it raised)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tagstream.errors import ConfigurationError, TopicError

if TYPE_CHECKING:
    from tagstream.topics.messages import PublishResult

__all__ = [
    "DownloadIncomplete",
    "DownloadRefused",
    "InvalidTopic",
    "LookCounts",
    "MessageTooLarge",
    "Misuse",
    "ParcelDamaged",
    "PublishFailed",
    "StepFailed",
    "TopicBusy",
    "TopicError",
    "TopicExists",
    "TopicNotFound",
]


class TopicNotFound(TopicError):
    """There is no such topic."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"topic {topic!r} does not exist here: 'tagstream topics list' shows those that do, and 'topics create' "
            "makes one.",
            topic=topic,
        )


class TopicExists(TopicError):
    """A queue of that name exists with other attributes."""


class TopicBusy(TopicError):
    """SQS wants a wait: the topic was deleted or purged less than 60 s ago."""


class Misuse(TopicError, ConfigurationError):
    """An argument, a setting, a file or a step that cannot be used so; the message says what was expected."""


class InvalidTopic(TopicError):
    """A name, an attribute or a setting that SQS would refuse; ``problems`` has one sentence for each."""

    def __init__(self, topic: str, problems: Sequence[str]) -> None:
        super().__init__(f"topic {topic!r}: {'; '.join(problems)}.", topic=topic)
        self.problems = tuple(problems)


class LookCounts(TopicError):
    """A look at a topic's messages would count as a receive, and might move them to the dead-letter topic."""

    def __init__(self, topic: str, receives: int, dead: str) -> None:
        super().__init__(
            f"topic {topic!r}: SQS counts each look as a receive, and moves what was received {receives} times to "
            f"{dead!r}. Say that it may count (peek --count), or look at {dead!r}, where it does not matter.",
            topic=topic,
        )


class MessageTooLarge(TopicError):
    """A message, or a line of a file, that fits no message."""


class PublishFailed(TopicError):
    """Not everything was accepted; ``result`` has the count accepted, and what failed and why."""

    def __init__(self, message: str, result: PublishResult, *, topic: str | None = None) -> None:
        super().__init__(message, topic=topic)
        self.result = result


class ParcelDamaged(TopicError):
    """A message says that it is a parcel, and its content does not match its checksum or count."""


class DownloadIncomplete(TopicError):
    """Parcels are missing; ``gaps`` lists them, and what did arrive is kept for the next try."""

    def __init__(self, message: str, gaps: Sequence[str], *, topic: str | None = None) -> None:
        super().__init__(message, topic=topic)
        self.gaps = tuple(gaps)


class DownloadRefused(TopicError):
    """The target exists, is busy, or holds the unfinished download of another topic."""


class StepFailed(TopicError):
    """A step's program failed: it exited with another code than 0, hung, or wrote no output."""

    def __init__(self, message: str, returncode: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.returncode = returncode
        self.stderr = stderr
