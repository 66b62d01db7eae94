"""Each default model, from its deploy to photos that are found; and what the photo's document says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagstream.local.photos import PHOTOS
from tagstream.machine import DEFAULT_MODELS
from tests.e2e.conftest import Pipeline, deployed, eventually

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=DEFAULT_MODELS)
def of_one_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, least_privilege: bool
) -> Iterator[tuple[Pipeline, str]]:
    """A cloud of a machine whose default is this model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGSTREAM_MODEL", request.param)
        clouds = deployed(tmp_path_factory, request.param, least_privilege=least_privilege)
        yield next(clouds), request.param
        next(clouds, None)


def test_the_default_finds_the_demo_s_photos(of_one_model: tuple[Pipeline, str], photos: dict[str, Path]) -> None:
    pipeline, model = of_one_model
    for name, path in photos.items():
        pipeline.put(name, path)
    for photo in PHOTOS:
        image = pipeline.searchable(photo.name)
        assert image["model"] == model
        best = [tag["tag"] for tag in image["tags"] if tag["kind"] == "leaf"]
        assert not photo.tags or photo.tags & set(best[:3]), (photo.name, best)


def test_the_step_has_it_too(of_one_model: tuple[Pipeline, str], photos: dict[str, Path], tmp_path: Path) -> None:
    pipeline, model = of_one_model
    (tmp_path / "lines.txt").write_text(f"{photos['drum.jpg']}\n")
    for topic in ("looks", "looked"):
        assert pipeline.run("topics", "create", topic).returncode == 0
    assert pipeline.run("topics", "upload", str(tmp_path / "lines.txt"), "looks").returncode == 0
    worked = pipeline.run("topics", "process", "looks", "looked", "--step", "classify", "--idle-timeout", "1")
    assert worked.returncode == 0, worked.stderr
    target = tmp_path / "looked.txt"

    def downloaded() -> bool:
        return pipeline.run("topics", "download", "looked", str(target), "--idle", "1").returncode == 0

    eventually(downloaded, "the photo's tags are there")
    answer = json.loads(target.read_text())
    assert (answer["model"], answer["tags"][0]["tag"]) == (model, "drum")
