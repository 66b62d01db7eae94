"""Reads the nouns of WordNet 3.0: what a word may mean, and what is a kind of what. Needed to make the vocabulary only.

The files and their format: wndb(5WN) of WordNet 3.0. A noun's id is ``n`` and its byte offset in ``data.noun``; these
are the ids that ImageNet calls its classes by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tagstream.errors import ConfigurationError

__all__ = ["PLACES", "Meaning", "WordNet", "find_wordnet"]

PLACES = (Path("/usr/share/wordnet"), Path(__file__).resolve().parents[2] / "build" / "wordnet" / "usr/share/wordnet")
"""Where Debian's package puts it, and where ``make vocabulary`` unpacks that package."""

_FILES = ("data.noun", "index.noun", "cntlist.rev")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A synset of nouns: one meaning, and the words for it.

    ``words`` keep WordNet's case, with spaces. ``counts`` say how often each was met in this meaning, in a corpus of
    200,000 words; ``senses`` which of the word's meanings this is, the commonest being 1. ``field`` is the two digits
    of the lexicographers' file ("05": animals). ``above`` are the ids of the next wider meanings.
    """

    id: str
    field: str
    words: tuple[str, ...]
    counts: tuple[int, ...]
    senses: tuple[int, ...]
    above: tuple[str, ...]


class WordNet:
    """All nouns: ``meanings`` by id, ``senses`` of a word (lower case, with spaces), commonest first."""

    def __init__(self, folder: Path) -> None:
        """Read the files in ``folder``; raises :class:`ConfigurationError` if they are not those of WordNet 3.0."""
        try:
            self.senses = dict(_senses(folder / "index.noun"))
            self.meanings = {
                meaning.id: meaning
                for meaning in _meanings(folder / "data.noun", _counts(folder / "cntlist.rev"), self.senses)
            }
        except (OSError, ValueError, LookupError) as error:
            raise ConfigurationError(f"{folder} holds no readable WordNet 3.0: {error!r}") from error
        self._data = folder / "data.noun"
        self._below: dict[str, list[str]] = {}
        for meaning in self.meanings.values():
            for wider in meaning.above:
                self._below.setdefault(wider, []).append(meaning.id)

    def definition(self, meaning: str) -> str:
        """What a dictionary says of ``meaning``, without examples."""
        with self._data.open("rb") as file:
            # An id is "n" and where its line begins.
            file.seek(int(meaning[1:]))
            return file.readline().decode("latin-1").partition(" | ")[2].partition('; "')[0].strip()

    def above(self, meaning: str) -> frozenset[str]:
        """Everything that ``meaning`` is a kind (or an instance) of, on all paths, without itself."""
        return _closure(meaning, lambda one: self.meanings[one].above)

    def below(self, meaning: str) -> frozenset[str]:
        """Everything that is a kind (or an instance) of ``meaning``, without itself."""
        return _closure(meaning, lambda one: self._below.get(one, ()))


def find_wordnet(folder: Path | None = None) -> Path:
    """The folder with WordNet's files: the one given, or the first of :data:`PLACES` that has them.

    Raises :class:`ConfigurationError` that says how to get them.
    """
    for place in (folder,) if folder else PLACES:
        if all((place / name).is_file() for name in _FILES):
            return place
    raise ConfigurationError(
        f"{folder or 'this machine'} has no {', '.join(_FILES)} of WordNet 3.0: install Debian's package "
        "wordnet-base, or name the folder that has them with --wordnet FOLDER"
    )


def _closure(start: str, step: Callable[[str], Iterable[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for one in step(waiting.pop()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return frozenset(found)


def _lines(path: Path) -> Iterator[list[str]]:
    """The fields of each line; the licence at the top is indented, and left out."""
    with path.open(encoding="latin-1") as file:
        for line in file:
            if not line.startswith("  "):
                yield line.partition(" | ")[0].split()


def _counts(path: Path) -> dict[str, int]:
    return {key: int(count) for key, _, count in _lines(path)}


def _senses(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    for fields in _lines(path):
        number = int(fields[2])
        yield fields[0].replace("_", " "), tuple(f"n{offset}" for offset in fields[-number:])


def _meanings(path: Path, counts: Mapping[str, int], senses: Mapping[str, tuple[str, ...]]) -> Iterator[Meaning]:
    for fields in _lines(path):
        name, field, number = f"n{fields[0]}", fields[1], int(fields[3], 16)
        pointers = 4 + 2 * number
        words, keys = fields[4:pointers:2], fields[5:pointers:2]
        relations = [fields[at : at + 3] for at in range(pointers + 1, pointers + 1 + 4 * int(fields[pointers]), 4)]
        yield Meaning(
            id=name,
            field=field,
            words=tuple(word.replace("_", " ") for word in words),
            counts=tuple(
                counts.get(f"{word.lower()}%1:{field}:{int(key, 16):02}::", 0)
                for word, key in zip(words, keys, strict=True)
            ),
            senses=tuple(1 + senses[word.lower().replace("_", " ")].index(name) for word in words),
            above=tuple(f"n{offset}" for kind, offset, part in relations if kind in ("@", "@i") and part == "n"),
        )
