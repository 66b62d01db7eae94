"""A vocabulary small enough to read, with one of everything that words can mean."""

from __future__ import annotations

from collections.abc import Sequence

from tagstream.vocabulary.words import Meaning

__all__ = ["FewWords"]

_MEANINGS: dict[str, tuple[Meaning, ...]] = {
    "dog": (Meaning("dog", "name", "dog"),),
    "hot dog": (Meaning("hot dog", "name", "hot dog"),),
    "retriever": (Meaning("retriever", "name", "retriever"),),
    "retrievers": (Meaning("retriever", "name", "retriever"),),
    "golden retriever": (Meaning("golden retriever", "name", "golden retriever"),),
    "puppy": (Meaning("dog", "below", "puppy"),),
    "dgo": (Meaning("dog", "spelling", "dog", 0.8),),
    "cat": (Meaning("cat", "name", "cat"),),
    "automobile": (Meaning("car", "alias", "automobile"),),
    "car": (
        Meaning("car", "name", "car"),
        Meaning("railroad car", "head", "car"),
        Meaning("car wheel", "modifier", "car"),
    ),
    "mountain": (Meaning("mountain", "name", "mountain"), Meaning("mountain bike", "modifier", "mountain")),
    "beach": (Meaning("seashore", "alias", "beach"),),
    "ocean": (Meaning("seashore", "related", "seashore", 0.71),),
    "wall": (Meaning("wall", "name", "wall"),),
    "fence": (Meaning("fence", "name", "fence"), Meaning("wall", "related", "wall", 0.6)),
}


class FewWords:
    """Stands in for :class:`tagstream.vocabulary.words.Words`."""

    tags = (
        "dog", "hot dog", "bernese mountain dog", "cat", "car", "railroad car", "car wheel", "mountain",
        "mountain bike", "seashore", "fence", "wall", "water tower", "retriever", "golden retriever",
    )  # fmt: skip

    def meanings(self, phrase: str, *, related: bool = True) -> tuple[Meaning, ...]:
        found = _MEANINGS.get(phrase.lower(), ())
        return tuple(meaning for meaning in found if related or meaning.how != "related")

    def parents(self, tag: str) -> tuple[str, ...]:
        return {"bernese mountain dog": ("dog",), "golden retriever": ("retriever", "dog")}.get(tag, ())

    def segment(self, words: Sequence[str]) -> tuple[str, ...]:
        text = " ".join(word for word in words if word not in ("a", "on", "the"))
        for phrase in ("hot dog", "golden retriever"):
            text = text.replace(phrase, phrase.replace(" ", "\N{NO-BREAK SPACE}"))
        return tuple(word.replace("\N{NO-BREAK SPACE}", " ") for word in text.split(" ") if word)

    def near(self, word: str, limit: int = 5) -> tuple[str, ...]:
        return ("dog",)[:limit] if word in ("dogg", "doge") else ()

    def says_nothing(self, phrase: str) -> bool:
        return phrase in ("big", "two", "cute", "happy")

    def knows(self, phrase: str) -> bool:
        return phrase in _MEANINGS or phrase == "sunset" or self.says_nothing(phrase)

    def relatives(self, tag: str) -> tuple[str, ...]:
        return {"wall": ("fence", "seashore")}.get(tag, ())

    def is_offensive(self, word: str) -> bool:
        return word == "glacial"
