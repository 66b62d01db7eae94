"""What an event of S3 means for the catalog."""

from __future__ import annotations

from typing import Literal

from tagstream.catalog.updates import CatalogUpdate
from tagstream.pipeline.events import ObjectEvent

__all__ = ["update_of"]


def update_of(
    event: ObjectEvent, kind: Literal["classified", "rejected", "removed"], **fields: object
) -> CatalogUpdate:
    """An update caused by ``event``; ``fields`` override what the event says.

    >>> event = ObjectEvent("photos", "cat.jpg", "removed", "0A", "2026-01-01T00:00:00Z")
    >>> update_of(event, "removed").event_kind
    'removed'
    """
    base: dict[str, object] = {
        "bucket": event.bucket,
        "key": event.key,
        "sequencer": event.sequencer,
        "event_kind": event.kind,
        "event_time": event.time,
        "version_id": event.version_id,
        "etag": event.etag,
        "size": event.size,
        "look": event.look,
    }
    return CatalogUpdate(kind=kind, **(base | fields))  # type: ignore[arg-type]
