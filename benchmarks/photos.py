"""Photos of the sizes that cameras make, from the real but smaller ones at hand.

A photo scaled up is smoother than one from a camera: its JPEG would be a third of the size, and decode faster than
real ones do. So the scaled photo gets the grain of a small sensor in daylight (noise of 5 of 255, blurred a little as
demosaicing does) before it is written at quality 93 with 4:2:0 chroma. That makes 3 MB of 12 megapixels; phones write
2 to 4 MB.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

__all__ = ["FOLDER", "SIZES", "enlarged", "originals"]

FOLDER = Path("build/bench-photos")
SIZES = {2: (1632, 1224), 12: (4032, 3024), 50: (8192, 6144)}
_GRAIN = 5.0
_QUALITY = 93


def originals() -> list[Path]:
    """The real photos at hand, fetched from their packages where they are missing."""
    from tagstream.local.photos import fetch

    return fetch(Path("build/photos"))


def enlarged(photos: Sequence[Path], megapixels: int) -> list[Path]:
    """JPEGs of ``megapixels`` (a key of :data:`SIZES`) of the photos; those made before are kept."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = []
    for photo in photos:
        target = FOLDER / f"{photo.stem}-{megapixels}mp-q{_QUALITY}.jpg"
        if not target.exists():
            _enlarge(photo, SIZES[megapixels], target)
        made.append(target)
    return made


def _enlarge(photo: Path, size: tuple[int, int], target: Path) -> None:
    import numpy

    with Image.open(photo) as small:
        upright = small.convert("RGB")
    wide = size if upright.width >= upright.height else size[::-1]
    # The middle of the photo in the camera's 4:3.
    scale = min(upright.width / wide[0], upright.height / wide[1])
    width, height = wide[0] * scale, wide[1] * scale
    left, top = (upright.width - width) / 2, (upright.height - height) / 2
    large = upright.resize(wide, Image.Resampling.LANCZOS, box=(left, top, left + width, top + height))
    # Seeded by the name, so that every run times the same bytes.
    noise = numpy.random.default_rng(zlib.crc32(photo.name.encode()))
    pixels = numpy.asarray(large, numpy.float32).copy()
    for channel in range(3):
        grain = noise.standard_normal(pixels.shape[:2], numpy.float32)
        grain += numpy.roll(grain, 1, 0) + numpy.roll(grain, 1, 1)
        pixels[..., channel] += _GRAIN / 3**0.5 * grain
    half_done = target.with_suffix(".part")
    Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8)).save(half_done, "JPEG", quality=_QUALITY)
    half_done.rename(target)
