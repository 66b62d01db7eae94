"""Real photos through the deployed pipeline, and what becomes of them afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from tagstream.catalog.client import connect
from tagstream.catalog.updates import document_id
from tagstream.local.photos import PHOTOS
from tests.e2e.conftest import Pipeline, eventually


def stored(pipeline: Pipeline, key: str) -> dict[str, Any]:
    """The document itself, tombstones included, out of OpenSearch."""
    client = connect(pipeline.connection.search_url)
    try:
        return dict(client.get(index="imagerepository", id=document_id(pipeline.bucket, key)))
    finally:
        client.close()


def test_photos_are_found_by_what_they_show(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    folder = str(next(iter(photos.values())).parent)
    uploaded = pipeline.run("images", "upload", folder, "--json")
    assert uploaded.returncode == 0, uploaded.stderr
    assert {json.loads(line)["key"] for line in uploaded.stdout.splitlines()} == set(photos)
    for photo in PHOTOS:
        image = pipeline.searchable(photo.name)
        assert image["title"] == photo.name
        assert image["s3_location"] == f"s3://{pipeline.bucket}/{photo.name}"
        tag = next(tag["tag"] for tag in image["tags"] if tag["tag"] in photo.tags)
        found = pipeline.ask(query="tag", tag=tag, exact=True)["images"]
        assert photo.name in {one["key"] for one in found}
    assert pipeline.dead_letters() == 0


def test_upload_waits_until_the_photos_can_be_searched(
    pipeline: Pipeline, photos: dict[str, Path], tmp_path: Path
) -> None:
    """One that goes in parts among them, and one that is no photo."""
    Image.effect_noise((2000, 2000), 200).convert("RGB").save(tmp_path / "noise.bmp")
    (tmp_path / "coffee.png").write_bytes(photos["coffee.png"].read_bytes())
    (tmp_path / "notes.jpg").write_text("no photo, whatever its name says")
    for _ in range(2):
        waited = pipeline.run("images", "upload", str(tmp_path), "--prefix", "wait/", "--wait", "--json")
        assert waited.returncode == 4, waited.stderr
        rows = {row["key"]: row for row in map(json.loads, waited.stdout.splitlines())}
        assert {key: row["status"] for key, row in rows.items()} == {
            "wait/coffee.png": "classified",
            "wait/noise.bmp": "classified",
            "wait/notes.jpg": "rejected",
        }
        assert waited.stderr.splitlines()[-1] == "2 of 3 can be searched, 1 were rejected."
        sent = pipeline.run("images", "upload", str(tmp_path / "noise.bmp"), "--prefix", "wait/", "--json")
        assert json.loads(sent.stdout)["status"] == "unchanged"


def test_overwrite_delete_and_upload_again(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key = "changing/photo.jpg"
    pipeline.put(key, photos["coffee.png"])
    pipeline.shows(key, "espresso")
    pipeline.put(key, photos["strawberries.jpg"])
    pipeline.shows(key, "strawberry")
    coffees = pipeline.ask(query="tag", tag="espresso", limit=100)["images"]
    assert key not in {image["key"] for image in coffees}

    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key)
    eventually(lambda: pipeline.image(key) is None, "the deleted photo is gone from the catalog")

    pipeline.put(key, photos["yurts.jpg"])
    pipeline.shows(key, "yurt")


def test_an_older_version_that_comes_up_again_is_shown_again(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key = "versions.jpg"
    pipeline.put(key, photos["drum.jpg"])
    pipeline.shows(key, "drum")
    newer = pipeline.put(key, photos["cannon.jpg"])
    pipeline.shows(key, "cannon")
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key, VersionId=newer)
    pipeline.shows(key, "drum")


def test_copies_and_multipart_uploads_are_found(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    pipeline.put("original.jpg", photos["eagle.jpg"])
    pipeline.s3.copy_object(
        Bucket=pipeline.bucket, Key="copy.jpg", CopySource={"Bucket": pipeline.bucket, "Key": "original.jpg"}
    )
    part = {"Bucket": pipeline.bucket, "Key": "parts.jpg"}
    upload = pipeline.s3.create_multipart_upload(**part)["UploadId"]
    etag = pipeline.s3.upload_part(**part, UploadId=upload, PartNumber=1, Body=photos["geese.jpg"].read_bytes())["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    pipeline.s3.complete_multipart_upload(**part, UploadId=upload, MultipartUpload=parts)
    pipeline.shows("copy.jpg", "bald eagle")
    pipeline.shows("parts.jpg", "goose")


def test_events_that_come_again_change_nothing(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key = "again.jpg"
    version = pipeline.put(key, photos["eagle.jpg"])
    pipeline.shows(key, "bald eagle")
    pipeline.settled()
    before = stored(pipeline, key)
    event = pipeline.record(key, before["_source"]["sequencer"], version=version)
    for _ in range(3):
        pipeline.notify(event)
    pipeline.notify(event, event)
    pipeline.settled()
    assert stored(pipeline, key) == before


def test_a_late_event_brings_nothing_back(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key = "late.jpg"
    version = pipeline.put(key, photos["eagle.jpg"])
    pipeline.shows(key, "bald eagle")
    sequencer = stored(pipeline, key)["_source"]["sequencer"]
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key)
    eventually(lambda: pipeline.image(key) is None, "the deleted photo is gone from the catalog")
    # The version is still there, behind the delete marker: it could be classified.
    pipeline.notify(pipeline.record(key, sequencer, version=version))
    pipeline.settled()
    assert pipeline.image(key) is None
