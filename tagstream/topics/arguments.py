"""What people naturally pass, as what is meant; anything else is an error that says what was expected. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tagstream.errors import TopicError
from tagstream.topics.messages import Message, Outgoing

__all__ = [
    "expect_topics",
    "file_of",
    "files_of",
    "messages_of",
    "outgoing_of",
    "received",
    "seconds_of",
    "topic_of",
    "whole_number",
]


def topic_of(topic: Any) -> str:
    """A topic's name or URL.

    >>> topic_of(7)
    Traceback (most recent call last):
    tagstream.errors.TopicError: a topic is its name or its URL, such as "smiles": not an int.
    """
    if not isinstance(topic, str) or not topic:
        raise TopicError(f'a topic is its name or its URL, such as "smiles": not {_kind(topic)}.')
    return topic


def expect_topics(topics: Any) -> None:
    """The client that functions over topics are given.

    >>> expect_topics("smiles")
    Traceback (most recent call last):
    tagstream.errors.TopicError: the first argument is a Topics, as in Topics(boto3.client("sqs")): not a str.
    """
    if not hasattr(topics, "publish_all"):
        raise TopicError(f'the first argument is a Topics, as in Topics(boto3.client("sqs")): not {_kind(topics)}.')


def files_of(files: Any) -> list[str | Path]:
    """One path or several.

    >>> files_of("a.txt"), files_of([Path("a"), "b"])
    (['a.txt'], [PosixPath('a'), 'b'])
    >>> files_of([])
    Traceback (most recent call last):
    tagstream.errors.TopicError: an upload takes a path, or a list of at least one: not an empty list.
    """
    if isinstance(files, str | os.PathLike):
        return [file_of(files, "an upload takes a path, or a list of them")]
    if isinstance(files, Mapping | bytes) or not isinstance(files, Iterable) or hasattr(files, "read"):
        raise TopicError(f"an upload takes a path, or a list of at least one: not {_kind(files)}.")
    listed = [file_of(file, "an upload takes paths") for file in files]
    if not listed:
        raise TopicError("an upload takes a path, or a list of at least one: not an empty list.")
    return listed


def file_of(path: Any, expected: str) -> str | Path:
    """A path."""
    if isinstance(path, os.PathLike):
        path = os.fspath(path) if not isinstance(path, Path) else path
    if not isinstance(path, str | Path) or not str(path):
        raise TopicError(f"{expected}: not {_kind(path)}.")
    return path


def outgoing_of(message: Any) -> Outgoing:
    """A message to publish: an :class:`Outgoing`, or its text.

    >>> outgoing_of("CCO")
    Outgoing(body='CCO', attributes={}, group_id=None, deduplication_id=None, delay=0)
    >>> outgoing_of(Outgoing("CCO", {"weight": 46.07}))
    Traceback (most recent call last):
    tagstream.errors.TopicError: attribute 'weight' of a message is text, a whole number or bytes: not a float.
    """
    if isinstance(message, str):
        return Outgoing(message)
    if not isinstance(message, Outgoing):
        raise TopicError(f"a message to publish is text or an Outgoing: not {_kind(message)}.")
    if not isinstance(message.body, str):
        raise TopicError(f"the body of a message is text, its attributes may be bytes: not {_kind(message.body)}.")
    for name, id_ in (("group_id", message.group_id), ("deduplication_id", message.deduplication_id)):
        if id_ is not None and not isinstance(id_, str):
            raise TopicError(f"the {name} of a message is text: not {_kind(id_)}.")
    whole_number(message.delay, "the delay of a message", 0, 900)
    if not isinstance(message.attributes, Mapping):
        raise TopicError(f"the attributes of a message are names with values: not {_kind(message.attributes)}.")
    for name, value in message.attributes.items():
        if not isinstance(name, str):
            raise TopicError(f"the name of a message's attribute is text: not {_kind(name)}.")
        if not isinstance(value, str | int | bytes) or isinstance(value, bool):
            raise TopicError(f"attribute {name!r} of a message is text, a whole number or bytes: not {_kind(value)}.")
    return message


def messages_of(messages: Any) -> Iterable[Any]:
    """Several messages to publish; each of them is for :func:`outgoing_of`.

    >>> messages_of("CCO")
    Traceback (most recent call last):
    tagstream.errors.TopicError: publish_all takes several messages, such as a list: not text (publish takes one).
    """
    if isinstance(messages, str | Outgoing):
        what = "text" if isinstance(messages, str) else "an Outgoing"
        raise TopicError(f"publish_all takes several messages, such as a list: not {what} (publish takes one).")
    if isinstance(messages, Mapping | bytes) or not isinstance(messages, Iterable):
        raise TopicError(f"publish_all takes several messages, such as a list: not {_kind(messages)}.")
    return messages


def received(messages: Any) -> list[Message]:
    """Received messages: one, or several.

    >>> received("receipt")
    Traceback (most recent call last):
    tagstream.errors.TopicError: what is acknowledged or refreshed are the messages that pull returned: not a str.
    """
    listed = [messages] if isinstance(messages, Message) else messages
    expected = "what is acknowledged or refreshed are the messages that pull returned"
    if isinstance(listed, str | bytes | Mapping) or not isinstance(listed, Iterable):
        raise TopicError(f"{expected}: not {_kind(listed)}.")
    listed = list(listed)
    for message in listed:
        if not isinstance(message, Message):
            raise TopicError(f"{expected}: not {_kind(message)}.")
    return listed


def whole_number(value: Any, name: str, least: int, most: int | None = None) -> int:
    """A whole number within its limits.

    >>> whole_number("5", "max_messages", 1)
    Traceback (most recent call last):
    tagstream.errors.TopicError: max_messages is a whole number of at least 1: not '5'.
    """
    within = isinstance(value, int) and not isinstance(value, bool) and least <= value
    if not within or (most is not None and value > most):
        limits = f"of at least {least:,}" if most is None else f"from {least:,} to {most:,}"
        raise TopicError(f"{name} is a whole number {limits}: not {value!r}.")
    return int(value)


def seconds_of(value: Any, name: str) -> float:
    """A length of time.

    >>> seconds_of("5", "timeout")
    Traceback (most recent call last):
    tagstream.errors.TopicError: timeout is a number of seconds, 0 or more: not '5'.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise TopicError(f"{name} is a number of seconds, 0 or more: not {value!r}.")
    return value


def _kind(value: Any) -> str:
    """What something is, in words.

    >>> _kind(None), _kind(b""), _kind([]), _kind("")
    ('None', 'bytes', 'a list', 'an empty text')
    """
    if value is None:
        return "None"
    if isinstance(value, str) and not value:
        return "an empty text"
    name = type(value).__name__
    if name == "bytes":
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
