"""Real photos, real nets: what is built is what was published, and what is fast is still right.

The photos come out of wheels, fetched once into build/photos.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tagstream.classifier import Classifier, best_tags, run_image_recognition
from tagstream.classifier.build import _convert as converted
from tagstream.classifier.build import _net as keras_net
from tagstream.classifier.build import _published_weights as published_weights
from tagstream.classifier.build import build_model, measured_ranges
from tagstream.classifier.classifier import normalise
from tagstream.classifier.int8 import published_ranges
from tagstream.classifier.models import MODELS, MODELS_DIR, find_model
from tagstream.local.photos import PHOTOS, Photo, fetch
from tagstream.machine import DEFAULT_MODELS

FOLDER = MODELS_DIR.parent / "photos"


@pytest.fixture(scope="module")
def photos() -> list[Path]:
    return fetch(FOLDER)


@pytest.fixture(scope="module")
def fast() -> Classifier:
    return Classifier(find_model("efficientnet-lite0"))


@pytest.mark.parametrize("model", DEFAULT_MODELS)
@pytest.mark.parametrize("photo", [photo for photo in PHOTOS if photo.tags], ids=lambda photo: photo.name)
def test_known_photos_get_the_right_tag(photos: list[Path], photo: Photo, model: str) -> None:
    """A wrong weight, axis, normalisation or channel order would turn most of these into nonsense."""
    scores = run_image_recognition(FOLDER / photo.name, model=model)
    top = [tag.tag for tag in best_tags(scores, min_score=0, max_tags=3)]
    assert set(top) & photo.tags


@pytest.mark.long
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_the_written_net_agrees_with_keras_and_with_the_converter(
    name: str, photos: list[Path], tmp_path: Path
) -> None:
    tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow has no wheels for this Python")
    plain = Classifier(build_model(name, quantize="none", root=tmp_path))
    halved = Classifier(build_model(name, root=tmp_path))
    spec = MODELS[name]
    net = keras_net(spec, published_weights(spec))
    shutil.copytree(find_model(name, tmp_path), tmp_path / "converted")
    (tmp_path / "converted" / "model.tflite").write_bytes(converted(tensorflow, net, "fp16"))
    wanted_halved = Classifier(tmp_path / "converted", verify=False)
    for path in photos[:5]:
        pixels = plain.decode(path, fast=False).pixels
        logits = net(normalise(pixels, spec.mean, spec.std), training=False).numpy()[0]
        wanted = np.exp(logits - logits.max())
        wanted /= wanted.sum()
        np.testing.assert_allclose(plain.scores(pixels), wanted, atol=1e-4)
        # Folding the same numbers in another order rounds some of millions of weights the other way.
        np.testing.assert_allclose(halved.scores(pixels), wanted_halved.scores(pixels), atol=1e-3)
        np.testing.assert_allclose(halved.scores(pixels), wanted, atol=0.03)


def test_scaling_while_decoding_and_fp16_keep_the_top_tag(photos: list[Path], fast: Classifier) -> None:
    sure = 0
    for path in photos:
        full = fast.scores(fast.decode(path, fast=False).pixels)
        if full.max() >= 0.5:
            sure += 1
            assert fast.scores(fast.decode(path).pixels).argmax() == full.argmax(), path.name
    assert sure >= 5


def test_a_damaged_model_is_built_again_the_same_and_in_one_step(tmp_path: Path) -> None:
    shutil.copytree(find_model("efficientnet-lite0"), tmp_path / "efficientnet-lite0")
    (tmp_path / "efficientnet-lite0" / "model.tflite").write_bytes(b"")
    told: list[str] = []
    made = build_model("efficientnet-lite0", root=tmp_path, report=told.append)
    assert len(told) >= 3
    assert [path.name for path in tmp_path.iterdir()] == ["efficientnet-lite0"]
    assert sorted(path.name for path in made.iterdir()) == [
        "labels.txt",
        "model.json",
        "model.tflite",
        "wordnet-ids.txt",
    ]
    assert (made / "model.tflite").read_bytes() == (find_model("efficientnet-lite0") / "model.tflite").read_bytes()


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite2"])
def test_int8_says_what_fp16_says(name: str, photos: list[Path], tmp_path: Path) -> None:
    made = build_model(name, quantize="int8", root=tmp_path)
    small, large = Classifier(made), Classifier(build_model(name, root=tmp_path))
    assert (made.name, small.info.quantization) == (f"{name}-int8", "int8")
    assert (made / "model.tflite").stat().st_size < 7_000_000
    for path in photos:
        scores, expected = small.recognise(path).scores, large.recognise(path).scores
        best = max(expected, key=expected.__getitem__)
        assert abs(scores[best] - expected[best]) < 0.2, path
        if expected[best] >= 0.5:
            assert max(scores, key=scores.__getitem__) == best, path


@pytest.mark.long
def test_the_ranges_are_those_of_the_demo_s_photos(photos: list[Path], tmp_path: Path) -> None:
    measured = np.array(measured_ranges("efficientnet-lite0", photos))
    kept = np.array(published_ranges("efficientnet-lite0"))
    # The last digits of floats are the processor's own.
    np.testing.assert_allclose(measured, kept, rtol=0.01, atol=0.01)
    # Photos of one's own have ranges of their own.
    own, usual = (
        build_model("efficientnet-lite0", quantize="int8", samples=samples, root=tmp_path / root)
        for root, samples in (("own", photos[:2]), ("usual", ()))
    )
    assert (own / "model.tflite").read_bytes() != (usual / "model.tflite").read_bytes()


@pytest.mark.long
def test_inception_without_a_way_out_asks_for_a_file(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow has no wheels for this Python")
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", "from tagstream.cli import main; main()", "models", "build", "inception-v3", "--force"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 1
    assert "cannot be downloaded" in done.stderr
    assert "--weights PATH" in done.stderr
    assert "Traceback" not in done.stderr
