"""Calibration: making a model's scores mean what they say, by one number, its temperature.

A net is calibrated when of the photos that it gives a score of 0.8, four in five are right. Nets seldom are, on photos
that they were not trained on. Dividing the logits by a temperature before the softmax mends most of that, and never
changes which tag comes first: above 1 the scores become more modest, below 1 bolder.

Source: Guo et al., On Calibration of Modern Neural Networks, 2017.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagstream.errors import ConfigurationError, needs

__all__ = [
    "COLDEST",
    "FEWEST_PHOTOS",
    "HOTTEST",
    "MOST_PHOTOS",
    "Bin",
    "Calibration",
    "Measures",
    "at_temperature",
    "calibrate",
    "class_numbers",
    "draw",
    "fit_temperature",
    "labelled_photos",
    "measures",
    "reliability",
]

FEWEST_PHOTOS = 50
"""With fewer, each fold has so few photos that the measures say nothing."""

MOST_PHOTOS = 20_000
"""More would tell nothing new, and take memory: 80 MB for this many, and some times that while they are fitted."""

COLDEST, HOTTEST = 0.05, 20.0
"""The temperatures looked for. A best one at either end says that the labels have nothing to do with the photos."""

_FOLDS = 5
_BINS = 10
_SMALLEST = 1e-12

Scores = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measures:
    """How good scores are. Smaller is better, but for ``accuracy``, which no temperature changes.

    ``nll`` is the mean negative log-likelihood of the right class, in nats; ``ece`` the expected calibration error:
    how far the best score is from the share that is right, over ten bins, weighted by their photos.
    """

    accuracy: float
    nll: float
    ece: float


@dataclass(frozen=True, slots=True)
class Bin:
    """The photos whose best score lies from ``low`` (inclusive) to ``high``: how many, mean score, share right."""

    low: float
    high: float
    photos: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted, and what it does to photos that it was not fitted on (``after``, ``bins_after``)."""

    temperature: float
    photos: int
    classes: int
    folds: tuple[float, ...]
    before: Measures
    after: Measures
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]

    @property
    def helps(self) -> bool:
        """Whether photos that the temperature was not fitted on are told better with it."""
        return self.after.nll < self.before.nll

    def record(self) -> dict[str, Any]:
        """What ``model.json`` keeps beside the temperature: what was measured, on how much."""
        return {
            "photos": self.photos,
            "classes": self.classes,
            "before": {name: round(value, 4) for name, value in asdict(self.before).items()},
            "after": {name: round(value, 4) for name, value in asdict(self.after).items()},
        }


def at_temperature(scores: Scores, temperature: float) -> Scores:
    """Probabilities as they would be at ``temperature``; the classes are in the last axis, and sum to one again.

    >>> at_temperature(np.array([0.8, 0.2]), 2.0).round(3).tolist()
    [0.667, 0.333]
    """
    logits = np.log(np.maximum(scores, _SMALLEST)) / temperature
    logits -= logits.max(axis=-1, keepdims=True)
    warmed = np.exp(logits)
    warmed /= warmed.sum(axis=-1, keepdims=True)
    result: Scores = warmed
    return result


def fit_temperature(scores: Scores, right: Classes) -> float:
    """The temperature at which the right classes are most likely, from :data:`COLDEST` to :data:`HOTTEST`.

    ``scores`` is (photos, classes), ``right`` the right class of each photo. The likelihood has one maximum in
    1 ÷ temperature, so that halving the interval by the sign of the slope finds it.
    """
    logits = np.log(np.maximum(scores, _SMALLEST))
    of_right = logits[np.arange(len(right)), right]

    def slope(inverse: float) -> float:
        expected = (at_temperature(scores, 1 / inverse) * logits).sum(axis=1)
        return float((expected - of_right).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 2 / (low + high)


def measures(scores: Scores, right: Classes) -> Measures:
    likely = scores[np.arange(len(right)), right]
    bins = reliability(scores, right)
    return Measures(
        accuracy=float((scores.argmax(axis=1) == right).mean()),
        nll=float(-np.log(np.maximum(likely, _SMALLEST)).mean()),
        ece=sum(one.photos * abs(one.score - one.right) for one in bins) / len(right),
    )


def reliability(scores: Scores, right: Classes) -> tuple[Bin, ...]:
    """Ten bins by the best score; those without photos are left out."""
    best, correct = scores.max(axis=1), scores.argmax(axis=1) == right
    place = np.minimum((best * _BINS).astype(int), _BINS - 1)
    return tuple(
        Bin(
            number / _BINS,
            (number + 1) / _BINS,
            int(inside.sum()),
            float(best[inside].mean()),
            float(correct[inside].mean()),
        )
        for number in range(_BINS)
        if (inside := place == number).any()
    )


def calibrate(scores: Scores, right: Classes) -> Calibration:
    """Fit the temperature of ``scores`` (photos, classes), and measure it on photos that it was not fitted on.

    Five times, a fifth of the photos is held out and the temperature fitted on the others; ``after`` is measured on
    all held-out fifths together. The temperature that is given is fitted on all photos. Raises
    :class:`ConfigurationError` for fewer than :data:`FEWEST_PHOTOS`.
    """
    if len(right) < FEWEST_PHOTOS:
        raise ConfigurationError(
            f"{len(right)} labelled photos are too few to calibrate with: give {FEWEST_PHOTOS} or more, better hundreds"
        )
    # The same photos make the same folds, and neighbours in a folder (a burst of one scene) come apart.
    order = np.random.default_rng(0).permutation(len(right))
    held_out = np.empty_like(scores)
    folds: list[float] = []
    for fold in np.array_split(order, _FOLDS):
        others = np.setdiff1d(order, fold)
        folds.append(fit_temperature(scores[others], right[others]))
        held_out[fold] = at_temperature(scores[fold], folds[-1])
    return Calibration(
        temperature=fit_temperature(scores, right),
        photos=len(right),
        classes=len(np.unique(right)),
        folds=tuple(folds),
        before=measures(scores, right),
        after=measures(held_out, right),
        bins_before=reliability(scores, right),
        bins_after=reliability(held_out, right),
    )


def labelled_photos(place: Path) -> Iterator[tuple[Path, str]]:
    """Photos with their labels, from a folder or a CSV file, in a fixed order.

    A folder holds a folder for each label (hidden ones are passed over); a CSV file has a heading with the columns
    ``path`` (relative to the file) and ``label``. Raises :class:`ConfigurationError` if it is neither.
    """
    if place.is_dir():
        folders = sorted(entry for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if not folders:
            raise ConfigurationError(f"{place} holds no folders: put the photos into one for each label")
        for folder in folders:
            for parent, below, names in os.walk(folder):
                below[:] = sorted(name for name in below if not name.startswith("."))
                yield from ((Path(parent, name), folder.name) for name in sorted(names) if not name.startswith("."))
        return
    try:
        with place.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"path", "label"} <= set(rows.fieldnames or ()):
                raise ConfigurationError(f"{place} needs a first line that names the columns path and label")
            for row in rows:
                if row["path"] and row["label"]:
                    yield place.parent / row["path"], row["label"].strip()
                else:
                    raise ConfigurationError(f"{place}, line {rows.line_num}: a path and a label are needed")
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{place} cannot be read as CSV: {error}") from error


def class_numbers(labels: Sequence[str], wordnet_ids: Sequence[str] = ()) -> Mapping[str, int]:
    """What a photo may be labelled with, to the number of the class: its tag, whatever the case, or its WordNet id."""
    numbers = {label.casefold(): number for number, label in enumerate(labels)}
    return numbers | {name: number for number, name in enumerate(wordnet_ids) if name}


def draw(result: Calibration, model: str, path: Path) -> None:
    """Draw the reliability diagram into ``path``: the share that is right over the score, before and after."""
    with needs("models"):
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 4.6), sharey=True, layout="constrained")
    panels = (
        ("As it was", result.bins_before, result.before),
        (f"At temperature {result.temperature:.2f}, held-out photos", result.bins_after, result.after),
    )
    for axis, (title, bins, measured) in zip(axes, panels, strict=True):
        axis.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle=":", label="calibrated")
        axis.bar(
            [one.low for one in bins],
            [one.right for one in bins],
            width=1 / _BINS,
            align="edge",
            color="#2a9d5c",
            edgecolor="white",
            label="share right",
        )
        axis.plot([one.score for one in bins], [one.right for one in bins], "o", color="#1d3557", label="mean score")
        for one in bins:
            axis.text(one.low + 0.5 / _BINS, 0.015, str(one.photos), ha="center", fontsize=7, color="#333333")
        axis.set_title(f"{title}\nNLL {measured.nll:.3f} · ECE {measured.ece:.3f}", fontsize=10, loc="left")
        axis.set_xlabel("best score (below: photos in the bin)")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
    axes[0].set_ylabel("share of photos that are right")
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle(f"{model}: {result.photos} photos of {result.classes} classes", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
