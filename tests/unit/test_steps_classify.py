"""The step that classifies: what its lines and settings may be. What the photos show is tested with the classifier."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from PIL import Image

from tagstream.classifier.models import default_model, find_model
from tagstream.errors import ConfigurationError, ImageRejected
from tagstream.steps import classify
from tagstream.steps.classify import ClassifySettings
from tagstream.topics.step import Step

MODEL = find_model(default_model())


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a photo.png"
    Image.new("RGB", (320, 240), (200, 30, 30)).save(path)
    return path


class S3:
    """Answers as S3 does for one bucket."""

    def __init__(self, objects: dict[str, bytes], code: str = "NoSuchKey") -> None:
        self.objects = objects
        self.code = code

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        if Bucket == "?":
            raise ParamValidationError(report="Invalid bucket name")
        if Key not in self.objects:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "GetObject")
        return {"ContentLength": len(self.objects[Key]), "Body": io.BytesIO(self.objects[Key])}


def test_each_line_has_its_answer_in_its_place(photo: Path) -> None:
    lines = ["s3://b/a key", str(photo), photo.as_uri().replace("%20", " "), "s3://b/missing", "s3://b", "", "/no/file"]
    s3 = S3({"a key": photo.read_bytes()})
    answers = classify.classify_lines(lines, ClassifySettings(max_tags=3), lambda: s3, folder=MODEL)
    assert [answer["location"] for answer in answers] == lines
    for answer in answers[:3]:
        assert (answer["width"], answer["height"], answer["model"]) == (320, 240, MODEL.name)
        assert 1 <= [tag["kind"] for tag in answer["tags"]].count("leaf") <= 3
    assert answers[0]["tags"] == answers[1]["tags"]
    assert [("error" in answer) for answer in answers] == [False] * 3 + [True] * 4


def test_it_runs_as_a_step(photo: Path, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"model: {MODEL}\nmax_tags: 1\nmin_score: 0\nmin_ancestor_score: 0.999999\n")
    output = Step("classify", settings_file=settings).run(f"{photo}\r\n".encode() + b"\xff.jpg\n")
    first, second = map(json.loads, output.splitlines())
    assert (first["location"], len(first["tags"])) == (str(photo), 1)
    assert second == {"location": "\udcff.jpg", "error": "there is no such file"}
    assert Step("classify").run(b"") == b""


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidObjectState"])
def test_what_no_retry_mends_is_an_answer(code: str) -> None:
    with pytest.raises(ImageRejected, match=code):
        classify._fetch("s3://b/k", S3({}, code), 10)


def test_what_a_retry_may_mend_is_a_failure() -> None:
    with pytest.raises(ClientError, match="SlowDown"):
        classify._fetch("s3://b/k", S3({}, "SlowDown"), 10)


def test_what_is_too_large_is_not_read_and_what_is_no_location_not_asked_for() -> None:
    with pytest.raises(ImageRejected, match="more than 10"):
        classify._fetch("s3://b/k", S3({"k": b"x" * 11}), 10)
    with pytest.raises(ImageRejected, match="bucket name"):
        classify._fetch("s3://?/k", S3({}), 10)


@pytest.mark.parametrize(
    "text", ["- a list", "colour: red", "max_tags: many", "max_tags: 0", "min_score: 1", "a: [", "max_tags: [1]"]
)
def test_settings_that_are_wrong_are_said(text: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"settings\.yaml"):
        ClassifySettings.load(str(path))


def test_settings_may_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("")
    assert ClassifySettings.load(str(tmp_path / "settings.yaml")) == ClassifySettings.load("") == ClassifySettings()
