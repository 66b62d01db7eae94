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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from tagstream.catalog.filters import FILTERS, LISTED, comparison, share, shortened
from tagstream.catalog.meant import All, Either, Not, Query, Shows
from tagstream.errors import QueryError

__all__ = ["MAX_TERMS", "MAX_TEXT", "parse"]

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
        compared = comparison(compare.text)
        if compared is None:
            self._fail(compare, "Scores are compared with >, >=, < or <=: write, for example, dog>=0.9.")
        if self._next.kind != "word":
            self._fail(compare, f"'{compare.text}' needs a score from 0 to 1 after it, such as dog>0.9.")
        number = self._take()
        return Shows(words, quoted, compared, self._score(number))

    def _score(self, token: _Token) -> float:
        try:
            return share(token.text)
        except ValueError as error:
            self._fail(token, f"A score is {error}")

    def _filter(self, token: _Token) -> Query:
        name = token.text.lower()
        if name not in FILTERS:
            near = difflib.get_close_matches(name, FILTERS, n=1, cutoff=0.6)
            meant = f"did you mean {near[0]}:?" if near else f"there are {', '.join(f'{known}:' for known in LISTED)}."
            self._fail(token, f"There is no filter {shortened(name)!r}: {meant}")
        parts: list[Query] = []
        while self._next.kind == "value":
            value = self._take()
            self._count(value)
            try:
                parts.append(FILTERS[name](value.text))
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
