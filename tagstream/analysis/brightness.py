"""How bright a photo is as a whole."""

from __future__ import annotations

from typing import Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import number

__all__ = ["FIELDS", "facts"]

FIELDS = (number("brightness", 0, 1),)


def facts(photo: Photo) -> dict[str, Any]:
    """The mean luma of all pixels, from 0 (black) to 1 (white): 0.2 is a night, 0.8 snow."""
    import numpy as np

    grey = np.asarray(photo.grey)
    return {"brightness": round(int(grey.sum()) / grey.size / 255, 3)}
