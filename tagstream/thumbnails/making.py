"""From a decoded photo to a small JPEG of it, and nothing else: no EXIF, no place, no colour profile."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Thumbnail", "make_thumbnail"]

# Measured: docs/performance.md, Thumbnails.
_QUALITY = 75
# What is more than so many times too large is first reduced by a whole number, which takes half the time.
_REDUCING_GAP = 1.2


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """``content`` is a JPEG file of ``width`` x ``height`` pixels."""

    content: bytes
    width: int
    height: int


def make_thumbnail(picture: Image, size: int) -> Thumbnail:
    """``picture``, which is upright RGB in the colours of sRGB, with a long side of ``size`` pixels at most.

    It is never enlarged. May be called from many threads for one picture: that does not change.
    """
    from PIL import Image

    scale = size / max(picture.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    file = BytesIO()
    # Pillow would write what it is not told to leave out from what came with the picture.
    picture.save(file, "JPEG", quality=_QUALITY, exif=b"", xmp=b"", icc_profile=b"", comment=b"")
    return Thumbnail(file.getvalue(), *picture.size)
