"""Where a photo comes from: when it was taken, with which camera, and at which place, as its EXIF says.

Nothing of it is known to be true, and all of it may be nonsense, or meant to do harm: see docs/analysis.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import moment, point, text

__all__ = ["FIELDS", "facts"]

_LONGEST_CAMERA = 80
FIELDS = (moment("taken_at"), text("camera", longest=_LONGEST_CAMERA), point("location"))

# The first photograph that is left is of about 1826; earlier years are the work of clocks.
_FIRST_YEAR = 1826
_TIMES = (
    ("DateTimeOriginal", "OffsetTimeOriginal"),
    ("DateTimeDigitized", "OffsetTimeDigitized"),
    ("DateTime", "OffsetTime"),
)
_TIME = re.compile(r"\s*(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.\d+)?\s*")
_OFFSET = re.compile(r"\s*([+-])(\d\d):?(\d\d)\s*|\s*(Z)\s*")
# Makers' names as they are written in EXIF and as people write them.
_COMPANY = re.compile(
    r"[\s,]+(corporation|corp|company|co|ltd|limited|inc|gmbh|ag|optical|imaging)\b[.,]*", re.IGNORECASE
)


def facts(photo: Photo) -> dict[str, Any]:
    """``taken_at`` (with its offset from UTC if the camera wrote one, else local time), ``camera``, ``location``."""
    found = {
        "taken_at": _taken_at(photo.exif),
        "camera": _camera(photo.exif),
        "location": _location(photo.exif),
    }
    return {name: value for name, value in found.items() if value is not None}


def _taken_at(exif: Mapping[str, Any]) -> str | None:
    for time, offset in _TIMES:
        parts = _TIME.fullmatch(_text(exif, time))
        if not parts:
            continue
        try:
            moment = datetime(*map(int, parts.groups()))  # type: ignore[arg-type]
        except ValueError:
            continue
        if moment.year >= _FIRST_YEAR:
            return moment.replace(tzinfo=_offset(_text(exif, offset))).isoformat()
    return None


def _offset(written: str) -> timezone | None:
    parts = _OFFSET.fullmatch(written)
    if not parts:
        return None
    sign, hours, minutes, zulu = parts.groups()
    if zulu:
        return UTC
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    # Kiribati is at +14:00, and nobody further away.
    return timezone(-offset if sign == "-" else offset) if offset <= timedelta(hours=14) and int(minutes) < 60 else None


def _camera(exif: Mapping[str, Any]) -> str | None:
    make, model = (_clean(_text(exif, name)) for name in ("Make", "Model"))
    make = _COMPANY.sub("", make).strip()
    if make.isupper() and len(make) > 4:
        make = make.title()
    if make.split(" ")[0].lower() == model.split(" ")[0].lower():
        make = ""
    return f"{make} {model}".strip()[:_LONGEST_CAMERA].strip() or None


def _clean(written: str) -> str:
    """Without what cannot be printed, and with single spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in written).split())


def _location(exif: Mapping[str, Any]) -> dict[str, float] | None:
    latitude = _degrees(exif, "GPSLatitude", sides="NS", most=90)
    longitude = _degrees(exif, "GPSLongitude", sides="EW", most=180)
    # Cameras without a fix write zeros.
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return {"lat": latitude, "lon": longitude}


def _degrees(exif: Mapping[str, Any], name: str, *, sides: str, most: int) -> float | None:
    """Degrees, minutes and seconds as one number, below zero on the second of two ``sides``."""
    parts, side = exif.get(name), _text(exif, f"{name}Ref").strip().upper()[:1]
    if not isinstance(parts, list | tuple) or not 1 <= len(parts) <= 3 or not side or side not in sides:
        return None
    degrees: float = sum(part / 60**i for i, part in enumerate(parts))
    if not math.isfinite(degrees) or not 0 <= degrees <= most:
        return None
    # A millionth of a degree is a tenth of a metre.
    return round(-degrees if side == sides[1] else degrees, 6) + 0.0


def _text(exif: Mapping[str, Any], name: str) -> str:
    value = exif.get(name)
    return value if isinstance(value, str) else ""
