"""Calibration: the temperature is found, measured on held-out photos, kept and used."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from tagstream.classifier import Classifier
from tagstream.classifier.calibration import (
    COLDEST,
    FEWEST_PHOTOS,
    HOTTEST,
    at_temperature,
    calibrate,
    fit_temperature,
    labelled_photos,
    measures,
    reliability,
)
from tagstream.classifier.models import find_model, load_info
from tagstream.cli.models import models
from tagstream.errors import ConfigurationError


def drawn(photos: int, temperature: float, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a net, and right classes drawn so that it is calibrated at ``temperature`` exactly."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (photos, 20))
    scores = at_temperature(np.exp(logits), 1.0)
    truth = at_temperature(scores, temperature)
    right = np.array([random.choice(20, p=row) for row in truth])
    return scores, right


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_photos_were_drawn_at_is_found(temperature: float) -> None:
    scores, right = drawn(4000, temperature)
    assert fit_temperature(scores, right) == pytest.approx(temperature, rel=0.08)


def test_no_other_temperature_is_likelier() -> None:
    scores, right = drawn(300, 1.7)
    best = fit_temperature(scores, right)
    at_best = measures(at_temperature(scores, best), right).nll
    assert all(at_best <= measures(at_temperature(scores, best * factor), right).nll for factor in (0.5, 0.9, 1.1, 2))


def test_what_is_told_was_measured_on_photos_that_were_held_out() -> None:
    scores, right = drawn(1000, 2.0)
    result = calibrate(scores, right)
    assert result.helps
    assert result.after.accuracy == result.before.accuracy
    assert result.after.ece < result.before.ece / 2
    assert len(set(result.folds)) == 5
    fitted_on_all = measures(at_temperature(scores, result.temperature), right).nll
    assert result.after.nll > fitted_on_all


def test_a_net_that_is_always_right_ends_at_the_coldest() -> None:
    scores, _ = drawn(500, 1.0)
    assert fit_temperature(scores, scores.argmax(axis=1)) == pytest.approx(COLDEST, rel=0.01)


def test_a_calibrated_net_gains_nothing() -> None:
    scores, right = drawn(1000, 1.0)
    result = calibrate(scores, right)
    assert result.after.nll == pytest.approx(result.before.nll, rel=0.01)


def test_labels_that_mean_nothing_end_at_the_hottest() -> None:
    scores, _ = drawn(500, 1.0)
    right = np.random.default_rng(9).integers(0, 20, 500)
    assert fit_temperature(scores, right) > HOTTEST / 4


def test_scores_of_nothing_and_of_everything_are_no_problem() -> None:
    scores = np.tile(np.eye(3), (FEWEST_PHOTOS, 1))
    right = np.tile([0, 1, 1], FEWEST_PHOTOS)
    result = calibrate(scores, right)
    assert np.isfinite([result.temperature, result.after.nll, result.after.ece]).all()
    assert sum(one.photos for one in reliability(scores, right)) == len(right)


def test_too_few_photos_are_refused() -> None:
    scores, right = drawn(FEWEST_PHOTOS - 1, 1.0)
    with pytest.raises(ConfigurationError, match="too few"):
        calibrate(scores, right)


def test_labelled_photos_come_from_folders_or_a_table(tmp_path: Path) -> None:
    for name in ("hen/a.jpg", "hen/more/b.jpg", "hen/.c.jpg", ".x/d.jpg", "cock/e.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = [(path.relative_to(tmp_path).as_posix(), label) for path, label in labelled_photos(tmp_path)]
    assert found == [("cock/e.jpg", "cock"), ("hen/a.jpg", "hen"), ("hen/more/b.jpg", "hen")]
    table = tmp_path / "labels.csv"
    table.write_text("\ufefflabel,path\nhen,hen/a.jpg\n", "utf-8")
    assert list(labelled_photos(table)) == [(tmp_path / "hen/a.jpg", "hen")]


@pytest.mark.parametrize(
    "content", [b"", b"a,b\n1,2\n", b"path,label\nx.jpg\n", b"path,label\n\xff\xfe,hen\n", b"path,label\n,hen\n"]
)
def test_a_table_that_is_none_says_what_is_missing(tmp_path: Path, content: bytes) -> None:
    table = tmp_path / "labels.csv"
    table.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"labels\.csv"):
        list(labelled_photos(table))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(find_model("efficientnet-lite0"), folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that the model itself gave their labels to, three in four of them its first one: more than it says."""
    classifier = Classifier(find_model("efficientnet-lite0"))
    random = np.random.default_rng(5)
    table = tmp_path_factory.mktemp("labelled") / "labels.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for number in range(FEWEST_PHOTOS + 10):
            path = table.with_name(f"{number}.png")
            small = Image.fromarray(random.integers(0, 255, (5, 5, 3), dtype=np.uint8))
            small.resize((240, 240), Image.Resampling.BICUBIC).save(path)
            seen = classifier.recognise(path)
            ranked = sorted(seen.scores, key=seen.scores.__getitem__, reverse=True)
            rows.writerow([path.name, ranked[number % 4 == 0].upper()])
    return table.parent


@pytest.fixture
def labelled(tmp_path: Path, pictures: Path) -> Path:
    return Path(shutil.copytree(pictures, tmp_path / "labelled"), "labels.csv")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(models, ["calibrate", *map(str, arguments)])


def test_what_was_fitted_is_kept_and_used(model: Path, labelled: Path, tmp_path: Path) -> None:
    before = Classifier(model).recognise(labelled.with_name("0.png")).scores
    diagram = tmp_path / "new" / "diagram.png"
    tried = run("--labelled", labelled, "--model", model, "--dry-run", "--diagram", diagram)
    assert tried.exit_code == 0, tried.output
    assert load_info(model).temperature == 1.0
    with Image.open(diagram) as drawing:
        assert drawing.format == "PNG"

    done = run("--labelled", labelled, "--model", model, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    info = load_info(model)
    assert info.temperature == pytest.approx(told["temperature"], abs=1e-4)
    assert info.temperature < 1
    assert info.calibrated_on["photos"] == told["photos"] == FEWEST_PHOTOS + 10
    after = Classifier(model).recognise(labelled.with_name("0.png")).scores
    assert max(after, key=after.__getitem__) == max(before, key=before.__getitem__)
    assert max(after.values()) > max(before.values())
    assert sum(after.values()) == pytest.approx(1)

    again = run("--labelled", labelled, "--model", model, "--json")
    assert json.loads(again.stdout)["temperature"] == told["temperature"]


def test_what_cannot_be_used_is_told_and_left_out(model: Path, labelled: Path) -> None:
    with labelled.open("a") as file:
        file.write("0.png,no such thing\nmissing.png,hen\nlabels.csv,hen\n")
    done = run("--labelled", labelled, "--model", model)
    assert done.exit_code == 4
    assert "'no such thing' is no label of model: 1 photos left out" in done.stderr
    assert "missing.png: No such file" in done.stderr
    assert "labels.csv: this is no image" in done.stderr
    assert "3 photos were left out" in done.stderr


def test_what_would_not_help_is_not_kept(model: Path, labelled: Path) -> None:
    with labelled.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = Classifier(model).labels
    lines = [f'{row["path"]},"{names[number * 13]}"\n' for number, row in enumerate(rows)]
    labelled.write_text("path,label\n" + "".join(lines))
    done = run("--labelled", labelled, "--model", model)
    assert done.exit_code == 1
    assert "Nothing was kept" in done.stderr
    assert load_info(model).temperature == 1.0


@pytest.mark.parametrize("temperature", ["0", "-1", '"hot"', "null", "NaN", "Infinity"])
def test_a_temperature_that_is_none_is_refused(model: Path, temperature: str) -> None:
    values = json.loads((model / "model.json").read_text())
    values.pop("temperature", None)
    (model / "model.json").write_text(json.dumps(values)[:-1] + f', "temperature": {temperature}}}')
    done = run("--labelled", model.parent, "--model", model)
    assert done.exit_code == 1
    assert "temperature" in str(done.exception)
