"""The interface between a decoded photo and whatever measures it.

The catalog function imports analysers for their fields alone, and its bundle has neither numpy nor Pillow: analysers
import those where they use them, and not at the top of their module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from tagstream.analysis.fields import Field

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Analyser", "Photo"]


class Photo(Protocol):
    """What an analyser may look at; :class:`tagstream.classifier.Decoded` is one.

    ``picture`` is the whole photo, upright and RGB, its long side below 2,048 pixels: never the full size.
    ``width`` and ``height`` are those of the photo itself. ``exif`` has the tags that
    :func:`tagstream.classifier.exif.read_exif` knows, bounded in number and length, and nothing else is true of
    them: a photo may say anything.
    """

    @property
    def picture(self) -> Image: ...

    @property
    def width(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def exif(self) -> Mapping[str, Any]: ...


class Analyser(Protocol):
    """A module that measures one thing (or a class, if it must be set up)."""

    @property
    def FIELDS(self) -> tuple[Field, ...]:
        """What it may say."""
        ...

    def facts(self, photo: Photo) -> Mapping[str, Any]:
        """Some of its fields, as JSON values; those that the photo does not tell are left out.

        Takes well below a millisecond or two: it runs for every photo. Whatever it raises costs its own facts only.
        """
        ...
