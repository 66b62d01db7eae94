"""zstd by whatever there is of it: the package zstandard, or Python's own, which has it from 3.14 on.

Both are the same library underneath: what one writes the other reads.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any, Protocol

from tagstream.errors import MissingPackage

__all__ = ["Frame", "Zstd", "found", "needed"]


class Frame(Protocol):
    """What takes one frame apart, piece by piece. What follows its end (``eof``) is in ``unused_data``."""

    eof: bool
    unused_data: bytes

    def decompress(self, data: bytes, /) -> bytes: ...


class Zstd(Protocol):
    """One of the two. ``error`` is what it raises for what is no zstd."""

    error: type[Exception]

    def compress(self, content: bytes) -> bytes:
        """One frame, which says how large its content is."""

    def decompress(self, data: bytes, most: int) -> bytes | None:
        """What is in the one frame that this is; None if it is damaged or says that it has more than ``most`` bytes."""

    def frame(self) -> Frame:
        """For the next frame of a stream."""


# Lines have little in common that is shorter than 6 bytes and worth a reference: on molecules, paths and JSON this
# is as fast as level 6 or faster, and on the first a twentieth smaller.
_LEVEL, _SEARCH_LOG, _MIN_MATCH = 6, 6, 6


class _Zstandard:
    """The package."""

    def __init__(self) -> None:
        self._zstd: Any = import_module("zstandard")
        self.error: type[Exception] = self._zstd.ZstdError

    def compress(self, content: bytes) -> bytes:
        parameters = self._zstd.ZstdCompressionParameters.from_level(
            _LEVEL,
            strategy=self._zstd.STRATEGY_GREEDY,
            search_log=_SEARCH_LOG,
            min_match=_MIN_MATCH,
            source_size=len(content),
        )
        # One for each parcel: none of its objects may be used by two threads at once.
        packed = self._zstd.ZstdCompressor(compression_params=parameters).compress(content)
        # A copy, since what zstandard gives keeps all the memory that the worst case would have needed.
        return bytes(memoryview(packed))

    def decompress(self, data: bytes, most: int) -> bytes | None:
        try:
            # What the frame says of its own size is what would be set aside for it.
            if not 0 <= self._zstd.frame_content_size(data) <= most:
                return None
            content: bytes = self._zstd.ZstdDecompressor().decompress(data, allow_extra_data=False)
        except self.error:
            return None
        return content

    def frame(self) -> Frame:
        frame: Frame = self._zstd.ZstdDecompressor().decompressobj()
        return frame


class _OfPython:
    """The standard library's."""

    def __init__(self) -> None:
        self._zstd: Any = import_module("compression.zstd")
        self.error: type[Exception] = self._zstd.ZstdError
        named = self._zstd.CompressionParameter
        self._parameters = {
            named.compression_level: _LEVEL,
            named.strategy: self._zstd.Strategy.greedy,
            named.search_log: _SEARCH_LOG,
            named.min_match: _MIN_MATCH,
        }

    def compress(self, content: bytes) -> bytes:
        packed: bytes = self._zstd.compress(content, options=self._parameters)
        return packed

    def decompress(self, data: bytes, most: int) -> bytes | None:
        decompressor = self._zstd.ZstdDecompressor()
        try:
            size = self._zstd.get_frame_info(data).decompressed_size
            if size is None or size > most:
                return None
            # One byte more: with none wanted it would not look at the frame's end.
            content: bytes = decompressor.decompress(data, size + 1)
        except self.error:
            return None
        return content if decompressor.eof and not decompressor.unused_data else None

    def frame(self) -> Frame:
        frame: Frame = self._zstd.ZstdDecompressor()
        return frame


@functools.cache
def found() -> Zstd | None:
    """What there is, looked for once; None if there is neither."""
    for kind in (_Zstandard, _OfPython):
        try:
            return kind()
        except ImportError:
            continue
    return None


def needed() -> Zstd:
    """What there is; raises :class:`MissingPackage` if there is neither."""
    zstd = found()
    if zstd is None:
        raise MissingPackage(
            "zstandard is not installed: run pip install 'tagstream[zstd]' (Python has a zstd of its own from 3.14 on)",
            name="zstandard",
        )
    return zstd
