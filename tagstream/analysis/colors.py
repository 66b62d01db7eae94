"""The colours of a photo by the names that everybody uses.

Names are given by lightness, chroma and hue in OKLab, a space in which equal distances look about equal
(https://bottosson.github.io/posts/oklab/). They are the eleven basic colour terms of English (Berlin and Kay, 1969),
and turquoise, which people search seas and pools by. Where one ends and the next begins was fitted to what the people
asked by xkcd.com called colours (https://blog.xkcd.com/2010/05/03/color-survey-results/): docs/analysis.md.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from tagstream.analysis.analyser import Photo
from tagstream.analysis.fields import shares

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ALIASES", "COLORS", "FIELDS", "facts"]

COLORS = (
    "black",
    "white",
    "gray",
    "red",
    "orange",
    "brown",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
)
ALIASES = {
    "grey": "gray",
    "silver": "gray",
    "ivory": "white",
    "cyan": "turquoise",
    "teal": "turquoise",
    "aqua": "turquoise",
    "navy": "blue",
    "violet": "purple",
    "lilac": "purple",
    "lavender": "purple",
    "magenta": "pink",
    "rose": "pink",
    "maroon": "red",
    "crimson": "red",
    "scarlet": "red",
    "tan": "brown",
    "beige": "brown",
    "chocolate": "brown",
    "gold": "yellow",
    "olive": "green",
    "lime": "green",
}
"""Other words for them, for searches."""

FIELDS = (shares("colors", "color", COLORS),)

_LEAST_SHARE = 0.05
# On a plain white or black ground the thing itself may be small, and is what counts.
_LEAST_SHARE_ON_PLAIN = 0.01
_PLAIN = 0.9
_BITS = 5
# Where one hue ends and the next begins, in degrees of OKLCh, going up; red begins again at the end.
_HUES = (
    (10, "pink"),
    (42, "red"),
    (76, "orange"),
    (117, "yellow"),
    (165, "green"),
    (208, "turquoise"),
    (283, "blue"),
    (340, "purple"),
    (360, "pink"),
)


def facts(photo: Photo) -> dict[str, Any]:
    """``colors``: those that fill a twentieth of the photo or more, the largest share first.

    A white or black that most of the photo's edge consists of is a ground rather than a colour of the thing on it: it
    comes last, and lets smaller shares count.
    """
    import numpy as np

    levels = (np.asarray(photo.small) >> (8 - _BITS)).astype(np.int16)
    names = _names().take((levels[..., 0] << 2 * _BITS) + (levels[..., 1] << _BITS) + levels[..., 2])
    share = np.bincount(names.reshape(-1), minlength=len(COLORS)) / names.size
    edge = np.concatenate([names[0], names[-1], names[:, 0], names[:, -1]]).tobytes()
    ground = next((i for i in (0, 1) if edge.count(i) >= _PLAIN * len(edge)), None)
    least = _LEAST_SHARE if ground is None else _LEAST_SHARE_ON_PLAIN
    shares = share.tolist()
    order = sorted((i for i, part in enumerate(shares) if part >= least), key=lambda i: (i == ground, -shares[i]))
    found = [{"color": COLORS[i], "share": round(shares[i], 3)} for i in order]
    return {"colors": found} if found else {}


@functools.cache
def _names() -> NDArray[np.uint8]:
    """The number of its name for each colour of 5 bits a channel."""
    import numpy as np

    levels = (np.arange(1 << _BITS) + 0.5) / (1 << _BITS)
    # From sRGB to light.
    levels = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    light = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    cones = np.cbrt(light @ np.array(_LIGHT_TO_CONES).T)
    lightness, a, b = (cones @ np.array(_CONES_TO_LAB).T).T
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    index = {name: number for number, name in enumerate(COLORS)}
    named = np.empty(len(light), np.uint8)
    for end, name in reversed(_HUES):
        named[hue < end] = index[name]

    def call(which: NDArray[np.bool_], name: str) -> None:
        named[which] = index[name]

    red, warm = (hue >= 24) & (hue < 42), (hue >= 42) & (hue < 105)
    call(red & (hue >= 34) & (lightness > 0.6), "orange")
    # Dark yellows are olive, and the brightest greens yellow.
    call((hue >= 105) & (hue < 117) & (lightness < np.where(hue < 109, 0.7, 0.8)), "green")
    call((hue >= 117) & (hue < 124.5) & (lightness > 0.9), "yellow")
    # What is warm and dark or dull is brown: wood and skin, sand and tan are no orange.
    call(warm & ((chroma < 0.16 - 0.39 * (lightness - 0.62).clip(0)) & (lightness < 0.83)), "brown")
    call(warm & (lightness < 0.45), "brown")
    call(red & (chroma < 0.135) & (lightness < 0.55), "brown")
    # What is pale or dull and red is pink, what is dark and pink is purple.
    call((hue < 30) & ((lightness > 0.69) | ((chroma < 0.11) & (lightness > 0.62))), "pink")
    call((hue >= 322) & (hue < 340) & (lightness > 0.66), "pink")
    call(((hue >= 340) | (hue < 10)) & (lightness < 0.46), "purple")
    # The eye sees colour in little chroma where it is light, and none in the dark; white may be rather warm.
    dull = chroma < np.select([lightness < 0.5, lightness < 0.7, lightness < 0.9], [0.045, 0.043, 0.04], 0.035)
    call(dull, "gray")
    call(dull & (lightness > 0.9), "white")
    call((lightness > 0.95) & (chroma < 0.04), "white")
    call((lightness > 0.9) & (chroma < 0.05) & (hue >= 30) & (hue < 112), "white")
    call(dull & (lightness < 0.3), "black")
    call((lightness < 0.14) | ((lightness < 0.2) & (chroma < 0.08)), "black")
    return named


_LIGHT_TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_CONES_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
