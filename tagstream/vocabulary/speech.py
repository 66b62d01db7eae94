"""Which words name nothing: adjectives, verbs, adverbs, numerals and function words. Part of ``make vocabulary``.

Of "two cute dogs running" a photo can show the dogs. Words that WordNet has as adjectives, verbs or adverbs only, or
that its corpus has far more often as these than as nouns, are left out of a query, and taken for misspelt by nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tagstream.vocabulary.rule import Frequency
from tagstream.vocabulary.word_exceptions import FUNCTION_WORDS

__all__ = ["LEAST_SAID", "Speech"]

LEAST_SAID = 2.8
"""Adjectives, verbs and adverbs are known if they are met at least this often (Zipf's scale)."""
OFTENER, MUCH_OFTENER, LEAST_MET = 2, 3, 3
"""A word that is a noun as well says nothing if the corpus has it so much oftener as something else, and so often."""

_KINDS = {"2": "verb", "3": "adj", "4": "adv", "5": "adj"}
_VOWELS = "aeiou"


@dataclass
class Speech:
    """How often WordNet's corpus has each word as a noun (``nouns``), and as something else: ``describing`` (adjectives
    and adverbs) and ``doing`` (verbs, and their forms, which count as the verb does)."""

    nouns: Counter[str] = field(default_factory=Counter)
    describing: dict[str, int] = field(default_factory=dict)
    doing: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Speech:
        """From WordNet's ``cntlist.rev``, ``index.*`` and ``*.exc``; raises :class:`OSError` if they are not there."""
        met: dict[str, Counter[str]] = {"noun": Counter(), "verb": Counter(), "adj": Counter(), "adv": Counter()}
        for sense, _, count in _lines(folder / "cntlist.rev"):
            word, _, rest = sense.partition("%")
            met[_KINDS.get(rest[0], "noun")][word] += int(count)
        found = cls(met["noun"])
        for kind in ("adj", "adv"):
            for word, *_ in _lines(folder / f"index.{kind}"):
                found.describing[word] = found.describing.get(word, 0) + met[kind][word]
        for word in [one for one in found.describing if one.isalpha()]:
            for degree in _degrees(word):
                # Coolers and cutters are things, and no degrees of anything.
                found.describing.setdefault(degree, 0)
        for word, plain, *_ in _lines(folder / "adj.exc"):
            found.describing.setdefault(word, found.describing.get(plain, 0))
        for verb, *_ in _lines(folder / "index.verb"):
            for word in (verb, *_forms(verb)):
                found.doing[word] = max(found.doing.get(word, 0), met["verb"][verb])
        for word, verb, *_ in _lines(folder / "verb.exc"):
            found.doing[word] = max(found.doing.get(word, 0), met["verb"][verb])
        return found

    def says_nothing(self, word: str, *, noun: bool) -> bool:
        """Whether a word, which may be a ``noun`` as well, names nothing; what it means as a noun is not asked here."""
        if word in FUNCTION_WORDS:
            return True
        if not noun:
            return word in self.describing or word in self.doing
        return self._otherwise(word) >= max(LEAST_MET, OFTENER * (self.nouns[word] + 1))

    def is_seldom_noun(self, word: str) -> bool:
        """Whether even a thing that may be called so is hardly ever meant: an electric is a car, and the deep a sea."""
        return self._otherwise(word) >= MUCH_OFTENER * (self.nouns[word] + 1)

    def _otherwise(self, word: str) -> int:
        return self.describing.get(word, 0) + self.doing.get(word, 0)

    def describes(self, word: str) -> bool:
        """Whether a word that says nothing is an adjective or adverb rather than a verb: no topic either."""
        return word in FUNCTION_WORDS or self.describing.get(word, -1) >= self.doing.get(word, 0)

    def words(self, frequency: Frequency) -> Iterator[str]:
        """All that are known, sorted; the common ones of WordNet's."""
        known = {one for one in self.describing.keys() | self.doing.keys() if one.isalpha() and len(one) > 1}
        yield from sorted(FUNCTION_WORDS.union(one for one in known if frequency(one) >= LEAST_SAID))


def _degrees(adjective: str) -> Iterator[str]:
    """
    >>> list(_degrees("big")), list(_degrees("happy")), list(_degrees("cute"))
    (['bigger', 'biggest'], ['happier', 'happiest'], ['cuter', 'cutest'])
    """
    stem = adjective.removesuffix("e")
    if adjective.endswith("y"):
        stem = f"{adjective[:-1]}i"
    elif _doubles(adjective):
        stem = adjective + adjective[-1]
    yield from (f"{stem}er", f"{stem}est")


def _doubles(word: str) -> bool:
    """Whether its last letter is doubled before an ending, as far as letters tell: big, run; but not green, clean."""
    return len(word) > 2 and word[-1] not in f"{_VOWELS}wxy" and word[-2] in _VOWELS and word[-3] not in _VOWELS


def _forms(verb: str) -> Iterator[str]:
    """The regular forms of a verb, and some that are none: those are no common words.

    >>> sorted(_forms("carry")), sorted(_forms("run"))
    (['carried', 'carries', 'carrying'], ['runed', 'runing', 'runned', 'running', 'runs'])
    """
    if not verb.isalpha():
        return
    if verb.endswith("y") and verb[-2:-1] not in _VOWELS:
        stem = verb[:-1]
        yield from (f"{stem}ies", f"{stem}ied", f"{verb}ing")
        return
    yield f"{verb}es" if verb.endswith(("s", "x", "z", "ch", "sh", "o")) else f"{verb}s"
    if verb.endswith("e"):
        yield from (f"{verb}d", f"{verb[:-1]}ing")
        return
    stems = [verb]
    if _doubles(verb):
        stems.append(verb + verb[-1])
    for stem in stems:
        yield from (f"{stem}ed", f"{stem}ing")


def _lines(path: Path) -> Iterator[list[str]]:
    """The fields of each line; the licence at the top is indented, and left out."""
    with path.open(encoding="latin-1") as file:
        for line in file:
            if not line.startswith("  "):
                yield line.split()
