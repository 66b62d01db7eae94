"""What should never have been uploaded, or sent, through the deployed pipeline."""

from __future__ import annotations

import io
import json
import struct
import uuid
import zlib
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import Pipeline, eventually

LONG = "folder/" + "長" * 300 + "/" + "x" * 88 + ".jpg"
NAMES = ("two words.jpg", "a+b.jpg", "100%25 & more.jpg", "a cat 🐈.jpg", LONG, "[bold].jpg", "no ending")


def png_bomb() -> bytes:
    """100 megapixels in 13 kB."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    side = 10_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans(photo: Path) -> bytes:
    """A progressive JPEG with its last scan 300 times over."""
    out = io.BytesIO()
    Image.open(photo).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 300 + b"\xff\xd9"


def fifty_megapixels(photo: Path) -> bytes:
    out = io.BytesIO()
    Image.open(photo).resize((8660, 5774), Image.Resampling.NEAREST).save(out, "JPEG", quality=60)
    return out.getvalue()


@pytest.fixture(scope="module")
def uploaded(pipeline: Pipeline, photos: dict[str, Path]) -> Pipeline:
    """All of it at once, with a good photo in their midst."""
    cannon = photos["cannon.jpg"].read_bytes()
    pipeline.put("bad/text.jpg", b"I am no photo.\n" * 100)
    pipeline.put("bad/empty.jpg", b"")
    pipeline.put("bad/truncated.jpg", cannon[: len(cannon) // 3])
    pipeline.put("bad/good.jpg", photos["drum.jpg"])
    pipeline.put("bad/bomb.png", png_bomb())
    pipeline.put("bad/scans.jpg", many_scans(photos["cannon.jpg"]))
    pipeline.put("bad/large.jpg", fifty_megapixels(photos["cannon.jpg"]))
    for name in NAMES:
        pipeline.put(name, cannon)
    return pipeline


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("bad/text.jpg", "image"),
        ("bad/empty.jpg", "empty"),
        ("bad/truncated.jpg", "truncated|damaged|cut"),
        ("bad/bomb.png", "pixels"),
        ("bad/scans.jpg", "scans"),
    ],
)
def test_what_can_never_be_classified_is_rejected_with_its_reason(uploaded: Pipeline, key: str, reason: str) -> None:
    image = uploaded.searchable(key)
    assert image["status"] == "rejected"
    assert not image.get("tags")
    listed = uploaded.run("images", "rejected", "--limit", "1000", "--json")
    row = next(row for row in map(json.loads, listed.stdout.splitlines()) if row["key"] == key)
    assert row["reason"] == image["reason"]
    assert any(word in row["reason"] for word in reason.split("|")), row["reason"]


def test_a_photo_of_50_megapixels_is_classified(uploaded: Pipeline) -> None:
    image = uploaded.searchable("bad/large.jpg")
    assert (image["width"], image["height"]) == (8660, 5774)
    assert image["tags"][0]["tag"] == "cannon"


@pytest.mark.parametrize("key", NAMES, ids=["spaces", "plus", "percent", "emoji", "1000 bytes", "markup", "none"])
def test_any_name_will_do(uploaded: Pipeline, key: str) -> None:
    if key == LONG:
        assert len(key.encode()) == 1000
    image = uploaded.searchable(key)
    assert image["title"] == key.rsplit("/", 1)[-1]
    assert image["tags"][0]["tag"] == "cannon"
    shown = uploaded.run("images", "show", key)
    assert shown.returncode == 0, shown.stderr
    assert "cannon" in shown.stdout
    removed = uploaded.run("images", "rm", "--yes", key)
    assert removed.returncode == 0, removed.stderr
    eventually(lambda: uploaded.image(key) is None, "the photo is gone from the catalog")


def test_none_of_it_blocks_another_photo_or_comes_back(uploaded: Pipeline) -> None:
    uploaded.shows("bad/good.jpg", "drum")
    uploaded.settled()
    assert uploaded.dead_letters() == 0


def test_a_photo_deleted_before_it_is_read_leaves_nothing(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    pipeline.put("fleeting.jpg", photos["eagle.jpg"])
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key="fleeting.jpg")
    pipeline.notify(pipeline.record("never-was.jpg", "0A", version=uuid.uuid4().hex))
    pipeline.settled()
    assert pipeline.image("fleeting.jpg") is None
    assert pipeline.image("never-was.jpg") is None
    assert pipeline.dead_letters() == 0


def test_messages_that_are_no_events(pipeline: Pipeline) -> None:
    def send(body: str) -> str:
        return str(pipeline.sqs.send_message(QueueUrl=pipeline.ingest_queue, MessageBody=body)["MessageId"])

    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "x", "Bucket": pipeline.bucket}
    harmless = send(json.dumps(test_event))
    wrong = [send(body) for body in ("hello", "[1, 2]", '{"Records": [{"eventName": "ObjectCreated:Put"}]}')]
    pipeline.settled()
    rejected = {image["key"]: image["reason"] for image in pipeline.ask(query="rejected", limit=100)["images"]}
    assert harmless not in rejected
    assert all("no S3 event" in rejected[message] for message in wrong)
    assert "hello" in rejected[wrong[0]]
    assert pipeline.dead_letters() == 0


def test_of_five_records_one_that_fails_is_tried_again(
    pipeline: Pipeline, photos: dict[str, Path], least_privilege: bool
) -> None:
    """The one is encrypted with a key that the function doesn't have, until somebody puts it right."""
    if least_privilege:
        pytest.skip("the photos are in a bucket that the function may not read")
    bucket = f"elsewhere-{uuid.uuid4().hex[:12]}"
    pipeline.s3.create_bucket(Bucket=bucket)
    keys = [f"five-{number}.jpg" for number in range(5)]
    for key in keys:
        locked = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32} if key == keys[2] else {}
        # Customer keys may only travel over TLS; nothing else is sent by this client.
        pipeline.s3.put_object(Bucket=bucket, Key=key, Body=photos["eagle.jpg"].read_bytes(), **locked)
    pipeline.retry_after(pipeline.ingest_queue, 3)
    try:
        pipeline.notify(*(pipeline.record(key, "0A", bucket=bucket) for key in keys))
        for key in keys[:2] + keys[3:]:
            pipeline.shows(key, "bald eagle")
        assert pipeline.image(keys[2]) is None
        assert pipeline.waiting(pipeline.ingest_queue) == 1
        pipeline.s3.put_object(Bucket=bucket, Key=keys[2], Body=photos["drum.jpg"].read_bytes())
        pipeline.shows(keys[2], "drum")
        pipeline.settled()
    finally:
        pipeline.retry_after(pipeline.ingest_queue, 360)
    assert pipeline.dead_letters() == 0
