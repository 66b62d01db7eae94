"""The query language: what people type, parsed into what they mean. Pure; docs/search.md is its description.

    query   = part { "|" part }                  either
    part    = item { item }                      all of them
    item    = [ "-" ] ( words | filter | "(" query ")" )
    words   = ( word | '"' word { word } '"' ) [ ( ">" | ">=" | "<" | "<=" ) score ]
    filter  = name ":" value { "|" value }       without spaces

Words beside each other stay together: which of them are one term ("hot dog") is for the vocabulary to say.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal, NoReturn, TypeAlias

from tagstream.analysis.colors import ALIASES, COLORS
from tagstream.errors import QueryError

__all__ = [
    "MAX_TERMS",
    "MAX_TEXT",
    "All",
    "Camera",
    "Color",
    "Either",
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
    "parse",
]

MAX_TEXT = 1000
"""Characters of a query, at most."""

MAX_TERMS = 32
"""Words and filters of a query, at most."""

_MAX_DEPTH = 8

_QUOTES = '"“”„'
# A comma between words is how people write, and no part of any.
_SEPARATORS = ",;"
_SPECIAL = frozenset("()|<>=" + _QUOTES + _SEPARATORS)
# Joins the parts of emoji and of some scripts' words; all other invisible characters are mistakes, or worse.
_JOINERS = "\u200c\u200d"
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_KILOMETRES = {"m": 0.001, "km": 1.0, "mi": 1.609344}
_FARTHEST = 20_040.0
"""Kilometres: half way round the earth."""
_TYPES = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif", "heif": "heic"}

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
        condition = f"{self.comparison}{_number(self.score)}" if self.comparison and self.score is not None else ""
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
        return f"near:{_number(self.latitude)},{_number(self.longitude)},{_number(self.kilometres)}km"


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
        return f"{self.what}:{self.comparison}{_number(self.value)}"


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


def parse(text: str) -> Query:
    """What a query means. Raises :class:`QueryError`, which points at the place and says what would be right.

    ``str`` of the answer is the query again, in its plainest form.

    >>> parse("dog beach | cat")
    Either(parts=(Shows(words=('dog', 'beach'), quoted=False, comparison=None, score=None), \
Shows(words=('cat',), quoted=False, comparison=None, score=None)))
    >>> str(parse('Hot dog>90% colour:red|white -"ice cream" before:2025-06'))
    'Hot dog>0.9 (color:red | color:white) -"ice cream" before:2025-06'
    """
    if len(text) > MAX_TEXT:
        raise QueryError(f"A query has at most {MAX_TEXT} characters, and this one {len(text)}: ask for less at once.")
    return _Parser(text, _tokens(text)).query()


def _value(text: str) -> str:
    plain = text and not any(c.isspace() or c in "()|" for c in text) and text[0] not in _QUOTES
    return text if plain else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _grouped(part: Query) -> str:
    several = isinstance(part, All | Either) or (isinstance(part, Shows) and not part.quoted and len(part.words) > 1)
    return f"({part})" if several else str(part)


def _number(value: float | None) -> str:
    """Without an exponent, and read back as the same number.

    >>> _number(1e-05), _number(5.0)
    ('0.00001', '5')
    """
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


# As people say it: "dogs without a fence", "dog or cat".
_LEAVING_OUT = re.compile(r"(?:without|not)\s+(?:(?:an?|the|any)\s+)*(?=[\w\"(])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Token:
    """``kind`` is ``word``, ``quoted``, ``filter`` (``text`` its name), ``value``, ``compare``, ``end`` or a symbol."""

    kind: str
    text: str
    start: int
    end: int


def _fail(text: str, start: int, end: int, sentence: str) -> NoReturn:
    raise QueryError(sentence, text=text, at=(start, end))


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        start, char = at, text[at]
        _check_visible(text, at)
        if char.isspace() or char in _SEPARATORS:
            at += 1
        elif char in _QUOTES:
            content, at = _read_quoted(text, at)
            found.append(_Token("quoted", content, start, at))
        elif char in "()|":
            at += 1
            found.append(_Token(char, char, start, at))
        elif char in "<>=":
            at += 2 if text[at : at + 2] in ("<=", ">=") else 1
            found.append(_Token("compare", text[start:at], start, at))
        elif char == "-":
            at += 1
            found.append(_Token("-", char, start, at))
        elif named := re.compile(r"([^\W\d_]+):").match(text, at):
            at = named.end()
            found.append(_Token("filter", named[1], start, at))
            at = _read_values(text, at, found)
        elif spoken := _LEAVING_OUT.match(text, at):
            at = spoken.end()
            found.append(_Token("-", spoken[0], start, at))
        else:
            at = _word_end(text, at)
            kind = "|" if text[start:at].lower() == "or" else "word"
            found.append(_Token(kind, text[start:at], start, at))
    found.append(_Token("end", "", len(text), len(text)))
    return found


def _check_visible(text: str, at: int) -> None:
    char = text[at]
    category = unicodedata.category(char)
    if category in ("Cc", "Cf", "Cs") and not char.isspace() and char not in _JOINERS:
        _fail(text, at, at + 1, f"There is an invisible character here (U+{ord(char):04X}): leave it out.")


def _word_end(text: str, at: int) -> int:
    while at < len(text) and not text[at].isspace() and text[at] not in _SPECIAL:
        _check_visible(text, at)
        at += 1
    return at


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    start = at
    content = ""
    at += 1
    while at < len(text) and text[at] not in _QUOTES:
        _check_visible(text, at)
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            _check_visible(text, at)
        content += text[at]
        at += 1
    if at == len(text):
        _fail(text, start, start + 1, 'This quote is never closed: add a " after the last word that belongs to it.')
    return content, at + 1


def _read_values(text: str, at: int, found: list[_Token]) -> int:
    """The values of a filter, which end at a space or a bracket; more than one are divided by ``|`` without spaces."""
    while True:
        start = at
        if at < len(text) and text[at] in _QUOTES:
            content, at = _read_quoted(text, at)
        else:
            while at < len(text) and not text[at].isspace() and text[at] not in "()|":
                _check_visible(text, at)
                at += 1
            content = text[start:at]
        found.append(_Token("value", content, start, at))
        if not (text[at : at + 1] == "|" and at + 1 < len(text) and not text[at + 1].isspace()):
            return at
        at += 1


class _Parser:
    """Recursive descent, with the depth counted."""

    def __init__(self, text: str, tokens: Sequence[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._terms = 0

    def query(self) -> Query:
        if self._next.kind == "end":
            raise QueryError("There is nothing to look for: say what the photo shows, such as dog beach.")
        found = self._either(0)
        if self._next.kind == ")":
            self._fail(self._next, "This bracket was never opened: leave it out.")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _fail(self, token: _Token, sentence: str) -> NoReturn:
        _fail(self._text, token.start, max(token.end, token.start + 1), sentence)

    def _count(self, token: _Token) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            self._fail(token, f"A query has at most {MAX_TERMS} words and filters: leave out what follows here.")

    def _either(self, depth: int) -> Query:
        parts = [self._all(depth)]
        while self._next.kind == "|":
            bar = self._take()
            if self._next.kind in ("end", ")", "|"):
                self._fail(bar, "'|' stands between two things, such as dog | cat: one of them is missing here.")
            parts.append(self._all(depth))
        return _joined(Either, parts)

    def _all(self, depth: int) -> Query:
        if self._next.kind == "|":
            self._fail(self._next, "'|' stands between two things, such as dog | cat: one of them is missing here.")
        parts = []
        while self._next.kind not in ("end", ")", "|"):
            parts.append(self._item(depth))
        if not parts:
            self._fail(self._next, "There is nothing between these brackets: leave them out.")
        return _joined(All, parts)

    def _item(self, depth: int) -> Query:
        token = self._take()
        if token.kind == "-":
            follows = self._next
            if follows.start != token.end or follows.kind not in ("word", "quoted", "filter", "("):
                self._fail(token, "'-' leaves out what it stands right before, such as -fence: there is nothing here.")
            return Not(self._item(depth))
        if token.kind == "(":
            return self._group(token, depth + 1)
        if token.kind == "filter":
            return self._filter(token)
        if token.kind == "compare":
            self._fail(token, f"'{token.text}' compares a score, such as dog>0.9: put the word before it.")
        return self._shows(token)

    def _group(self, opened: _Token, depth: int) -> Query:
        if depth > _MAX_DEPTH:
            self._fail(opened, f"Brackets go at most {_MAX_DEPTH} deep: ask more simply.")
        found = self._either(depth)
        if self._next.kind != ")":
            self._fail(opened, "This bracket is never closed: add a ) where its part ends.")
        self._take()
        return found

    def _shows(self, token: _Token) -> Shows:
        words = tuple(token.text.split())
        if not words:
            self._fail(token, "There is nothing between these quotes: leave them out.")
        for _ in words:
            self._count(token)
        quoted = token.kind == "quoted"
        if self._next.kind != "compare":
            return Shows(words, quoted)
        compare = self._take()
        comparison = _comparison(compare.text)
        if comparison is None:
            self._fail(compare, "Scores are compared with >, >=, < or <=: write, for example, dog>=0.9.")
        if self._next.kind != "word":
            self._fail(compare, f"'{compare.text}' needs a score from 0 to 1 after it, such as dog>0.9.")
        number = self._take()
        return Shows(words, quoted, comparison, self._score(number))

    def _score(self, token: _Token) -> float:
        try:
            return _share(token.text)
        except ValueError as error:
            self._fail(token, f"A score is {error}")

    def _filter(self, token: _Token) -> Query:
        name = token.text.lower()
        if name not in _FILTERS:
            near = difflib.get_close_matches(name, _FILTERS, n=1, cutoff=0.6)
            meant = f"did you mean {near[0]}:?" if near else f"there are {', '.join(f'{known}:' for known in _LISTED)}."
            self._fail(token, f"There is no filter {_shortened(name)!r}: {meant}")
        parts: list[Query] = []
        while self._next.kind == "value":
            value = self._take()
            self._count(value)
            try:
                parts.append(_FILTERS[name](value.text))
            except ValueError as error:
                place = token if value.start == value.end else value
                self._fail(place, str(error))
        return _joined(Either, parts)


def _joined(kind: type[All] | type[Either], parts: Sequence[Query]) -> Query:
    """One of a kind, without the same kind within; words that come to stand beside each other are put together."""
    flat: list[Query] = []
    for part in parts:
        for inner in part.parts if isinstance(part, kind) else (part,):
            before = flat[-1] if flat else None
            if kind is All and isinstance(before, Shows) and isinstance(inner, Shows) and _continues(before, inner):
                flat[-1] = Shows(before.words + inner.words, False, inner.comparison, inner.score)
            else:
                flat.append(inner)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _continues(before: Shows, after: Shows) -> bool:
    return before.comparison is None and not before.quoted and not after.quoted


def _shortened(text: str) -> str:
    return text if len(text) <= 30 else text[:30] + "…"


def _comparison(text: str) -> Comparison | None:
    return text if text in (">", ">=", "<", "<=") else None  # type: ignore[return-value]


def _share(text: str) -> float:
    """A number from 0 to 1, also as per cent. Raises ValueError with what would be right.

    >>> _share("0.9"), _share("90%")
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
            f"a number from 0 to 1{f': did you mean {_number(value / 100)}?' if per_cent else ', such as 0.9.'}"
        )
    return value


# Filters: each takes its value as it was typed, and raises ValueError with the sentence for people.


def _color(value: str) -> Color:
    name = value.lower()
    name = ALIASES.get(name, name)
    if name not in COLORS:
        near = difflib.get_close_matches(name, [*COLORS, *ALIASES], n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COLORS)}."
        raise ValueError(f"There is no colour {_shortened(name)!r} here: {meant}" if name else f"Say which: {meant}")
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
    number = r"([+-]?\d{1,5}(?:\.\d{1,17})?)"
    matched = re.fullmatch(rf"{number},{number}(?:,(\d{{1,8}}(?:\.\d{{1,17}})?)(m|km|mi)?)?", value.lower(), re.ASCII)
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
    return Size(_comparison(matched[1]) or ">", size)


def _measured(what: Literal["sharpness", "brightness"], example: str) -> Callable[[str], Query]:
    def made(value: str) -> Query:
        matched = re.fullmatch(r"(>=?|<=?)(.*)", value, re.DOTALL)
        if matched is None:
            raise ValueError(f"Say more or less than what: write, for example, {what}:{example}.")
        try:
            return Measured(what, _comparison(matched[1]) or ">", _share(matched[2]))
        except ValueError as error:
            raise ValueError(f"{what.capitalize()} is {error}") from None

    return made


def _is(value: str) -> Measured:
    name = value.lower()
    if name not in _KINDS:
        near = difflib.get_close_matches(name, _KINDS, n=1)
        meant = f"did you mean is:{near[0]}?" if near else f"there are {', '.join(f'is:{kind}' for kind in _KINDS)}."
        raise ValueError(f"Nothing is {_shortened(name)!r} here: {meant}" if name else f"Say what: {meant}")
    return _KINDS[name]


# docs/search.md says what was measured.
_KINDS = {
    "blurred": Measured("sharpness", "<", 0.3),
    "sharp": Measured("sharpness", ">=", 0.3),
    "dark": Measured("brightness", "<", 0.2),
    "bright": Measured("brightness", ">=", 0.7),
}
_KINDS["blurry"] = _KINDS["blurred"]

_FILTERS: dict[str, Callable[[str], Query]] = {
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
_LISTED = [name for name in _FILTERS if name != "colour"]
