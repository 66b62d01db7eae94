"""How sharp the sharpest part of a photo is: screens out those that are blurred all over.

What is sharp changes much when it is blurred, and what is blurred already hardly (Crete et al., "The blur effect",
2007): of the differences between neighbouring pixels, sharpness is the part that goes with a blur. Only a tenth of the
photo need be sharp: a portrait is meant to have a blurred background.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["FIELDS", "facts"]

FIELDS = (number("sharpness", 0, 1),)

_WINDOW = 8  # pixels that the blur is wide
_TILES = 6  # along each side
_LINES = 36  # of the rows, so many are looked at, and of the columns
_LEAST_SIDE = 32  # pixels
_SHARPEST = 4  # of the tiles, the one that counts: a tenth is as sharp
# What differs less than this between neighbours, of 255, is noise and the marks of compression.
_NOISE = 2.0
# The part that goes where nothing is sharp, and where all is: a gradient loses the first as well.
_NONE, _ALL = 0.2, 0.8


def facts(photo: Photo) -> dict[str, Any]:
    """``sharpness``, from 0 (no detail at all) to 1; none of a picture that is too small to tell.

    It is that of the picture at hand, of about a megapixel: what is blurred in the full size alone does not count.
    """
    width, height = photo.picture.size
    if min(width, height) < _LEAST_SIDE:
        return {}
    rows = _grey(photo.picture, (width, min(_LINES, height)))
    columns = _grey(photo.picture, (min(_LINES, width), height)).T
    (across, gone_across), (down, gone_down) = _differences(rows), _differences(columns)
    gone = (gone_across + gone_down.T) / (across + down.T + _NOISE)
    sharpest = sorted(gone.reshape(-1).tolist())[-_SHARPEST]
    return {"sharpness": round(min(max((sharpest - _NONE) / (_ALL - _NONE), 0.0), 1.0), 3)}


def _grey(picture: Image, size: tuple[int, int]) -> NDArray[np.int16]:
    """Some rows, or some columns, of a picture."""
    import numpy as np
    from PIL.Image import Resampling

    return np.asarray(picture.resize(size, Resampling.NEAREST).convert("L")).astype(np.int16)


def _differences(lines: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each tile, how much neighbours in a line differ, and how much of that a blur along the line takes away."""
    import numpy as np

    lines = np.ascontiguousarray(lines)
    # The mean of a window moves by what comes in at one end less what goes out at the other, over its width. Both
    # sides are taken times that width, which keeps them whole numbers.
    still = np.abs(lines[:, _WINDOW:] - lines[:, :-_WINDOW])
    middle = lines[:, _WINDOW // 2 :][:, : still.shape[1] + 1]
    differs = _WINDOW * np.abs(middle[:, 1:] - middle[:, :-1])
    return _tiles(differs), _tiles(np.maximum(differs - still, 0))


def _tiles(values: NDArray[np.int16]) -> NDArray[np.float32]:
    import numpy as np

    rows, columns = (length // _TILES for length in values.shape)
    # Products of matrices, which take a quarter of the time that sums do; whole numbers below 2**24 are exact in them.
    bands = _bands(rows) @ values[: rows * _TILES, : columns * _TILES].astype(np.float32)
    means: NDArray[np.float32] = bands.reshape(_TILES, _TILES, columns).sum(2) / np.float32(rows * columns * _WINDOW)
    return means


@functools.lru_cache(maxsize=4)
def _bands(rows: int) -> NDArray[np.float32]:
    """A matrix whose product with lines has the sum of so many of them in each of its rows."""
    import numpy as np

    return np.repeat(np.eye(_TILES, dtype=np.float32), rows, axis=1)
