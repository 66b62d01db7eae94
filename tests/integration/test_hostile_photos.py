"""Photos that took minutes or gigabytes once, among 29 good ones, in one process with the real net."""

from __future__ import annotations

import itertools

import pytest

from tagstream.classifier import Classifier
from tagstream.classifier.models import MODELS_DIR, find_model
from tagstream.local.photos import fetch
from tagstream.pipeline.deliveries import Delivery, work_off
from tagstream.pipeline.ingest import Ingest
from tests.unit.test_decode import fax, float_tiff, palette_png
from tests.unit.test_ingest import Photos, Queue, body, record


@pytest.mark.parametrize("receives", [1, 3])
def test_hostile_photos_among_good_ones(receives: int, capfd: pytest.CaptureFixture[str]) -> None:
    good = [path.read_bytes() for path in fetch(MODELS_DIR.parent / "photos") if path.suffix == ".jpg"]
    contents = {f"{number:02}.jpg": photo for number, photo in zip(range(29), itertools.cycle(good))}
    hostile = {
        "fax.tiff": fax(1, 64_000_000),
        "palette.png": palette_png(1, 64_000_000),
        "noisy.tiff": fax(1000, 10_000),
        "slow.tiff": float_tiff(2000, 2000),
    }
    s3, sqs = Photos(), Queue()
    for key, content in (contents | hostile).items():
        s3.put(key, content)
    net = Classifier(find_model("efficientnet-lite0"))
    ingest = Ingest(s3, sqs, "https://queue/catalog.fifo", lambda: net)
    keys = sorted(contents | hostile, key=hash)
    deleted: list[str] = []
    for start in range(0, len(keys), 10):
        batch = {key: Delivery(body(record(key)), receives, key) for key in keys[start : start + 10]}
        outcomes = dict(work_off(ingest, batch, seconds_left=lambda: 60.0, delete=deleted.append))
        assert [key for key, outcome in outcomes.items() if outcome.error] == []
    kinds = {update.key: update.kind for update in sqs.updates}
    assert {key: kinds[key] for key in contents} == dict.fromkeys(contents, "classified")
    assert (kinds["fax.tiff"], kinds["palette.png"], kinds["slow.tiff"]) == ("rejected", "rejected", "classified")
    assert "noisy.tiff" in kinds
    assert set(deleted) == (set(keys) if receives > 1 else set())
    # libtiff would print a line for each row of a damaged fax.
    assert "Fax" not in capfd.readouterr().err
