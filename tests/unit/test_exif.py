"""EXIF: what honest cameras write is read, and what anybody else writes does no harm."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagstream.analysis import Photo, analyse, origin
from tagstream.analysis.analyse import check_facts
from tagstream.classifier.exif import read_exif


def exif(
    main: dict[int, Any] | None = None, more: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> bytes:
    """EXIF as Pillow writes it."""
    made = Image.Exif()
    made.update(main or {})
    if more:
        made.get_ifd(0x8769).update(more)
    if gps:
        made.get_ifd(0x8825).update(gps)
    return made.tobytes()


def facts(data: bytes) -> dict[str, Any]:
    return origin.facts(Photo(Image.new("RGB", (8, 8)), exif=read_exif(data)))


def directory(*entries: tuple[int, int, int, bytes], order: str = "<", then: bytes = b"") -> bytes:
    """A TIFF structure by hand: tag, type, count, and four bytes of value or place."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return head + b"".join(struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4) + then


VIENNA = {1: "N", 2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)}


def test_what_a_camera_writes_is_read() -> None:
    assert facts(
        exif(
            {0x010F: "Canon", 0x0110: "Canon EOS R5", 0x0132: "2026:01:01 00:00:00"},
            {0x9003: "2025:06:12 14:03:11", 0x9011: "+02:00"},
            VIENNA,
        )
    ) == {
        "taken_at": "2025-06-12T14:03:11+02:00",
        "camera": "Canon EOS R5",
        "location": {"lat": 48.2082, "lon": 16.3738},
    }


@pytest.mark.parametrize(
    ("main", "more", "taken_at"),
    [
        ({}, {0x9003: "2025:06:12 14:03:11"}, "2025-06-12T14:03:11"),
        ({}, {0x9003: "2025:06:12 14:03:11", 0x9011: "-03:30"}, "2025-06-12T14:03:11-03:30"),
        ({}, {0x9003: "2025:06:12 14:03:11", 0x9011: "Z"}, "2025-06-12T14:03:11+00:00"),
        ({}, {0x9003: "2025:06:12 14:03:11", 0x9011: "+99:99"}, "2025-06-12T14:03:11"),
        ({}, {0x9004: "2025:06:12 14:03:11"}, "2025-06-12T14:03:11"),
        ({0x0132: "2025:06:12 14:03:11"}, {0x9003: "    :  :     :  :  "}, "2025-06-12T14:03:11"),
        ({}, {0x9003: "0000:00:00 00:00:00"}, None),
        ({}, {0x9003: "2025:02:30 00:00:00"}, None),
        ({}, {0x9003: "0001:01:01 00:00:00"}, None),
        ({}, {0x9003: "yesterday"}, None),
        ({}, {0x9003: 7}, None),
    ],
)
def test_times(main: dict[int, Any], more: dict[int, Any], taken_at: str | None) -> None:
    assert facts(exif(main, more)).get("taken_at") == taken_at


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Apple", "iPhone 15 Pro", "Apple iPhone 15 Pro"),
        ("NIKON CORPORATION", "NIKON D850", "NIKON D850"),
        ("SONY", "ILCE-7M4", "SONY ILCE-7M4"),
        ("OLYMPUS IMAGING CORP.", "E-M1", "Olympus E-M1"),
        ("Canon\0", "  Canon   EOS  R5 ", "Canon EOS R5"),
        ("", "DSC-1", "DSC-1"),
        ("samsung", "", "samsung"),
        ("", "", None),
        (" \t\n", "\x1b[31m\x07", "[31m"),
        ("<img src=x onerror=alert(1)>", "x", "<img src=x onerror=alert(1)> x"),
        ("a" * 500, "b" * 500, "A" + "a" * 79),
        ("\u202egnp.exe", "\u2066x", "gnp.exe x"),
    ],
)
def test_cameras(make: str, model: str, camera: str | None) -> None:
    shot = Photo(Image.new("RGB", (8, 8)), exif={"Make": make.replace("\0", ""), "Model": model})
    found = origin.facts(shot)
    assert found.get("camera", "").lower() == (camera or "").lower()
    check_facts(found)


@pytest.mark.parametrize(
    ("gps", "location"),
    [
        (VIENNA, {"lat": 48.2082, "lon": 16.3738}),
        (VIENNA | {1: "S", 3: "W"}, {"lat": -48.2082, "lon": -16.3738}),
        (VIENNA | {2: (91.0, 0.0, 0.0)}, None),
        (VIENNA | {4: (180.0, 59.0, 0.0)}, None),
        (VIENNA | {2: (48.0,)}, {"lat": 48.0, "lon": 16.3738}),
        ({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}, None),
        ({1: "N", 2: (1.0, 0.0, 0.0)}, None),
        # Nobody knows on which side of the equator.
        ({2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)}, None),
        (VIENNA | {3: "N"}, None),
    ],
)
def test_places(gps: dict[int, Any], location: dict[str, float] | None) -> None:
    assert facts(exif(gps=gps)).get("location") == location


def test_a_place_is_left_out_unless_it_is_wanted() -> None:
    shot = Photo(Image.new("RGB", (8, 8)), exif=read_exif(exif(gps=VIENNA)))
    assert "location" in analyse(shot).facts
    assert "location" not in analyse(shot, without={"location"}).facts


def test_both_byte_orders_are_read() -> None:
    for order in "<>":
        camera = directory((0x0110, 2, 4, b"X10\0"), order=order)
        assert read_exif(camera) == {"Model": "X10"}
        assert read_exif(b"Exif\0\0" + camera) == {"Model": "X10"}


HUGE = 2**32 - 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Exif\0\0",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"garbage" * 100,
        # Texts and numbers that claim to be longer than everything.
        directory((0x010F, 2, HUGE, b"\x08\0\0\0"), (0x0110, 2, 10**9, bytes(4))),
        directory((0x8825, 4, 1, struct.pack("<I", 8)), (0x8769, 4, 1, struct.pack("<I", 8))),
        directory((0x8825, 4, 1, b"\xff\xff\xff\xff"), (0x8769, 2, 4, b"loop")),
        # A billion rationals, types that are none, a directory of the most entries there can be.
        directory((2, 5, 10**9, bytes(4)), (4, 5, HUGE, bytes(4))),
        directory((0x010F, 99, 1, b"abcd"), (0x0110, 0, 0, bytes(4))),
        b"II*\0\x08\0\0\0\xff\xff" + (struct.pack("<HHI", 0x010F, 2, HUGE) + b"\x08\0\0\0") * 65_535,
    ],
    ids=range(12),
)
def test_hostile_exif_says_nothing(data: bytes) -> None:
    assert read_exif(data) == {}
    assert facts(data) == {}


def test_only_what_is_needed_is_kept() -> None:
    long = directory((0x010F, 2, 60_000, struct.pack("<I", 26)), then=b"a" * 60_000)
    assert read_exif(long) == {"Make": "a" * 200}


@pytest.mark.parametrize(("above", "below", "expected"), [(3, 2, [1.5]), (0, 0, [0.0]), (1, 0, None)])
def test_rationals_that_are_no_numbers_are_left_out(above: int, below: int, expected: list[float] | None) -> None:
    latitude = struct.pack("<HHHII", 1, 2, 5, 1, 40) + struct.pack("<II", above, below)
    data = directory((0x8825, 4, 1, struct.pack("<I", 26)), then=latitude)
    assert read_exif(data).get("GPSLatitude") == expected


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda rest: b"II*\0\x08\0\0\0" + rest))
def test_any_bytes_are_read_in_bounds(data: bytes) -> None:
    found = read_exif(data)
    for value in found.values():
        assert isinstance(value, str | int | list)
        if isinstance(value, str):
            assert len(value) <= 200
        elif isinstance(value, list):
            assert len(value) <= 3
            assert all(math.isfinite(number) for number in value)


TAGS = ["Make", "Model", "DateTime", "DateTimeOriginal", "OffsetTimeOriginal", "OffsetTime"]
TAGS += ["GPSLatitude", "GPSLatitudeRef", "GPSLongitude", "GPSLongitudeRef"]


@given(
    st.dictionaries(
        st.sampled_from(TAGS),
        st.text(max_size=200)
        | st.integers(0, 2**32)
        | st.lists(st.floats(0, 2**32), max_size=3)
        | st.sampled_from(["2025:06:12 14:03:11", "+14:00", "+14:60", "N", "\ud800", "<script>"]),
    )
)
def test_whatever_exif_says_the_facts_are_valid(exif: dict[str, Any]) -> None:
    analysis = analyse(Photo(Image.new("RGB", (8, 8)), exif=exif), analysers=(origin,))
    assert analysis.notes == ()
    check_facts(analysis.facts)
