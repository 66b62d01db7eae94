"""Ingest, with S3 and SQS in memory: what becomes of every message."""

from __future__ import annotations

import io
import itertools
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tagstream.catalog.order import newer
from tagstream.catalog.updates import CatalogUpdate
from tagstream.classifier import Limits, Recognition
from tagstream.errors import ImageRejected
from tagstream.pipeline.ingest import MAX_BATCH_BYTES, Ingest, NotAccepted, Outcome
from tagstream.tags import Tag


class Photos:
    """S3, as far as GetObject goes: versions of objects, the newest last; None is a delete marker."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[str, bytes | None]]] = {}
        self.errors: dict[str, Exception] = {}
        self.requests: list[dict[str, str]] = []

    def put(self, key: str, *contents: bytes | None) -> None:
        found = self.versions.setdefault(key, [])
        found += [(f"v{number}", content) for number, content in enumerate(contents, len(found) + 1)]

    def get_object(self, **request: str) -> dict[str, Any]:
        self.requests.append(request)
        key, version = request["Key"], request.get("VersionId")
        if key in self.errors:
            raise self.errors[key]
        versions = self.versions.get(key, [])
        if version is None:
            if not versions or versions[-1][1] is None:
                raise client_error("NoSuchKey")
            version, content = versions[-1]
        elif version not in dict(versions):
            raise client_error("NoSuchVersion")
        else:
            content = dict(versions)[version]
            if content is None:
                raise client_error("MethodNotAllowed")
        assert content is not None
        return {
            "Body": io.BytesIO(content),
            "ContentLength": len(content),
            "ETag": f'"{hash(content):x}"',
            "VersionId": version,
        }


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "GetObject")


@dataclass
class Queue:
    """SQS, as far as SendMessageBatch goes; ``refuses`` has document ids, ``error`` fails whole calls."""

    refuses: set[str] = field(default_factory=set)
    error: Exception | None = None
    batches: list[list[dict[str, str]]] = field(default_factory=list)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        assert QueueUrl == "https://queue/catalog.fifo"
        if self.error:
            raise self.error
        self.batches.append(Entries)
        failed = [entry for entry in Entries if entry["MessageGroupId"] in self.refuses]
        return {"Failed": [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in failed]}

    @property
    def updates(self) -> list[CatalogUpdate]:
        return [
            CatalogUpdate.from_json(entry["MessageBody"])
            for batch in self.batches
            for entry in batch
            if entry["MessageGroupId"] not in self.refuses
        ]


class Eyes:
    """Sees what the bytes say: ``cat`` is a cat."""

    name = "eyes"
    limits = Limits(max_bytes=1000)

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def recognise(self, photo: bytes, **_: object) -> Recognition:
        self.threads.add(threading.get_ident())
        if photo == b"no photo":
            raise ImageRejected("this is no image")
        if photo == b"large":
            raise MemoryError
        return Recognition({photo.decode(): 0.9, "thing": 0.095, "noise": 0.005}, 640, 480)


@dataclass
class Stage:
    s3: Photos = field(default_factory=Photos)
    sqs: Queue = field(default_factory=Queue)
    eyes: Eyes = field(default_factory=Eyes)

    def ingest(self, **settings: Any) -> Ingest:
        return Ingest(self.s3, self.sqs, "https://queue/catalog.fifo", lambda: self.eyes, **settings)

    def one(self, body: str) -> Outcome:
        return self.ingest().process({"m": body})["m"]


@pytest.fixture
def stage() -> Stage:
    return Stage()


sequence = itertools.count(1)


def record(key: str, kind: str = "ObjectCreated:Put", **facts: Any) -> dict[str, Any]:
    found = {"key": quote_plus(key), "sequencer": f"{next(sequence):016X}"} | facts
    return {
        "eventName": kind,
        "eventTime": "2026-11-22T10:00:00.000Z",
        "s3": {"bucket": {"name": "photos"}, "object": {name: value for name, value in found.items() if value}},
    }


def body(*records: dict[str, Any]) -> str:
    return json.dumps({"Records": records})


def test_a_photo_is_classified(stage: Stage) -> None:
    stage.s3.put("pets/my cat+1.jpg", b"cat")
    outcome = stage.one(body(record("pets/my cat+1.jpg", versionId="v1", eTag="e", size=3, sequencer="0A")))
    (update,) = outcome.updates
    assert (update.kind, update.bucket, update.key) == ("classified", "photos", "pets/my cat+1.jpg")
    assert update.tags == (Tag("cat", 0.9), Tag("thing", 0.095))
    assert (update.width, update.height, update.model, update.size) == (640, 480, "eyes", 3)
    assert (update.sequencer, update.event_kind, update.version_id) == ("0A", "created", "v1")
    assert outcome.error is None
    assert stage.sqs.updates == [update]
    (entry,) = stage.sqs.batches[0]
    assert entry["MessageGroupId"] == update.document_id
    assert entry["MessageDeduplicationId"] == update.deduplication_id


def test_the_version_of_the_event_is_read_and_not_a_newer_one(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat", b"dog")
    (update,) = stage.one(body(record("a.jpg", versionId="v1"))).updates
    assert update.tags[0].tag == "cat"


def test_tags_are_limited(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat")
    outcome = stage.ingest(max_tags=1).process({"m": body(record("a.jpg"))})["m"]
    assert [tag.tag for tag in outcome.updates[0].tags] == ["cat"]
    outcome = stage.ingest(min_score=0).process({"m": body(record("a.jpg"))})["m"]
    assert [tag.tag for tag in outcome.updates[0].tags] == ["cat", "thing", "noise"]


def test_what_is_no_photo_is_rejected_with_its_reason(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"no photo")
    outcome = stage.one(body(record("a.jpg", size=8)))
    (update,) = outcome.updates
    assert (update.kind, update.reason, update.size, update.version_id) == ("rejected", "this is no image", 8, "v1")
    assert outcome.error is None


def test_too_large_objects_are_not_fetched(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"x" * 1001)
    (told,) = stage.one(body(record("a.jpg", size=1001))).updates
    assert stage.s3.requests == []
    (found,) = stage.one(body(record("a.jpg"))).updates
    assert told.kind == found.kind == "rejected"
    assert told.reason == found.reason == "the file is too large: 1,001 bytes, and 1,000 are allowed"


class Lying(Photos):
    """Says that an object is small, and sends without end; or sends less than it said."""

    def __init__(self, says: int, sends: bytes) -> None:
        super().__init__()
        self.says, self.body = says, io.BytesIO(sends)

    def get_object(self, **_request: str) -> dict[str, Any]:
        return {"Body": self.body, "ContentLength": self.says}


def test_no_more_is_read_than_is_allowed() -> None:
    stage = Stage(s3=Lying(1000, b"x" * 5000))
    (update,) = stage.one(body(record("a.jpg"))).updates
    assert update.kind == "rejected"
    assert isinstance(stage.s3, Lying)
    assert stage.s3.body.closed


def test_a_broken_transfer_is_tried_again() -> None:
    outcome = Stage(s3=Lying(1000, b"x" * 500)).one(body(record("a.jpg")))
    assert isinstance(outcome.error, ConnectionError)
    assert outcome.updates == ()


def test_a_created_object_that_is_gone_is_left_to_its_removal(stage: Stage) -> None:
    stage.s3.put("b.jpg", b"cat", None)
    for gone in (record("a.jpg"), record("a.jpg", versionId="v9"), record("b.jpg", versionId="v2")):
        outcome = stage.one(body(gone))
        assert (outcome.updates, outcome.error) == ((), None)
        assert "gone" in outcome.notes[0]


def test_a_removal_is_told(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat", None)
    (update,) = stage.one(body(record("a.jpg", "ObjectRemoved:DeleteMarkerCreated", versionId="v2"))).updates
    assert (update.kind, update.event_kind, update.tags) == ("removed", "removed", ())
    assert update.processed_at


def test_an_object_that_s3_lost_is_gone(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat", None)
    lost = record("a.jpg", "ReducedRedundancyLostObject", sequencer="0055AED6DCD90281E5")
    (update,) = stage.one(body(lost)).updates
    assert (update.kind, update.event_kind, update.sequencer) == ("removed", "removed", "0055AED6DCD90281E5")


def test_a_loss_without_a_sequencer_comes_after_all_that_happened_before_it(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat", None)
    lost = record("a.jpg", "s3:ReducedRedundancyLostObject") | {"eventTime": "2015-07-22T00:00:00.000Z"}
    del lost["s3"]["object"]["sequencer"]
    (update,) = stage.one(body(lost)).updates
    # What S3 gave to an upload of 21 July 2015, 23:33:48.
    assert newer(update.sequencer, "0055AED6DCD90281E5")
    assert newer("0055B03000D90281E5", update.sequencer)


def test_after_a_removal_what_is_there_counts(stage: Stage) -> None:
    stage.s3.put("a.jpg", b"cat", b"dog")
    gone = record("a.jpg", "ObjectRemoved:Delete", versionId="v3", sequencer="0F")
    (update,) = stage.one(body(gone)).updates
    assert (update.kind, update.event_kind, update.sequencer) == ("classified", "removed", "0F")
    assert (update.tags[0].tag, update.version_id) == ("dog", "v2")


def test_markers_of_folders_are_no_images(stage: Stage) -> None:
    stage.s3.put("2026/", b"cat", b"", None)
    marker = record("2026/", versionId="v2")
    marker["s3"]["object"]["size"] = 0
    outcome = stage.one(body(marker))
    # An image with such a name, from before, is not there any more.
    assert [update.kind for update in outcome.updates] == ["removed"]
    assert "folder" in outcome.notes[0]
    assert stage.s3.requests == []


def test_an_image_whose_name_looks_like_a_folder_can_be_removed(stage: Stage) -> None:
    stage.s3.put("2026/", b"cat")
    (update,) = stage.one(body(record("2026/", size=3))).updates
    assert update.kind == "classified"
    stage.s3.put("2026/", None)
    removal = record("2026/", "ObjectRemoved:DeleteMarkerCreated")
    removal["s3"]["object"]["size"] = 0
    (update,) = stage.one(body(removal)).updates
    assert update.kind == "removed"


@pytest.mark.parametrize(
    "strange",
    [
        {"x": 1},
        "no record",
        record("t", "ObjectTagging:Put"),
        record("half \\ud800"),
        record("size", size=-1),
        record("size", size=1e999),
        record("size", size=2**70),
        record("sequencer", sequencer="0x0A"),
        record("sequencer", sequencer="0A" * 100_000),
        record("version", versionId=5),
        record("etag", eTag={"a": 1}),
        record("time") | {"eventTime": 5},
        record("bucket") | {"s3": {"bucket": {"name": ["b"]}, "object": {"key": "k", "sequencer": "0A"}}},
    ],
)
def test_a_strange_record_takes_nothing_with_it(stage: Stage, strange: Any) -> None:
    for key in "abcd":
        stage.s3.put(key, b"cat")
    # As JSON's escape of half a character, which is text to JSON and to nobody else.
    text = body(record("a"), record("b"), strange, record("c")).replace("%5Cud800", "\\ud800")
    outcomes = stage.ingest().process({"1": text, "2": body(record("d"))})
    assert [outcome.error for outcome in outcomes.values()] == [None, None]
    updates = {update.key: update.kind for update in stage.sqs.updates}
    assert updates == {"1": "rejected"} | dict.fromkeys("abcd", "classified")


def test_a_message_that_cannot_even_be_parsed_takes_nothing_with_it(stage: Stage) -> None:
    stage.s3.put("a", b"cat")
    outcomes = stage.ingest().process({"1": "[" * 200_000, "2": body(record("a"))})
    assert [outcome.error for outcome in outcomes.values()] == [None, None]
    assert [update.kind for update in stage.sqs.updates] == ["rejected", "classified"]


def test_the_test_event_is_acknowledged(stage: Stage) -> None:
    assert stage.one('{"Service": "Amazon S3", "Event": "s3:TestEvent"}') == Outcome()
    assert stage.sqs.batches == []


@pytest.mark.parametrize("text", ["hello", "[]", '{"Records": [{}]}', "\N{CAT FACE}" * 1000, '"' * 300_000])
def test_what_is_no_event_is_recorded_and_not_retried(stage: Stage, text: str) -> None:
    outcome = stage.one(text)
    (update,) = outcome.updates
    assert (update.kind, update.bucket, update.key, update.sequencer) == ("rejected", "", "m", "00")
    assert update.reason
    assert text[:20] in update.reason
    assert len(update.reason) < 1000
    assert outcome.error is None
    assert stage.sqs.updates == [update]


@pytest.mark.parametrize(
    "error",
    [
        client_error("SlowDown"),
        client_error("AccessDenied"),
        client_error("InternalError"),
        ReadTimeoutError(endpoint_url="s3"),
        MemoryError(),
    ],
)
def test_what_may_pass_fails_its_message_alone(stage: Stage, error: Exception) -> None:
    stage.s3.put("good.jpg", b"cat")
    stage.s3.errors["bad.jpg"] = error
    outcomes = stage.ingest().process({"1": body(record("bad.jpg")), "2": body(record("good.jpg"))})
    assert outcomes["1"] == Outcome(error=error)
    assert outcomes["2"].error is None
    assert [update.key for update in stage.sqs.updates] == ["good.jpg"]


def test_archived_objects_are_rejected(stage: Stage) -> None:
    stage.s3.errors["old.jpg"] = client_error("InvalidObjectState")
    (update,) = stage.one(body(record("old.jpg"))).updates
    assert update.kind == "rejected"
    assert "archived" in (update.reason or "")


def test_of_five_records_one_fails(stage: Stage) -> None:
    keys = ["a", "b", "c", "d", "e"]
    stage.s3.put("a", b"cat")
    stage.s3.put("b", b"no photo")
    stage.s3.put("c", b"large")
    stage.s3.put("d", b"dog")
    outcome = stage.one(body(*map(record, keys)))
    assert isinstance(outcome.error, MemoryError)
    assert [update.kind for update in outcome.updates] == ["classified", "rejected", "classified"]
    assert [update.key for update in stage.sqs.updates] == ["a", "b", "d"]


def test_an_update_that_is_not_accepted_fails_its_message(stage: Stage) -> None:
    stage.s3.put("a", b"cat")
    stage.s3.put("b", b"dog")
    stage.sqs.refuses = {CatalogUpdate("removed", "photos", "a", "0", "removed", "").document_id}
    outcomes = stage.ingest().process({"1": body(record("a")), "2": body(record("b"))})
    assert isinstance(outcomes["1"].error, NotAccepted)
    assert outcomes["1"].updates == ()
    assert outcomes["2"].error is None
    assert [update.key for update in outcomes["2"].updates] == ["b"]


def test_a_queue_that_is_away_fails_what_had_something_to_say(stage: Stage) -> None:
    stage.s3.put("a", b"cat")
    stage.sqs.error = ReadTimeoutError(endpoint_url="sqs")
    outcomes = stage.ingest().process({"1": body(record("a")), "2": '{"Event": "s3:TestEvent"}', "3": "hello"})
    assert [outcomes[number].error is None for number in "123"] == [False, True, False]


def test_a_model_that_cannot_be_loaded_fails_all_that_need_it(stage: Stage) -> None:
    def broken() -> Eyes:
        raise OSError("no model")

    ingest = Ingest(stage.s3, stage.sqs, "https://queue/catalog.fifo", broken)
    outcomes = ingest.process({"1": body(record("a")), "2": '{"Event": "s3:TestEvent"}', "3": "hello"})
    assert isinstance(outcomes["1"].error, OSError)
    assert outcomes["2"] == Outcome()
    assert stage.sqs.updates == list(outcomes["3"].updates) != [], "what needs no model is recorded all the same"


def test_batches_keep_both_limits_of_sqs(stage: Stage) -> None:
    keys = [f"{number}" for number in range(25)]
    for key in keys:
        stage.s3.put(key, b"cat")
    stage.one(body(*map(record, keys)))
    assert [len(batch) for batch in stage.sqs.batches] == [10, 10, 5]
    assert sorted(update.key for update in stage.sqs.updates) == sorted(keys)

    stage.sqs.batches.clear()
    for key in keys:
        stage.s3.put(key, "\N{CAT FACE}".encode() * 40_000)
    stage.eyes.limits = Limits()
    stage.one(body(*map(record, keys[:9])))
    sizes = [sum(len(entry["MessageBody"].encode()) for entry in batch) for batch in stage.sqs.batches]
    assert max(sizes) <= MAX_BATCH_BYTES < sum(sizes)


def ids(batches: Iterable[list[dict[str, str]]]) -> list[list[str]]:
    return [[entry["Id"] for entry in batch] for batch in batches]


def test_photos_are_worked_on_side_by_side(stage: Stage) -> None:
    both = threading.Barrier(2, timeout=5)

    class Slow(Eyes):
        def recognise(self, photo: bytes, **_: object) -> Recognition:
            both.wait()
            return super().recognise(photo)

    stage.eyes = Slow()
    stage.s3.put("a", b"cat")
    stage.s3.put("b", b"dog")
    outcomes = stage.ingest(threads=2).process({"1": body(record("a")), "2": body(record("b"))})
    assert all(outcome.error is None for outcome in outcomes.values())
    assert len(stage.eyes.threads) == 2
    assert ids(stage.sqs.batches) == [["0", "1"]]
