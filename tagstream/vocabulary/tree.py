"""The tree of tags: the 1,000 classes that models tell apart (leaves), and the useful ones of their ancestors.

It comes from ``tree.json`` beside this module, which ``make vocabulary`` makes from WordNet 3.0 (docs/vocabulary.md).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Concept", "RollUp", "Tree", "load_tree", "parse_tree"]


@dataclass(frozen=True, slots=True)
class Concept:
    """One tag: a leaf is a class of ImageNet, an ancestor stands for all classes below it.

    ``name`` is what documents store, in lower case and unique among all tags. ``parents`` are the names of all its
    ancestors that are tags, nearest first. ``aliases`` are WordNet's other words for it; ``broader`` are words for
    something wider that no other class here is: all that the classes know of horses is "sorrel horse".
    """

    name: str
    kind: Literal["leaf", "ancestor"]
    wordnet_id: str
    parents: tuple[str, ...]
    aliases: tuple[str, ...]
    broader: tuple[str, ...]


class RollUp:
    """Sums of a model's probabilities for each ancestor of its classes; made once a model, by :meth:`Tree.roll_up`."""

    def __init__(self, names: tuple[str, ...], columns: Sequence[Sequence[int]]) -> None:
        import numpy as np

        self.names = names
        self._add = np.add
        self._columns = np.array([column for below in columns for column in below], dtype=np.intp)
        self._starts = np.cumsum([0, *(len(below) for below in columns[:-1])]) if columns else None

    def __call__(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """The ancestors' scores, in the order of ``names``, from the full vector (or rows of them) of all classes."""
        if self._starts is None:
            return scores[..., :0]
        sums: NDArray[np.float64] = self._add.reduceat(scores[..., self._columns], self._starts, axis=-1)
        # Sums of a thousand floats may pass 1 by a rounding error.
        return sums.clip(0, 1)


@dataclass(frozen=True)
class Tree:
    """All tags. ``version`` changes with any of them, and is kept in each document beside the model.

    ``concepts`` are by name, ``by_wordnet_id`` the same; ``leaves`` are in the order of ImageNet's classes.
    """

    version: str
    concepts: Mapping[str, Concept]
    by_wordnet_id: Mapping[str, Concept]
    leaves: tuple[Concept, ...]

    @functools.cached_property
    def ancestors(self) -> tuple[Concept, ...]:
        """Those with the most classes below them first."""
        return tuple(concept for concept in self.concepts.values() if concept.kind == "ancestor")

    def roll_up(self, wordnet_ids: Sequence[str]) -> RollUp:
        """The roll-up for a model whose outputs are these; ids that the tree doesn't know belong to no ancestor.

        >>> import numpy as np
        >>> roll_up = load_tree().roll_up(["n02110341", "n02123045"])  # dalmatian, tabby
        >>> scores = dict(zip(roll_up.names, roll_up(np.array([0.5, 0.25])).tolist()))
        >>> scores["animal"], scores["dog"], scores["cat"], "vehicle" in scores
        (0.75, 0.5, 0.25, False)
        """
        below: dict[str, list[int]] = {}
        for column, wordnet_id in enumerate(wordnet_ids):
            concept = self.by_wordnet_id.get(wordnet_id)
            if concept is None:
                continue
            # A model may have a class for what is an ancestor here.
            for name in (*([concept.name] if concept.kind == "ancestor" else []), *concept.parents):
                below.setdefault(name, []).append(column)
        names = tuple(concept.name for concept in self.ancestors if concept.name in below)
        return RollUp(names, [below[name] for name in names])


def parse_tree(text: str) -> Tree:
    """Read what ``tagstream.vocabulary.build`` wrote.

    A row is name, WordNet id, numbers of the parents among the ancestors, aliases, broader words.
    """
    content: dict[str, Any] = json.loads(text)
    names = [row[0] for row in content["ancestors"]]
    concepts: dict[str, Concept] = {}
    for kind in ("ancestor", "leaf"):
        for name, wordnet_id, parents, aliases, broader in content["leaves" if kind == "leaf" else "ancestors"]:
            above = tuple([names[number] for number in parents])
            concepts[name] = Concept(name, kind, wordnet_id, above, tuple(aliases), tuple(broader))
    return Tree(
        content["version"],
        concepts,
        {concept.wordnet_id: concept for concept in concepts.values()},
        tuple([concept for concept in concepts.values() if concept.kind == "leaf"]),
    )


@functools.cache
def load_tree() -> Tree:
    """The tree that comes with Tagstream; read on the first call."""
    return parse_tree(Path(__file__).with_name("tree.json").read_text(encoding="utf-8"))
