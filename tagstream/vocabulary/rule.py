"""Which ancestors of a model's classes are worth a tag, and what they are called.

The rule. An ancestor, on any path up WordNet's tree, becomes a tag if

- at least two of the classes are below it: with one, it says what the class says already;
- it stands for something that can be seen: an animal, a plant, a person, a thing, food or a place (WordNet's *tops*,
  "entity" and "whole" among them, stand for everything);
- there is a word for it that people know: the word is common in English (each part of it met at least once in three
  million words), and this is one of its first three meanings;
- no other ancestor has the very same classes below it, or this one's word is the one that was met most often.

:mod:`tagstream.vocabulary.exceptions` lists by hand what that gets wrong, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tagstream.vocabulary.exceptions import KEPT, MOVED, NAMED, REMOVED, UNITED
from tagstream.vocabulary.wordnet import Meaning, WordNet

__all__ = [
    "LEAST_CLASSES",
    "LEAST_FREQUENCY",
    "MOST_SENSE",
    "VISIBLE",
    "Ancestor",
    "above",
    "classes_below",
    "known_names",
    "useful_ancestors",
]

VISIBLE = {"05": "animals", "06": "things", "13": "food", "17": "nature", "18": "people", "20": "plants"}
"""WordNet's fields whose nouns can be seen."""
LEAST_FREQUENCY = 2.5
"""On Zipf's scale, the logarithm of how often a word is met in a thousand million words: 2.5 is 0.3 in a million."""
MOST_SENSE = 3
LEAST_CLASSES = 2

Frequency = Callable[[str], float]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """An ancestor that is a tag: ``classes`` are those below it, ``same`` other meanings that have the very same."""

    id: str
    name: str
    classes: frozenset[str]
    same: tuple[str, ...]


def above(wordnet: WordNet, meaning: str) -> frozenset[str]:
    """The ancestors of ``meaning``, on all paths: WordNet's, but for what is moved or united."""
    found: set[str] = set()
    waiting = [meaning]
    while waiting:
        one = waiting.pop()
        for wider in MOVED.get(one, wordnet.meanings[one].above):
            if wider not in found:
                found.add(wider)
                waiting.append(wider)
    return frozenset(UNITED.get(one, one) for one in found)


def classes_below(wordnet: WordNet, classes: Iterable[str]) -> dict[str, frozenset[str]]:
    """The classes below each of their ancestors."""
    below: dict[str, set[str]] = {}
    for one in classes:
        for ancestor in above(wordnet, one):
            below.setdefault(ancestor, set()).add(one)
    return {ancestor: frozenset(found) for ancestor, found in below.items()}


def useful_ancestors(wordnet: WordNet, classes: Sequence[str], frequency: Frequency) -> list[Ancestor]:
    """The ancestors of ``classes`` that are tags, the widest first; names are unique among them.

    ``frequency`` gives a word's on Zipf's scale.
    """
    removed = {meaning for group in REMOVED.values() for meaning in group}
    groups: dict[frozenset[str], list[str]] = {}
    for ancestor, found in classes_below(wordnet, classes).items():
        if len(found) >= LEAST_CLASSES:
            groups.setdefault(found, []).append(ancestor)
    chosen = []
    for found, members in groups.items():
        named = {
            member: names
            for member in members
            if member not in removed and (names := known_names(wordnet.meanings[member], frequency))
        }
        if named:
            best = max(
                named,
                key=lambda member: (
                    member in NAMED,
                    *_met(wordnet.meanings[member], named[member][0], frequency),
                    member,
                ),
            )
            same = tuple(sorted(member for member in members if member != best))
            chosen.append((best, named[best], found, same))
    # The meaning that was met most often has the first choice of names.
    names_taken: set[str] = set()
    ancestors = []
    for best, names, found, same in sorted(
        chosen,
        key=lambda row: (row[0] not in NAMED and row[0] not in KEPT, -max(wordnet.meanings[row[0]].counts), row[0]),
    ):
        name = next((name for name in names if name not in names_taken), None)
        if name is not None:
            names_taken.add(name)
            ancestors.append(Ancestor(best, name, found, same))
    return sorted(ancestors, key=lambda ancestor: (-len(ancestor.classes), ancestor.name))


def known_names(meaning: Meaning, frequency: Frequency) -> list[str]:
    """The words for a meaning that people know, best first, in lower case; none if it can't be seen."""
    by_hand = NAMED.get(meaning.id) or KEPT.get(meaning.id)
    if by_hand:
        return [by_hand]
    if meaning.field not in VISIBLE:
        return []
    words = zip(meaning.words, meaning.counts, meaning.senses, strict=True)
    known = [(word.lower(), count) for word, count, sense in words if sense <= MOST_SENSE and _common(word, frequency)]
    return [word for word, _ in sorted(known, key=lambda row: -row[1])]


def _common(word: str, frequency: Frequency) -> bool:
    return min(frequency(part) for part in _parts(word)) >= LEAST_FREQUENCY


def _parts(word: str) -> list[str]:
    return [part for part in re.split(r"[ \-]", word.lower()) if part]


def _met(meaning: Meaning, name: str, frequency: Frequency) -> tuple[int, float]:
    return max(meaning.counts), min(frequency(part) for part in _parts(name))
