"""S3 event notifications: what a bucket says happened to its objects.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote_plus

from tagstream.catalog.order import MAX_SEQUENCER
from tagstream.errors import NotAnEvent

__all__ = ["RECONCILE", "RETAG", "ObjectEvent", "parse_notification"]

RETAG = "ObjectCreated:Retag"
"""The name of an event that is no news from S3, but asks for another look at an object."""
RECONCILE = "ObjectRemoved:Reconcile"
"""The same for an object that is in the catalog and not in the bucket."""

_LONGEST_LOOK = 64
_LOST = "ReducedRedundancyLostObject"
_REMOVALS = ("ObjectRemoved:", "LifecycleExpiration:", _LOST)
_SEQUENCER = re.compile(f"[0-9A-Fa-f]{{1,{MAX_SEQUENCER}}}")


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """One thing that happened to one object.

    ``key`` is decoded (S3 sends it URL-encoded). ``sequencer`` is a hexadecimal string that orders the
    events of one key; strings of different length are compared after right-padding with zeros
    (:func:`tagstream.catalog.order.newer`). ``size`` is in bytes; removals have neither size nor etag. ``look`` tells
    the looks at one event apart that :mod:`tagstream.pipeline.retag` asks for.
    """

    bucket: str
    key: str
    kind: Literal["created", "removed"]
    sequencer: str
    time: str
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    look: str | None = None


def parse_notification(body: str) -> list[ObjectEvent | NotAnEvent]:
    """What the body of one queue message says; nothing for the ``s3:TestEvent`` of a new notification.

    A record that is no event of an object is a :class:`NotAnEvent` in its place: the others beside it still count.
    Raises :class:`NotAnEvent` if the whole message is no S3 notification.

    >>> parse_notification('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}')
    []
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotAnEvent(f"the message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise NotAnEvent("the message is not a JSON object")
    if message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records")
    if not isinstance(records, list):
        raise NotAnEvent("the message has no list of Records")
    return [_event(record) for record in records]


def _event(record: Any) -> ObjectEvent | NotAnEvent:
    try:
        name = record["eventName"].removeprefix("s3:")
        s3 = record["s3"]
        item = s3["object"]
        if name.startswith("ObjectCreated:"):
            kind: Literal["created", "removed"] = "created"
        elif name.startswith(_REMOVALS):
            kind = "removed"
        else:
            return NotAnEvent(f"the event {name!r} is neither a creation nor a removal")
        size = item.get("size")
        event = ObjectEvent(
            bucket=_text(s3["bucket"]["name"]),
            key=_text(unquote_plus(item["key"])),
            kind=kind,
            sequencer=_sequencer(item, name, record["eventTime"]),
            time=_text(record["eventTime"]),
            version_id=_text(item.get("versionId") or "") or None,
            etag=_text(item.get("eTag") or "") or None,
            size=None if size is None else int(size),
            look=_text(s3.get("configurationId") or "")[:_LONGEST_LOOK] if name in (RETAG, RECONCILE) else None,
        )
        if not _SEQUENCER.fullmatch(event.sequencer):
            raise ValueError(f"sequencer {event.sequencer[: MAX_SEQUENCER + 1]!r}")
        if not 0 <= (event.size or 0) < 2**63:
            raise ValueError(f"size {event.size}")
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        return NotAnEvent(f"a record lacks or garbles a field of an S3 event: {error!r}")
    if not (event.bucket and event.key):
        return NotAnEvent("a record names no bucket or no key")
    return event


def _sequencer(item: Any, name: str, time: Any) -> str:
    """The event's own sequencer. S3 gives one to creations and removals only, none to an object that it lost.

    S3's sequencers begin with a zero byte and the seconds since 1970 in hexadecimal (seen, not documented), so that
    the time of the loss stands after all that happened to the object before. If that is wrong, no harm is done: a
    removal fetches the object, and what is there is classified.
    """
    if name == _LOST and "sequencer" not in item:
        return f"{int(datetime.fromisoformat(_text(time)).timestamp()):010X}"
    return _text(item["sequencer"])


def _text(value: Any) -> str:
    """``value``, if it is text that can be written down: JSON's escapes allow half characters."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    value.encode()
    return value
