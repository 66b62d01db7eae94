"""When the demo fails: a photo that is not found as it should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tagstream.cli.demo import _Shown
from tagstream.local.photos import PHOTOS
from tagstream.pipeline.uploads import Upload

CAT = [{"tag": "tiger cat", "score": 0.4}]


def shown(expected: set[str] | None, image: dict[str, Any], found_by: str | None = None) -> _Shown:
    tags = None if expected is None else frozenset(expected)
    return _Shown(Upload(Path("a.jpg"), "a.jpg"), tags, seconds=1.0, image=image, found_by=found_by)


@pytest.mark.parametrize(
    ("photo", "problem"),
    [
        (shown({"tiger cat"}, {"tags": CAT}, "tiger cat"), None),
        (shown({"espresso"}, {"tags": CAT}), "is not found by espresso"),
        (shown({"espresso"}, {"status": "rejected", "reason": "cut short"}), "is not found by espresso: cut short"),
        (shown(None, {"tags": CAT}, "tiger cat"), None),
        (shown(None, {"tags": CAT}), "is not found by tiger cat"),
        (shown(None, {"status": "rejected", "reason": "no image"}), None),
        (shown(None, {"tags": []}), None),
    ],
)
def test_what_fails_the_demo(photo: _Shown, problem: str | None) -> None:
    assert photo.problem == problem


def test_a_photo_that_never_comes_fails_the_demo_whosever_it_is() -> None:
    for expected in (frozenset({"cat"}), None):
        assert _Shown(Upload(Path("a.jpg"), "a.jpg"), expected).problem == "did not become searchable"


def test_the_photos_have_names_and_tags_of_their_own() -> None:
    assert len({photo.name for photo in PHOTOS}) == len(PHOTOS)
    assert len({photo.sha256 for photo in PHOTOS}) == len(PHOTOS)
    assert all(photo.tags for photo in PHOTOS)
