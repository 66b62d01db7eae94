"""Spellings of one word: what makes two of them the same, what a plural may be of, and how far apart two are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

__all__ = ["MAX_LENGTH", "allowed_distance", "distance", "key", "singulars"]

MAX_LENGTH = 64
"""Characters of a word or phrase, at most: longer ones mean nothing."""

_NO_KEY = re.compile(r"[^a-z0-9]+")


def key(text: str) -> str:
    """The letters and digits of ``text``, without case, accents, spaces and hyphens; "" if it has none, or others.

    >>> key("Hot-Dog"), key("hot dog"), key("café"), key("T-shirt"), key("собака")
    ('hotdog', 'hotdog', 'cafe', 'tshirt', '')
    """
    if len(text) > MAX_LENGTH:
        return ""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = _NO_KEY.sub("", letters)
    # What is left of a word in another script, or of half of one, is another word.
    return plain if not any(char.isalpha() and char not in plain for char in letters) else ""


# As WordNet's morphology has them (morphy(7WN)), and -ves, -oes.
_ENDINGS = (
    ("s", ""),
    ("ies", "y"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("zzes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("oes", "o"),
    ("ves", "f"),
    ("ves", "fe"),
    ("men", "man"),
)


def singulars(plural: str) -> Iterator[str]:
    """What a regular plural may be the plural of: keys, of which few are words.

    >>> list(singulars("cherries")), list(singulars("glass"))
    (['cherrie', 'cherry'], [])
    """
    if plural.endswith("ss"):
        return
    for ending, instead in _ENDINGS:
        stem = plural[: -len(ending)]
        if plural.endswith(ending) and len(stem) >= 2:
            yield stem + instead


def allowed_distance(length: int) -> int:
    """How far a misspelt word of ``length`` letters may be from the one that is meant."""
    if length < 4:
        return 0
    return 1 if length < 6 else 2


_SOUNDS = (("ph", "f"), ("ck", "k"), ("c", "k"), ("q", "k"), ("z", "s"), ("y", "i"), ("wr", "r"), ("kn", "n"))
_DOUBLED = re.compile(r"(.)\1+")


@lru_cache(maxsize=4)
def sound(word: str) -> str:
    """``word`` as those write it who go by the ear: "giraf" for giraffe, "elefant" for elephant.

    >>> sound("giraffe") == sound("giraf"), sound("phone") == sound("fone")
    (True, True)
    """
    for letters, instead in _SOUNDS:
        word = word.replace(letters, instead)
    word = _DOUBLED.sub(r"\1", word)
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def distance(one: str, other: str, most: int) -> float | None:
    """Letters added, left out, replaced or swapped with their neighbour; half a letter where both sound the same, or
    where two neighbours changed places and no more is wrong.

    None if it is more than ``most``.

    >>> distance("strawbery", "strawberry", 2), distance("dalmation", "dalmatian", 2), distance("cat", "cow", 1)
    (0.5, 1, None)
    >>> distance("brid", "bird", 1), distance("brid", "bride", 1)
    (0.5, 0.5)
    """
    if one == other:
        return 0
    steps = _steps(one, other, most)
    if abs(len(one) - len(other)) <= 2 and sound(one) == sound(other):
        return 0.5
    if steps == 1 and len(one) == len(other) and sorted(one) == sorted(other):
        return 0.5
    return steps if steps <= most else None


def _steps(one: str, other: str, most: int) -> int:
    """Optimal string alignment; ``most`` + 1 as soon as it is more than ``most``."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    one, other = one[start:], other[start:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
