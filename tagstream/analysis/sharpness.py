"""How sharp the sharpest part of a photo is: screens out those that are blurred all over.

What is sharp changes much when it is blurred, and what is blurred already hardly (Crete et al., "The blur effect",
2007): of the differences between neighbouring pixels, sharpness is the part that goes with a blur. Only a tenth of the
photo need be sharp: a portrait is meant to have a blurred background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FIELDS", "facts"]

FIELDS = (number("sharpness", 0, 1),)

_WINDOW = 8  # pixels that the blur is wide
_TILES = 6  # along each side
_LINES = 60  # of the rows, about so many are looked at, and of the columns
_LEAST_SIDE = 32  # pixels
_SHARPEST = 0.9  # the quantile of the tiles that counts
# What differs less than this between neighbours, of 255, is noise and the marks of compression.
_NOISE = 2.0
# The part that goes where nothing is sharp, and where all is: a gradient loses the first as well.
_NONE, _ALL = 0.2, 0.8


def facts(photo: Photo) -> dict[str, Any]:
    """``sharpness``, from 0 (no detail at all) to 1; none of a picture that is too small to tell.

    It is that of the picture at hand, of about a megapixel: what is blurred in the full size alone does not count.
    """
    import numpy as np

    grey = np.asarray(photo.picture.convert("L"))
    if min(grey.shape) < _LEAST_SIDE:
        return {}
    (across, gone_across), (down, gone_down) = _lines(grey), _lines(grey.T)
    gone = (gone_across + gone_down.T) / (across + down.T + _NOISE)
    sharpest = float(np.quantile(gone, _SHARPEST))
    return {"sharpness": round(min(max((sharpest - _NONE) / (_ALL - _NONE), 0.0), 1.0), 3)}


def _lines(grey: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each tile, how much neighbours in its rows differ, and how much of that a blur along them takes away."""
    import numpy as np

    lines = grey[:: max(1, len(grey) // _LINES)].astype(np.float32)
    differs = np.abs(np.diff(lines, axis=1))
    # The mean of a window moves by what comes in at one end less what goes out at the other.
    still = np.abs(lines[:, _WINDOW:] - lines[:, :-_WINDOW])
    still /= _WINDOW
    differs = differs[:, _WINDOW // 2 :][:, : still.shape[1]]
    gone = differs - still
    np.maximum(gone, 0, out=gone)
    return _tiles(differs), _tiles(gone)


def _tiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, columns = (length // _TILES for length in values.shape)
    bands = values[: rows * _TILES, : columns * _TILES].reshape(_TILES, rows, columns * _TILES).sum(axis=1)
    means: NDArray[np.float32] = bands.reshape(_TILES, _TILES, columns).mean(axis=2)
    means /= rows
    return means
