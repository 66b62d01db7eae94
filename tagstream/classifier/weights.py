"""Reads PyTorch's checkpoint files of the time before 1.6, without PyTorch and without running what they say.

Such a file is a row of pickles (magic number, protocol, system, the object, the keys of its storages) followed
by the storages' raw values. Unpickling may call anything, so only the four names that a dictionary of tensors
needs are known here; all others are refused.
Source: ``torch.serialization._legacy_load``.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tagstream.errors import ModelError

__all__ = ["read_checkpoint"]

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _Storage:
    """The values of one or more tensors; they stand at the end of the file, after all tensors."""

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self.dtype, self.size = dtype, size
        self.values: NDArray[Any] | None = None


class _Tensor:
    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> NDArray[Any]:
        values = self.storage.values
        last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.strides, strict=True))
        if values is None or not 0 <= self.offset <= last < len(values) or min((*self.strides, 0)) < 0:
            raise ModelError("the weights are damaged: a tensor lies outside of its values")
        bytes_ = [step * values.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, bytes_).copy()


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Callable[..., Any] | str] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: _Tensor(
                storage, offset, shape, strides
            ),
            ("torch", "FloatStorage"): "FloatStorage",
            ("torch", "LongStorage"): "LongStorage",
        }
        try:
            return known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, size, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError("views of storages are not supported")
        return self.storages.setdefault(key, _Storage(_STORAGES[dtype], size))


def read_checkpoint(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a legacy PyTorch ``state_dict``, by name.

    Raises :class:`ModelError` if ``path`` is no such file, is damaged, or asks for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            if _Unpickler(file).load() != _MAGIC:
                raise ModelError(f"{path} is no PyTorch file of the format before version 1.6")
            _Unpickler(file).load()  # protocol
            if not _Unpickler(file).load()["little_endian"]:
                raise ModelError(f"{path} holds big-endian values, which are not supported")
            unpickler = _Unpickler(file)
            tensors = unpickler.load()
            for key in _Unpickler(file).load():
                storage = unpickler.storages[key]
                if int.from_bytes(file.read(8), "little") != storage.size:
                    raise ModelError(f"{path} is damaged: a storage has not the size it should have")
                values = file.read(storage.size * storage.dtype.itemsize)
                storage.values = np.frombuffer(values, storage.dtype, storage.size)
            return {name: tensor.array() for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"the weights in {path} cannot be read: {error}") from error
