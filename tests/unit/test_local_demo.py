"""When the demo fails: a photo that is not found as it should be."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tagstream.cli.demo import _Shown, what_next
from tagstream.cli.next_steps import photos_at_hand
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
        (shown(set(), {"tags": CAT}), None),
        (shown(set(), {"status": "rejected", "reason": "cut short"}), "is rejected: cut short"),
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
    assert [photo.name for photo in PHOTOS if not photo.tags] == ["flower.jpg"]


def test_the_demo_ends_with_what_to_type_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv" / "bin" / "tagstream")])
    monkeypatch.chdir(tmp_path)
    text = what_next(tmp_path / "my photos", [["search", "cat"], ["search", "hot dog", "--min-score", "0.9"]])
    assert [line.split("  #")[0].strip() for line in text.splitlines()[2:]] == [
        ".venv/bin/tagstream local up",
        ".venv/bin/tagstream images upload 'my photos' --wait",
        ".venv/bin/tagstream images search 'hot dog' --min-score 0.9",
        ".venv/bin/tagstream local down",
    ]


def test_who_has_no_pictures_gets_those_of_the_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    demo = tmp_path / "build" / "photos"
    assert photos_at_hand(demo) is None
    demo.mkdir(parents=True)
    (tmp_path / "Pictures").mkdir()
    assert photos_at_hand(demo) == "build/photos"
    (tmp_path / "Pictures" / "cat.jpg").touch()
    assert photos_at_hand(demo) == "~/Pictures"
