"""The command line against the deployed stacks: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Pipeline


@pytest.fixture(scope="module")
def with_photos(pipeline: Pipeline, photos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder = tmp_path_factory.mktemp("pictures")
    for name, photo in (("morning.png", "coffee.png"), ("fruit.jpg", "strawberries.jpg")):
        (folder / name).write_bytes(photos[photo].read_bytes())
    (folder / "notes.txt").write_text("no photo")
    done = pipeline.run("images", "upload", str(folder), "--prefix", "cli/")
    assert done.returncode == 0, done.stderr
    assert "Uploaded 2 of 2" in done.stderr
    assert "Left out 1 files" in done.stderr
    pipeline.shows("cli/morning.png", "espresso")
    pipeline.shows("cli/fruit.jpg", "strawberry")
    return pipeline


def test_search_prints_a_table_for_people(with_photos: Pipeline) -> None:
    done = with_photos.run("images", "search", "espresso")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^key +score +tag +tags", done.stdout, re.MULTILINE)
    assert re.search(r"^cli/morning.png +0\.\d{3} +espresso ", done.stdout, re.MULTILINE)


def test_search_prints_an_object_a_line_for_pipes(with_photos: Pipeline) -> None:
    done = with_photos.run("images", "search", "strawberry", "--min-score", "0.8", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert "cli/fruit.jpg" in {row["key"] for row in rows}
    assert all(row["score"] >= 0.8 for row in rows)
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["search", "hippopotamus"], 3),
        (["search", "espresso", "--min-score", "0.9999"], 3),
        (["search", "espresso", "--min-score", "2"], 2),
        (["show", "no-such-photo.jpg"], 3),
        (["rm", "--yes", "no-such-photo.jpg"], 3),
        (["upload", "/no/such/folder"], 2),
        (["search", "espresso", "--stage", "nowhere"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(with_photos: Pipeline, arguments: list[str], code: int) -> None:
    done = with_photos.run("images", *arguments)
    assert done.returncode == code, done.stderr
    assert (done.stdout + done.stderr).strip()
    assert "Traceback" not in done.stderr


def test_rm_asks_first(with_photos: Pipeline) -> None:
    refused = with_photos.run("images", "rm", "cli/fruit.jpg", input="n\n")
    assert refused.returncode == 1
    assert with_photos.image("cli/fruit.jpg")


def test_rm_of_some_that_are_not_there_is_done_in_part(with_photos: Pipeline) -> None:
    with_photos.put("cli/extra.jpg", b"no photo")
    with_photos.searchable("cli/extra.jpg")
    done = with_photos.run("images", "rm", "--yes", "cli/extra.jpg", "cli/none.jpg")
    assert done.returncode == 4, done.stderr
