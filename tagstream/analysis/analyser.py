"""The interface between a decoded photo and whatever measures it.

The catalog function imports analysers for their fields alone, and its bundle has neither numpy nor Pillow: analysers
import those where they use them, and not at the top of their module.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tagstream.analysis.fields import Field

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Analyser", "Decoded", "Photo"]

_SMALL = 128


class Decoded(Protocol):
    """What there is to look at; :class:`tagstream.classifier.Decoded` is that."""

    @property
    def picture(self) -> Image: ...

    @property
    def exif(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Photo:
    """What an analyser may look at.

    ``picture`` is the whole photo, upright and RGB, its long side below 2,048 pixels: never the full size.
    ``exif`` has the tags that :func:`tagstream.classifier.exif.read_exif` knows, bounded in number and length, and
    nothing else is known of them: a photo may say anything.
    """

    picture: Image
    exif: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def small(self) -> Image:
        """The same with a long side of 128 to 256 pixels (less if the photo has less); made once for all analysers."""
        factor = max(self.picture.size) // _SMALL
        return self.picture.reduce(factor) if factor > 1 else self.picture

    @functools.cached_property
    def grey(self) -> Image:
        """``small`` in shades of grey, its luma (mode L); made once for all analysers."""
        return self.small.convert("L")


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
