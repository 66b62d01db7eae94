"""Writes a net as a .tflite file, with the schema that LiteRT brings along: no TensorFlow.

The file says what TensorFlow's converter would: batch normalisations are folded into the weights before them, ReLU6 is
part of its layer, and weights of 16 bits are widened when the model is loaded (an operator DEQUANTIZE each, which
LiteRT's kernels run once). Source: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagstream.classifier.nets import EPSILON, Norm

__all__ = ["TfliteNet"]

_IDENTIFIER = b"TFL3"
_ALIGNED = 16
"""Bytes; the schema asks for it, and the kernels are faster for it."""

Tensor = tuple[int, tuple[int, ...]]
"""A tensor's number, and its shape."""


class TfliteNet:
    """A :class:`tagstream.classifier.nets.Net` that is written down as it is built; ``fp16`` halves the weights."""

    # Widening from 16 bits came with the third version of its operator; of the others the first will do.
    _versions: Mapping[str, int] = {"DEQUANTIZE": 3}

    def __init__(self, *, fp16: bool) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._fp16 = fp16
        self._tensors: list[Any] = []
        # The first buffer is empty: it is that of every tensor which has no value before the net runs.
        self._buffers: list[bytes] = [b""]
        self._codes: list[str] = []
        self._widening: list[Any] = []
        self._operators: list[Any] = []

    def pixels(self, size: int) -> Tensor:
        return self._output((1, size, size, 3))

    def conv(self, tensor: Tensor, kernel: NDArray[Any], norm: Norm, *, stride: int, activate: bool) -> Tensor:
        options = self._schema.Conv2DOptionsT()
        weights = kernel.transpose(0, 2, 3, 1)
        return self._convolve("CONV_2D", options, tensor, weights, norm, stride=stride, activate=activate)

    def depthwise(self, tensor: Tensor, kernel: NDArray[Any], norm: Norm, *, stride: int) -> Tensor:
        options = self._schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        weights = kernel.transpose(1, 2, 3, 0)
        return self._convolve("DEPTHWISE_CONV_2D", options, tensor, weights, norm, stride=stride, activate=True)

    def add(self, one: Tensor, other: Tensor) -> Tensor:
        return self._operator("ADD", self._schema.AddOptionsT(), (one, other), one[1])

    def pool(self, tensor: Tensor) -> Tensor:
        over = self._value(np.array([1, 2], np.int32))
        return self._operator("MEAN", self._schema.ReducerOptionsT(), (tensor, over), (1, tensor[1][-1]))

    def dense(self, tensor: Tensor, matrix: NDArray[Any], bias: NDArray[Any]) -> Tensor:
        inputs = (tensor, *self._layer(tensor, matrix, bias, axis=0))
        return self._operator("FULLY_CONNECTED", self._schema.FullyConnectedOptionsT(), inputs, (1, len(matrix)))

    @property
    def outputs(self) -> list[int]:
        """The numbers of the tensors that come out of its layers, in the order in which they were built."""
        return [operator.outputs[0] for operator in self._operators]

    def content(self, pixels: Tensor, logits: Tensor) -> bytes:
        """The file, of the net from ``pixels`` to ``logits``."""
        schema = self._schema
        graph = schema.SubGraphT()
        graph.name = "main"
        graph.tensors, graph.operators = self._tensors, [*self._widening, *self._operators]
        graph.inputs, graph.outputs = [pixels[0]], [logits[0]]
        model = schema.ModelT()
        model.version, model.description = 3, "Tagstream"
        model.operatorCodes = [self._code(name) for name in self._codes]
        model.subgraphs = [graph]
        model.buffers = [_Buffer(schema, content) for content in self._buffers]
        return _packed(model)

    def _convolve(
        self, name: str, options: Any, tensor: Tensor, kernel: NDArray[Any], norm: Norm, *, stride: int, activate: bool
    ) -> Tensor:
        scale, shift, mean, variance = norm
        factor = scale / np.sqrt(variance + np.float32(EPSILON))
        # Channels that come out: the last axis of a depthwise kernel, the first of any other.
        axis = 3 if name.startswith("DEPTHWISE") else 0
        weights = kernel * np.expand_dims(factor, [other for other in range(4) if other != axis])
        inputs = (tensor, *self._layer(tensor, weights, shift - mean * factor, axis=axis))
        options.padding = self._schema.Padding.SAME
        options.strideW = options.strideH = stride
        relu6 = self._schema.ActivationFunctionType.RELU6
        options.fusedActivationFunction = relu6 if activate else self._schema.ActivationFunctionType.NONE
        _, height, width, _ = tensor[1]
        return self._operator(name, options, inputs, (1, -(-height // stride), -(-width // stride), len(factor)))

    def _layer(
        self,
        tensor: Tensor,  # noqa: ARG002 - integers depend on what comes in
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        axis: int,  # noqa: ARG002 - and on the channel
    ) -> tuple[Tensor, Tensor]:
        """The values of a layer whose input is ``tensor``; ``axis`` of its weights has the channels that come out."""
        return self._weights(weights), self._weights(bias)

    def _weights(self, values: NDArray[np.float32]) -> Tensor:
        if not self._fp16:
            return self._value(values)
        widened = self._output(values.shape)
        self._widening.append(self._made("DEQUANTIZE", None, (self._value(values.astype(np.float16)),), widened))
        return widened

    def _value(self, values: NDArray[Any]) -> Tensor:
        self._buffers.append(np.ascontiguousarray(values).tobytes())
        return self._tensor(values.shape, values.dtype, len(self._buffers) - 1)

    def _output(self, shape: tuple[int, ...]) -> Tensor:
        return self._tensor(shape, np.dtype(np.float32), 0)

    def _tensor(self, shape: tuple[int, ...], dtype: np.dtype[Any], buffer: int) -> Tensor:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer, tensor.hasRank = f"tensor_{len(self._tensors)}", shape, buffer, True
        tensor.type = getattr(self._schema.TensorType, dtype.name.upper())
        self._tensors.append(tensor)
        return len(self._tensors) - 1, shape

    def _operator(self, name: str, options: Any, inputs: tuple[Tensor, ...], shape: tuple[int, ...]) -> Tensor:
        output = self._output(shape)
        self._operators.append(self._made(name, options, inputs, output))
        return output

    def _made(self, name: str, options: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        if name not in self._codes:
            self._codes.append(name)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._codes.index(name)
        operator.inputs, operator.outputs = [number for number, _ in inputs], [output[0]]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType, operator.builtinOptions = getattr(self._schema.BuiltinOptions, kind), options
        return operator

    def _code(self, name: str) -> Any:
        code = self._schema.OperatorCodeT()
        code.version = self._versions.get(name, 1)
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self._schema.BuiltinOperator, name)
        return code


class _Buffer:
    """A buffer of the schema; its own class writes the bytes without regard to where they come to lie."""

    def __init__(self, schema: Any, content: bytes) -> None:
        self._schema, self._content = schema, content

    def Pack(self, builder: Any) -> Any:
        data = None
        if self._content:
            builder.StartVector(1, len(self._content), _ALIGNED)
            builder.head -= len(self._content)
            builder.Bytes[builder.head : builder.head + len(self._content)] = self._content
            data = builder.EndVector()
        self._schema.BufferStart(builder)
        if data is not None:
            self._schema.BufferAddData(builder, data)
        return self._schema.BufferEnd(builder)


def _packed(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())
