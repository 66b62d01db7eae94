"""What thumbnails are called: keys that say of which look at which image they are, and that are never used again.

This much is known where there is no Pillow: the catalog function checks names, and removes what they name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["SIZES", "check_thumbnails", "key_of", "objects_of"]

SIZES = (320, 1024)
"""Pixels of the long side, at most. A size may be added, and none taken away: what is stored would stay for ever."""

_MADE_THIS_WAY = "1"
"""Raise it when thumbnails of the same photo are to look different: they get other keys then."""


def key_of(image: str, sequencer: str, content: str, look: str | None = None) -> str:
    """What the thumbnails of one look at an image have in common: ``<image>/<sequencer>-<digest>``.

    ``image`` is the document's id, ``sequencer`` that of the event, ``content`` the ETag of what was found. An event
    that is delivered again has the same key, so that nothing is written again. A later event has another one, whatever
    it finds: what removes the thumbnails of the earlier one never takes its away. ``look`` tells looks at one event
    apart, if they are to have thumbnails of their own.

    >>> key_of("9c47", "0055AED6DCD90281E5", "d41d8cd9")
    '9c47/0055aed6dcd90281e5-de11625996ae879bd457b619'
    """
    place = sequencer.lower().rstrip("0") or "0"
    said = "\0".join((_MADE_THIS_WAY, place, content, look or ""))
    return f"{image}/{place}-{hashlib.sha256(said.encode()).hexdigest()[:24]}"


def objects_of(key: str) -> Iterator[str]:
    """The objects that may be there under a key, one for each size.

    >>> list(objects_of("9c47/0a-65d3"))
    ['9c47/0a-65d3/320.jpg', '9c47/0a-65d3/1024.jpg']
    """
    return (f"{key}/{size}.jpg" for size in SIZES)


def check_thumbnails(value: Any, image: str) -> None:
    """Raise ValueError for what cannot be the thumbnails of ``image``: ``{"key": …, "sizes": {"320": [w, h], …}}``."""
    if not isinstance(value, dict) or value.keys() != {"key", "sizes"} or not isinstance(value["sizes"], dict):
        raise ValueError(f"thumbnails are {value!r:.100}")
    if not isinstance(value["key"], str) or not re.fullmatch(f"{re.escape(image)}/[0-9a-z-]{{1,100}}", value["key"]):
        raise ValueError(f"{value['key']!r:.200} is no key of thumbnails of {image}")
    for name, sides in value["sizes"].items():
        known = name in map(str, SIZES) and isinstance(sides, list) and len(sides) == 2
        if not known or not all(type(side) is int and 1 <= side <= int(name) for side in sides):
            raise ValueError(f"a thumbnail {name!r:.20} measures {sides!r:.100}")
