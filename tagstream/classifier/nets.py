"""The nets as Keras models, from raw pixels' normalised values to logits. Needed to build a model, never to run one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagstream.errors import ModelError

__all__ = ["efficientnet_lite", "inception_v3"]

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
_EPSILON = 1e-3


def efficientnet_lite(size: int, width: float, depth: float, weights: Mapping[str, NDArray[Any]] | None) -> Any:
    """EfficientNet-Lite for pictures of ``size`` pixels; random weights if ``weights`` is None.

    Differences to EfficientNet: ReLU6, no squeeze-and-excite, stem and head not scaled by ``width``, first and
    last stage not repeated by ``depth``. ``weights`` has the names of the PyTorch package
    ``efficientnet_lite_pytorch``. Raises :class:`ModelError` if one is missing, left over, or of another shape.
    """
    import keras

    layers = keras.layers
    left = dict(weights or {})
    loads: list[tuple[Any, list[NDArray[Any]]]] = []

    def take(layer: Any, tensor: Any, *values: tuple[str, tuple[int, ...]]) -> Any:
        """Apply a layer and note what it is to hold: names of tensors, and the order of their axes in Keras."""
        result = layer(tensor)
        if weights is not None:
            try:
                loads.append((layer, [np.transpose(left.pop(name), axes) for name, axes in values]))
            except (KeyError, ValueError) as error:
                raise ModelError(f"the weights do not belong to this net: {error}") from error
        return result

    def conv(tensor: Any, name: str, channels: int, kernel: int, stride: int) -> Any:
        layer = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False)
        return take(layer, tensor, (f"{name}.weight", (2, 3, 1, 0)))

    def depthwise(tensor: Any, name: str, kernel: int, stride: int) -> Any:
        layer = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False)
        return take(layer, tensor, (f"{name}.weight", (2, 3, 0, 1)))

    def norm(tensor: Any, name: str, *, activate: bool = True) -> Any:
        parts = ("weight", "bias", "running_mean", "running_var")
        left.pop(f"{name}.num_batches_tracked", None)
        layer = layers.BatchNormalization(epsilon=_EPSILON)
        tensor = take(layer, tensor, *((f"{name}.{part}", (0,)) for part in parts))
        return layers.ReLU(6.0)(tensor) if activate else tensor

    pixels = layers.Input((size, size, 3), batch_size=1)
    tensor = norm(conv(pixels, "_conv_stem", 32, 3, 2), "_bn0")
    channels, number = 32, 0
    for stage, (kernel, stride, expansion, wanted, repeats) in enumerate(_STAGES):
        outputs = _round_channels(wanted * width)
        if 0 < stage < len(_STAGES) - 1:
            repeats = math.ceil(repeats * depth)  # noqa: PLW2901
        for repeat in range(repeats):
            block, shortcut = f"_blocks.{number}", tensor
            if expansion != 1:
                tensor = norm(conv(tensor, f"{block}._expand_conv", channels * expansion, 1, 1), f"{block}._bn0")
            step = stride if repeat == 0 else 1
            tensor = norm(depthwise(tensor, f"{block}._depthwise_conv", kernel, step), f"{block}._bn1")
            tensor = norm(conv(tensor, f"{block}._project_conv", outputs, 1, 1), f"{block}._bn2", activate=False)
            if step == 1 and channels == outputs:
                tensor = layers.Add()([tensor, shortcut])
            channels, number = outputs, number + 1
    tensor = norm(conv(tensor, "_conv_head", 1280, 1, 1), "_bn1")
    tensor = layers.GlobalAveragePooling2D()(tensor)
    logits = take(layers.Dense(1000), tensor, ("_fc.weight", (1, 0)), ("_fc.bias", (0,)))
    if left:
        raise ModelError(f"the weights do not belong to this net: {len(left)} are left over, {min(left)!r} for one")
    for layer, values in loads:
        try:
            layer.set_weights(values)
        except ValueError as error:
            raise ModelError(f"the weights do not belong to this net: {error}") from error
    return keras.Model(pixels, logits)


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths of what was asked for."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


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
