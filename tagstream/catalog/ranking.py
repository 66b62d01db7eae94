"""From what a query says to what OpenSearch is asked, and back to why an image was found. Pure.

Images are ordered by how well a tag fits the words, and only then by the tag's score. All of it is in the one number
that OpenSearch sorts by (docs/search.md, "Order"), and worked out here again, from the tags of an image that was
found, to say which of them it was found by.
"""

from __future__ import annotations

import functools
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from tagstream.analysis.colors import ALIASES, COLORS
from tagstream.catalog.meant import (
    All,
    Camera,
    Color,
    Comparison,
    Either,
    Measured,
    Near,
    Not,
    Query,
    Shows,
    Similar,
    Size,
    Taken,
    Title,
    Type,
)
from tagstream.errors import QueryError
from tagstream.tags import STEPS
from tagstream.vocabulary.words import Meaning as KnownMeaning

__all__ = ["WEAK_BELOW", "Found", "Match", "Note", "Search", "Term", "Vocabulary", "float32", "fold", "understand"]

WEAK_BELOW = 0.2
"""Matches with a lower score come after all others, unless asked otherwise: one in ten of them is right at best."""

TIERS = {"name": 5, "alias": 5, "below": 4, "head": 4, "modifier": 3, "spelling": 2, "related": 1}
"""How well a tag fits a word, by how it was found: "dog" is the dog first, then the guard dog, then the dog sled."""

# Of several terms, the scores are compared in such steps before they are compared as they are.
_BANDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9)
# Terms whose scores are compared one after the other, at most: each costs as much as the search itself.
_SORTED_BY = 3

# A photo is kept from the answer by what it surely shows, not by what is only related to the word.
_LEFT_OUT_BY = frozenset({"name", "alias", "below", "head"})

_BOUNDS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_ENDINGS = {"jpg": ("jpg", "jpeg", "jpe"), "tif": ("tif", "tiff"), "heic": ("heic", "heif")}
_TAG = "tags.tag"
_WHOLE_TAG = "tags.tag.keyword"
_SCORE = "tags.score"

Json: TypeAlias = dict[str, Any]


class Meaning(Protocol):
    """See :class:`tagstream.vocabulary.words.Meaning`."""

    @property
    def tag(self) -> str: ...
    @property
    def how(self) -> str: ...
    @property
    def said(self) -> str: ...
    @property
    def similarity(self) -> float: ...


class Completion(Protocol):
    """See :class:`tagstream.vocabulary.words.Completion`."""

    @property
    def word(self) -> str: ...


class Vocabulary(Protocol):
    """What searching needs of :class:`tagstream.vocabulary.words.Words`."""

    @property
    def tags(self) -> Sequence[str]: ...
    def meanings(self, phrase: str, *, related: bool = True) -> Sequence[Meaning]: ...
    def parents(self, tag: str) -> Sequence[str]: ...
    def segment(self, words: Sequence[str]) -> Sequence[str]: ...
    def near(self, word: str, limit: int = 5) -> Sequence[str]: ...
    def complete(self, prefix: str, limit: int = 10) -> Sequence[Completion]: ...
    def says_nothing(self, phrase: str) -> bool: ...
    def knows(self, phrase: str) -> bool: ...
    def relatives(self, tag: str) -> Sequence[str]: ...
    def is_offensive(self, word: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase, the tags that it means, best first, and the scores that count.

    Tags that the vocabulary does not know (a model's own labels) are compared by their words, whatever stands between
    them. ``others`` are the vocabulary's tags that have such words and still mean something else: a hot dog is no dog.
    """

    phrase: str
    meanings: tuple[Meaning, ...] = ()
    others: tuple[str, ...] = ()
    exact: bool = False
    comparison: Comparison | None = None
    limit: float | None = None
    note: str = ""
    """What to say of the term where nothing is found."""

    @property
    def spellings(self) -> tuple[str, ...]:
        """The phrase as a whole tag may have it: in singular and plural, with hyphens or without."""
        plain = _plain(self.phrase)
        numbers = (plain,) if self.exact else (plain, _singular(plain), f"{_singular(plain)}s")
        return tuple(dict.fromkeys(written for number in numbers for written in _written(number)))

    @property
    def endings(self) -> tuple[str, ...]:
        """How a label ends that ends with the phrase."""
        return tuple(f"{between}{spelling}" for spelling in self.spellings for between in " -")


@dataclass(frozen=True, slots=True)
class Note:
    """A word of the query that is no term, and what became of it instead, in words."""

    word: str
    note: str


@dataclass(frozen=True, slots=True)
class Match:
    """The tag that a term was found by; ``how``, ``said`` and ``similarity`` are those of the meaning."""

    term: str
    tag: str
    score: float
    how: str
    said: str = ""
    similarity: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """Why an image was found: ``matches`` of the terms, in their order; ``weak`` if it should come after a line."""

    value: int = 0
    weak: bool = False
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True)
class Search:
    """A query, and what its words mean. ``weak_below`` is the score under which a match is weak.

    ``query`` is without the words that ``notes`` tell of. ``looser`` is to be asked where this search finds nothing:
    it does without what no tag says, and then without colours that were said as words.
    """

    query: Query
    terms: Mapping[Shows, tuple[Term, ...]]
    vocabulary: frozenset[str]
    weak_below: float = WEAK_BELOW
    notes: tuple[Note, ...] = ()
    looser: Search | None = None

    @property
    def filters(self) -> frozenset[type[Query]]:
        """The kinds of filters that the query has."""
        return frozenset(type(part) for part in _parts(self.query))

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The terms that images are to show."""
        return tuple(term for shows in _wanted(self.query) for term in self.terms[shows])

    def similar_to(self) -> tuple[Similar, Search | None] | None:
        """The image that others are to be like, and the rest of the query; None if the query has no ``similar:``.

        Raises :class:`QueryError` where it does not stand beside the rest, but within it.
        """
        parts = self.query.parts if isinstance(self.query, All) else (self.query,)
        wanted = [part for part in parts if isinstance(part, Similar)]
        if not any(isinstance(part, Similar) for part in _parts(self.query)):
            return None
        rest = tuple(part for part in parts if not isinstance(part, Similar))
        if len(wanted) != 1 or any(isinstance(part, Similar) for other in rest for part in _parts(other)):
            raise QueryError("A query has one similar:KEY at most, and neither '-' nor '|' goes with it.")
        if not rest:
            return wanted[0], None
        return wanted[0], replace(self, query=rest[0] if len(rest) == 1 else All(rest))

    def clause(self) -> Json:
        """The query for OpenSearch; its ``_score`` is the first thing to sort by."""
        return self._clause(self.query)

    def order(self) -> list[Json]:
        """What to sort by, without the id that decides between equals."""
        if not self.wanted:
            # Nothing but filters: all are as good, so the newest first.
            return [{"uploaded_at": {"order": "desc", "missing": "_last"}}]
        scores = [] if self._single else [_by_score(term) for term in self.wanted[:_SORTED_BY]]
        return [{"_score": "desc"}, *scores]

    def found(self, tags: Iterable[Mapping[str, Any]]) -> Found:
        """Why an image with these tags was found."""
        listed = [(str(tag["tag"]), float(tag["score"])) for tag in tags]
        return self._found(self.query, listed) or Found()

    # The number that OpenSearch sorts by first. It is whole, so that it is exact in 32 bits, and a page can begin just
    # where the one before ended. For each term it has the tier, times a step, and, unless the match is weak, more than
    # all else together. The score of a single term is in it as well, in steps (tagstream.tags.STEPS): a product that is
    # a little off is put right when it is added to a tier's larger number. Of several terms it counts bands of score: a
    # photo that shows both of two things comes before one that shows one of them surely and the other hardly. Between
    # photos that are equal in this the scores of the terms decide, as they are in the index. Of either part, the
    # shorter one is given what the longer can have more, so that both can be as good.

    @property
    def _single(self) -> bool:
        return len(self.wanted) == 1

    @property
    def _bands(self) -> tuple[float, ...]:
        return () if self._single else _BANDS

    @property
    def _finest(self) -> int:
        """What the score of one term counts, at most."""
        return STEPS if self._single else len(_BANDS)

    @property
    def _step(self) -> int:
        return len(self.wanted) * self._finest + 1

    @property
    def _strong(self) -> int:
        return len(self.wanted) * (max(TIERS.values()) * self._step + self._finest) + 1

    @property
    def _most(self) -> int:
        return self._strong + max(TIERS.values()) * self._step + len(self._bands)

    def _value(self, tier: int, score: float) -> int:
        counted = round(score * STEPS) if self._single else sum(float32(score) >= float32(band) for band in _BANDS)
        return (0 if self._is_weak(score) else self._strong) + tier * self._step + counted

    def _is_weak(self, score: float) -> bool:
        return float32(score) < float32(self.weak_below)

    def _units(self, query: Query) -> int:
        """How many terms can count."""
        match query:
            case Shows():
                return len(self.terms[query])
            case All():
                return sum(self._units(part) for part in query.parts)
            case Either():
                return max(self._units(part) for part in query.parts)
            case _:
                return 0

    def _missing(self, either: Either, part: Query) -> int:
        return (self._units(either) - self._units(part)) * self._most

    def _clause(self, query: Query) -> Json:
        match query:
            case Shows():
                return _conjunction(self._showing(term) for term in self.terms[query])
            case All():
                return _conjunction(self._clause(part) for part in query.parts)
            case Either():
                parts = [(self._clause(part), self._missing(query, part)) for part in query.parts]
                even = [_conjunction([clause, _constant({"match_all": {}}, more)]) for clause, more in parts]
                return {"dis_max": {"queries": even}}
            case _:
                return {"bool": {"filter": [self._certainly(query)]}}

    def _showing(self, term: Term) -> Json:
        """Images with a tag for the term. Name and score are of the same tag, since all is asked within ``nested``."""
        by_tier: dict[int, list[str]] = {}
        for name, tier in _tiers(term):
            by_tier.setdefault(tier, []).append(name)
        best = [_constant(_named(names), tier * self._step) for tier, names in by_tier.items()]
        own, somewhere = _own_labels(term), TIERS["name"] if term.exact else TIERS["modifier"]
        # A label that is just the words, or ends with them, has them somewhere too: what these add goes on top.
        better = [] if term.exact else [(_ends_with(term), TIERS["head"]), (_named(term.spellings), TIERS["name"])]
        more = [_constant(condition, (tier - somewhere) * self._step) for condition, tier in better]
        best.append({"bool": {"must": [_constant(own, somewhere * self._step)], "should": more}})
        return {"nested": {"path": "tags", "score_mode": "max", "query": self._valued(best, term)}}

    def _valued(self, best: Sequence[Json], term: Term) -> Json:
        """Tags that fit, with their value as it is explained above: that of the best fit, and what their score adds.

        The score is looked at once for a tag, whatever it fits: among 100,000 images that saves a third of the time.
        """
        least = {self.weak_below: self._strong, **dict.fromkeys(self._bands, 1)}
        if self.weak_below in self._bands:
            least[self.weak_below] += self._strong
        adding = [_constant({"range": {_SCORE: {"gte": score}}}, value) for score, value in least.items()]
        valued = {
            "bool": {"must": [{"dis_max": {"queries": best}}], "filter": _score_condition(term), "should": adding}
        }
        if not self._single:
            return valued
        steps = {"field": _SCORE, "factor": STEPS, "missing": 0}
        return {"function_score": {"query": valued, "field_value_factor": steps, "boost_mode": "sum"}}

    def _certainly(self, query: Query) -> Json:
        """Images that are so for certain: what filters keep, and :class:`Not` leaves out."""
        match query:
            case Shows():
                return {"bool": {"filter": [self._surely_shows(term) for term in self.terms[query]]}}
            case All():
                return {"bool": {"filter": [self._certainly(part) for part in query.parts]}}
            case Either():
                return _any_of([self._certainly(part) for part in query.parts])
            case Not():
                return {"bool": {"filter": [{"match_all": {}}], "must_not": [self._certainly(query.part)]}}
            case _:
                return _filter(query)

    def _surely_shows(self, term: Term) -> Json:
        names = [meaning.tag for meaning in term.meanings if meaning.how in _LEFT_OUT_BY]
        sure = _score_condition(term) or [{"range": {_SCORE: {"gte": self.weak_below}}}]
        whole = [_named(term.spellings)] if term.exact else [_named(term.spellings), _ends_with(term)]
        own = {"bool": {"filter": [_own_labels(term), _any_of(whole)]}}
        shown = _any_of([_named(names), own])
        return {"nested": {"path": "tags", "query": {"bool": {"filter": [shown, *sure]}}}}

    def _found(self, query: Query, tags: Sequence[tuple[str, float]]) -> Found | None:
        """As OpenSearch has judged it, if it did; filters are taken to hold."""
        match query:
            case Shows():
                return _together([self._best(term, tags) for term in self.terms[query]])
            case All():
                return _together([self._found(part, tags) for part in query.parts])
            case Either():
                known = [(self._missing(query, part), self._found(part, tags)) for part in query.parts]
                parts = [replace(found, value=found.value + more) for more, found in known if found]
                best = max(parts, key=lambda found: found.value, default=None)
                return best and replace(best, matches=tuple(match for found in parts for match in found.matches))
            case _:
                return Found()

    def _best(self, term: Term, tags: Iterable[tuple[str, float]]) -> Found | None:
        matches = [match for tag, score in tags if (match := self.match(term, tag, score))]
        found = [
            Found(self._value(TIERS[match.how], match.score), self._is_weak(match.score), (match,)) for match in matches
        ]
        return max(found, key=lambda one: (one.value, one.matches[0].score), default=None)

    def match(self, term: Term, tag: str, score: float) -> Match | None:
        """Whether and how a term is found by a tag."""
        if not _holds(term, score):
            return None
        name = fold(tag)
        for meaning in term.meanings:
            if name in _written(meaning.tag):
                return Match(term.phrase, tag, score, meaning.how, meaning.said, meaning.similarity)
        if name in self.vocabulary:
            return None
        if name in term.spellings:
            return Match(term.phrase, tag, score, "name")
        if term.exact or not _has_phrase(name, term.phrase):
            return None
        return Match(term.phrase, tag, score, "head" if name.endswith(term.endings) else "modifier")


def understand(
    query: Query,
    vocabulary: Vocabulary,
    *,
    min_score: float | None = None,
    exact: bool = False,
    related: bool = True,
    weak_below: float = WEAK_BELOW,
) -> Search:
    """Look up what the words of a query mean, and leave out those that name nothing; quoted ones stay as they are.

    ``min_score`` holds for words that have no condition of their own; ``exact`` takes a tag's name only;
    ``related`` says whether tags count that are merely related to a word.
    """
    reader = _Reader(vocabulary, min_score, exact=exact, related=related)
    searches: list[Search] = []
    for without in (_NOTHING, _UNHEARD, _COLORS):
        read = reader.read(query, without)
        if read is not None and (not searches or read != (searches[-1].query, searches[-1].terms, searches[-1].notes)):
            searches.append(Search(read[0], read[1], reader.known.tags, weak_below, read[2]))
    search = searches[-1]
    for stricter in reversed(searches[:-1]):
        search = replace(stricter, looser=search)
    return search


# What a query can do without, more and more: words that name nothing; words that no tag is for; colours that are said
# as words. What the query's own filters say stays.
_NOTHING, _UNHEARD, _COLORS = range(3)

_Read: TypeAlias = tuple[Query, dict[Shows, tuple[Term, ...]], tuple[Note, ...]]


class _Reader:
    """Reads queries: which words are terms, which are colours, and which are left out."""

    def __init__(self, vocabulary: Vocabulary, min_score: float | None, *, exact: bool, related: bool) -> None:
        self.known = _known(tuple(vocabulary.tags))
        self._vocabulary = vocabulary
        self._min_score = min_score
        self._exact, self._related = exact, related

    def read(self, query: Query, without: int) -> _Read | None:
        """None if nothing is left; but a query of which nothing could be left from the first is taken literally."""
        notes: list[Note] = []
        terms: dict[Shows, tuple[Term, ...]] = {}
        read = self._part(query, without, terms, notes)
        if read is not None:
            return read, terms, tuple(notes)
        if without > _NOTHING:
            return None
        for shows in _shows(query):
            literal = self._terms(shows, (" ".join(shows.words),))
            terms[shows] = tuple(replace(term, note="says nothing about what a photo shows") for term in literal)
        return query, terms, ()

    def _part(
        self, query: Query, without: int, terms: dict[Shows, tuple[Term, ...]], notes: list[Note]
    ) -> Query | None:
        match query:
            case Shows():
                return self._words(query, without, terms, notes)
            case Not():
                part = self._part(query.part, _NOTHING, terms, notes)
                return None if part is None else Not(part)
            case All() | Either():
                read = [self._part(part, without, terms, notes) for part in query.parts]
                parts = tuple(part for part in read if part is not None)
                return type(query)(parts) if len(parts) > 1 else next(iter(parts), None)
            case _:
                return query

    def _words(
        self, shows: Shows, without: int, terms: dict[Shows, tuple[Term, ...]], notes: list[Note]
    ) -> Query | None:
        if shows.quoted or self._exact:
            terms[shows] = self._terms(shows, (" ".join(shows.words),))
            return shows
        phrases = list(self._vocabulary.segment(shows.words))
        compared = shows.comparison is not None
        kept, colors = [], []
        for at, phrase in enumerate(phrases):
            last = at == len(phrases) - 1
            color = None if compared and last else self._color(phrase, alone=last)
            note = None if compared and last else self._left_out(phrase, without, alone=len(phrases) == 1)
            if color and without < _COLORS:
                colors.append(Color(color))
                notes.append(Note(phrase, f"read as color:{color}"))
            elif color:
                notes.append(Note(phrase, f"left out, since nothing that was found besides has color:{color}"))
            elif note:
                notes.append(Note(phrase, note))
            else:
                kept.append(phrase)
        if not kept:
            return None if not colors else colors[0] if len(colors) == 1 else All(tuple(colors))
        read = shows if len(kept) == len(phrases) else replace(shows, words=tuple(kept))
        terms[read] = self._terms(read, kept)
        if not colors:
            return read
        # A model of one's own may have a label for "red car". To the vocabulary it would be a misspelt red fox.
        whole = replace(shows, quoted=True)
        terms[whole] = tuple(replace(term, meanings=()) for term in self._terms(whole, (" ".join(shows.words),)))
        return Either((All((read, *colors)), whole))

    def _color(self, phrase: str, *, alone: bool) -> str | None:
        """The colour that a word says: of what stands after it, or by itself if no tag is called so."""
        name = fold(phrase)
        name = ALIASES.get(name, name)
        if name not in COLORS:
            return None
        named = any(meaning.how in ("name", "alias") for meaning in self._vocabulary.meanings(phrase))
        return None if alone and named else name

    def _left_out(self, phrase: str, without: int, *, alone: bool) -> str | None:
        meanings = self._vocabulary.meanings(phrase, related=self._related)
        if self._vocabulary.says_nothing(phrase):
            # "Cooking" alone is a topic.
            return None if alone and meanings else "left out, since it says nothing about what a photo shows"
        if without >= _UNHEARD and not meanings and self._vocabulary.knows(phrase):
            return "left out, since nothing was found with it, and the vocabulary has no tag for it"
        return None

    def _terms(self, shows: Shows, phrases: Sequence[str]) -> tuple[Term, ...]:
        made = []
        for phrase in phrases:
            comparison, limit = shows.comparison, shows.score
            if comparison is None or phrase is not phrases[-1]:
                comparison, limit = (">=", self._min_score) if self._min_score is not None else (None, None)
            meanings = self._vocabulary.meanings(phrase, related=self._related and not self._exact)
            meant = tuple(meaning for meaning in meanings if not self._exact or meaning.how == "name")
            unheard = not meanings and not shows.quoted and not self._exact and self._vocabulary.knows(phrase)
            note = "the vocabulary has no tag for it" if unheard else ""
            term = Term(phrase, exact=self._exact, comparison=comparison, limit=limit, note=note)
            others = _others(phrase, self.known)
            if not self._exact:
                meant += _ending_with(
                    term, others.difference(meaning.tag for meaning in meant), meant, self._vocabulary
                )
            others -= {meaning.tag for meaning in meant}
            made.append(replace(term, meanings=meant, others=tuple(sorted(others))))
        return tuple(made)


def _shows(query: Query) -> Iterator[Shows]:
    return (part for part in _parts(query) if isinstance(part, Shows))


def _parts(query: Query) -> Iterator[Query]:
    yield query
    for part in query.parts if isinstance(query, All | Either) else (query.part,) if isinstance(query, Not) else ():
        yield from _parts(part)


def _wanted(query: Query) -> Iterator[Shows]:
    if isinstance(query, Shows):
        yield query
    elif isinstance(query, All | Either):
        for part in query.parts:
            yield from _wanted(part)


@dataclass(frozen=True, slots=True)
class _Known:
    """The vocabulary's tags, also as labels may write them, and the tags that have a word with such a beginning, of up
    to three letters."""

    tags: frozenset[str]
    by_beginning: Mapping[str, frozenset[str]]


@functools.lru_cache(maxsize=4)
def _known(tags: tuple[str, ...]) -> _Known:
    by_beginning: dict[str, set[str]] = {}
    for tag in tags:
        for word in re.split(r"[\W_]+", tag):
            for length in (1, 2, 3):
                by_beginning.setdefault(word[:length], set()).add(tag)
    written = frozenset(name for tag in tags for name in _written(tag))
    return _Known(written, {beginning: frozenset(names) for beginning, names in by_beginning.items()})


def _others(phrase: str, known: _Known) -> frozenset[str]:
    """The vocabulary's tags that OpenSearch could take for the phrase by their words.

    Generous, as the engine's own stemming is: a tag too many does no harm.
    """
    words = re.split(r"[\W_]+", fold(phrase).strip())
    return known.by_beginning.get(words[-1][:3], frozenset())


def _ending_with(
    term: Term, others: Iterable[str], meant: Sequence[Meaning], vocabulary: Vocabulary
) -> tuple[KnownMeaning, ...]:
    """Tags of the vocabulary that end with a term and are below what it means: golden retrievers are retrievers.

    Photos by a model whose tags are rolled up have the wider tag as well; for others this is what finds them.
    """
    above = {meaning.tag for meaning in meant if meaning.how in ("name", "alias")}
    ending = sorted(tag for tag in others if tag.endswith(term.endings)) if above else []
    return tuple(KnownMeaning(tag, "head", tag) for tag in ending if above.intersection(vocabulary.parents(tag)))


def _own_labels(term: Term) -> Json:
    """Labels that have the words and that the vocabulary doesn't know."""
    by_words = _named(term.spellings) if term.exact else {"match_phrase": {_TAG: _plain(term.phrase)}}
    known = [*(meaning.tag for meaning in term.meanings), *term.others]
    return {"bool": {"filter": [by_words], "must_not": [_named(known)]}}


def _named(names: Iterable[str]) -> Json:
    return {"terms": {_WHOLE_TAG: list(dict.fromkeys(written for name in names for written in _written(name)))}}


def _ends_with(term: Term) -> Json:
    escaped = [re.sub(r"([*?\\])", r"\\\1", ending) for ending in term.endings]
    return _any_of([{"wildcard": {_WHOLE_TAG: {"value": f"*{ending}"}}} for ending in escaped])


@functools.lru_cache(maxsize=8192)
def _written(tag: str) -> tuple[str, ...]:
    """A tag as labels may write it, with hyphens or without.

    >>> _written("hot dog"), _written("t-shirt")
    (('hot dog', 'hot-dog'), ('t-shirt', 't shirt'))
    """
    return tuple(dict.fromkeys([tag, tag.replace("-", " "), tag.replace(" ", "-")]))


def _tiers(term: Term) -> list[tuple[str, int]]:
    return [(meaning.tag, TIERS[meaning.how]) for meaning in term.meanings]


def _by_score(term: Term) -> Json:
    """Sorts by the highest score of the tags that the term is about."""
    about = _any_of([_named([name for name, _ in _tiers(term)]), _own_labels(term)])
    same_tag = {"bool": {"filter": [about, *_score_condition(term)]}}
    return {_SCORE: {"order": "desc", "mode": "max", "missing": -1, "nested": {"path": "tags", "filter": same_tag}}}


def _constant(condition: Json, value: int) -> Json:
    return {"constant_score": {"filter": condition, "boost": value}}


def _score_condition(term: Term) -> list[Json]:
    if term.comparison is None:
        return []
    return [{"range": {_SCORE: {_BOUNDS[term.comparison]: term.limit}}}]


def _holds(term: Term, score: float) -> bool:
    """Whether the score is one that counts, compared as the index does, which keeps floats of 32 bits."""
    if term.comparison is None or term.limit is None:
        return True
    value, limit = float32(score), float32(term.limit)
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[term.comparison]


def float32(value: float) -> float:
    """The number that the index has for it, which keeps 32 bits."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _together(parts: Sequence[Found | None]) -> Found | None:
    """All of them found, or nothing is."""
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    return Found(
        sum(part.value for part in found),
        any(part.weak for part in found),
        tuple(match for part in found for match in part.matches),
    )


def _any_of(conditions: Sequence[Json]) -> Json:
    return conditions[0] if len(conditions) == 1 else {"bool": {"should": list(conditions), "minimum_should_match": 1}}


def _conjunction(clauses: Iterable[Json]) -> Json:
    listed = list(clauses)
    return listed[0] if len(listed) == 1 else {"bool": {"must": listed}}


def _filter(query: Query) -> Json:  # noqa: PLR0911 (one for each filter)
    match query:
        case Color():
            return {"term": {"colors.color": query.name}}
        case Taken():
            # The whole day in full: engines differ in what they make of a mere year.
            return {"range": {"taken_at": {"gte" if query.side == "after" else "lt": f"{query.when}-01-01"[:10]}}}
        case Camera():
            return {"match_phrase": {"camera.words": query.text}}
        case Near():
            place = {"lat": query.latitude, "lon": query.longitude}
            distance = f"{query.kilometres:.6f}km"
            return {"geo_distance": {"distance": distance, "location": place, "ignore_unmapped": True}}
        case Type():
            endings = _ENDINGS.get(query.name, (query.name,))
            return _any_of([{"wildcard": {"title.keyword": {"value": f"*.{ending}"}}} for ending in endings])
        case Size():
            return {"range": {"size": {_BOUNDS[query.comparison]: query.bytes}}}
        case Measured():
            return {"range": {query.what: {_BOUNDS[query.comparison]: query.value}}}
        case Title():
            return {"match_phrase": {"title": query.text}}
        case _:
            raise QueryError(f"{query} cannot be asked for here: it is for searches.")


@functools.lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """Without regard to case and accents, as the index compares whole tags.

    >>> fold("Café")
    'cafe'
    """
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _singular(word: str) -> str:
    """Without an English plural's s, as far as that can be told from the letters."""
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2 else word


def _plain(phrase: str) -> str:
    """A phrase as tags are compared, which have spaces for underscores (:mod:`tagstream.catalog.documents`)."""
    return " ".join(fold(phrase).replace("_", " ").split())


def _has_phrase(name: str, phrase: str) -> bool:
    """Whether the words of the phrase follow each other in the name, whatever their number."""
    words, wanted = ([_singular(word) for word in re.findall(r"[^\W_]+", fold(text))] for text in (name, phrase))
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1)) and bool(wanted)
