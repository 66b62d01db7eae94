"""S3 event notifications: what a bucket says happened to its objects.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from tagstream.errors import NotAnEvent

__all__ = ["ObjectEvent", "parse_notification"]

_REMOVALS = ("ObjectRemoved:", "LifecycleExpiration:")


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """One thing that happened to one object.

    ``key`` is decoded (S3 sends it URL-encoded). ``sequencer`` is a hexadecimal string that orders the
    events of one key; strings of different length are compared after right-padding with zeros
    (:func:`tagstream.catalog.order.newer`). ``size`` is in bytes; removals have neither size nor etag.
    """

    bucket: str
    key: str
    kind: Literal["created", "removed"]
    sequencer: str
    time: str
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None


def parse_notification(body: str) -> list[ObjectEvent]:
    """The events in the body of one queue message; none for the ``s3:TestEvent`` of a new notification.

    Raises :class:`NotAnEvent` for anything else than an S3 notification.

    >>> parse_notification('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "photos"}')
    []
    """
    try:
        message = json.loads(body)
    except ValueError as error:
        raise NotAnEvent(f"the message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise NotAnEvent("the message is not a JSON object")
    if message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records")
    if not isinstance(records, list):
        raise NotAnEvent("the message has no list of Records")
    return [_event(record) for record in records]


def _event(record: Any) -> ObjectEvent:
    try:
        name = record["eventName"].removeprefix("s3:")
        s3 = record["s3"]
        item = s3["object"]
        if name.startswith("ObjectCreated:"):
            kind: Literal["created", "removed"] = "created"
        elif name.startswith(_REMOVALS):
            kind = "removed"
        else:
            raise NotAnEvent(f"the event {name!r} is neither a creation nor a removal")
        size = item.get("size")
        event = ObjectEvent(
            bucket=s3["bucket"]["name"],
            key=unquote_plus(item["key"]),
            kind=kind,
            sequencer=item["sequencer"],
            time=record["eventTime"],
            version_id=item.get("versionId") or None,
            etag=item.get("eTag") or None,
            size=None if size is None else int(size),
        )
        int(event.sequencer, 16)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NotAnEvent(f"a record lacks or garbles a field of an S3 event: {error!r}") from error
    if not (event.bucket and event.key):
        raise NotAnEvent("a record names no bucket or no key")
    return event
