"""Makes ``words.txt``, what each word means, from WordNet's nouns and the tree of tags: part of ``make vocabulary``.

A word means a tag if one of its meanings in WordNet is the tag, or is below it ("puppy" is below "dog"), and so does
the last word of a tag's name, and any word of it that WordNet's definition of the tag has, too ("coffee": a coffee
mug is "a mug intended for serving coffee"; winter squash has nothing to do with winter). What is in none of these ways
a tag may be related to some: see :mod:`tagstream.vocabulary.relate`.

Words have several meanings. Those that are tags come first, in WordNet's order, which is by how often they were met in
a corpus; those that are rare beside the commonest are left out, such as dogs in the sense of sausages.
The format is told in :mod:`tagstream.vocabulary.words`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeAlias

from tagstream.vocabulary.relate import LIVING, describes
from tagstream.vocabulary.rule import VISIBLE, Frequency, above
from tagstream.vocabulary.speech import Speech
from tagstream.vocabulary.spelling import key, singulars
from tagstream.vocabulary.tree import Tree
from tagstream.vocabulary.word_exceptions import ABOUT, FUNCTION_WORDS, MEANT, OFFENSIVE, SAME
from tagstream.vocabulary.wordnet import WordNet
from tagstream.vocabulary.words import SMALL_WORDS

__all__ = ["everyday_words", "irregular_plurals", "make_words"]

LEAST_BELOW, LEAST_PHRASE_BELOW, LEAST_PERSON = 1.5, 3.0, 3.0
"""Words below a tag are kept if they are met at least this often (Zipf's scale: 2 is once in ten million words);
phrases are guessed to be commoner than they are, and of people there are too many kinds that no photo shows."""
LEAST_KNOWN = 3.2
"""Words that mean nothing here are known from here on: they are not taken for misspelt ones."""
LEAST_RELATED = 3.3
"""Words that are related to tags: about 10,000 nouns, and verbs."""
LEAST_PART = 3.0
"""Parts of a word that may be written apart: bath tub."""
RARE_TAG, RARE_ALIAS, RARE_BELOW = 0.1, 0.05, 0.25
"""How often a meaning must be met: a tag, beside the commonest tag, and beside the commonest of all; what is below one,
beside the commonest of all."""
MOST_MEANINGS = 100
MOST_UNMET = 4
"""Meanings of a word that count though the corpus has them nowhere: the computer's mouse is the fourth."""
BROAD = 30
"""Tags of more classes than this say little of a word below them: a kitchen is a structure, as bridges are."""
MOST_ABOVE = 16
"""A word above the tags, and none itself, means at most so many of them: "carnivore" does, "whole" does not."""
MOST_FOR_A_CLASS, MOST_FOR_A_FAR_CLASS = 200, 40
"""A wider meaning of which only one class is known stands for that class, as horses do for the sorrel horse, if it has
at most so many kinds; and if it is farther above, only so many: not everything with a shape is a bubble."""

_ANIMALS, _BODY, _FOOD, _PEOPLE, _PLANTS = "05", "08", "13", "18", "20"
_SLUR = re.compile(r"slur|offensive (?:term|name|word|and|reference|for)|derogatory|disparag|obscene|vulgar", re.I)


Relate: TypeAlias = Callable[[Sequence[str]], Mapping[str, Sequence[tuple[str, float]]]]
"""Finds the tags that words are related to, the nearest first, with their similarity."""


class _Sense(NamedTuple):
    order: int
    met: int
    field: str
    how: str
    tags: tuple[str, ...]


class _Meanings:
    """What WordNet's meanings are among the tags."""

    def __init__(self, wordnet: WordNet, tree: Tree) -> None:
        self._wordnet, self._tree = wordnet, tree
        self._tags = {concept.wordnet_id: concept.name for concept in tree.concepts.values()}
        leaves: dict[str, set[str]] = defaultdict(set)
        for leaf in tree.leaves:
            for one in (leaf.wordnet_id, *above(wordnet, leaf.wordnet_id)):
                leaves[one].add(leaf.name)
        self._leaves = {one: frozenset(found) for one, found in leaves.items()}
        self._of = {name: self._leaves[concept.wordnet_id] for name, concept in tree.concepts.items()}
        self._same = {found: name for name, found in reversed(self._of.items())}

    def is_broad(self, tag: str) -> bool:
        """Whether a tag says little of a word below it; of an animal it says enough."""
        return len(self._of[tag]) > BROAD and (tag == "animal" or not self.is_living(tag))

    def is_living(self, tag: str) -> bool:
        return any(name in LIVING for name in (tag, *self._tree.concepts[tag].parents))

    def senses(self, word: str) -> list[_Sense]:
        """All of a word's meanings, the commonest first."""
        return [self._sense(word, order, one) for order, one in enumerate(self._wordnet.senses[word])]

    def _sense(self, word: str, order: int, one: str) -> _Sense:
        meaning = self._wordnet.meanings[one]
        at = [spelled.lower() for spelled in meaning.words].index(word)
        return _Sense(order, meaning.counts[at], meaning.field, *self._tags_of(SAME.get(one, one)))

    def _tags_of(self, meaning: str) -> tuple[str, tuple[str, ...]]:
        """How (by its letter in ``words.txt``, or "w" for wider) and which tags ``meaning`` is; no tags if none."""
        if meaning in self._tags:
            return "a", (self._tags[meaning],)
        if leaves := self._leaves.get(meaning):
            if leaves not in self._same:
                return "w", self._widest(leaves)
            return "a", (self._same[leaves],) if self._stands_for(meaning, self._same[leaves]) else ()
        return "b", () if self._is_slur(meaning) else self._nearest(meaning)

    def _stands_for(self, meaning: str, tag: str) -> bool:
        """Whether of all that ``meaning`` may be, the tag is what people mean: the only class of it may be a freak."""
        concept, about = self._tree.concepts[tag], self._wordnet.meanings[meaning]
        if concept.kind == "ancestor" or about.field in (_ANIMALS, _FOOD, _PLANTS):
            return True
        kinds = len(self._wordnet.below(meaning))
        if meaning in self._wordnet.meanings[concept.wordnet_id].above:
            return kinds <= MOST_FOR_A_CLASS
        return kinds <= MOST_FOR_A_FAR_CLASS and about.field in VISIBLE

    def _is_slur(self, meaning: str) -> bool:
        """Whether WordNet says of a word for people that it offends them."""
        is_person = self._wordnet.meanings[meaning].field == _PEOPLE
        return is_person and bool(_SLUR.search(self._wordnet.definition(meaning)))

    def _widest(self, leaves: frozenset[str]) -> tuple[str, ...]:
        """The fewest tags that are all of ``leaves`` together, none if those are too many."""
        inside = {name for name, below in self._of.items() if below <= leaves}
        widest = [name for name in inside if inside.isdisjoint(self._tree.concepts[name].parents)]
        return self._sorted(widest) if len(widest) <= MOST_ABOVE else ()

    def _nearest(self, meaning: str) -> tuple[str, ...]:
        """The tags above ``meaning`` that are not above another one."""
        wider = {tag for one in above(self._wordnet, meaning) if (tag := self._tag(one))}
        farther = {name for one in wider for name in self._tree.concepts[one].parents}
        return self._sorted(wider - farther)

    def _tag(self, meaning: str) -> str | None:
        """The tag that ``meaning`` is; of an animal also its only class: cows are cattle, and those are oxen."""
        if meaning in self._tags or self._wordnet.meanings[meaning].field != _ANIMALS:
            return self._tags.get(meaning)
        return self._same.get(self._leaves.get(meaning, frozenset()))

    def _sorted(self, tags: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(tags, key=lambda name: (len(self._of[name]), name)))


def _worth_showing(senses: Sequence[_Sense], meanings: _Meanings) -> list[_Sense]:
    """The meanings of a word that photos are looked for with, best first."""
    most = max(sense.met for sense in senses)
    senses = [sense for sense in senses if sense.met or sense.order < MOST_UNMET]
    tags = [sense for sense in senses if sense.tags and sense.how == "a"]
    most_tag = max((sense.met for sense in tags), default=0)
    tags = [
        sense
        for sense in tags
        if sense.order == 0 or (sense.met + 1 >= RARE_TAG * (most_tag + 1) and sense.met + 1 >= RARE_ALIAS * (most + 1))
    ]
    below = [sense for sense in senses if sense.tags and sense.how in "bw"]
    below = [
        sense
        for sense in below
        if (sense is below[0] or sense.met)
        and (sense.order == 0 or sense.met + 1 >= RARE_BELOW * (most + 1))
        # Many animals and things are words for people, too: no photo of a mug shows a fool.
        and (sense.field != _PEOPLE or sense.order == 0 or sense.met == most > 0)
    ]
    if tags:
        # "Kite" is a toy before it is a bird; that a bowl is a ball as well adds nothing.
        below = [
            sense
            for sense in below
            if (sense.met > most_tag or (sense.order < tags[0].order and sense.field != _PEOPLE))
            and (sense.how == "w" or not any(meanings.is_broad(tag) for tag in sense.tags))
        ]
    first = min((sense.order for sense in below), default=MOST_MEANINGS)
    # A jacket is a coat; books have theirs, too, and those do not come before the coats.
    tags = [sense if sense.order < first else sense._replace(how="b") for sense in tags]
    return sorted([*tags, *below], key=lambda sense: sense.order)


@dataclass
class _Word:
    written: str
    common: float = 0.0
    means: dict[str, str] = field(default_factory=dict)
    """Tag → how, by its letter, and how similar."""
    of: str = ""
    """The key of the word that this is the irregular plural of."""
    says_nothing: bool = False


class _Table:
    """The words by key, while they are collected."""

    def __init__(self, frequency: Frequency) -> None:
        self.words: dict[str, _Word] = {}
        self.frequency = frequency

    def add(self, written: str, how: str = "", tags: Iterable[str] = ()) -> None:
        name = key(written)
        if not name:
            return
        word = self.words.setdefault(name, _Word(written))
        word.common = max(word.common, self.frequency(written))
        if written.count(" ") > word.written.count(" ") and "|" not in word.written and how != "n":
            word.written = _apart(word.written, written)
        for tag in tags:
            word.means.setdefault(tag, how)

    def means(self, written: str) -> bool:
        return bool((word := self.words.get(key(written))) and word.means)

    def known(self, written: str) -> bool:
        return key(written) in self.words


def _apart(joined: str, spaced: str) -> str:
    """``joined`` with a "|" where ``spaced`` has a space: "bath|tub"."""
    if " " in joined or "-" in joined or joined != spaced.replace(" ", ""):
        return joined
    return spaced.replace(" ", "|")


def make_words(
    wordnet: WordNet,
    tree: Tree,
    frequency: Frequency,
    plurals: Mapping[str, str],
    *,
    speech: Speech,
    related: Relate,
    common: Iterable[str] = (),
) -> str:
    """The content of ``words.txt``; ``plurals`` are the irregular ones, ``common`` words that WordNet may not have."""
    meanings = _Meanings(wordnet, tree)
    table = _Table(frequency)
    _add_tags(table, wordnet, tree, meanings, speech)
    _add_parts_of_names(table, wordnet, tree, meanings)
    everyday = [written for written in everyday_words(wordnet, frequency, speech) if written not in OFFENSIVE]
    _relate(table, everyday, related, meanings)
    _add_what_says_nothing(table, wordnet, speech)
    for written in sorted(wordnet.senses):
        if " " not in written and frequency(written) >= LEAST_KNOWN:
            table.add(written)
    for written in common:
        # Names and new words: "Eric" is no lake, "selfie" no kelpie.
        if (
            written.isascii()
            and written.isalpha()
            and not table.known(written)
            and not any(map(table.known, singulars(written)))
        ):
            table.add(written)
    for written in sorted(OFFENSIVE):
        # Known, so that they are not taken for another word either.
        table.add(written)
    for plural, singular in sorted(plurals.items()):
        if table.means(singular) and not table.known(plural) and key(singular) not in singulars(key(plural)):
            table.add(plural)
            table.words[key(plural)].of = key(singular)
    for word in table.words.values():
        if word.means and word.written.isalpha():
            word.written = _compound(word.written, wordnet, frequency)
    return _lines(table, tree)


def _add_tags(table: _Table, wordnet: WordNet, tree: Tree, meanings: _Meanings, speech: Speech) -> None:
    """The words for tags, and those below them."""
    frequency = table.frequency
    for name in tree.concepts:
        table.add(name, "n", (name,))
    for written, tags in MEANT.items():
        # Of another model's tree some tags may be missing.
        if tree.concepts.keys() >= set(tags):
            table.add(written, "a", tags)
    # The commonest spelling of a key is the one that is shown.
    for written in sorted(wordnet.senses.keys() - MEANT.keys(), key=lambda one: (-frequency(one), one)):
        for sense in _worth_showing(meanings.senses(written), meanings):
            # Who looks for a tag by its name looks for no sweater with a turtle's neck.
            is_name = written in tree.concepts
            if sense.how == "a" or (
                not is_name
                and frequency(written) >= _least(written, sense.tags)
                and not _is_said_otherwise(written, sense.tags, meanings, speech)
            ):
                table.add(written, sense.how, sense.tags)
    for concept in tree.concepts.values():
        for written in (*concept.aliases, *concept.broader):
            if written not in wordnet.senses and not table.means(written):
                table.add(written, "a", (concept.name,))


def _is_said_otherwise(written: str, tags: Sequence[str], meanings: _Meanings, speech: Speech) -> bool:
    """Whether a word is seldom this noun: "young" is no animal, "great" nobody, and who "runs" is in no stocking."""
    if "person" in tags and written in OFFENSIVE:
        return True
    if not speech.says_nothing(written, noun=True):
        return False
    general = any(tag == "person" or meanings.is_broad(tag) for tag in tags)
    return general or (speech.describes(written) and speech.is_seldom_noun(written))


def _add_what_says_nothing(table: _Table, wordnet: WordNet, speech: Speech) -> None:
    """Adjectives, verbs and the like, but those that name a tag, or what is below one, as nouns, and plurals."""

    def is_noun(one: str) -> bool:
        return one in wordnet.senses and not speech.says_nothing(one, noun=True)

    for written in speech.words(table.frequency):
        word = table.words.get(key(written))
        named = word is not None and any(how[0] in "nabw" for how in word.means.values())
        a_noun = written in MEANT or named or any(map(is_noun, singulars(written)))
        if written in FUNCTION_WORDS or not (a_noun or is_noun(written)):
            table.add(written)
            table.words[key(written)].says_nothing = True


def _least(written: str, tags: Sequence[str]) -> float:
    if "person" in tags:
        return LEAST_PERSON
    return LEAST_PHRASE_BELOW if " " in written else LEAST_BELOW


def _add_parts_of_names(table: _Table, wordnet: WordNet, tree: Tree, meanings: _Meanings) -> None:
    """Words in tags' names, of those that mean nothing as they are: "dog" is no hot dog, "mountain" no mountain dog."""
    for how in "hm":
        parts: dict[str, list[str]] = defaultdict(list)
        for tag, concept in tree.concepts.items():
            *before, head = re.split(r"[ \-]", tag)
            for part in before if how == "m" else [head] if before else []:
                if how == "h" or describes(part, concept, wordnet.definition):
                    parts[part].append(tag)
        for part, tags in parts.items():
            # A part of the body says where a thing is held or worn.
            of_body = wordnet.senses.get(part, ())[:1] and wordnet.meanings[wordnet.senses[part][0]].field == _BODY
            by_hand = part in ABOUT or part in MEANT
            if len(part) > 2 and not by_hand and not of_body and not _is_settled(table, part, meanings):
                table.add(part, how, tags)


def _is_settled(table: _Table, written: str, meanings: _Meanings) -> bool:
    """Whether what a word means is known without a look at anything that is only about the same."""
    word = table.words.get(key(written))
    return word is not None and any(
        how in "nawh" or (how == "b" and not meanings.is_broad(tag)) for tag, how in word.means.items()
    )


def _relate(table: _Table, words: Iterable[str], related: Relate, meanings: _Meanings) -> None:
    """Words that mean no tag, or too broad a one, get those that they are related to."""
    open_ = [one for one in words if one not in MEANT and not _is_settled(table, one, meanings)]
    for written, tags in related(open_).items():
        for tag, similarity in tags:
            table.add(written, f"r{round(100 * similarity):02}", (tag,))
    for word in table.words.values():
        better = {tag: how for tag, how in word.means.items() if how != "b" or not meanings.is_broad(tag)}
        # A kitchen is a structure, as bridges are: that is no answer where there is another one.
        word.means = better or word.means


def _compound(written: str, wordnet: WordNet, frequency: Frequency) -> str:
    """ "sail|boat" for "sailboat", which is a thing as boats are; "carpet" is one, and pets are not."""
    fields = {wordnet.meanings[one].field for one in wordnet.senses.get(written, ())} & VISIBLE.keys()
    for at in range(3, len(written) - 2):
        first, last = written[:at], written[at:]
        if min(frequency(first), frequency(last)) < LEAST_PART or first not in wordnet.senses:
            continue
        if any(wordnet.meanings[one].field in fields for one in wordnet.senses.get(last, ())[:2]):
            return f"{first}|{last}"
    return written


def _lines(table: _Table, tree: Tree) -> str:
    numbers = {name: number for number, name in enumerate(tree.concepts)}
    lines = []
    for name, word in sorted(table.words.items()):
        means = [f"={word.of}"] if word.of else list(_numbered(word.means, numbers))
        means = ["-", *means] if word.says_nothing else means
        written = "" if word.written == name else word.written
        common = -1 if written in OFFENSIVE or name in OFFENSIVE else round(10 * word.common)
        lines.append(f"{name}\t{written}\t{common}\t{' '.join(means)}")
    return "\n".join([tree.version, "\t".join(tree.concepts), *lines]) + "\n"


def _numbered(means: Mapping[str, str], numbers: Mapping[str, int]) -> Iterator[str]:
    for tag, how in means.items():
        letter = "b" if how == "w" else how[0]
        yield f"{letter}{numbers[tag]}" + (f".{how[1:]}" if how[1:] else "")


def everyday_words(wordnet: WordNet, frequency: Frequency, speech: Speech) -> list[str]:
    """The common nouns, and verbs that may be a topic (cooking), of which are found those that are related to tags; the
    commonest first. What a word describes is none: nothing is about "red"."""
    nouns = [one for one in wordnet.senses if one.isalpha() and len(one) > 2 and frequency(one) >= LEAST_RELATED]
    nouns = [one for one in nouns if one not in SMALL_WORDS and not any(map(wordnet.senses.get, singulars(one)))]
    nouns = [one for one in nouns if wordnet.meanings[wordnet.senses[one][0]].field != _BODY]
    words = [one for one in nouns if not (speech.says_nothing(one, noun=True) and speech.describes(one))]
    doing = [one for one in speech.doing if one.endswith("ing") and one not in wordnet.senses and one.isalpha()]
    words += [one for one in doing if frequency(one) >= LEAST_RELATED and not speech.describes(one)]
    words += [one for one in ABOUT if one not in words]
    return sorted(words, key=lambda one: (-frequency(one), one))


def irregular_plurals(path: Path) -> dict[str, str]:
    """WordNet's list of exceptions (noun.exc): plural → singular."""
    lines = path.read_text(encoding="latin-1").splitlines()
    pairs = (line.split()[:2] for line in lines)
    return {plural.replace("_", " "): singular.replace("_", " ") for plural, singular in pairs if plural != singular}
