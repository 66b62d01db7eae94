"""The classifier, with the model that is used by default."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import tagstream.classifier
from tagstream.classifier import Classifier, Limits, best_tags, granted_cores, run_image_recognition
from tagstream.classifier.models import find_model
from tagstream.errors import ImageRejected, ModelError


@pytest.fixture(scope="module")
def model() -> Path:
    return find_model("efficientnet-lite0")


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier(model)


def pictures() -> list[np.ndarray]:
    """Different pictures that are the same at every run."""
    random = np.random.default_rng(7)
    small = random.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    return [np.asarray(Image.fromarray(one).resize((224, 224), Image.Resampling.BICUBIC)) for one in small]


def test_every_class_gets_a_score_and_they_sum_to_one(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), "orange").save(tmp_path / "photo.png")
    scores = run_image_recognition(tmp_path / "photo.png")
    assert len(scores) == 1000
    assert sum(scores.values()) == pytest.approx(1, abs=1e-9)
    assert all(0 <= score <= 1 for score in scores.values())
    assert run_image_recognition(str(tmp_path / "photo.png")) == scores


def test_a_photo_may_be_a_path_bytes_or_an_open_file(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (300, 200), "orange").save(photo)
    scores, content = run_image_recognition(photo), photo.read_bytes()
    for given in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert run_image_recognition(given) == scores
    with photo.open("rb") as file:
        assert run_image_recognition(file) == scores
        assert not file.closed
        with pytest.raises(ImageRejected, match="empty"):
            run_image_recognition(file)

    class Socket(io.RawIOBase):
        """Gives a few bytes at a time."""

        rest = memoryview(content)

        def readinto(self, buffer: memoryview) -> int:
            count = min(len(buffer), 7, len(self.rest))
            buffer[:count], self.rest = self.rest[:count], self.rest[count:]
            return count

        def readable(self) -> bool:
            return True

    assert run_image_recognition(Socket()) == scores


def test_what_is_no_photo_at_all_is_told_from_a_bad_one(tmp_path: Path) -> None:
    for given in (None, 7, ["drum.jpg"]):
        with pytest.raises(TypeError, match="a path, bytes or an open file"):
            run_image_recognition(given)
    (tmp_path / "notes.jpg").write_text("notes")
    with (tmp_path / "notes.jpg").open() as file, pytest.raises(TypeError, match='open\\(path, "rb"\\)'):
        run_image_recognition(file)
    with pytest.raises(ImageRejected, match="no image that can be read"):
        run_image_recognition(b"notes")
    with pytest.raises(FileNotFoundError):
        run_image_recognition("none.jpg")


def test_a_file_without_an_end_is_rejected_and_not_kept() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            assert 0 < size <= 1 << 20
            self.given += size
            return bytes(size)

    file = Endless()
    with pytest.raises(ImageRejected, match=r"more than the [0-9,]+ bytes that are allowed"):
        run_image_recognition(file)
    assert file.given == Limits().max_bytes + 1


def test_a_drawn_traffic_light_is_one(classifier: Classifier, tmp_path: Path) -> None:
    """What a net with a wrong weight, channel or normalisation would not see."""
    photo = Image.new("RGB", (640, 640), (150, 185, 220))
    draw = ImageDraw.Draw(photo)
    draw.rectangle((305, 430, 335, 640), fill=(60, 60, 60))
    draw.rounded_rectangle((225, 60, 415, 440), 30, fill=(25, 25, 25))
    for top, colour in ((80, (255, 40, 30)), (200, (90, 70, 10)), (320, (10, 70, 30))):
        draw.ellipse((270, top, 370, top + 100), fill=colour)
    photo.save(tmp_path / "light.jpg")
    scores = classifier.recognise(tmp_path / "light.jpg").scores
    assert best_tags(scores, min_score=0.5, max_tags=1)[0].tag == "traffic light"


def test_threads_get_the_answers_that_one_gets(classifier: Classifier) -> None:
    alone = [classifier.scores(picture) for picture in pictures()]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(classifier.scores, pictures() * 5))
    for number, scores in enumerate(together):
        np.testing.assert_array_equal(scores, alone[number % len(alone)])


def test_the_number_of_threads_changes_no_answer(model: Path, classifier: Classifier) -> None:
    one = Classifier(model, threads=1)
    for picture in pictures():
        np.testing.assert_allclose(one.scores(picture), classifier.scores(picture), atol=1e-5)


def test_limits_are_the_classifiers_own(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "photo.png")
    with pytest.raises(ImageRejected, match="60,000 pixels"):
        Classifier(model, limits=Limits(max_pixels=59_999)).recognise(tmp_path / "photo.png")


def test_probabilities_are_taken_as_they_are(model: Path, classifier: Classifier, tmp_path: Path) -> None:
    """A model of one's own may end in a softmax: it is not to get another."""
    values = json.loads((model / "model.json").read_text()) | {"output": "probabilities"}
    for name in ("model.tflite", "labels.txt"):
        (tmp_path / name).symlink_to(model / name)
    (tmp_path / "model.json").write_text(json.dumps(values))
    plain = Classifier(tmp_path).scores(pictures()[0])
    assert plain.sum() == pytest.approx(1)
    assert not np.allclose(plain, classifier.scores(pictures()[0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": 200}, "takes no 200 x 200"),
        ({"tflite_sha256": "0"}, "not the file that was built"),
        ({"labels_sha256": "0"}, "not the file that was built"),
    ],
)
def test_a_model_that_is_not_what_it_says_is_refused(
    model: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    for name in ("model.tflite", "labels.txt"):
        (tmp_path / name).symlink_to(model / name)
    (tmp_path / "model.json").write_text(json.dumps(json.loads((model / "model.json").read_text()) | change))
    with pytest.raises(ModelError, match=message):
        Classifier(tmp_path)


def test_labels_must_be_as_many_as_classes(model: Path, tmp_path: Path) -> None:
    from tagstream.classifier.models import load_info, sha256

    (tmp_path / "model.tflite").symlink_to(model / "model.tflite")
    (tmp_path / "labels.txt").write_text("cat\ncat\n")
    info = dataclasses.replace(load_info(model), labels_sha256=sha256(tmp_path / "labels.txt"))
    (tmp_path / "model.json").write_text(info.to_json())
    with pytest.raises(ModelError, match="each of the 1000 classes once"):
        Classifier(tmp_path)


def test_the_best_tags_come_first_and_ties_in_order_of_the_alphabet() -> None:
    tags = best_tags({"b": 0.3, "c": 0.4, "a": 0.3, "d": 0.0}, min_score=0, max_tags=3)
    assert [tag.tag for tag in tags] == ["c", "a", "b"]
    assert best_tags({"a": 0.2}, min_score=0.2, max_tags=1)[0].score == 0.2
    assert best_tags({"a": 0.2}, min_score=0.21, max_tags=1) == ()


def test_public_names() -> None:
    public = {
        name
        for name, value in vars(tagstream.classifier).items()
        if name[0] != "_" and (getattr(value, "__module__", "").startswith("tag") or name.isupper())
    }
    assert public == set(tagstream.classifier.__all__)
    assert granted_cores() >= 1


def test_classifying_needs_no_tensorflow(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "photo.png")
    code = (
        "import sys; from tagstream.classifier import run_image_recognition as run; run(sys.argv[1]);"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "photo.png")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert not set(done.stdout.split()) & {"tensorflow", "keras", "pi_heif", "boto3", "botocore"}
