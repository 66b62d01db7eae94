"""Thumbnails: their names, and how they are made."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tagstream.catalog.documents import document
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.classifier.decode import decode
from tagstream.errors import ConfigurationError
from tagstream.thumbnails.making import make_thumbnail
from tagstream.thumbnails.names import key_of, objects_of

IMAGE = document_id("photos", "cat.jpg")
KEY = key_of(IMAGE, "0A", "etag")


def update(thumbnails: Any = None, **fields: Any) -> CatalogUpdate:
    base: dict[str, Any] = {"kind": "classified", "event_kind": "created", "event_time": "2026-01-01T00:00:00Z"}
    return CatalogUpdate(bucket="photos", key="cat.jpg", sequencer="0A", thumbnails=thumbnails, **(base | fields))


def test_a_key_is_of_one_event_and_of_what_it_found() -> None:
    assert key_of(IMAGE, "0A", "etag") == key_of(IMAGE, "0a00", "etag")
    others = [
        key_of(IMAGE, "0B", "etag"),
        key_of(IMAGE, "0A", "other"),
        key_of(IMAGE, "0A", "etag", "a look"),
        key_of(document_id("photos", "dog.jpg"), "0A", "etag"),
    ]
    assert len({KEY, *others}) == 5


def test_what_an_update_says_of_thumbnails_reaches_the_document() -> None:
    thumbnails = {"key": KEY, "sizes": {"320": [320, 240], "1024": [1024, 768]}}
    sent = CatalogUpdate.from_json(update(thumbnails).to_json())
    assert document(sent, indexed_at="2026-01-01T00:00:01Z")["thumbnails"] == thumbnails
    assert "thumbnails" not in document(update(), indexed_at="2026-01-01T00:00:01Z")
    assert "thumbnails" not in document(update(thumbnails, kind="removed"), indexed_at="2026-01-01T00:00:01Z")


@pytest.mark.parametrize(
    "thumbnails",
    [
        "a text",
        {"key": KEY},
        {"key": KEY, "sizes": []},
        {"key": KEY, "sizes": {"640": [640, 480]}},
        {"key": KEY, "sizes": {"320": [321, 240]}},
        {"key": KEY, "sizes": {"320": [320, 0]}},
        {"key": KEY, "sizes": {"320": [320]}},
        {"key": KEY, "sizes": {"320": [320, True]}},
        {"key": 7, "sizes": {}},
        {"key": f"{KEY}/../../other", "sizes": {}},
        {"key": key_of(document_id("photos", "dog.jpg"), "0A", "etag"), "sizes": {}},
    ],
)
def test_an_update_that_names_no_thumbnails_of_its_own_image_is_refused(thumbnails: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a catalog update"):
        CatalogUpdate.from_json(update(thumbnails).to_json())


def test_every_object_is_named() -> None:
    assert list(objects_of(KEY)) == [f"{KEY}/320.jpg", f"{KEY}/1024.jpg"]


@pytest.mark.parametrize(
    ("sides", "size", "made"),
    [
        ((2047, 1535), 1024, (1024, 768)),
        ((1535, 2047), 320, (240, 320)),
        ((300, 200), 320, (300, 200)),
        ((2047, 1), 320, (320, 1)),
        ((1, 2047), 1024, (1, 1024)),
        ((1, 1), 320, (1, 1)),
    ],
)
def test_a_thumbnail_is_never_larger_than_asked_for_or_than_the_photo(
    sides: tuple[int, int], size: int, made: tuple[int, int]
) -> None:
    thumbnail = make_thumbnail(Image.linear_gradient("L").resize(sides).convert("RGB"), size)
    assert (thumbnail.width, thumbnail.height) == made
    assert Image.open(io.BytesIO(thumbnail.content)).size == made


def test_what_comes_with_a_picture_is_not_written() -> None:
    picture = Image.new("RGB", (640, 480), "green")
    picture.info |= {"exif": b"Exif\0\0secret", "icc_profile": b"secret", "xmp": b"secret", "comment": b"secret"}
    assert b"secret" not in make_thumbnail(picture, 320).content


def display_p3() -> bytes:
    """The profile of phones: that of sRGB but for its colours, which are Display P3's."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    colours = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        name, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if name in colours:
            struct.pack_into(">3i", profile, at + 8, *(round(65536 * value) for value in colours[name]))
    # It is told by its name what it is; this one has none that anybody knows.
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "P3xx".encode("utf-16-be"))


def seen(profile: bytes | None, kind: str = "PNG", mode: str = "RGB") -> tuple[int, ...]:
    """The colour of a photo of one colour, as it is handed on."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 100, 50)).convert(mode).save(file, kind, icc_profile=profile)
    picture = decode(file.getvalue(), size=32, crop=1.0, interpolation="bilinear").picture
    return tuple(int(value) for value in np.asarray(picture).reshape(-1, 3).mean(0).round())


def test_colours_are_what_the_profile_says() -> None:
    assert seen(None) == (200, 100, 50)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert seen(srgb) == (200, 100, 50)
    # What is 200, 100, 50 in Display P3 is this in sRGB (by the matrices of both, at double precision).
    assert np.abs(np.subtract(seen(display_p3()), (215, 93, 31))).max() <= 1


@pytest.mark.parametrize(
    "profile",
    [b"x", b"x" * 5000, display_p3()[:200], display_p3()[:-40], bytes(16) + b"RGB " + bytes(2000)],
)
def test_a_profile_that_cannot_be_used_changes_nothing(profile: bytes) -> None:
    assert seen(profile) == (200, 100, 50)


def test_a_profile_of_other_channels_than_the_photo_has_changes_nothing() -> None:
    assert seen(display_p3(), mode="L") == seen(None, mode="L")
    assert seen(display_p3(), "JPEG", "CMYK") == seen(None, "JPEG", "CMYK")
