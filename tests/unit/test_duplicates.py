"""Duplicates: exact and near ones are found, the best is kept, and it takes no time for pairs that are none."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagstream.analysis import Photo, phash
from tagstream.catalog.duplicates import MOST_BITS, Copy, Group, duplicates
from tagstream.classifier.decode import decode
from tests.unit.test_analysis import waves

FOLDER = Path("build/photos")


def image(key: str, phash: int | None = None, **facts: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"key": key, "size": 1000, "width": 40, "height": 30, "etag": f"of {key}"}
    return known | ({} if phash is None else {"phash": f"{phash:016x}"}) | facts


def test_copies_byte_for_byte_are_found_even_without_a_hash() -> None:
    found = duplicates(
        [
            image("new.jpg", etag="a", uploaded_at="2026-02-01"),
            image("old.jpg", etag="a", uploaded_at="2026-01-01"),
            image("other size.jpg", etag="a", size=1001),
            image("other.jpg", etag="b"),
            image("unknown.jpg", etag=None),
            image("unknown too.jpg", etag=None),
        ]
    )
    assert list(found) == [Group("old.jpg", (Copy("new.jpg", 1000, None),))]


def test_of_near_ones_the_largest_is_kept() -> None:
    found = duplicates(
        [
            image("small.jpg", 0b0111, width=10, height=10),
            image("large.jpg", 0b0001, width=100, height=100, size=5000),
            image("large but squeezed.jpg", 0b0000, width=100, height=100, size=3000),
            image("far.jpg", 2**64 - 1),
        ]
    )
    assert list(found) == [
        Group("large.jpg", (Copy("large but squeezed.jpg", 3000, 1), Copy("small.jpg", 1000, 2))),
    ]


def test_all_are_near_the_one_that_is_kept_and_not_in_a_chain() -> None:
    chain = [image(f"{bits:02}.jpg", 2**bits - 1, width=1000 - bits) for bits in range(0, 60, 4)]
    for group in duplicates(chain, bits=4):
        assert all(copy.bits is not None and copy.bits <= 4 for copy in group.copies)
        assert len(group.copies) == 1


def test_copies_of_a_copy_go_with_it() -> None:
    found = duplicates(
        [
            image("large.jpg", 1, width=100),
            image("small.jpg", 3, etag="s", uploaded_at="1"),
            image("small again.jpg", 3, etag="s", uploaded_at="2"),
        ]
    )
    assert list(found) == [Group("large.jpg", (Copy("small.jpg", 1000, 1), Copy("small again.jpg", 1000, 1)))]


def test_nothing_is_no_duplicate() -> None:
    assert list(duplicates([])) == []
    assert list(duplicates([image("a.jpg"), image("b.jpg", 5)])) == []


hashes = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 2**12).map(lambda low: low << 20), max_size=40)


@given(hashes, st.integers(0, MOST_BITS))
def test_groups_are_as_comparing_all_pairs_finds_them(hashes: list[int], bits: int) -> None:
    images = [image(f"{number:03}.jpg", value) for number, value in enumerate(hashes)]
    left, expected = list(range(len(hashes))), {}
    while left:
        keep = left.pop(0)
        near = [other for other in left if (hashes[keep] ^ hashes[other]).bit_count() <= bits]
        left = [other for other in left if other not in near]
        if near:
            expected[images[keep]["key"]] = {images[other]["key"] for other in near}
    assert {group.keep: {copy.key for copy in group.copies} for group in duplicates(images, bits=bits)} == expected


def test_many_images_are_compared_without_comparing_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    originals = [chance.getrandbits(64) for _ in range(20_000)]
    near = [value ^ (1 << chance.randrange(64)) for value in originals[:50]]
    compared = 0
    count = np.bitwise_count

    def counting(values: Any) -> Any:
        nonlocal compared
        compared += len(values)
        return count(values)

    monkeypatch.setattr(np, "bitwise_count", counting)
    images = (image(f"{number}.jpg", value, size=number) for number, value in enumerate([*originals, *near]))
    assert sum(len(group.copies) for group in duplicates(images)) == 50
    assert compared < 20_000**2 / 25


def test_a_great_many_of_one_picture_are_one_group() -> None:
    (group,) = duplicates(image(f"{number}.jpg", 1 << number % 3) for number in range(20_000))
    assert len(group.copies) == 19_999


def hash_of(picture: Image.Image, quality: int = 90) -> int:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    seen = decode(file.getvalue(), size=224, crop=0.875, interpolation="bicubic")
    return int(phash.facts(Photo(seen.picture))["phash"], 16)


COPIES: dict[str, Callable[[Image.Image], Any]] = {
    "resized": lambda p: hash_of(p.resize((p.width // 2, p.height // 2))),
    "enlarged": lambda p: hash_of(p.resize((p.width * 2, p.height * 2))),
    "recompressed": lambda p: hash_of(p, 30),
    "cropped": lambda p: hash_of(p.crop((p.width // 100, p.height // 100, p.width * 99 // 100, p.height * 99 // 100))),
    "grey": lambda p: hash_of(p.convert("L")),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_real_photos_are_found_and_different_photos_are_not(copy: str) -> None:
    photos = [Image.open(path).convert("RGB") for path in sorted(FOLDER.glob("*")) if path.suffix in (".jpg", ".png")]
    # Drawn ones, where the real ones have not been fetched.
    photos += [waves(seed=seed) for seed in range(1, 5)]
    images = [image(f"{number}.jpg", hash_of(photo, 95), width=4000) for number, photo in enumerate(photos)]
    images += [image(f"copy of {number}.jpg", COPIES[copy](photo)) for number, photo in enumerate(photos)]
    groups = {group.keep: [one.key for one in group.copies] for group in duplicates(images)}
    assert groups == {f"{number}.jpg": [f"copy of {number}.jpg"] for number in range(len(photos))}
