"""Ingest against moto's S3 and SQS: versions, delete markers, real notifications' keys, a real FIFO queue."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from tagstream.catalog.documents import document
from tagstream.catalog.updates import CatalogUpdate
from tagstream.classifier import Classifier
from tagstream.classifier.models import find_model
from tagstream.pipeline.ingest import Ingest, Outcome
from tagstream.thumbnails.bucket import Thumbnails
from tagstream.vocabulary import load_tree


def photo(colour: str, size: tuple[int, int] = (300, 200)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


@dataclass
class Cloud:
    s3: Any
    sqs: Any
    url: str
    ingest: Ingest

    def one(self, kind: str, key: str, sequencer: str, **facts: str) -> Outcome:
        """What becomes of one event."""
        record = {
            "eventName": kind,
            "eventTime": "2026-11-22T10:00:00.000Z",
            "s3": {"bucket": {"name": "photos"}, "object": {"key": quote_plus(key), "sequencer": sequencer} | facts},
        }
        return self.ingest.process({"m": json.dumps({"Records": [record]})})["m"]

    def received(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        for bucket in ("photos", "thumbnails"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_versioning(Bucket="photos", VersioningConfiguration={"Status": "Enabled"})
        url = sqs.create_queue(QueueName="catalog.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        classifier = Classifier(find_model("efficientnet-lite0"))
        thumbnails = Thumbnails(lambda: s3, "thumbnails")
        yield Cloud(s3, sqs, url, Ingest(s3, sqs, url, lambda: classifier, thumbnails=thumbnails))


KEYS = ["plain.jpg", "a b+c%20&=?#.jpg", "\N{CAT FACE} ünïcode.jpg", "x/" * 500 + "long.jpg", '"quoted"\\.jpg']


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_keys_of_every_kind(cloud: Cloud, key: str) -> None:
    put = cloud.s3.put_object(Bucket="photos", Key=key, Body=photo("orange"))
    outcome = cloud.one("ObjectCreated:Put", key, "0A", versionId=put["VersionId"])
    assert outcome.error is None
    (update,) = cloud.received()
    assert (update["kind"], update["key"], update["version_id"]) == ("classified", key, put["VersionId"])
    assert update["etag"] == put["ETag"].strip('"')
    assert (update["width"], update["height"], update["size"]) == (300, 200, len(photo("orange")))
    assert update["tags"] == sorted(update["tags"], key=lambda tag: (tag["kind"] != "leaf", -tag["score"]))
    assert {tag["kind"] for tag in update["tags"]} == {"leaf", "ancestor"}
    assert update["vocabulary"] == load_tree().version


def test_versions_delete_markers_and_what_comes_up_again(cloud: Cloud) -> None:
    first = cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("red", (100, 50)))
    second = cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("blue", (60, 80)))

    late = cloud.one("ObjectCreated:Put", "a.jpg", "01", versionId=first["VersionId"]).updates[0]
    assert (late.width, late.version_id) == (100, first["VersionId"])

    marker = cloud.s3.delete_object(Bucket="photos", Key="a.jpg")
    gone = cloud.one("ObjectRemoved:DeleteMarkerCreated", "a.jpg", "03", versionId=marker["VersionId"]).updates[0]
    assert gone.kind == "removed"
    # What was created before its removal is still classified: the catalog puts both in order.
    still = cloud.one("ObjectCreated:Put", "a.jpg", "02", versionId=second["VersionId"]).updates[0]
    assert (still.kind, still.width) == ("classified", 60)

    cloud.s3.delete_object(Bucket="photos", Key="a.jpg", VersionId=marker["VersionId"])
    back = cloud.one("ObjectRemoved:Delete", "a.jpg", "04", versionId=marker["VersionId"]).updates[0]
    assert (back.kind, back.width, back.version_id) == ("classified", 60, second["VersionId"])

    cloud.s3.delete_object(Bucket="photos", Key="a.jpg", VersionId=second["VersionId"])
    older = cloud.one("ObjectRemoved:Delete", "a.jpg", "05", versionId=second["VersionId"]).updates[0]
    assert (older.width, older.version_id) == (100, first["VersionId"])

    cloud.s3.delete_object(Bucket="photos", Key="a.jpg", VersionId=first["VersionId"])
    assert cloud.one("ObjectRemoved:Delete", "a.jpg", "06", versionId=first["VersionId"]).updates[0].kind == "removed"
    dropped = cloud.one("ObjectCreated:Put", "a.jpg", "01", versionId=first["VersionId"])
    assert (dropped.updates, dropped.error) == ((), None)


def snapshot() -> bytes:
    """A red photo that says where it was taken, and with what."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON CORPORATION", "NIKON D850"
    exif.get_ifd(0x8769).update({0x9003: "2025:06:12 14:03:11", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)})
    picture = Image.linear_gradient("L").resize((300, 200))
    file = io.BytesIO()
    Image.merge("RGB", (picture.point(lambda level: 150 + level // 3), Image.new("L", (300, 200)), picture)).save(
        file, "JPEG", exif=exif
    )
    return file.getvalue()


@pytest.mark.parametrize("store_location", [False, True])
def test_what_a_photo_says_besides_reaches_the_document(cloud: Cloud, store_location: bool) -> None:
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=snapshot())
    cloud.ingest = replace(cloud.ingest, store_location=store_location)
    assert cloud.one("ObjectCreated:Put", "a.jpg", "01").notes == ()
    (message,) = cloud.received()
    made = document(CatalogUpdate.from_json(json.dumps(message)), indexed_at="2026-11-22T10:00:01Z")
    assert (made["taken_at"], made["camera"]) == ("2025-06-12T14:03:11+02:00", "NIKON D850")
    assert made.get("location") == ({"lat": 48.2082, "lon": 16.3738} if store_location else None)
    assert "red" in [entry["color"] for entry in made["colors"]]
    assert len(made["phash"]) == 16
    assert 0.1 < made["brightness"] < 0.6
    assert made["sharpness"] < 0.5


def lying(size: tuple[int, int] = (1600, 1200)) -> bytes:
    """A photo that was taken upright, its red top on the left of the file, with everything that a camera writes."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)})
    picture = Image.new("RGB", size, "blue")
    picture.paste("red", (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif, comment=b"my house")
    return file.getvalue()


def test_thumbnails_are_upright_and_say_nothing_but_the_picture(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=lying())
    assert cloud.one("ObjectCreated:Put", "a.jpg", "0A").error is None
    (message,) = cloud.received()
    sizes = message["thumbnails"]["sizes"]
    assert sizes["320"] == [240, 320]
    assert sizes["1024"][0] * 4 == sizes["1024"][1] * 3
    assert 768 <= sizes["1024"][1] <= 1024
    for size, sides in sizes.items():
        answer = cloud.s3.get_object(Bucket="thumbnails", Key=f"{message['thumbnails']['key']}/{size}.jpg")
        assert answer["ContentType"] == "image/jpeg"
        content = answer["Body"].read()
        for secret in (b"EXIF", b"XMP", b"ICCP", b"Maker", b"house"):
            assert secret not in content
        thumbnail = Image.open(io.BytesIO(content))
        assert (thumbnail.format, list(thumbnail.size)) == ("JPEG", sides)
        assert not thumbnail.getexif()
        top, bottom = (thumbnail.convert("RGB").getpixel((sides[0] // 2, y)) for y in (9, sides[1] - 9))
        assert isinstance(top, tuple)
        assert isinstance(bottom, tuple)
        assert top[0] - top[2] > 180
        assert bottom[2] - bottom[0] > 180


def written(cloud: Cloud) -> dict[str, Any]:
    return {
        item["Key"]: item["LastModified"] for item in cloud.s3.list_objects_v2(Bucket="thumbnails").get("Contents", [])
    }


def test_an_event_that_is_repeated_writes_no_thumbnails_and_the_catalog_hears_of_them_again(cloud: Cloud) -> None:
    statuses: list[int] = []
    cloud.s3.meta.events.register(
        "after-call.s3.PutObject", lambda http_response, **_: statuses.append(http_response.status_code)
    )
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("red"))
    statuses.clear()
    for _ in range(2):
        assert cloud.one("ObjectCreated:Put", "a.jpg", "0A").error is None
    assert statuses == [200, 200, 412, 412]
    one, other = cloud.received()
    assert one["thumbnails"] == other["thumbnails"]
    # A small photo has thumbnails of its own size.
    assert one["thumbnails"]["sizes"] == {"320": [300, 200], "1024": [300, 200]}
    assert len(written(cloud)) == 2
    # The same content, uploaded again, does not share them: removing the first ones leaves these alone.
    cloud.one("ObjectCreated:Put", "a.jpg", "0B")
    assert len(written(cloud)) == 4


def test_a_photo_is_cataloged_although_its_thumbnails_cannot_be_written(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("red"))
    nowhere = Thumbnails(lambda: cloud.s3, "no-such-bucket")
    cloud.ingest = replace(cloud.ingest, thumbnails=nowhere)
    outcome = cloud.one("ObjectCreated:Put", "a.jpg", "0A")
    assert "NoSuchBucket" in str(outcome.error)
    (message,) = cloud.received()
    assert message["kind"] == "classified"
    assert message["thumbnails"]["sizes"] == {}
    # The message comes again for them; when that does not help either, it is left at that.
    cloud.ingest = replace(cloud.ingest, insist=False)
    outcome = cloud.one("ObjectCreated:Put", "a.jpg", "0A")
    assert outcome.error is None
    assert outcome.notes[0].startswith("s3://photos/a.jpg is cataloged without all of its thumbnails: ")
    cloud.ingest = replace(cloud.ingest, thumbnails=Thumbnails(lambda: cloud.s3, "thumbnails"))
    assert cloud.one("ObjectCreated:Put", "a.jpg", "0A").error is None
    assert [sorted(update["thumbnails"]["sizes"]) for update in cloud.received()] == [[], ["1024", "320"]]


def test_what_is_no_photo_has_no_thumbnails(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=b"a text")
    cloud.one("ObjectCreated:Put", "a.jpg", "0A")
    assert written(cloud) == {}


def test_an_object_deleted_before_it_is_read(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("red"))
    cloud.s3.delete_object(Bucket="photos", Key="a.jpg")
    outcome = cloud.one("ObjectCreated:Put", "a.jpg", "01")
    assert (outcome.updates, outcome.error) == ((), None)
    assert cloud.received() == []


def test_the_same_event_twice_is_one_message(cloud: Cloud) -> None:
    cloud.ingest = replace(cloud.ingest, thumbnails=None)
    cloud.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo("red"))
    for _ in range(2):
        assert cloud.one("ObjectCreated:Put", "a.jpg", "01").error is None
    assert len(cloud.received()) == 1


def test_a_batch_of_many_kinds(cloud: Cloud) -> None:
    bodies: dict[str, bytes] = {
        "photo.jpg": photo("green"),
        "text.jpg": b"a text",
        "empty.jpg": b"",
        "cut.jpg": photo("green", (900, 900))[:3000],
    }
    for key, content in bodies.items():
        cloud.s3.put_object(Bucket="photos", Key=key, Body=content)
    messages = {
        key: json.dumps(
            {
                "Records": [
                    {
                        "eventName": "ObjectCreated:Put",
                        "eventTime": "2026-11-22T10:00:00.000Z",
                        "s3": {"bucket": {"name": "photos"}, "object": {"key": key, "sequencer": "0A"}},
                    }
                ]
            }
        )
        for key in bodies
    }
    outcomes = cloud.ingest.process(messages | {"junk": "junk", "test": '{"Event": "s3:TestEvent"}'})
    assert not [outcome.error for outcome in outcomes.values() if outcome.error]
    reasons = {update["key"]: update.get("reason") for update in cloud.received()}
    assert reasons.pop("photo.jpg") is None
    assert reasons["empty.jpg"] == "the file is empty"
    assert "no image" in reasons["text.jpg"]
    assert "cut off" in reasons["cut.jpg"]
    assert "no S3 event" in reasons["junk"]
    assert len(reasons) == 4
