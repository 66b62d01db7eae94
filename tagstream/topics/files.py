"""Files as what an upload reads: opened, decompressed, measured, and cut into chunks of whole lines."""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from tagstream.topics import zstd
from tagstream.topics.errors import MessageTooLarge, Misuse
from tagstream.topics.parcels import MAX_PARCEL_BYTES

__all__ = ["Snapshot", "content_chunks", "measure", "open_lines"]

_BLOCK = 1 << 18
"""Bytes read at a time; less than a line may have."""


def content_chunks(
    stream: IO[bytes] | Snapshot, max_lines: int, max_bytes: int = MAX_PARCEL_BYTES, name: str = ""
) -> Iterator[bytes]:
    """The content of each parcel: whole lines, ``max_lines`` of them, or as many as are within ``max_bytes`` and at
    least one. Holds little more than a parcel at a time.

    >>> list(content_chunks(io.BytesIO(b"a\\n\\nb"), 2))
    [b'a\\n\\n', b'b']
    """
    # Found without taking the lines apart: twice as fast, and this is what keeps the packing threads busy.
    full = re.compile(rb"(?:[^\n]*+\n){%d}+" % max_lines)
    held, newlines, number, ended = b"", 0, 0, False
    while not ended:
        block = stream.read(_BLOCK)
        ended = not block
        held += block
        newlines += block.count(b"\n")
        start = 0
        while start < len(held):
            found = full.match(held, start) if newlines >= max_lines else None
            end = len(held) if found is None else found.end()
            if end - start > max_bytes:
                end = _line_end(held, start, max_bytes) or (len(held) if ended else 0)
                if (end or len(held)) - start > MAX_PARCEL_BYTES:
                    raise _too_long(name, number + 1)
            elif found is None and not ended:
                end = 0
            if not end:
                break  # to be continued by the next block
            chunk = held[start:end]
            count = max_lines if found is not None and end == found.end() else chunk.count(b"\n")
            newlines, number, start = newlines - count, number + count, end
            yield chunk
        held = held[start:]


def _line_end(held: bytes, start: int, most: int) -> int:
    """Where the last line ends that is whole within ``most`` bytes, or else the first one; 0 if none does."""
    return held.rfind(b"\n", start, start + most) + 1 or held.find(b"\n", start + most) + 1


def _too_long(name: str, line: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"{name}, line {line:,}: longer than the {MAX_PARCEL_BYTES:,} bytes that fit a message. "
        "Put such lines into S3 and upload their locations."
    )


def measure(path: str | Path, name: str, decompress: bool) -> tuple[int, int]:
    """Lines and bytes of a file, read to its end: what cannot be uploaded is found before anything is sent.

    Raises :class:`Misuse` for what cannot be read, or not twice: pipes and devices.
    """
    lines = size = 0
    tail = 0  # length so far of the line that the last block ended in
    try:
        if Path(path).is_dir():
            raise Misuse(f"{name} is a folder, and an upload takes files: name those in it.")
        # /dev/null is as good as an empty file.
        if not stat.S_ISREG(Path(path).stat().st_mode) and not Path(path).samefile(os.devnull):
            raise Misuse(
                f"{name} is no file that can be read twice, once to check it and once to send it: give its content as "
                "standard input, with - in the place of the name."
            )
        with open_lines(path, decompress) as stream:
            while block := stream.read(_BLOCK):
                # Lines that begin and end in a block are shorter than it.
                first = block.find(b"\n") + 1
                if tail + (first or len(block)) > MAX_PARCEL_BYTES:
                    raise _too_long(name, lines + 1)
                tail = len(block) - block.rfind(b"\n") - 1 if first else tail + len(block)
                lines += block.count(b"\n")
                size += len(block)
    except (OSError, EOFError, zlib.error) as error:
        raise Misuse(f"{name} cannot be read: {error}") from error
    return lines + (tail > 0), size


class Snapshot:
    """A stream that ends where the file ended when it was measured, and knows whether there is more or less by now."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int) -> bytes:
        block = self._stream.read(min(size, self._left))
        self._left -= len(block)
        return block

    @property
    def shrank(self) -> bool:
        """At the end: whether the file is shorter than it was."""
        return self._left > 0

    def grew(self) -> bool:
        """At the end: whether the file is longer than it was."""
        return not self._left and self._stream.read(1) != b""


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
    """Decompresses zstd frames; a file that ends within one is an error (not every library says so itself)."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._zstd = zstd.needed()
        self._frame: zstd.Frame | None = None
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
                self._frame = self._zstd.frame()
            try:
                self._output = memoryview(self._frame.decompress(data))
            except self._zstd.error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count
