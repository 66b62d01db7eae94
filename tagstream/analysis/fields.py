"""How a fact is declared: its name, its place in the index, and what its values may be.

One declaration serves both sides: the mapping of the index is made of it, and what comes over the queue is checked
against it, so that no document is refused by OpenSearch for a fact.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["Field", "fingerprint", "moment", "number", "point", "shares", "text"]


@dataclass(frozen=True, slots=True)
class Field:
    """``mapping`` is the field's in the index; ``check`` raises ValueError for what is no value of it."""

    name: str
    mapping: Mapping[str, Any]
    check: Callable[[Any], None]


def number(name: str, least: float, most: float) -> Field:
    """A number from ``least`` to ``most``, searched by ranges; the index keeps about three digits of it."""
    return Field(name, {"type": "half_float"}, lambda value: _check_number(value, least, most))


def text(name: str, *, longest: int) -> Field:
    """A short text of at most ``longest`` characters without control characters; found as a whole and by its words."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or not 0 < len(value) <= longest or not value.isprintable():
            raise ValueError(f"{value!r:.100} is no text of 1 to {longest} printable characters")
        value.encode()  # raises for a lone surrogate, which is no text

    words = {"type": "text", "analyzer": "file_name"}
    return Field(name, {"type": "keyword", "normalizer": "folded", "fields": {"words": words}}, check)


def moment(name: str) -> Field:
    """A time, ISO 8601; without an offset from UTC it is local time somewhere, and is searched as if it were UTC."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z)?", value):
            raise ValueError(f"{value!r:.100} is no time such as 2026-01-31T12:00:00+01:00")
        datetime.fromisoformat(value)

    return Field(name, {"type": "date", "ignore_malformed": True}, check)


def point(name: str) -> Field:
    """A place on Earth: ``lat`` and ``lon`` in degrees."""

    def check(value: Any) -> None:
        if not isinstance(value, dict) or value.keys() != {"lat", "lon"}:
            raise ValueError(f"{value!r:.100} has not just lat and lon")
        _check_number(value["lat"], -90, 90)
        _check_number(value["lon"], -180, 180)

    return Field(name, {"type": "geo_point", "ignore_malformed": True}, check)


def shares(name: str, item: str, of: tuple[str, ...]) -> Field:
    """A list of ``{item: one of the values, "share": 0 to 1}``, the largest share first.

    It is searched and counted by ``name.item``; the shares are kept for people and for comparing.
    """

    def check(value: Any) -> None:
        if not isinstance(value, list) or len(value) > len(of):
            raise ValueError(f"{value!r:.100} is no list of up to {len(of)}")
        for entry in value:
            if not isinstance(entry, dict) or entry.keys() != {item, "share"} or entry[item] not in of:
                raise ValueError(f"{entry!r:.100} is not one {item} of {', '.join(of)} with its share")
            _check_number(entry["share"], 0, 1)

    inner = {item: {"type": "keyword", "normalizer": "folded"}, "share": {"type": "half_float", "index": False}}
    return Field(name, {"dynamic": False, "properties": inner}, check)


def fingerprint(name: str) -> Field:
    """64 bits as 16 hexadecimal digits, of which near ones differ in few.

    ``name.bands`` finds candidates by its eight bytes (analyser ``bands`` of the index: ``a3f b07`` ... from
    :func:`bands`): what differs in at most seven bits is equal in one of the eight at least.
    """

    def check(value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{16}", value):
            raise ValueError(f"{value!r:.100} is not 16 hexadecimal digits")

    inner = {"bands": {"type": "text", "analyzer": "bands", "norms": False, "index_options": "docs"}}
    return Field(name, {"type": "keyword", "fields": inner}, check)


def _check_number(value: Any, least: float, most: float) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"{value!r:.100} is no number from {least} to {most}")
