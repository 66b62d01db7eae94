"""Runs a model on photos: LiteRT, no TensorFlow."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tagstream.classifier.confined import PATIENCE
from tagstream.classifier.decode import DEFAULT_LIMITS, Decoded, Limits, decode
from tagstream.classifier.models import default_model, find_model, load_classes, load_info
from tagstream.errors import ImageRejected, ModelError, needs
from tagstream.tags import Tag
from tagstream.vocabulary import load_tree

__all__ = [
    "MIN_ANCESTOR_SCORE",
    "Classifier",
    "Recognition",
    "best_tags",
    "granted_cores",
    "run_image_recognition",
]


MIN_ANCESTOR_SCORE = 0.01
"""Ancestors below it are left out, unless a setting says otherwise; docs/vocabulary.md has what was measured."""


_READ_AT_ONCE = 1 << 20


def granted_cores() -> int:
    """How many cores this process may use; more threads than that only slow it down."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a photo shows: tag to score over all classes, summing to one; and its size as people see it.

    ``ancestors`` are sums of the same scores, before anything is cut: what is a dog, whatever its breed.
    ``vocabulary`` is the version of the tree that they come from; a model without WordNet ids has neither.
    ``photo`` is what was looked at, for :func:`tagstream.analysis.analyse`.
    """

    scores: Mapping[str, float]
    width: int
    height: int
    photo: Decoded | None = None
    ancestors: Mapping[str, float] = field(default_factory=dict)
    vocabulary: str | None = None


class Classifier:
    """A model, loaded. May be used from many threads: photos are decoded side by side, and run one by one.

    One interpreter with a thread per core is as fast as one interpreter per thread, in a fraction of the memory.
    """

    def __init__(
        self, folder: Path, *, threads: int | None = None, limits: Limits = DEFAULT_LIMITS, verify: bool = True
    ) -> None:
        """Load the model in ``folder``; raises :class:`ModelError` if it is missing or, with ``verify``, damaged."""
        with needs("classify"):
            from ai_edge_litert.interpreter import Interpreter

        self.info = load_info(folder, verify=verify)
        self.labels, self.wordnet_ids = load_classes(folder)
        self.limits = limits
        try:
            self._interpreter = Interpreter(str(folder / "model.tflite"), num_threads=threads or granted_cores())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"LiteRT cannot run {folder / 'model.tflite'}: {error}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        size, classes = self.info.input_size, int(np.prod(outputs[0]["shape"]))
        if tuple(inputs[0]["shape"]) != (1, size, size, 3) or inputs[0]["dtype"] is not np.float32:
            raise ModelError(f"{folder} takes no {size} x {size} RGB floats, as its model.json says")
        if len(self.labels) != classes or len(set(self.labels)) != classes:
            raise ModelError(f"{folder / 'labels.txt'} does not name each of the {classes} classes once")
        self._roll_up = load_tree().roll_up(self.wordnet_ids) if self.wordnet_ids else None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def vocabulary(self) -> str | None:
        """The version of the tree that its tags' ancestors come from; None for a model without WordNet ids."""
        return load_tree().version if self._roll_up else None

    def decode(
        self, photo: bytes | Path, *, fast: bool = True, confined: bool = False, patience: float | None = None
    ) -> Decoded:
        """The photo as this model wants it; see :func:`tagstream.classifier.decode.decode`."""
        info = self.info
        return decode(
            photo,
            size=info.input_size,
            crop=info.crop,
            interpolation=info.interpolation,
            limits=self.limits,
            fast=fast,
            confined=confined,
            patience=PATIENCE if patience is None else patience,
        )

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The probabilities of all classes, in the order of ``labels``; ``pixels`` is (size, size, 3) RGB."""
        values = normalise(pixels, self.info.mean, self.info.std)
        with self._lock:
            self._interpreter.set_tensor(self._input, values)
            self._interpreter.invoke()
            result = self._interpreter.get_tensor(self._output)
        scores: NDArray[np.float64] = result.reshape(-1).astype(np.float64)
        if self.info.output == "logits":
            scores = np.exp((scores - scores.max()) / self.info.temperature)
        elif self.info.temperature != 1.0:
            scores = scores ** (1 / self.info.temperature)
        scores /= scores.sum()
        return scores

    def recognise(
        self,
        photo: bytes | Path,
        *,
        confined: bool = False,
        patience: float | None = None,
        when_decoded: Callable[[Decoded], object] | None = None,
    ) -> Recognition:
        """Decode and classify a photo; raises :class:`ImageRejected` if that can never succeed.

        ``confined`` and ``patience`` (seconds) are those of :func:`tagstream.classifier.decode.decode`.
        ``when_decoded`` is called in between: for what others may do with the pixels while the net runs.
        """
        decoded = self.decode(photo, confined=confined, patience=patience)
        if when_decoded is not None:
            when_decoded(decoded)
        return self.recognise_decoded(decoded)

    def recognise_decoded(self, photo: Decoded) -> Recognition:
        scores = self.scores(photo.pixels)
        roll_up = self._roll_up
        return Recognition(
            dict(zip(self.labels, scores.tolist(), strict=True)),
            photo.width,
            photo.height,
            photo,
            dict(zip(roll_up.names, roll_up(scores).tolist(), strict=True)) if roll_up else {},
            self.vocabulary,
        )


def normalise(pixels: NDArray[np.uint8], mean: float, std: float) -> NDArray[np.float32]:
    """Bytes to the values that the net was trained on, as a batch of one."""
    values = pixels.astype(np.float32)
    values -= mean
    values /= std
    return values[np.newaxis]


def best_tags(
    scores: Mapping[str, float],
    *,
    min_score: float,
    max_tags: int,
    ancestors: Mapping[str, float] | None = None,
    min_ancestor_score: float = MIN_ANCESTOR_SCORE,
) -> tuple[Tag, ...]:
    """The most probable classes, ``max_tags`` at most, then all ``ancestors`` that reach their own floor; best first.

    Of a class and an ancestor with the same name the ancestor stays: its score is the larger.

    >>> scores = {"siamese cat": 0.5, "tabby": 0.3, "beagle": 0.1}
    >>> tags = best_tags(scores, min_score=0.2, max_tags=5, ancestors={"cat": 0.8, "dog": 0.1}, min_ancestor_score=0.2)
    >>> [(tag.tag, tag.score, tag.kind) for tag in tags]
    [('siamese cat', 0.5, 'leaf'), ('tabby', 0.3, 'leaf'), ('cat', 0.8, 'ancestor')]
    """
    wider = [Tag(tag, score, "ancestor") for tag, score in (ancestors or {}).items() if score >= min_ancestor_score]
    names = {tag.tag for tag in wider}
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:max_tags]
    classes = [Tag(tag, score) for tag, score in ranked if score >= min_score and tag not in names]
    # That it is an animal says least, and has the highest score: the first tag remains the best class.
    return (*classes, *sorted(wider, key=lambda tag: (-tag.score, tag.tag)))


@functools.lru_cache(maxsize=1)
def _classifier(model: str | None) -> Classifier:
    return Classifier(find_model(default_model() if model is None else model))


def run_image_recognition(
    photo: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO, *, model: str | None = None
) -> dict[str, float]:
    """What a photo shows: tag to score, over all classes; the scores sum to one.

    ``photo`` is its path, its bytes, or a file that is open for reading bytes, which is read to its end from where it
    stands and left open. ``model`` is a name or a model's folder, or else this machine's default
    (:func:`tagstream.classifier.models.default_model`); it is loaded on the first call. Raises :class:`ImageRejected`
    if that is no photo, :class:`ModelError` if there is no such model, OSError if the file cannot be read, TypeError
    for anything else, also a file that was opened as text.
    """
    classifier = _classifier(model)
    return dict(classifier.recognise(_content(photo, classifier.limits)).scores)


def _content(photo: object, limits: Limits) -> bytes | Path:
    if isinstance(photo, str | os.PathLike):
        return Path(photo)
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, bytearray | memoryview):
        return bytes(photo)
    read = getattr(photo, "read", None)
    if read is None:
        raise TypeError(f"a photo is a path, bytes or an open file, and no {type(photo).__name__}")
    parts: list[bytes] = []
    # Some files, such as those of sockets, give less than they are asked for.
    while (left := limits.max_bytes + 1 - sum(map(len, parts))) > 0 and (part := read(min(left, _READ_AT_ONCE))):
        if not isinstance(part, bytes):
            raise TypeError('the file of a photo has to be opened for bytes: open(path, "rb")')
        parts.append(part)
    if left <= 0:
        raise ImageRejected(f"the file is too large: more than the {limits.max_bytes:,} bytes that are allowed")
    return b"".join(parts)
