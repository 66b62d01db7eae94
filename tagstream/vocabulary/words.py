"""What the words that people type mean: which tags a photo of it has.

``words.txt`` beside this module, made by ``make vocabulary``, has everything: nothing here knows English but its
spellings. Its first line is the version of the tree, the second its tags, and then there is a line for each word,
sorted by key and searched in place, so that loading it is reading one file:

``hotdog <tab> hot dog <tab> 48 <tab> n12``: key; how it is written, if not as the key ("|" where it may be written
apart); how common it is, in tenths on Zipf's scale, or -1 if it is never to be offered to anybody; and what it means,
best first. ``n12`` is tag 12 by its name, ``r7.64`` tag 7 related by 0.64, and ``=goose`` another key; ``-`` before
them says that the word is seldom a noun and names nothing ("cute", "running").
"""

from __future__ import annotations

import functools
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from tagstream.vocabulary.spelling import allowed_distance, distance, key, singulars
from tagstream.vocabulary.tree import load_tree

__all__ = ["MOST_RELATIVES", "SMALL_WORDS", "Completion", "How", "Meaning", "Words", "load_words"]

How: TypeAlias = Literal["name", "alias", "below", "head", "modifier", "spelling", "related"]

_HOW: dict[str, How] = {"n": "name", "a": "alias", "b": "below", "h": "head", "m": "modifier", "r": "related"}
_RANK = {how: rank for rank, how in enumerate(("name", "alias", "below", "head", "spelling", "modifier", "related"))}

# fmt: off
SMALL_WORDS = frozenset((
    "a", "an", "and", "another", "any", "are", "as", "at", "be", "behind", "beside", "between", "by", "for", "from",
    "her", "his", "i", "image", "images", "in", "inside", "into", "is", "it", "its", "me", "my", "near", "next", "of",
    "off", "on", "onto", "or", "our", "out", "over", "photo", "photograph", "photos", "pic", "pics", "picture",
    "pictures", "some", "that", "the", "their", "them", "these", "this", "those", "to", "under", "up", "upon", "we",
    "with", "without", "your",
))
# fmt: on
"""Left out of what is looked for, unless a phrase has them: of "dog on a beach", two words are looked for."""

MOST_RELATIVES = 60
_LONGEST_PHRASE = 6
_MOST_TYPOS = 3
_SHORT = 3
_LEAST_COMMON, _LEAST_BELOW = 1, 30
"""How common a word must be to be what a misspelt one is taken for: few have meant a rare kind of something."""
_COMMON, _RARER = 40, 3
"""Tenths on Zipf's scale: a word that a slip of three letters may be meant for is met ten times in a million words."""
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_AFTER = "{"
"""What follows all that a key has, and so ends those that begin alike."""
_SAME_INITIAL = (("f", "ph"), ("k", "c", "q", "kn"), ("c", "s", "k"), ("s", "z", "c"), ("n", "kn"), ("r", "wr"))


@dataclass(frozen=True, slots=True)
class Meaning:
    """A tag that a word may mean.

    ``how``: the tag is called so (name, alias); the word is below it in WordNet's tree, as puppies are below dogs
    (below); the tag ends with the word (head) or has it elsewhere (modifier); the word was misspelt (spelling); the
    tag is about the same (related). ``said`` is what to show for it: the word that was understood, and of a related
    tag its name. ``similarity`` is 1, but from 0 to 1 for what is related (the cosine) or misspelt.
    """

    tag: str
    how: How
    said: str
    similarity: float = 1.0


class Completion(NamedTuple):
    """A word that begins as asked, and the first of what it means."""

    word: str
    meaning: Meaning


class _Entry(NamedTuple):
    key: str
    shown: str
    common: int
    meanings: str
    says_nothing: bool

    @classmethod
    def read(cls, line: str) -> _Entry:
        word, shown, common, meanings = line.split("\t")
        return cls(word, shown, int(common), meanings.removeprefix("-").lstrip(), meanings.startswith("-"))

    @property
    def written(self) -> str:
        return (self.shown or self.key).replace("|", "")


class Words:
    """All words of the vocabulary. It answers any text, whatever its length or letters, and raises nothing."""

    def __init__(self, data: bytes) -> None:
        version, tags, _ = data.split(b"\n", 2)
        self.version = version.decode()
        """That of the tree which these words were made with."""
        self._tags = tuple(tags.decode().split("\t"))
        self._data = data
        self._start = len(version) + len(tags) + 2

    @property
    def tags(self) -> tuple[str, ...]:
        """All tags of the tree, by their names."""
        return self._tags

    def meanings(self, phrase: str, *, related: bool = True) -> tuple[Meaning, ...]:
        """The tags that a word or phrase may mean, best first; none if it means nothing that a tag says.

        Whole words before parts of them, and both before misspelt words; related tags, if wanted, come last, but
        before a far wider one.

        >>> [(meaning.tag, meaning.how) for meaning in load_words().meanings("Puppies")]
        [('dog', 'below')]
        """
        found = self._meanings(key(phrase))
        return found if related else tuple(meaning for meaning in found if meaning.how != "related")

    def parents(self, tag: str) -> tuple[str, ...]:
        """The tags that are above ``tag``, nearest first; none of what is no tag."""
        concept = load_tree().concepts.get(tag)
        return concept.parents if concept else ()

    def segment(self, words: Sequence[str]) -> tuple[str, ...]:
        """The words as phrases: each the longest that is known from there on, without :data:`SMALL_WORDS`.

        >>> load_words().segment(["hot", "dog", "on", "the", "beach"])
        ('hot dog', 'beach')
        """
        phrases = []
        at = 0
        while at < len(words):
            length = self._phrase_length(words, at)
            if length > 1 or words[at].casefold() not in SMALL_WORDS:
                phrases.append(" ".join(words[at : at + length]))
            at += length
        return tuple(phrases)

    def says_nothing(self, phrase: str) -> bool:
        """Whether a word names nothing that a photo could show: "cute", "running", "two", "the".

        >>> load_words().says_nothing("cute"), load_words().says_nothing("dog"), load_words().says_nothing("sunset")
        (True, False, False)
        """
        if phrase.casefold() in SMALL_WORDS:
            return True
        wanted = key(phrase)
        entry = self._entry(wanted)
        if wanted.isdigit():
            return not (entry and entry.meanings)
        return entry is not None and entry.says_nothing

    def knows(self, phrase: str) -> bool:
        """Whether this is a word, though it may mean no tag: "sunset" is, "rex" and "sunst" are not."""
        wanted = key(phrase)
        return any(self._entry(one) for one in (wanted, *singulars(wanted)))

    def is_offensive(self, word: str) -> bool:
        """Whether a word is never to be offered to anybody."""
        return any((entry := self._entry(one)) and entry.common < 0 for one in (key(word), *singulars(key(word))))

    def complete(self, prefix: str, limit: int = 10) -> tuple[Completion, ...]:
        """Words that begin with ``prefix`` and mean something, the most useful first."""
        start = key(prefix)
        if not start or limit < 1:
            return ()
        found = [
            entry
            for entry in self._beginning(start)
            if entry.meanings and entry.common >= 0 and not entry.meanings.startswith("=")
        ]
        best = heapq.nlargest(
            limit,
            found,
            key=lambda entry: (entry.key == start, entry.common - 10 * _RANK[_first_how(entry)], -len(entry.key)),
        )
        return tuple(
            Completion(entry.written, meaning)
            for entry in best
            if (meaning := next(iter(self._meanings(entry.key)), None))
        )

    def near(self, word: str, limit: int = 5) -> tuple[str, ...]:
        """Words that ``word`` may be a misspelling of, the likeliest first: more of them than it is taken for."""
        wanted = key(word)
        close = self._close(wanted, min(allowed_distance(len(wanted)) + 1, 2)) if len(wanted) > 2 else []
        return tuple(entry.written for _, entry in close[: max(limit, 0)] if entry.key != wanted)

    def relatives(self, tag: str) -> tuple[str, ...]:
        """The tags that are nearest to ``tag`` in meaning, the nearest first: what it is a kind of, and other kinds.

        Only up to ancestors of :data:`MOST_RELATIVES` classes: that both are animals makes no dog like a snail.

        >>> load_words().relatives("zebra")[:2]
        ('equine', 'sorrel horse')
        """
        concepts = load_tree().concepts
        if tag not in concepts:
            return ()
        below: dict[str, list[str]] = {}
        for concept in concepts.values():
            for parent in concept.parents:
                below.setdefault(parent, []).append(concept.name)
        kinds = {name: sum(concepts[one].kind == "leaf" for one in names) for name, names in below.items()}
        wider = [one for one in (tag, *concepts[tag].parents) if 0 < kinds.get(one, 0) <= MOST_RELATIVES]
        wider.sort(key=lambda one: (one != tag, kinds[one]))
        found = [name for one in wider for name in (one, *sorted(below[one], key=lambda kind: -kinds.get(kind, 0)))]
        return tuple(name for name in dict.fromkeys(found) if name != tag)

    @functools.lru_cache(maxsize=1024)  # noqa: B019 (Words live as long as the process)
    def _meanings(self, wanted: str) -> tuple[Meaning, ...]:
        if not wanted:
            return ()
        entry = self._entry(wanted)
        found = [list(self._of(entry))] if entry else []
        # The first that is a word: "wolves" are of wolf, not of Wolfe. What "does" is no more than one doe.
        forms = () if entry and entry.says_nothing else singulars(wanted)
        plain = next((one for plain in forms if (one := self._entry(plain)) and one.meanings), None)
        found += [list(self._of(plain))] if plain else []
        # "Glasses" are not only more than one glass: the plural first, unless its singular is the better known tag.
        found.sort(key=lambda meanings: _RANK[meanings[0].how] if meanings else len(_RANK))
        if not found:
            found = [self._misspelt(wanted)]
        first: dict[str, Meaning] = {}
        for meaning in (meaning for meanings in found for meaning in meanings):
            first.setdefault(meaning.tag, meaning)
        return tuple(first.values())

    def _misspelt(self, wanted: str) -> list[Meaning]:
        if len(wanted) == _SHORT:
            # One letter more or less makes another word; two that changed places are a slip of two fingers.
            swapped = [entry for entry in map(self._entry, _swapped(wanted)) if entry and entry.meanings]
            close = [(0.5, entry) for entry in swapped if entry.common >= _COMMON]
        else:
            close = self._close(wanted, allowed_distance(len(wanted)))
        # Of words as near, those that are much rarer than the commonest are not what was meant.
        least = max((entry.common for away, entry in close if away == close[0][0]), default=0) - _RARER
        return [
            replace(meaning, how="spelling", said=entry.written, similarity=round(1 - away / len(wanted), 2))
            for away, entry in close[:_MOST_TYPOS]
            if away == close[0][0] and entry.common >= least
            for meaning in self._of(entry)
        ]

    def _of(self, entry: _Entry) -> Iterator[Meaning]:
        """What a line says."""
        for one in entry.meanings.split():
            if one.startswith("="):
                if other := self._entry(one[1:]):
                    yield from self._of(other)
                continue
            number, _, similarity = one[1:].partition(".")
            tag, how = self._tags[int(number)], _HOW[one[0]]
            said = tag if how in ("related", "head", "modifier") else entry.written
            yield Meaning(tag, how, said, float(f"0.{similarity}") if similarity else 1.0)

    def _phrase_length(self, words: Sequence[str], at: int) -> int:
        """How many words from ``at`` on make the longest known phrase; 1 if none does."""
        longest = 1
        joined = key(words[at])
        for length in range(2, min(_LONGEST_PHRASE, len(words) - at) + 1):
            more = key(words[at + length - 1])
            if not joined or not more:
                break
            phrase = words[at : at + length]
            if any(self._written_apart(one, phrase) for one in (joined + more, *singulars(joined + more))):
                longest = length
            joined += more
            if not self._begins(joined):
                break
        return longest

    def _written_apart(self, joined: str, words: Sequence[str]) -> bool:
        """Whether ``joined`` is known, and written as these: "hot dog" is hot and dog, "carpet" is no car and pet."""
        entry = self._entry(joined)
        if entry is None or not (entry.meanings or " " in entry.shown):
            return False
        parts = [key(part) for part in entry.shown.replace("|", " ").replace("-", " ").split()]
        return parts[:-1] == [key(word) for word in words[:-1]]

    def _close(self, wanted: str, most: int) -> list[tuple[float, _Entry]]:
        """Words that mean something and are at most ``most`` letters from ``wanted``, nearest and commonest first."""
        if not most:
            return []
        found = []
        for other in self._alike(wanted, most):
            away = distance(wanted, other, most)
            entry = self._entry(other) if away is not None else None
            if away is not None and entry and entry.meanings and entry.common >= _least(entry):
                found.append((away, entry))
        return sorted(found, key=lambda one: (one[0], -one[1].common, one[1].key))

    def _alike(self, wanted: str, most: int) -> set[str]:
        """Keys that may be at most ``most`` letters, one or two, from ``wanted``.

        They begin with the same letter or sound, or differ in the first two letters only. With two letters wrong, one
        of three parts of the word is right; but two letters that changed places may be of two parts.
        """
        size = max(len(wanted) // (most + 1), 1)
        one, two, three = wanted[:size], wanted[size : 2 * size], wanted[most * size :]
        shortest, longest = len(wanted) - most, len(wanted) + 2
        initials = {wanted[0]}.union(*(sounds for sounds in _SAME_INITIAL if wanted.startswith(sounds)))
        found = {
            other
            for initial in initials
            for other in self._keys(initial)
            if shortest <= len(other) <= longest and (one in other or two in other or three in other)
        }
        more = [wanted[1:], *(start + wanted[at:] for start in _ALPHABET for at in (0, 1))]
        more += _swapped(wanted)
        return found.union(other for other in more if self._entry(other))

    def _keys(self, start: str) -> list[str]:
        lines = self._data[self._position(start) : self._position(start + _AFTER)].decode().splitlines()
        return [line[: line.index("\t")] for line in lines]

    def _entry(self, wanted: str) -> _Entry | None:
        position = self._position(wanted)
        if not self._data.startswith(f"{wanted}\t".encode(), position):
            return None
        return _Entry.read(self._data[position : self._data.index(b"\n", position)].decode())

    def _begins(self, start: str) -> bool:
        """Whether any key begins with ``start``."""
        return self._data.startswith(start.encode(), self._position(start))

    def _beginning(self, start: str) -> Iterator[_Entry]:
        """All words whose key begins with ``start``, by key."""
        lines = self._data[self._position(start) : self._position(start + _AFTER)]
        return map(_Entry.read, lines.decode().splitlines())

    def _position(self, wanted: str) -> int:
        """Where the first line begins whose key is ``wanted`` or comes after it."""
        data, sought = self._data, wanted.encode()
        low, high = self._start, len(data)
        while low < high:
            middle = (low + high) // 2
            line = max(data.rfind(b"\n", 0, middle) + 1, low)
            if data[line : data.index(b"\t", line)] < sought:
                low = data.index(b"\n", line) + 1
            else:
                high = line
        return low


def _swapped(word: str) -> list[str]:
    """``word`` with each two neighbouring letters changed.

    >>> _swapped("dgo")
    ['gdo', 'dog']
    """
    return [word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)]


def _least(entry: _Entry) -> int:
    return _LEAST_BELOW if _first_how(entry) == "below" else _LEAST_COMMON


def _first_how(entry: _Entry) -> How:
    return _HOW.get(entry.meanings[0], "alias")


@functools.cache
def load_words() -> Words:
    """The words that come with Tagstream; read on the first call."""
    return Words(Path(__file__).with_name("words.txt").read_bytes())
