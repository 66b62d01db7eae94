"""Catalog documents: what the index holds about one image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from tagstream.catalog.order import Position, position
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import kept_score

__all__ = ["POSITION_FIELDS", "document", "position_of", "position_of_document"]

POSITION_FIELDS = ("sequencer", "classified_at", "removed_at")
"""The fields that :func:`position_of_document` needs."""


def document(update: CatalogUpdate, *, indexed_at: str) -> dict[str, Any]:
    """The whole document that an update makes of an image; ``indexed_at`` is the time of writing, ISO 8601.

    A removal leaves a tombstone: enough to know that a late event is late, and no tags.

    >>> update = CatalogUpdate("removed", "photos", "2026/cat.jpg", "0A", "removed", "2026-01-01T00:00:00Z")
    >>> made = document(update, indexed_at="2026-01-01T00:00:05Z")
    >>> made["status"], made["title"], made["s3_location"], made["tags"]
    ('removed', 'cat.jpg', 's3://photos/2026/cat.jpg', [])
    """
    known: dict[str, Any] = {
        "id": update.document_id,
        "status": update.kind,
        # A message that was no S3 event is listed under its id: it has no bucket.
        "title": PurePosixPath(update.key).name or update.key,
        "s3_location": f"s3://{update.bucket}/{update.key}" if update.bucket else None,
        "bucket": update.bucket or None,
        "key": update.key,
        "version_id": update.version_id,
        "sequencer": update.sequencer,
        "indexed_at": indexed_at,
    }
    if update.kind == "removed":
        known |= {"tags": [], "removed_at": update.processed_at}
    else:
        known |= {
            "tags": [
                {"tag": _in_words(tag.tag), "score": kept_score(tag.score), "kind": tag.kind} for tag in update.tags
            ],
            "etag": update.etag,
            "size": update.size,
            "width": update.width,
            "height": update.height,
            "model": update.model,
            "vocabulary": update.vocabulary,
            "reason": update.reason,
            "rejected_by": update.rejected_by,
            "uploaded_at": update.event_time or None,
            "classified_at": update.processed_at,
            "thumbnails": update.thumbnails if update.kind == "classified" else None,
            **update.facts,
        }
    return {name: value for name, value in known.items() if value is not None}


def _in_words(label: str) -> str:
    """A label as it is searched for: models of one's own may have "red_light".

    >>> _in_words("red_light"), _in_words("_")
    ('red light', '_')
    """
    return " ".join(label.replace("_", " ").split()) or label


def position_of(update: CatalogUpdate) -> Position:
    """Where an update stands in the history of its image."""
    return position(update.sequencer, update.processed_at)


def position_of_document(source: Mapping[str, Any]) -> Position:
    """Where the update that made a document stood; the same as :func:`position_of` of that update."""
    return position(source.get("sequencer") or "", source.get("classified_at") or source.get("removed_at"))
