"""Writes an EfficientNet-Lite with integers of 8 bits in the place of all its floats: no TensorFlow.

By the rules of LiteRT's specification (https://ai.google.dev/edge/litert/models/quantization_spec): weights are
symmetric with a scale for each channel that comes out, what flows between layers has a range of its own and may be
asymmetric, biases are of 32 bits. Pixels and logits stay floats: the net itself turns them into bytes and back. Pixels
were bytes before they were normalised, and become the very same bytes again.

The ranges are those of what a net's layers give for photos: :func:`ranges_of` measures them. For the published weights
they are kept in ``ranges.json``, so that a build is the same everywhere, whatever the last bit of a float is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tagstream.classifier.tflite import Tensor, TfliteNet
from tagstream.errors import ModelError

__all__ = ["RANGES", "Int8Net", "Ranges", "published_ranges", "ranges_of"]

Ranges: TypeAlias = Sequence[tuple[float, float]]
"""The least and the largest value of each layer's output, in the order in which a net is built."""

RANGES = Path(__file__).with_name("ranges.json")
_LEAST, _MOST = -128, 127


def published_ranges(name: str) -> Ranges:
    """Those of the published weights of a model, on the demo's photos (:mod:`tagstream.local.photos`)."""
    return [(least, most) for least, most in json.loads(RANGES.read_text())[name]]


def ranges_of(build: Callable[[TfliteNet], tuple[Tensor, Tensor]], samples: Iterable[NDArray[np.float32]]) -> Ranges:
    """The ranges that the net has on ``samples``, (1, size, size, 3) each; ``build`` builds it of what it is given."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    net = TfliteNet(fp16=False)
    content = net.content(*build(net))
    interpreter = Interpreter(
        model_content=content,
        # A delegate keeps what is between its layers to itself.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    ranges = [(0.0, 0.0)] * len(net.outputs)
    for sample in samples:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        for number, output in enumerate(net.outputs):
            values, (least, most) = interpreter.get_tensor(output), ranges[number]
            ranges[number] = min(least, float(values.min())), max(most, float(values.max()))
    # Four digits are far more than 8 bits can tell, and are the same on every processor.
    return [(float(f"{least:.4g}"), float(f"{most:.4g}")) for least, most in ranges]


class Int8Net(TfliteNet):
    """A :class:`tagstream.classifier.nets.Net` of integers; ``pixels`` is the range of the pixels that it takes."""

    # The first that take 8 bits.
    _versions: Mapping[str, int] = {
        "ADD": 2,
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "DEQUANTIZE": 2,
        "FULLY_CONNECTED": 4,
        "MEAN": 2,
    }

    def __init__(self, ranges: Ranges, *, pixels: tuple[float, float]) -> None:
        super().__init__(fp16=False)
        self._ranges = iter(ranges)
        self._of_pixels = pixels
        self._scales: dict[int, float] = {}
        self._floats: dict[int, Tensor] = {}

    def pixels(self, size: int) -> Tensor:
        floats = super()._output((1, size, size, 3))
        bytes_ = self._ranged(floats[1], self._of_pixels)
        self._operators.append(self._made("QUANTIZE", self._schema.QuantizeOptionsT(), (floats,), bytes_))
        self._floats[bytes_[0]] = floats
        return bytes_

    def content(self, pixels: Tensor, logits: Tensor) -> bytes:
        if next(self._ranges, None) is not None:
            raise ModelError("the ranges do not belong to this net: there are more of them than layers")
        floats = super()._output(logits[1])
        self._operators.append(self._made("DEQUANTIZE", self._schema.DequantizeOptionsT(), (logits,), floats))
        return super().content(self._floats[pixels[0]], floats)

    def _output(self, shape: tuple[int, ...]) -> Tensor:
        values = next(self._ranges, None)
        if values is None:
            raise ModelError("the ranges do not belong to this net: there are fewer of them than layers")
        return self._ranged(shape, values)

    def _layer(
        self, tensor: Tensor, weights: NDArray[np.float32], bias: NDArray[np.float32], *, axis: int
    ) -> tuple[Tensor, Tensor]:
        others = tuple(other for other in range(weights.ndim) if other != axis)
        most = np.abs(weights).max(others).astype(np.float64)
        # A channel of zeros has any scale.
        scales = np.where(most > 0, most, 1.0) / _MOST
        values = np.rint(weights / np.expand_dims(scales, others)).astype(np.int8)
        # What a layer sums up before it is brought to its output's range.
        sums = self._scales[tensor[0]] * scales
        most_bias = np.iinfo(np.int32).max
        biases = np.clip(np.rint(bias / sums), -most_bias, most_bias).astype(np.int32)
        made = self._value(values), self._value(biases)
        for one, one_scales, one_axis in zip(made, (scales, sums), (axis, 0), strict=True):
            self._quantize(one, one_scales, np.zeros(len(scales), np.int64), one_axis)
        return made

    def _ranged(self, shape: tuple[int, ...], values: tuple[float, float]) -> Tensor:
        """A tensor of bytes that stand for ``values``; zero, which is what padding adds, is exactly one of them."""
        least, most = min(values[0], 0.0), max(values[1], 0.0)
        scale = (most - least) / (_MOST - _LEAST) or 1.0
        made = self._tensor(shape, np.dtype(np.int8), 0)
        self._quantize(made, [scale], [round(_LEAST - least / scale)])
        self._scales[made[0]] = scale
        return made

    def _quantize(self, tensor: Tensor, scales: Any, zeros: Any, axis: int = 0) -> None:
        quantization = self._schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = np.float32(scales), np.int64(zeros)
        quantization.quantizedDimension = axis
        self._tensors[tensor[0]].quantization = quantization


def _measure(folder: Path) -> None:
    """Write ``ranges.json`` anew, from all photos in ``folder``."""
    from tagstream.classifier.build import measured_ranges
    from tagstream.classifier.models import MODELS

    photos = sorted(path for path in folder.iterdir() if path.is_file())
    made = {name: measured_ranges(name, photos) for name, spec in MODELS.items() if spec.package}
    lines = (f'  "{name}": {json.dumps(ranges)}' for name, ranges in made.items())
    RANGES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
