"""Catalog updates: what the classify function tells the catalog function, over the FIFO queue."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any, Literal

from tagstream.analysis.analyse import check_facts, known_facts
from tagstream.catalog.order import MAX_SEQUENCER
from tagstream.errors import ConfigurationError
from tagstream.tags import Tag
from tagstream.thumbnails.names import check_thumbnails

__all__ = ["CatalogUpdate", "document_id"]

_TEXTS = ("bucket", "key", "sequencer", "event_time")
_OPTIONAL_TEXTS = ("version_id", "etag", "model", "vocabulary", "reason", "rejected_by", "processed_at", "look")
_BOUNDS = {"size": 2**63, "width": 2**31, "height": 2**31}
"""What the index' long and integer fields hold."""


@dataclass(frozen=True, slots=True)
class CatalogUpdate:
    """The new state of one image.

    ``kind`` is ``classified`` (``tags`` are classes, then ancestors, best first; ``width``/``height`` in pixels as
    people see it), ``rejected`` (``reason`` says why it can never be classified, ``rejected_by`` what says so:
    another model or other limits may take it) or ``removed``.
    ``facts`` is what analysers say besides (:data:`tagstream.analysis.FIELDS`), some of it or nothing.
    ``vocabulary`` is the version of the tree that gave the tags their ancestors, if any.
    ``thumbnails`` is ``{"key": …, "sizes": {"320": [width, height], …}}``: what is there of them.
    ``event_kind`` and ``sequencer`` are those of the S3 event that caused it. ``look`` tells the looks at one event
    apart; it is not kept.
    """

    kind: Literal["classified", "rejected", "removed"]
    bucket: str
    key: str
    sequencer: str
    event_kind: Literal["created", "removed"]
    event_time: str
    version_id: str | None = None
    etag: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    vocabulary: str | None = None
    tags: tuple[Tag, ...] = ()
    reason: str | None = None
    rejected_by: str | None = None
    processed_at: str | None = None
    look: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    thumbnails: Mapping[str, Any] | None = None

    @property
    def document_id(self) -> str:
        """The id of the image's document, and the message group that keeps its updates in order."""
        return document_id(self.bucket, self.key)

    @property
    def deduplication_id(self) -> str:
        """Equal for updates that say the same: the event delivered twice, the function run twice."""
        seen_by = (self.model or "", self.vocabulary or "", self.reason or "", self.look or "")
        parts = (self.bucket, self.key, self.sequencer, self.event_kind, self.kind, *seen_by)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def milliseconds_until(self, now: datetime) -> float | None:
        """From the event, by S3's clock, to ``now``; None if its time can't be read. Differing clocks make no time
        negative.

        >>> update = CatalogUpdate("removed", "photos", "cat.jpg", "0A", "removed", "2026-01-01T00:00:00.000Z")
        >>> update.milliseconds_until(datetime.fromisoformat("2026-01-01T00:00:01.5Z"))
        1500.0
        """
        try:
            return max((now - datetime.fromisoformat(self.event_time)).total_seconds() * 1000, 0.0)
        except (ValueError, TypeError):  # garbled, or without a time zone
            return None

    def to_json(self) -> str:
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> CatalogUpdate:
        """Read what :meth:`to_json` wrote; raises :class:`ConfigurationError` for anything else.

        Updates may be in flight while the functions are updated, there and back: what an older function does not say
        has a default, and what a newer one says besides is passed over, as it would not have been said by this one.
        """
        try:
            fields = _known(json.loads(text), cls)
            fields["tags"] = tuple(Tag(**_known(tag, Tag)) for tag in fields["tags"])
            if "facts" in fields:
                fields["facts"] = known_facts(fields["facts"])
            update = cls(**fields)
            update._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ConfigurationError(f"not a catalog update: {error!r}") from error
        return update

    def _check(self) -> None:
        """Raise :class:`ValueError` for what OpenSearch would refuse, or what could not be put in order."""
        if self.kind not in ("classified", "rejected", "removed"):
            raise ValueError(f"kind is {self.kind!r}")
        if self.event_kind not in ("created", "removed"):
            raise ValueError(f"event_kind is {self.event_kind!r}")
        for name in _TEXTS + _OPTIONAL_TEXTS:
            text = getattr(self, name)
            if text is None and name in _OPTIONAL_TEXTS:
                continue
            if not isinstance(text, str):
                raise ValueError(f"{name} is {text!r}")
            text.encode()  # raises for a lone surrogate, which is no text
        for name, bound in _BOUNDS.items():
            number = getattr(self, name)
            if number is not None and (type(number) is not int or not 0 <= number < bound):
                raise ValueError(f"{name} is {number!r}")
        for tag in self.tags:
            _check_tag(tag)
        check_facts(self.facts)
        if self.thumbnails is not None:
            check_thumbnails(self.thumbnails, self.document_id)
        if not re.fullmatch(f"[0-9A-Fa-f]{{0,{MAX_SEQUENCER}}}", self.sequencer):
            raise ValueError(f"sequencer is {self.sequencer[: MAX_SEQUENCER + 1]!r}")
        if self.processed_at is not None:
            datetime.fromisoformat(self.processed_at)


def _known(said: dict[str, Any], kind: type[CatalogUpdate] | type[Tag]) -> dict[str, Any]:
    names = {item.name for item in dataclass_fields(kind)}
    return {name: value for name, value in said.items() if name in names}


def _check_tag(tag: Tag) -> None:
    if not isinstance(tag.tag, str) or not isinstance(tag.score, int | float) or not 0 <= tag.score <= 1:
        raise ValueError(f"a tag is {tag!r}")
    tag.tag.encode()
    if tag.kind not in ("leaf", "ancestor"):
        raise ValueError(f"a tag is {tag!r}")


def document_id(bucket: str, key: str) -> str:
    """SHA-256 of ``bucket/key``: keys may be longer (1,024 bytes) than an OpenSearch id (512).

    >>> document_id("photos", "cat.jpg")[:12]
    '9c4712116d1c'
    """
    return hashlib.sha256(f"{bucket}/{key}".encode()).hexdigest()
