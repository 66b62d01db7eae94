"""Files as what an upload reads: opened, decompressed, measured, and cut into chunks of whole lines."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from tagstream.errors import ConfigurationError
from tagstream.topics.errors import MessageTooLarge
from tagstream.topics.parcels import MAX_PARCEL_BYTES, ParcelSettings

__all__ = ["content_chunks", "measure", "open_lines"]

_BLOCK = 1 << 18


def content_chunks(stream: IO[bytes], settings: ParcelSettings, name: str = "") -> Iterator[bytes]:
    """The content of each parcel: whole lines, as many as the settings allow. Holds about 256 KB at a time.

    >>> list(content_chunks(io.BytesIO(b"a\\n\\nb"), ParcelSettings(max_lines=2)))
    [b'a\\n\\n', b'b']
    """
    held: list[bytes] = []
    number = 0
    while lines := stream.readlines(_BLOCK):
        held += lines
        whole = len(held) - len(held) % settings.max_lines
        for start in range(0, whole, settings.max_lines):
            yield from _within(held[start : start + settings.max_lines], settings, name, number + start)
        number += whole
        del held[:whole]
        if sum(map(len, held)) > settings.max_bytes:
            # Long lines: what is full by bytes goes out before there are max_lines of it.
            *full, rest = _within_lines(held, settings, name, number)
            yield from (b"".join(lines) for lines in full)
            number += len(held) - len(rest)
            held = rest
    if held:
        yield from _within(held, settings, name, number)


def _within(lines: list[bytes], settings: ParcelSettings, name: str, number: int) -> Iterator[bytes]:
    content = b"".join(lines)
    if len(content) <= settings.max_bytes:
        yield content
    else:
        yield from (b"".join(part) for part in _within_lines(lines, settings, name, number))


def _within_lines(lines: list[bytes], settings: ParcelSettings, name: str, number: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for index, line in enumerate(lines):
        if len(line) > MAX_PARCEL_BYTES:
            raise _too_long(name, number + index + 1)
        if part and size + len(line) > settings.max_bytes:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    yield part


def _too_long(name: str, line: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"{name}, line {line:,}: longer than the {MAX_PARCEL_BYTES:,} bytes that fit a message. "
        "Put such lines into S3 and upload their locations."
    )


def measure(path: str | Path, name: str, decompress: bool) -> tuple[int, int]:
    """Lines and bytes of a file, read to its end: what cannot be uploaded is found before anything is sent."""
    lines = size = 0
    tail = 0  # length so far of the line that the last block ended in
    try:
        with open_lines(path, decompress) as stream:
            while block := stream.read(_BLOCK):
                parts = block.split(b"\n")
                if tail + len(parts[0]) + (len(parts) > 1) > MAX_PARCEL_BYTES:
                    raise _too_long(name, lines + 1)
                if len(parts) > 2 and len(longest := max(parts[1:-1], key=len)) + 1 > MAX_PARCEL_BYTES:
                    raise _too_long(name, lines + 2 + parts[1:-1].index(longest))
                tail = tail + len(block) if len(parts) == 1 else len(parts[-1])
                lines += len(parts) - 1
                size += len(block)
            if tail > MAX_PARCEL_BYTES:
                raise _too_long(name, lines + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{name} cannot be read: {error}") from error
    return lines + (tail > 0), size


def open_lines(path: str | Path, decompress: bool) -> IO[bytes]:
    """The bytes of a file; of one that gzip or zstd compressed, when asked, what is in it. To be closed."""
    file = Path(path).open("rb")  # noqa: SIM115 - whoever reads the stream closes it
    try:
        magic = file.read(4) if decompress else b""
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            return cast(IO[bytes], _Owned(gzip.GzipFile(fileobj=file), file))
        # zstd's own frames, or the skippable ones (0x184D2A5?) that parallel compressors begin with.
        if magic == b"\x28\xb5\x2f\xfd" or re.fullmatch(rb"[\x50-\x5f]\x2a\x4d\x18", magic):
            return cast(IO[bytes], _Owned(_Zstd(file), file))
    except BaseException:
        file.close()
        raise
    return file


class _Owned(io.BufferedReader):
    """A buffered reader that closes the compressed file below as well."""

    def __init__(self, raw: Any, below: IO[bytes]) -> None:
        super().__init__(raw, _BLOCK)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


class _Zstd(io.RawIOBase):
    """Decompresses zstd frames; a file that ends within one is an error (zstandard's own reader says nothing)."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file = file
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._output = memoryview(b"")
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            # Little at a time: 1 KB of input may decompress to megabytes.
            data = self._input or self._file.read(1024)
            self._input = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the zstd data ends early")
                return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            try:
                self._output = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count
