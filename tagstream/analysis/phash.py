"""A perceptual hash: 64 bits that copies of a photo share, resized, recompressed or a little cropped as they may be.

The signs of its lowest frequencies: the photo shrunk to 32 x 32 shades of grey, its discrete cosine transform, and of
that the 64 lowest coefficients but the first (the mean), each a bit that says whether it is above their median.
Source: https://hackerfactor.com/blog/index.php?/archives/432-Looks-Like-It.html
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BITS", "FIELDS", "bands", "distance", "facts"]

BITS = 64
FIELDS = (fingerprint("phash"),)

_SIDE = 32
_LEAST_CONTRAST = 2.0


def facts(photo: Photo) -> dict[str, Any]:
    """``phash``, as 16 hexadecimal digits; none of a picture of one shade, which has nothing to tell it by."""
    import numpy as np

    grey = np.asarray(photo.grey.resize((_SIDE, _SIDE)), np.float32)
    # By hand: numpy's own median and deviation take longer than all the rest.
    grey -= grey.sum() / grey.size
    if np.vdot(grey, grey) < _LEAST_CONTRAST**2 * grey.size:
        return {}
    transform, places = _transform()
    lowest = (transform @ grey @ transform.T).take(places)
    ordered = sorted(lowest.tolist())
    bits = lowest > (ordered[BITS // 2 - 1] + ordered[BITS // 2]) / 2
    return {"phash": np.packbits(bits).tobytes().hex()}


def distance(one: str, other: str) -> int:
    """How many of their bits differ.

    >>> distance("00000000000000ff", "000000000000000f")
    4
    """
    return (int(one, 16) ^ int(other, 16)).bit_count()


def bands(phash: str) -> list[str]:
    """The terms of ``phash.bands`` in the index: each byte with its place.

    >>> bands("a3f0000000000007")[:2], len(bands("a3f0000000000007"))
    (['aa3', 'bf0'], 8)
    """
    return [place + phash[2 * i : 2 * i + 2] for i, place in enumerate("abcdefgh")]


@functools.cache
def _transform() -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """The matrix of the transform, and where its 64 lowest coefficients are."""
    import numpy as np

    places = np.arange(_SIDE)
    matrix = np.cos(np.pi / _SIDE * (places + 0.5) * places[:, np.newaxis]).astype(np.float32)
    lowest = sorted(((u, v) for u in range(_SIDE) for v in range(_SIDE)), key=lambda uv: (sum(uv), uv))[1 : BITS + 1]
    return matrix, np.array([u * _SIDE + v for u, v in lowest], np.intp)
