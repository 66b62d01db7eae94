"""The nets, from raw pixels' normalised values to logits. Needed to build a model, never to run one.

What EfficientNet-Lite is made of stands in :func:`efficientnet_lite` once; a :class:`Net` turns it into a Keras model
(here) or straight into a .tflite file (:mod:`tagstream.classifier.tflite`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tagstream.errors import ModelError

__all__ = ["EPSILON", "KerasNet", "Net", "Weights", "efficientnet_lite", "inception_v3"]

# Kernel, stride, expansion, channels and repeats of the seven stages of EfficientNet-B0, scaled for the others.
# Source: tensorflow/tpu models/official/efficientnet/efficientnet_builder.py and lite/efficientnet_lite_builder.py
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
EPSILON = 1e-3
"""Of the batch normalisations."""

T = TypeVar("T")


class Weights:
    """Tensors by the names of the PyTorch package ``efficientnet_lite_pytorch``; each is to be taken once.

    Without any, each is random, and always the same: for measuring speed only.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]] | None) -> None:
        self._left = None if tensors is None else dict(tensors)
        self._chance = np.random.default_rng(0)

    def take(self, name: str, *shape: int) -> NDArray[np.float32]:
        """The tensor of this name; raises :class:`ModelError` if it is missing or of another shape."""
        if self._left is None:
            return self._random(name, shape)
        found = self._left.pop(name, None)
        if found is None or found.shape != shape:
            what = "is missing" if found is None else f"has the shape {found.shape} instead of {shape}"
            raise ModelError(f"the weights do not belong to this net: {name} {what}")
        return found.astype(np.float32)

    def norm(self, name: str, channels: int) -> tuple[NDArray[np.float32], ...]:
        """Scale, shift, mean and variance of a batch normalisation."""
        if self._left is not None:
            self._left.pop(f"{name}.num_batches_tracked", None)
        return tuple(self.take(f"{name}.{part}", channels) for part in _OF_NORM)

    def finish(self) -> None:
        """Raises :class:`ModelError` if any tensor has not been taken."""
        if self._left:
            left = f"{len(self._left)} are left over, {min(self._left)!r} for one"
            raise ModelError(f"the weights do not belong to this net: {left}")

    def _random(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        part = name.rpartition(".")[2]
        if len(shape) == 1:
            return np.full(shape, part in ("weight", "running_var"), np.float32)
        scale = math.sqrt(2 / math.prod(shape[1:]))
        return (scale * self._chance.standard_normal(shape)).astype(np.float32)


_OF_NORM = ("weight", "bias", "running_mean", "running_var")


class Net(Protocol[T]):
    """Something that a net can be built of; ``T`` stands for a layer's output.

    Padding is TensorFlow's "same". Kernels are in PyTorch's order: outputs, inputs, height, width.
    ``norm`` is what :meth:`Weights.norm` gives; ``activate`` adds ReLU6 behind it.
    """

    def pixels(self, size: int) -> T: ...
    def conv(self, tensor: T, kernel: NDArray[Any], norm: Norm, *, stride: int, activate: bool) -> T: ...
    def depthwise(self, tensor: T, kernel: NDArray[Any], norm: Norm, *, stride: int) -> T: ...
    def add(self, one: T, other: T) -> T: ...
    def pool(self, tensor: T) -> T: ...
    def dense(self, tensor: T, matrix: NDArray[Any], bias: NDArray[Any]) -> T: ...


Norm = tuple[NDArray[np.float32], ...]


def efficientnet_lite(net: Net[T], size: int, width: float, depth: float, weights: Weights) -> tuple[T, T]:
    """EfficientNet-Lite for pictures of ``size`` pixels, built of ``net``: what goes in, and the logits.

    Differences to EfficientNet: ReLU6, no squeeze-and-excite, stem and head not scaled by ``width``, first and
    last stage not repeated by ``depth``. Raises :class:`ModelError` if a weight is missing, left over, or of another
    shape.
    """

    def conv(tensor: T, name: str, norm: str, shape: tuple[int, int], *, kernel: int = 1, activate: bool = True) -> T:
        given, wanted = shape
        stride = 2 if kernel > 1 else 1
        values = weights.take(f"{name}.weight", wanted, given, kernel, kernel)
        return net.conv(tensor, values, weights.norm(norm, wanted), stride=stride, activate=activate)

    pixels = net.pixels(size)
    tensor = conv(pixels, "_conv_stem", "_bn0", (3, 32), kernel=3)
    channels, number = 32, 0
    for stage, (kernel, stride, expansion, wanted, repeats) in enumerate(_STAGES):
        outputs = _round_channels(wanted * width)
        if 0 < stage < len(_STAGES) - 1:
            repeats = math.ceil(repeats * depth)  # noqa: PLW2901
        for repeat in range(repeats):
            block, shortcut, inner = f"_blocks.{number}", tensor, channels * expansion
            if expansion != 1:
                tensor = conv(tensor, f"{block}._expand_conv", f"{block}._bn0", (channels, inner))
            step = stride if repeat == 0 else 1
            values = weights.take(f"{block}._depthwise_conv.weight", inner, 1, kernel, kernel)
            tensor = net.depthwise(tensor, values, weights.norm(f"{block}._bn1", inner), stride=step)
            tensor = conv(tensor, f"{block}._project_conv", f"{block}._bn2", (inner, outputs), activate=False)
            if step == 1 and channels == outputs:
                tensor = net.add(tensor, shortcut)
            channels, number = outputs, number + 1
    tensor = net.pool(conv(tensor, "_conv_head", "_bn1", (channels, 1280)))
    logits = net.dense(tensor, weights.take("_fc.weight", 1000, 1280), weights.take("_fc.bias", 1000))
    weights.finish()
    return pixels, logits


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths of what was asked for."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class KerasNet:
    """A :class:`Net` of Keras' layers; ``keras.Model(pixels, logits)`` is what it makes."""

    def __init__(self) -> None:
        import keras

        self._layers = keras.layers

    def pixels(self, size: int) -> Any:
        return self._layers.Input((size, size, 3), batch_size=1)

    def conv(self, tensor: Any, kernel: NDArray[Any], norm: Norm, *, stride: int, activate: bool) -> Any:
        outputs, _, size, _ = kernel.shape
        layer = self._layers.Conv2D(outputs, size, stride, padding="same", use_bias=False)
        return self._norm(_holding(layer, tensor, kernel.transpose(2, 3, 1, 0)), norm, activate=activate)

    def depthwise(self, tensor: Any, kernel: NDArray[Any], norm: Norm, *, stride: int) -> Any:
        layer = self._layers.DepthwiseConv2D(kernel.shape[2], stride, padding="same", use_bias=False)
        return self._norm(_holding(layer, tensor, kernel.transpose(2, 3, 0, 1)), norm, activate=True)

    def add(self, one: Any, other: Any) -> Any:
        return self._layers.Add()([one, other])

    def pool(self, tensor: Any) -> Any:
        return self._layers.GlobalAveragePooling2D()(tensor)

    def dense(self, tensor: Any, matrix: NDArray[Any], bias: NDArray[Any]) -> Any:
        return _holding(self._layers.Dense(len(matrix)), tensor, matrix.T, bias)

    def _norm(self, tensor: Any, norm: Norm, *, activate: bool) -> Any:
        tensor = _holding(self._layers.BatchNormalization(epsilon=EPSILON), tensor, *norm)
        return self._layers.ReLU(6.0)(tensor) if activate else tensor


def _holding(layer: Any, tensor: Any, *values: NDArray[Any]) -> Any:
    """The output of a layer that holds these values."""
    output = layer(tensor)
    layer.set_weights(values)
    return output


def inception_v3(size: int, weights: Path | None) -> Any:
    """Keras' Inception-V3; random weights if ``weights`` is None."""
    import keras

    inputs = keras.layers.Input((size, size, 3), batch_size=1)
    net = keras.applications.InceptionV3(weights=None, input_tensor=inputs, classifier_activation=None)
    if weights is not None:
        try:
            net.load_weights(weights)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{weights} holds no weights of Keras' Inception-V3: {reason}") from error
    return net
