"""A running system is updated, again and again, while photos come, change and go: nothing is lost, and searches go on.

In a cloud of its own, whose functions have versions and an alias, as on AWS.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tagstream.local.cloud import LocalCloud
from tests.documents import ROOT
from tests.e2e.conftest import Pipeline, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

LOGS = ROOT / "build" / "local" / "logs-update"
ANCHOR = "anchor/eagle.jpg"
SEED = 20_261_126
FIRST = {
    # Versions and an alias.
    "gradual_minutes": "5",
    # What is in hand when a function is replaced comes again after six of these.
    "classify.timeout_seconds": "20",
}
SECOND = FIRST | {
    "max_tags": "9",
    "log_level": "WARNING",
    "classify.visibility_seconds": "130",
    "catalog.visibility_seconds": "70",
    "catalog.max_receives": "6",
}


class Uploader(threading.Thread):
    """Uploads, overwrites and deletes without a pause; ``there`` is what the bucket holds, key by key."""

    def __init__(self, pipeline: Pipeline, photos: Sequence[bytes]) -> None:
        super().__init__()
        self.there: dict[str, str] = {}
        self.done = {"new": 0, "over": 0, "gone": 0}
        self.failed: Exception | None = None
        self._s3, self._bucket, self._photos = pipeline.connection.client("s3"), pipeline.bucket, photos
        self._enough = threading.Event()
        self._random = random.Random(SEED)

    def run(self) -> None:
        try:
            while not self._enough.wait(0.25):
                self._once()
        except (BotoCoreError, ClientError) as error:
            self.failed = error
        finally:
            self._s3.close()

    def _once(self) -> None:
        what = self._random.choices(("new", "over", "gone"), (4, 3, 2))[0] if self.there else "new"
        key = f"stream/{self.done['new']:04}.jpg" if what == "new" else self._random.choice(list(self.there))
        if what == "gone":
            self._s3.delete_object(Bucket=self._bucket, Key=key)
            del self.there[key]
        else:
            # Bytes behind a JPEG's end are no part of the picture: another object of the same photo.
            body = self._random.choice(self._photos) + self._random.randbytes(8)
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
            self.there[key] = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.done[what] += 1

    def end(self) -> None:
        self._enough.set()
        self.join(timeout=60)
        assert not self.is_alive()


class Searcher(threading.Thread):
    """Searches without a pause for a photo that is there all the while."""

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.answers = 0
        self.wrong: list[str] = []
        self._pipeline = pipeline
        self._enough = threading.Event()

    def run(self) -> None:
        while not self._enough.wait(0.1):
            try:
                found = self._pipeline.ask(query="search", q="bald eagle", limit=100)["images"]
            except (AssertionError, BotoCoreError, ClientError, KeyError, ValueError) as error:
                self.wrong.append(repr(error))
                continue
            self.answers += 1
            if ANCHOR not in {image["key"] for image in found}:
                self.wrong.append(f"found {len(found)} others")

    def end(self) -> None:
        self._enough.set()
        self.join(timeout=60)
        assert not self.is_alive()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "cloud", logs=LOGS) as made:
        made.deploy(FIRST)
        yield made


def another_model(folder: Path) -> Path:
    """The default model under another name: what it says is of another model, whatever it sees."""
    shutil.copytree(ROOT / "build" / "models" / "efficientnet-lite0", folder)
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"name": "another"}))
    return folder


def versions(pipeline: Pipeline, stack: str, output: str) -> str:
    """The version that the alias in an output leads to."""
    name, _, alias = pipeline.connection.outputs(stack)[output].partition(":")
    assert alias == "live"
    functions = pipeline.connection.client("lambda")
    try:
        return str(functions.get_alias(FunctionName=name, Name=alias)["FunctionVersion"])
    finally:
        functions.close()


def documents(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """What the catalog has below ``stream/``, by key."""
    found: dict[str, dict[str, Any]] = {}
    after = None
    while True:
        page = pipeline.ask(query="versions", bucket=pipeline.bucket, limit=1000, after=after)
        found |= {one["key"]: one for one in page["images"]}
        after = page["after"]
        if after is None:
            return {key: one for key, one in found.items() if key.startswith("stream/")}


def test_an_update_loses_no_message_and_no_document_and_searches_go_on(
    cloud: LocalCloud, photos: dict[str, Path], tmp_path: Path
) -> None:
    pipeline = Pipeline(cloud.connection, cloud.pids, LOGS / "cloud.log", tmp_path / "cloud" / "private")
    pipeline.put(ANCHOR, photos["eagle.jpg"])
    pipeline.searchable(ANCHOR)
    watched = (("ingest", "ClassifyFunctionName"), ("catalog", "CatalogFunctionName"))
    first = [versions(pipeline, *one) for one in watched]
    small = [photos[name].read_bytes() for name in ("drum.jpg", "deck chairs.jpg", "strawberries.jpg")]
    uploader, searcher = Uploader(pipeline, small), Searcher(pipeline)
    uploader.start()
    searcher.start()
    try:
        eventually(lambda: documents(pipeline), "photos of the stream are in the catalog")

        # Changed functions and changed queues.
        cloud.deploy(SECOND)
        second = [versions(pipeline, *one) for one in watched]
        assert all(int(new) > int(old) for old, new in zip(first, second, strict=True))
        during = uploader.done["new"]

        # Another model, and another index: what a changed mapping takes is the same move.
        cloud.deploy(SECOND | {"model": str(another_model(tmp_path / "another")), "domain.shards": "2"})
        moved = pipeline.run("images", "reindex")
        assert moved.returncode == 0, moved.stderr
        retagged = pipeline.run("images", "retag", "--rate", "100", "--json")
        assert uploader.done["new"] > during > 0
    finally:
        uploader.end()
        searcher.end()
    assert uploader.failed is None, uploader.failed
    assert min(uploader.done.values()) > 5, uploader.done
    assert retagged.returncode == 0, retagged.stderr
    assert json.loads(retagged.stdout)["outdated"] == 0

    eventually(
        lambda: pipeline.waiting(pipeline.ingest_queue) == 0 and pipeline.waiting(pipeline.catalog_queue) == 0,
        "the queues are empty, with what came again",
        seconds=300,
    )
    assert pipeline.dead_letters() == 0
    assert searcher.wrong == []
    assert searcher.answers > 20

    reconciled = pipeline.run("images", "reconcile", "--json")
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    kept = documents(pipeline)
    assert {key: one["etag"] for key, one in kept.items()} == uploader.there
    assert {one["model"] for one in kept.values()} == {"another"}
    assert {one["status"] for one in kept.values()} == {"classified"}
    inspected = pipeline.run("doctor", "--json")
    assert (inspected.returncode, inspected.stdout) == (0, ""), inspected.stderr
    status = pipeline.run("status", "--json")
    assert status.returncode == 0, status.stdout + status.stderr
    pipeline.close()
