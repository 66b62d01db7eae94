"""From the bytes of a photo to the square of RGB pixels that a net looks at, safely and fast.

Photos come from strangers. What a file is, is told by its content, and only the formats below are ever tried.
How large it claims to be is checked before memory is taken for it, and how long it would take, before time is.
Where neither can be told beforehand, the photo is decoded in a process that can be ended: see :mod:`.confined`.
"""

from __future__ import annotations

import contextlib
import re
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

from tagstream.classifier.colour import in_srgb
from tagstream.classifier.confined import PATIENCE, decode_confined
from tagstream.classifier.exif import Exif, read_exif
from tagstream.classifier.headers import (
    DEFAULT_LIMITS,
    Limits,
    check_canvas,
    check_png_chunks,
    check_scans,
    check_webp_chunks,
    first_page,
    gif_canvas,
    too_many_bytes,
    webp_canvas,
)
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
# EXIF of more bytes is not asked for the orientation: Pillow unpacks a tag as long as it says it is, in 20 s for 48 MB.
_LONGEST_EXIF = 1_000_000
# A JPEG is scaled down while it is decoded, but not below this: smaller ones begin to change the answers.
_DRAFT_SIDE = 512
# What is looked at by people, and not by the net, needs a longer side: a thumbnail should not look blurred.
_DRAFT_LONG_SIDE = 768
# The whole picture that is handed on is reduced by a whole number, so that its long side is this to not quite twice it.
_PICTURE_SIDE = 1024
MOST_PICTURE_SIDE = 2 * _PICTURE_SIDE - 1
"""Pixels that the long side of the whole picture that is handed on has at most."""

# Canvases above this many pixels (64 MB and more) are decoded one at a time, whatever the number of threads.
_LARGE = 16_000_000
_LARGE_HEIC = 16 * 1024 * 1024
_one_large_at_a_time = threading.Lock()

# Pillow warns of garbled EXIF and of large canvases; neither keeps a photo from being decoded, within our limits.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the net sees, and what there is for others to look at.

    ``pixels`` is (size, size, 3) RGB; ``width`` and ``height`` are those of the whole, upright photo. ``picture`` is
    the whole photo, upright, in the colours of sRGB, as it came out of decoding: of a small size already if it could be
    scaled down meanwhile, and with a long side below 2,048 in any case. ``exif`` has the tags that can be read.
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
        raise too_many_bytes(len(data), limits)
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
        short = max(_DRAFT_SIDE, int(np.ceil(size / crop)))
        long = max(_DRAFT_LONG_SIDE, short)
        image.draft(image.mode, (long, short) if width >= height else (short, long))
    large = (width * height if progressive else image.width * image.height) > _LARGE
    with _one_large_at_a_time if large else contextlib.nullcontext():
        _load(image, width * height)
        exif = read_exif(data if name == "TIFF" else image.info.get("exif") or b"")
        profile = image.info.get("icc_profile")
        image = _eight_bit(image)
        square = _square(image, size, crop, _RESAMPLING[interpolation])
        picture = _picture(image, profile)
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
            raise too_many_bytes(path.stat().st_size, limits)
    return data


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
    than its canvas. Pillow decodes compressed BMPs in Python. Of a large HEIC nearly all may be metadata, which its
    library copies several times.
    """
    if data[:2] == b"BM":
        return int.from_bytes(data[30:34], "little") not in _BMP_UNCOMPRESSED
    if data[4:8] == b"ftyp":
        return b"avif" in data[8:64] or len(data) > _LARGE_HEIC
    return data[:2] in (b"II", b"MM")


def _may_take_long(image: Image.Image, data: bytes) -> bool:
    """Whether a canvas is so large that only a JPEG can be relied on to take no time, unless it has many scans."""
    if image.format in ("JPEG", "MPO"):
        return "progressive" in image.info and image.width * image.height * data.count(b"\xff\xda") > 12 * _LARGE
    return image.width * image.height > _LARGE


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Read what the file says about itself, and check it; nothing that grows with its canvas happens here."""
    if data[:3] == b"\xff\xd8\xff":
        check_scans(data, limits)
    elif data[:4] == b"\x89PNG":
        check_png_chunks(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        check_webp_chunks(data)
        # Pillow takes memory for the whole canvas as soon as it opens a WebP.
        check_canvas(*webp_canvas(data), limits)
    elif data[:4] == b"GIF8":
        # The same for a GIF whose first frame is to be disposed of.
        check_canvas(*gif_canvas(data), limits)
    elif data[:2] in (b"II", b"MM"):
        data = first_page(data)
    elif data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and b"avif" not in data[16:64]:
        from pi_heif import HeifImageFile

        heif: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call,unused-ignore]
        check_canvas(*heif.size, limits)
        return heif
    image = Image.open(BytesIO(data), formats=_PLUGINS)
    if image.format == "TIFF":
        # libtiff takes memory for a whole tile, which may be larger than the canvas.
        tags = image.tag_v2  # type: ignore[attr-defined]
        check_canvas(int(tags.get(_TILE_WIDTH, 1)), int(tags.get(_TILE_LENGTH, 1)), limits)
        if 2**31 <= int(tags.get(_ROWS_PER_STRIP, 1)) < 2**32 - 1:
            raise ImageRejected("the image is damaged: a strip has more rows than any TIFF")
    check_canvas(*image.size, limits)
    return image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation still to be applied, 1 to 8; 1 if there is none, or none that can be read."""
    if image.format in ("TIFF", "HEIF"):
        return 1  # applied while loading
    if len(image.info.get("exif") or b"") > _LONGEST_EXIF:
        return 1
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


def _picture(image: Image.Image, profile: object) -> Image.Image:
    """The whole of it, reduced by a whole number where it is large, in the RGB that everybody takes it for."""
    factor = max(image.size) // _PICTURE_SIDE
    image = image.reduce(factor) if factor > 1 else image
    return in_srgb(image if image.mode == "CMYK" else _on_paper(image), profile)


def _on_paper(image: Image.Image) -> Image.Image:
    """As RGB; what is transparent is white."""
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image if image.mode == "RGB" else image.convert("RGB")
