"""``tagstream images classify``: photos and folders in, words out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tagstream.classifier.models import default_model
from tagstream.cli.images.classify import classify
from tests.documents import undocumented


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "2026").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("b.jpg", "a [red] 🐈.jpg", "2026/c.jpg", ".hidden/d.jpg", ".e.jpg"):
        Image.new("RGB", (300, 200), "orange").save(tmp_path / name)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(classify, [str(argument) for argument in arguments])


def test_folders_are_searched(photos: Path) -> None:
    done = run(photos, "--json", "--top", "3", "--min-score", "0")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert undocumented(rows) == set()
    assert [Path(row["path"]).relative_to(photos).as_posix() for row in rows] == [
        "a [red] 🐈.jpg",
        "b.jpg",
        "2026/c.jpg",
    ]
    for row in rows:
        assert (row["width"], row["height"], row["model"]) == (300, 200, default_model())
        assert row["vocabulary"]
        leaves = [tag for tag in row["tags"] if tag["kind"] == "leaf"]
        assert len(leaves) == 3
        assert row["tags"][:3] == leaves
        for one_kind in (leaves, row["tags"][3:]):
            scores = [tag["score"] for tag in one_kind]
            assert scores == sorted(scores, reverse=True)
        by_name = {tag["tag"]: tag for tag in row["tags"]}
        for leaf in leaves:
            # A leaf is below its ancestors, and no more probable than they are.
            assert all(by_name[parent]["score"] >= leaf["score"] for parent in leaf["parents"])


def test_a_table_for_people(photos: Path) -> None:
    done = run(photos / "a [red] 🐈.jpg")
    assert done.exit_code == 0
    assert "a [red] 🐈.jpg" in done.stdout


def test_what_is_no_photo_is_told_on_standard_error(photos: Path) -> None:
    (photos / "notes.txt").write_text("notes")
    some = run(photos, "--json")
    assert some.exit_code == 4
    rows = [json.loads(line) for line in some.stdout.splitlines()]
    assert [Path(row["path"]).name for row in rows if "reason" in row] == ["notes.txt"]
    assert [row["status"] for row in rows].count("classified") == 3
    assert len(rows) == 4
    assert "notes.txt: this is no image" in some.stderr
    none = run(photos / "notes.txt")
    assert (none.exit_code, none.stdout) == (1, "")


def test_nothing_to_do_is_a_failure(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "no files" in done.stderr


def test_wrong_usage(tmp_path: Path) -> None:
    assert run().exit_code == 2
    assert run(tmp_path / "none.jpg").exit_code == 2
    assert run(tmp_path, "--top", "0").exit_code == 2
