"""What a photo may not exceed, and what its file says about itself, before any decoder has seen it.

A file is walked through in bounds, whatever it claims; what is too large, or in too many parts, is rejected here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

from tagstream.errors import ImageRejected

__all__ = [
    "DEFAULT_LIMITS",
    "Limits",
    "check_canvas",
    "check_png_chunks",
    "check_scans",
    "check_webp_chunks",
    "first_page",
    "gif_canvas",
    "too_many_bytes",
    "webp_canvas",
]

# Files of more parts (chunks, segments, blocks) before the first pixel are not parsed: Pillow takes microseconds for
# each, and a file may hold millions. Photos have some hundreds, a PNG of 64 MB in the usual chunks 8,000.
_MAX_PARTS = 100_000
# What is kept of a file besides its pixels (EXIF, XMP, colour profiles, texts), twice and more by some decoders.
_MAX_METADATA = 16_000_000
# Pillow joins the EXIF of a JPEG segment by segment, each time copying all so far; what cameras write fits into one.
_MAX_EXIF_SEGMENTS = 16
# The chunks of a PNG that Pillow unpacks as it opens the file, each to up to 1 MB, which takes 3 ms.
_PACKED_CHUNKS = (b"iCCP", b"iTXt", b"zTXt")
_MAX_PACKED_CHUNKS = 100
_PIXEL_CHUNKS = (b"IDAT", b"fdAT")
_WEBP_METADATA = (b"EXIF", b"ICCP", b"XMP ")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is not even tried: files of more bytes, canvases of more pixels or longer sides, JPEGs of more scans.

    Memory for one image is at most 16 bytes a pixel (an animated WebP), most often 4, and 64 MB for what does not
    grow with it. That holds for narrow images only because ``max_side`` bounds their rows: Pillow keeps pointers for
    each. A side of 65,535 is the most that a JPEG can have, and more than any panorama within ``max_pixels`` has.
    Real JPEGs have up to 12 scans, and each scan costs about as much time as the whole image once.

    ``max_seconds`` (of CPU) and ``max_memory`` bound the decoding of what cannot be judged by its header. The slowest
    real photos of ``max_pixels`` take 2 s on one core.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_pixels: int = 64_000_000
    max_scans: int = 32
    max_side: int = 65_535
    max_seconds: int = 5

    @property
    def max_memory(self) -> int:
        """Bytes that decoding may take, on top of Python and the libraries."""
        return 16 * self.max_pixels + 64_000_000


DEFAULT_LIMITS = Limits()


def too_many_bytes(count: int, limits: Limits) -> ImageRejected:
    return ImageRejected(f"the file is too large: {count:,} bytes, and {limits.max_bytes:,} are allowed")


def check_canvas(width: int, height: int, limits: Limits) -> None:
    count, side = width * height, max(width, height)
    if count > limits.max_pixels:
        raise ImageRejected(f"the image is too large: {count:,} pixels, and {limits.max_pixels:,} are allowed")
    if side > limits.max_side:
        raise ImageRejected(f"the image is too long: {side:,} pixels on a side, and {limits.max_side:,} are allowed")


def _check_parts(count: int) -> None:
    if count > _MAX_PARTS:
        raise ImageRejected(f"the file has more than {_MAX_PARTS:,} parts: it would take too long")


def _check_metadata(count: int) -> None:
    if count > _MAX_METADATA:
        raise ImageRejected(f"the file has {count:,} bytes of metadata and more, and {_MAX_METADATA:,} are allowed")


# Without the fill bytes that may precede it, which would cost their number squared where no marker follows; nor the
# markers that stand alone.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_SEQUENTIAL = {0xC0, 0xC1, 0xC9}  # frames that are not progressive


def check_scans(data: bytes, limits: Limits) -> None:
    """Count the scans (SOS markers) of a JPEG, as far as its end-of-image marker; what follows is no part of it.

    Before the first scan, segments are counted too, those of EXIF among them, and their bytes.

    Of most photos only the head is looked at: libjpeg reads no other scan after one that holds all components of a
    sequential image.
    """
    position, parts, scans, components, exif, metadata = 2, 0, 0, 0, 0, 0
    while True:
        found = _MARKER.search(data, position)
        if scans == 0:
            # Pillow also takes its time for each byte of filling.
            parts += 1 + (found.start() if found else len(data)) - position
            _check_parts(parts)
        if not found:
            return
        marker, position = found[1][0], found.end()
        if marker == 0xD9:
            return
        if scans == 0:
            metadata += int.from_bytes(data[position : position + 2])
            _check_metadata(metadata)
            exif += marker == 0xE1 and data[position + 2 : position + 8] == b"Exif\0\0"
            if exif > _MAX_EXIF_SEGMENTS:
                raise ImageRejected(
                    f"the JPEG has more than {_MAX_EXIF_SEGMENTS} segments of EXIF: it would take too long"
                )
        if marker in _SEQUENTIAL:
            components = int.from_bytes(data[position + 7 : position + 8])
        if marker == 0xDA:
            scans += 1
            if scans == 1:
                if components and int.from_bytes(data[position + 2 : position + 3]) == components:
                    return
                if data.count(b"\xff\xda") <= limits.max_scans:
                    return
            if scans > limits.max_scans:
                raise ImageRejected(f"the JPEG has more than {limits.max_scans} scans: it would take too long")
        position += int.from_bytes(data[position : position + 2])


def check_png_chunks(data: bytes) -> None:
    position, parts, packed, metadata = 8, 0, 0, 0
    while position < len(data):
        parts += 1
        _check_parts(parts)
        kind, length = data[position + 4 : position + 8], int.from_bytes(data[position : position + 4])
        if kind == b"IEND":
            return
        if kind not in _PIXEL_CHUNKS:
            metadata += min(length, len(data) - position)
            _check_metadata(metadata)
        packed += kind in _PACKED_CHUNKS
        if packed > _MAX_PACKED_CHUNKS:
            raise ImageRejected(f"the PNG has more than {_MAX_PACKED_CHUNKS} packed texts: it would take too long")
        position += 12 + length


def check_webp_chunks(data: bytes) -> None:
    """libwebp keeps a note of each chunk, and Pillow copies those of metadata."""
    position, parts, metadata = 12, 0, 0
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position < end:
        parts += 1
        _check_parts(parts)
        kind, length = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if kind in _WEBP_METADATA:
            metadata += min(length, end - position)
            _check_metadata(metadata)
        position += 8 + length + length % 2


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas that a WebP's first chunk claims; 0 if there is none.

    Source: https://developers.google.com/speed/webp/docs/riff_container
    """
    kind, body = data[12:16], data[20:30]
    if len(body) < 10:
        return 0, 0
    if kind == b"VP8X":
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


def gif_canvas(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas that a GIF's first frame needs; 0 if there is none.

    Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
    """
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    parts = 0
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while data[position : position + 1] == b"!":
        position += 2
        parts += 1
        while position < len(data) and data[position]:
            position += 1 + data[position]
            parts += 1
            _check_parts(parts)
        _check_parts(parts)
        position += 1
    if data[position : position + 1] != b"," or position + 9 > len(data):
        return 0, 0
    left, top, across, down = struct.unpack_from("<HHHH", data, position + 1)
    return max(width, left + across), max(height, top + down)


def first_page(data: bytes) -> bytes:
    """A TIFF whose first page is its last: Pillow walks to the end of the chain, which may be a million long."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = int.from_bytes(data[2:4], order) == 43
    width, entry, count = (8, 20, 8) if big else (4, 12, 2)
    start = int.from_bytes(data[8:16] if big else data[4:8], order)
    pointer = start + count + int.from_bytes(data[start : start + count], order) * entry
    if pointer + width > len(data):
        return data
    return data[:pointer] + bytes(width) + data[pointer + width :]
