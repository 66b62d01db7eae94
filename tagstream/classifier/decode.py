"""From the bytes of a photo to the square of RGB pixels that a net looks at, safely and fast.

Photos come from strangers. What a file is, is told by its content, and only the formats below are ever tried.
How large it claims to be is checked before memory is taken for it, and how long it would take, before time is.
Where neither can be told beforehand, the photo is decoded in a process that can be ended: see :mod:`.confined`.
"""

from __future__ import annotations

import contextlib
import re
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from tagstream.classifier.confined import PATIENCE, decode_confined
from tagstream.classifier.exif import Exif, read_exif
from tagstream.errors import ImageRejected

__all__ = ["DEFAULT_LIMITS", "FORMATS", "MOST_PICTURE_SIDE", "Decoded", "Limits", "decode", "decode_here"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC")

_PLUGINS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"]
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 278, 322, 323
_BMP_UNCOMPRESSED = (0, 3)
# A JPEG is scaled down while it is decoded, but not below this: smaller ones begin to change the answers.
_DRAFT_SIDE = 512
# The whole picture that is handed on is reduced by a whole number, so that its long side is this to not quite twice it.
_PICTURE_SIDE = 1024
MOST_PICTURE_SIDE = 2 * _PICTURE_SIDE - 1
"""Pixels that the long side of the whole picture that is handed on has at most."""

# Files of more parts (chunks, segments, blocks) before the first pixel are not parsed: Pillow takes microseconds for
# each, and a file may hold millions. Photos have some hundreds, a PNG of 64 MB in the usual chunks 8,000.
_MAX_PARTS = 100_000
# Canvases above this many pixels (64 MB and more) are decoded one at a time, whatever the number of threads.
_LARGE = 16_000_000
_one_large_at_a_time = threading.Lock()

# Pillow warns of garbled EXIF and of large canvases; neither keeps a photo from being decoded, within our limits.
warnings.filterwarnings("ignore", module=r"PIL\.")


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


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the net sees, and what there is for others to look at.

    ``pixels`` is (size, size, 3) RGB; ``width`` and ``height`` are those of the whole, upright photo. ``picture`` is
    the whole photo, upright, RGB, as it came out of decoding: of a small size already if it could be scaled down
    meanwhile, and with a long side below 2,048 in any case. ``exif`` has the tags that can be read.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    picture: Image.Image
    exif: Exif = field(default_factory=dict)


def decode(
    photo: bytes | Path,
    *,
    size: int,
    crop: float,
    interpolation: Literal["bilinear", "bicubic"],
    limits: Limits = DEFAULT_LIMITS,
    fast: bool = True,
    confined: bool = False,
    patience: float = PATIENCE,
) -> Decoded:
    """The centre of a photo, upright, as ``size`` x ``size`` RGB pixels; ``crop`` is the part of its short side.

    ``fast`` lets a JPEG be scaled down while it is decoded. Raises :class:`ImageRejected` for what can never be
    decoded within ``limits``, MemoryError if memory ran out (trying again may help), OSError if ``photo`` is a
    path that cannot be read.

    What is no usual photo, and with ``confined`` any, is decoded in a process of its own, which takes 0.2 s longer;
    TimeoutError is raised if that is not done after ``patience`` seconds because the machine is too busy.
    """
    data = _read(photo, limits) if isinstance(photo, Path) else photo
    if not data:
        raise ImageRejected("the file is empty")
    if len(data) > limits.max_bytes:
        raise _too_many_bytes(len(data), limits)
    with _rejections():
        if not (confined or _is_suspicious(data)):
            image = _open(data, limits)
            if not _may_take_long(image, data):
                return _decoded(image, data, size=size, crop=crop, interpolation=interpolation, fast=fast)
            del image
    return decode_confined(
        data, size=size, crop=crop, interpolation=interpolation, limits=limits, fast=fast, patience=patience
    )


def decode_here(
    data: bytes, *, size: int, crop: float, interpolation: Literal["bilinear", "bicubic"], limits: Limits, fast: bool
) -> Decoded:
    """The same, in this process whatever the file may be."""
    with _rejections():
        return _decoded(_open(data, limits), data, size=size, crop=crop, interpolation=interpolation, fast=fast)


def _decoded(
    image: Image.Image,
    data: bytes,
    *,
    size: int,
    crop: float,
    interpolation: Literal["bilinear", "bicubic"],
    fast: bool,
) -> Decoded:
    width, height = image.size
    name = image.format or ""
    orientation = _orientation(image)
    progressive = bool(image.info.get("progressive"))
    if fast and image.format in ("JPEG", "MPO"):
        side = max(_DRAFT_SIDE, int(np.ceil(size / crop)))
        image.draft(image.mode, (side, side))
    large = (width * height if progressive else image.width * image.height) > _LARGE
    with _one_large_at_a_time if large else contextlib.nullcontext():
        _load(image, width * height)
        exif = read_exif(data if name == "TIFF" else image.info.get("exif") or b"")
        image = _eight_bit(image)
        square = _square(image, size, crop, _RESAMPLING[interpolation])
        picture = _picture(image)
        del image
    if orientation in _ROTATIONS:
        # Turning the small square is the same as turning the photo: it is cut from the centre.
        square, picture = (turned.transpose(_ROTATIONS[orientation]) for turned in (square, picture))
    if orientation >= 5:
        width, height = height, width
    return Decoded(np.asarray(square), width, height, {"HEIF": "HEIC", "MPO": "JPEG"}.get(name, name), picture, exif)


def _load(image: Image.Image, pixels: int) -> None:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception:
        # Not every decoder says that it was memory that it lacked: see whether there is as much as it may have wanted.
        np.empty(8 * pixels, np.uint8)
        raise


def _read(path: Path, limits: Limits) -> bytes:
    with path.open("rb") as file:
        # Asking for all that is allowed would take, and give back, that much memory for every photo.
        data = file.read(min(path.stat().st_size, limits.max_bytes) + 1)
        if len(data) > limits.max_bytes:
            raise _too_many_bytes(path.stat().st_size, limits)
    return data


def _too_many_bytes(count: int, limits: Limits) -> ImageRejected:
    return ImageRejected(f"the file is too large: {count:,} bytes, and {limits.max_bytes:,} are allowed")


def _check_canvas(width: int, height: int, limits: Limits) -> None:
    count, side = width * height, max(width, height)
    if count > limits.max_pixels:
        raise ImageRejected(f"the image is too large: {count:,} pixels, and {limits.max_pixels:,} are allowed")
    if side > limits.max_side:
        raise ImageRejected(f"the image is too long: {side:,} pixels on a side, and {limits.max_side:,} are allowed")


def _check_parts(count: int) -> None:
    if count > _MAX_PARTS:
        raise ImageRejected(f"the file has more than {_MAX_PARTS:,} parts: it would take too long")


_OUT_OF_MEMORY = re.compile(r"out of memory|memory allocation error(?!.*limit)|decoder error -9$", re.IGNORECASE)


@contextlib.contextmanager
def _rejections() -> Iterator[None]:
    """Whatever a decoder says about bytes that are all there will be the same next time, except for memory."""
    try:
        yield
    except (ImageRejected, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise ImageRejected(f"this is no image that can be read; known formats are {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise ImageRejected("the image is too large: its canvas has more pixels than any photo") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if _OUT_OF_MEMORY.search(reason):
            raise MemoryError(reason) from error
        what = "is cut off" if "truncated" in reason.lower() else "is damaged"
        raise ImageRejected(f"the image {what}: {reason[:200]}") from error


def _is_suspicious(data: bytes) -> bool:
    """Whether neither the time nor the memory that a file will take can be told from its header.

    TIFF is many formats, whose decoders print, and some of them hardly end. An AVIF may hold a picture much larger
    than its canvas. Pillow decodes compressed BMPs in Python.
    """
    if data[:2] == b"BM":
        return int.from_bytes(data[30:34], "little") not in _BMP_UNCOMPRESSED
    return data[:2] in (b"II", b"MM") or (data[4:8] == b"ftyp" and b"avif" in data[8:64])


def _may_take_long(image: Image.Image, data: bytes) -> bool:
    """Whether a canvas is so large that only a JPEG can be relied on to take no time, unless it has many scans."""
    if image.format in ("JPEG", "MPO"):
        return "progressive" in image.info and image.width * image.height * data.count(b"\xff\xda") > 12 * _LARGE
    return image.width * image.height > _LARGE


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read what the file says about itself, and check it; nothing that grows with its canvas happens here."""
    if data[:3] == b"\xff\xd8\xff":
        _check_scans(data, limits)
    elif data[:4] == b"\x89PNG":
        _check_png_chunks(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        # Pillow takes memory for the whole canvas as soon as it opens a WebP.
        _check_canvas(*_webp_canvas(data), limits)
    elif data[:4] == b"GIF8":
        # The same for a GIF whose first frame is to be disposed of.
        _check_canvas(*_gif_canvas(data), limits)
    elif data[:2] in (b"II", b"MM"):
        data = _first_page(data)
    elif data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[16:64]:
        from pi_heif import HeifImageFile

        heif: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call,unused-ignore]
        _check_canvas(*heif.size, limits)
        return heif
    image = Image.open(BytesIO(data), formats=_PLUGINS)
    if image.format == "TIFF":
        # libtiff takes memory for a whole tile, which may be larger than the canvas.
        tags = image.tag_v2  # type: ignore[attr-defined]
        _check_canvas(int(tags.get(_TILE_WIDTH, 1)), int(tags.get(_TILE_LENGTH, 1)), limits)
        if 2**31 <= int(tags.get(_ROWS_PER_STRIP, 1)) < 2**32 - 1:
            raise ImageRejected("the image is damaged: a strip has more rows than any TIFF")
    _check_canvas(*image.size, limits)
    return image


# Without the fill bytes that may precede it, which would cost their number squared where no marker follows; nor the
# markers that stand alone.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_SEQUENTIAL = {0xC0, 0xC1, 0xC9}  # frames that are not progressive


def _check_scans(data: bytes, limits: Limits) -> None:
    """Count the scans (SOS markers) of a JPEG, as far as its end-of-image marker; what follows is no part of it.

    Of most photos only the head is looked at: libjpeg reads no other scan after one that holds all components of a
    sequential image.
    """
    position, parts, scans, components = 2, 0, 0, 0
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


def _check_png_chunks(data: bytes) -> None:
    position, parts = 8, 0
    while position < len(data):
        parts += 1
        _check_parts(parts)
        position += 12 + int.from_bytes(data[position : position + 4])


def _webp_canvas(data: bytes) -> tuple[int, int]:
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


def _gif_canvas(data: bytes) -> tuple[int, int]:
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


def _first_page(data: bytes) -> bytes:
    """A TIFF whose first page is its last: Pillow walks to the end of the chain, which may be a million long."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = int.from_bytes(data[2:4], order) == 43
    width, entry, count = (8, 20, 8) if big else (4, 12, 2)
    start = int.from_bytes(data[8:16] if big else data[4:8], order)
    pointer = start + count + int.from_bytes(data[start : start + count], order) * entry
    if pointer + width > len(data):
        return data
    return data[:pointer] + bytes(width) + data[pointer + width :]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation still to be applied, 1 to 8; 1 if there is none, or none that can be read."""
    if image.format in ("TIFF", "HEIF"):
        return 1  # applied while loading
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  a photo with garbled EXIF is still a photo
        return 1
    return value if value in _ROTATIONS else 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring what Pillow cannot resize well, or would clip, to eight bits a channel."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        extremes = [(float(band.min()), float(band.max())) for _, band in _bands(image)]
        low, high = min(0.0, *(least for least, _ in extremes)), max(most for _, most in extremes)
        # Nothing says what is white: take the smallest usual range that holds the brightest pixel.
        white = next((top for top in (1.0, 255.0, 65535.0) if high <= top), high) if image.mode == "F" else 65535.0
        grey = Image.new("L", image.size)
        for top, band in _bands(image):
            values = (band - low) * (255.0 / max(max(white, high) - low, 1e-9))
            grey.paste(Image.fromarray(values.astype(np.uint8)), (0, top))
        return grey
    if image.mode == "1":
        return image.convert("L")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "CMYK" and image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, which are inverted.
        return ImageChops.invert(image)
    return image


def _bands(image: Image.Image) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """An image of one channel band by band, each with its first row; as floats it takes several times its memory."""
    rows = max(1, 4_000_000 // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, np.nan_to_num(np.asarray(band, dtype=np.float32))


def _square(image: Image.Image, size: int, crop: float, resampling: Image.Resampling) -> Image.Image:
    width, height = image.size
    side = min(width, height) * crop
    left, top = (width - side) / 2, (height - side) / 2
    square = image.resize((size, size), resampling, box=(left, top, left + side, top + side), reducing_gap=3.0)
    return _on_paper(square)


def _picture(image: Image.Image) -> Image.Image:
    """The whole of it, reduced by a whole number where it is large, in RGB."""
    factor = max(image.size) // _PICTURE_SIDE
    return _on_paper(image.reduce(factor) if factor > 1 else image)


def _on_paper(image: Image.Image) -> Image.Image:
    """As RGB; what is transparent is white."""
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")
