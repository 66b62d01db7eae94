"""What a query means: photos that show something, filters, and these combined; ``str`` of each is a query again."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

__all__ = [
    "All",
    "Camera",
    "Color",
    "Comparison",
    "Either",
    "Filter",
    "Measured",
    "Near",
    "Not",
    "Query",
    "Shows",
    "Similar",
    "Size",
    "Taken",
    "Title",
    "Type",
    "number",
]

_QUOTES = '"“”„'

Comparison: TypeAlias = Literal[">", ">=", "<", "<="]


@dataclass(frozen=True, slots=True)
class Shows:
    """Photos that show what the words say; ``quoted`` words are one term.

    ``score`` with ``comparison`` is a condition on the score of the last term.
    """

    words: tuple[str, ...]
    quoted: bool = False
    comparison: Comparison | None = None
    score: float | None = None

    def __str__(self) -> str:
        text = " ".join(self.words)
        condition = f"{self.comparison}{number(self.score)}" if self.comparison and self.score is not None else ""
        return (_quoted(text) if self.quoted else text) + condition


@dataclass(frozen=True, slots=True)
class Color:
    """Photos of this colour, one of :data:`tagstream.analysis.colors.COLORS`."""

    name: str

    def __str__(self) -> str:
        return f"color:{self.name}"


@dataclass(frozen=True, slots=True)
class Taken:
    """Photos taken at or after the beginning of ``when`` (a year, month or day), or before it."""

    side: Literal["after", "before"]
    when: str

    def __str__(self) -> str:
        return f"{self.side}:{self.when}"


@dataclass(frozen=True, slots=True)
class Camera:
    """Photos by a camera with these words in its make or model."""

    text: str

    def __str__(self) -> str:
        return f"camera:{_value(self.text)}"


@dataclass(frozen=True, slots=True)
class Near:
    """Photos taken within so many kilometres of a place, in degrees."""

    latitude: float
    longitude: float
    kilometres: float

    def __str__(self) -> str:
        return f"near:{number(self.latitude)},{number(self.longitude)},{number(self.kilometres)}km"


@dataclass(frozen=True, slots=True)
class Type:
    """Files of this ending, in lower case and without the dot; ``jpg`` stands for ``jpeg`` too."""

    name: str

    def __str__(self) -> str:
        return f"type:{_value(self.name)}"


@dataclass(frozen=True, slots=True)
class Size:
    """Files larger or smaller than so many bytes."""

    comparison: Comparison
    bytes: int

    def __str__(self) -> str:
        return f"size:{self.comparison}{self.bytes}b"


@dataclass(frozen=True, slots=True)
class Measured:
    """Photos of which ``what`` was measured to be more or less than ``value``, from 0 to 1."""

    what: Literal["sharpness", "brightness"]
    comparison: Comparison
    value: float

    def __str__(self) -> str:
        return f"{self.what}:{self.comparison}{number(self.value)}"


@dataclass(frozen=True, slots=True)
class Title:
    """Files with these words in their name, in this order."""

    text: str

    def __str__(self) -> str:
        return f"title:{_value(self.text)}"


@dataclass(frozen=True, slots=True)
class Similar:
    """Photos like the one with this key, S3 location or file name."""

    key: str

    def __str__(self) -> str:
        return f"similar:{_value(self.key)}"


@dataclass(frozen=True, slots=True)
class Not:
    """Photos that the part does not find."""

    part: Query

    def __str__(self) -> str:
        return f"-{_grouped(self.part)}"


@dataclass(frozen=True, slots=True)
class All:
    """Photos that each part finds; two parts or more."""

    parts: tuple[Query, ...]

    def __str__(self) -> str:
        return " ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """Photos that at least one part finds; two parts or more."""

    parts: tuple[Query, ...]

    def __str__(self) -> str:
        return " | ".join(str(part) for part in self.parts)


Filter: TypeAlias = Color | Taken | Camera | Near | Type | Size | Measured | Title | Similar
Query: TypeAlias = Shows | Filter | Not | All | Either


def _value(text: str) -> str:
    plain = text and not any(c.isspace() or c in "()|" for c in text) and text[0] not in _QUOTES
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _grouped(part: Query) -> str:
    several = isinstance(part, All | Either) or (isinstance(part, Shows) and not part.quoted and len(part.words) > 1)
    return f"({part})" if several else str(part)


def number(value: float | None) -> str:
    """Without an exponent, and read back as the same number.

    >>> number(1e-05), number(5.0)
    ('0.00001', '5')
    """
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
