"""The values of filters, as they are typed: ``color:red``, ``size:>5mb``, ``near:48.2,16.4,5km``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Literal

from tagstream.analysis.colors import ALIASES, COLORS
from tagstream.catalog.meant import (
    Camera,
    Color,
    Comparison,
    Measured,
    Near,
    Query,
    Similar,
    Size,
    Taken,
    Title,
    Type,
    number,
)

__all__ = ["FILTERS", "LISTED", "comparison", "share", "shortened"]

_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_KILOMETRES = {"m": 0.001, "km": 1.0, "mi": 1.609344}
_FARTHEST = 20_040.0
"""Kilometres: half way round the earth."""
_TYPES = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif", "heif": "heic"}


def shortened(text: str) -> str:
    return text if len(text) <= 30 else text[:30] + "…"


def comparison(text: str) -> Comparison | None:
    return text if text in (">", ">=", "<", "<=") else None  # type: ignore[return-value]


def share(text: str) -> float:
    """A number from 0 to 1, also as per cent. Raises ValueError with what would be right.

    >>> share("0.9"), share("90%")
    (0.9, 0.9)
    """
    matched = re.fullmatch(r"([0-9]*\.?[0-9]+|[0-9]+\.)(%?)", text, re.ASCII)
    if matched is None:
        raise ValueError("a number from 0 to 1, such as 0.9.")
    value = float(Decimal(matched[1]) / (100 if matched[2] else 1))
    if not 0 <= value <= 1:
        # Of ten and more it is likely that per cent were meant; of 1.5 nobody knows.
        per_cent = 10 <= value <= 100 and not matched[2]
        raise ValueError(
            f"a number from 0 to 1{f': did you mean {number(value / 100)}?' if per_cent else ', such as 0.9.'}"
        )
    return value


# Filters: each takes its value as it was typed, and raises ValueError with the sentence for people.


def _color(value: str) -> Color:
    name = value.lower()
    name = ALIASES.get(name, name)
    if name not in COLORS:
        near = difflib.get_close_matches(name, [*COLORS, *ALIASES], n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLORS)}."
        raise ValueError(f"There is no colour {shortened(name)!r} here: {meant}" if name else f"Say which: {meant}")
    return Color(name)


def _after(value: str) -> Taken:
    return Taken("after", _day(value, "after"))


def _before(value: str) -> Taken:
    return Taken("before", _day(value, "before"))


def _day(value: str, name: str) -> str:
    example = f"write {name}:2025, {name}:2025-06 or {name}:2025-06-30."
    matched = re.fullmatch(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?", value, re.ASCII)
    if matched is None:
        raise ValueError(f"This is no year, month or day: {example}")
    year, month, day = (int(part) if part else None for part in matched.groups())
    try:
        date(year or 0, month or 1 if month is None else month, 1 if day is None else day)
    except ValueError:
        raise ValueError(f"There is no such day: {example}") from None
    return "-".join([f"{year:04d}", *(f"{part:02d}" for part in (month, day) if part is not None)])


def _text_filter(kind: Callable[[str], Query], name: str, example: str) -> Callable[[str], Query]:
    def made(value: str) -> Query:
        if not value.strip():
            raise ValueError(f"Say which right after {name}, without a space, such as {example}")
        return kind(value)

    return made


def _near(value: str) -> Near:
    example = "write latitude, longitude and distance without spaces, such as near:48.2,16.4,5km."
    degrees = r"([+-]?\d{1,5}(?:\.\d{1,17})?)"
    matched = re.fullmatch(rf"{degrees},{degrees}(?:,(\d{{1,8}}(?:\.\d{{1,17}})?)(m|km|mi)?)?", value.lower(), re.ASCII)
    if matched is None:
        raise ValueError(f"This is no place: {example}")
    # A millionth of a degree is a tenth of a metre; adding zero makes a zero of a minus zero.
    latitude, longitude = round(float(matched[1]), 6) + 0.0, round(float(matched[2]), 6) + 0.0
    kilometres = round(float(matched[3] or "1") * _KILOMETRES[matched[4] or "km"], 6)
    if not -90 <= latitude <= 90 or not -180 <= longitude <= 180:
        raise ValueError("Latitudes go from -90 to 90 and longitudes from -180 to 180, in this order: " + example)
    if not 0.001 <= kilometres <= _FARTHEST:
        raise ValueError(f"A distance is from 1m to {_FARTHEST:.0f}km: {example}")
    return Near(latitude, longitude, kilometres)


def _type(value: str) -> Type:
    name = value.lower().removeprefix(".")
    if not re.fullmatch(r"[a-z0-9]{1,10}", name):
        raise ValueError("A type is the ending of file names, such as type:png.")
    return Type(_TYPES.get(name, name))


def _size(value: str) -> Size:
    example = "write, for example, size:>5mb or size:<=200kb."
    matched = re.fullmatch(r"(>=?|<=?)(\d{1,15}(?:\.\d{1,6})?)([kmg]?i?b)?", value.lower(), re.ASCII)
    if matched is None or (matched[3] or "b") not in _UNITS:
        raise ValueError(f"This is no size to compare with: {example}")
    size = int(Decimal(matched[2]) * _UNITS[matched[3] or "b"])
    if size >= 2**63:
        raise ValueError(f"No file is as large as this: {example}")
    return Size(comparison(matched[1]) or ">", size)


def _measured(what: Literal["sharpness", "brightness"], example: str) -> Callable[[str], Query]:
    def made(value: str) -> Query:
        matched = re.fullmatch(r"(>=?|<=?)(.*)", value, re.DOTALL)
        if matched is None:
            raise ValueError(f"Say more or less than what: write, for example, {what}:{example}.")
        try:
            return Measured(what, comparison(matched[1]) or ">", share(matched[2]))
        except ValueError as error:
            raise ValueError(f"{what.capitalize()} is {error}") from None

    return made


def _is(value: str) -> Measured:
    name = value.lower()
    if name not in _KINDS:
        near = difflib.get_close_matches(name, _KINDS, n=1)
        meant = f"did you mean is:{near[0]}?" if near else f"there are {', '.join(f'is:{kind}' for kind in _KINDS)}."
        raise ValueError(f"Nothing is {shortened(name)!r} here: {meant}" if name else f"Say what: {meant}")
    return _KINDS[name]


# docs/search.md says what was measured.
_KINDS = {
    "blurred": Measured("sharpness", "<", 0.3),
    "sharp": Measured("sharpness", ">=", 0.3),
    "dark": Measured("brightness", "<", 0.2),
    "bright": Measured("brightness", ">=", 0.7),
}
_KINDS["blurry"] = _KINDS["blurred"]

FILTERS: dict[str, Callable[[str], Query]] = {
    "after": _after,
    "before": _before,
    "brightness": _measured("brightness", "<0.2"),
    "camera": _text_filter(Camera, "camera:", 'camera:"EOS 5D".'),
    "color": _color,
    "colour": _color,
    "is": _is,
    "near": _near,
    "sharpness": _measured("sharpness", ">0.3"),
    "similar": _text_filter(Similar, "similar:", "similar:2026/cat.jpg."),
    "size": _size,
    "title": _text_filter(Title, "title:", "title:holiday."),
    "type": _type,
}
LISTED = [name for name in FILTERS if name != "colour"]
