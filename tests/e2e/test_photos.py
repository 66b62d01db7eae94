"""Real photos through the deployed pipeline, and what becomes of them afterwards."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch
from PIL import Image

from tagstream.catalog.updates import document_id
from tagstream.classifier.models import default_model
from tagstream.local.photos import PHOTOS
from tests.e2e.conftest import Pipeline, eventually


def stored(pipeline: Pipeline, key: str) -> dict[str, Any]:
    """The document itself, tombstones included, out of OpenSearch."""
    client = OpenSearch(pipeline.connection.search_url)
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
        assert image["model"] == default_model()
        if photo.tags:
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


def thumbnails(pipeline: Pipeline) -> set[str]:
    """The names of all thumbnails of the bucket that holds them."""
    bucket = pipeline.connection.outputs("ingest")["ThumbnailsBucketName"]
    pages = pipeline.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


def thumbnails_of(pipeline: Pipeline, key: str) -> set[str]:
    return {name for name in thumbnails(pipeline) if name.startswith(f"{document_id(pipeline.bucket, key)}/")}


def test_thumbnails_come_and_go_with_their_photo(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key, bucket = "thumbs/lying.jpg", pipeline.connection.outputs("ingest")["ThumbnailsBucketName"]
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)})
    file = BytesIO()
    with Image.open(photos["coffee.png"]) as coffee:
        coffee.convert("RGB").resize((1200, 800)).save(file, "JPEG", exif=exif)
    pipeline.put(key, file.getvalue())
    first = pipeline.searchable(key)["thumbnails"]
    assert first["sizes"]["320"] == [213, 320]
    assert thumbnails_of(pipeline, key) == {f"{first['key']}/{size}.jpg" for size in (320, 1024)}
    for size, sides in first["sizes"].items():
        content = pipeline.s3.get_object(Bucket=bucket, Key=f"{first['key']}/{size}.jpg")["Body"].read()
        assert not [secret for secret in (b"EXIF", b"XMP", b"ICCP", b"Maker") if secret in content]
        with Image.open(BytesIO(content)) as picture:
            assert (picture.format, list(picture.size)) == ("JPEG", sides)

    pipeline.put(key, photos["coffee.png"])

    def replaced() -> dict[str, Any] | None:
        image = pipeline.searchable(key)
        return image["thumbnails"] if image["thumbnails"]["key"] != first["key"] else None

    second = eventually(replaced, "the photo that took its place has thumbnails")
    eventually(
        lambda: thumbnails_of(pipeline, key) == {f"{second['key']}/{size}.jpg" for size in (320, 1024)},
        "the thumbnails of the first photo are gone",
    )

    removed = pipeline.run("images", "rm", key, "--yes")
    assert removed.returncode == 0, removed.stderr
    eventually(lambda: not thumbnails_of(pipeline, key), "its thumbnails are gone with the photo")

    # The delete marker is removed: the photo is there again, with thumbnails of its own.
    versions = pipeline.s3.list_object_versions(Bucket=pipeline.bucket, Prefix=key)["DeleteMarkers"]
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key, VersionId=versions[0]["VersionId"])
    third = pipeline.searchable(key)["thumbnails"]
    assert third["key"] not in (first["key"], second["key"])
    pipeline.settled()
    assert thumbnails_of(pipeline, key) == {f"{third['key']}/{size}.jpg" for size in (320, 1024)}


def test_photos_of_a_time_before_thumbnails_get_theirs_by_retag(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key = "thumbs/old.png"
    pipeline.put(key, photos["coffee.png"])
    pipeline.searchable(key)
    client = OpenSearch(pipeline.connection.search_url)
    try:
        document = dict(client.get(index="imagerepository", id=document_id(pipeline.bucket, key))["_source"])
        del document["thumbnails"]
        client.index(index="imagerepository", id=document_id(pipeline.bucket, key), body=document, refresh=True)
    finally:
        client.close()
    assert "thumbnails" not in pipeline.searchable(key)
    looked = pipeline.run("images", "retag", "--json")
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["sent"] >= 1
    assert pipeline.searchable(key)["thumbnails"]["sizes"].keys() == {"320", "1024"}
