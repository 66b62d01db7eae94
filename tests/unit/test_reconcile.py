"""Reconciling in slices: each begins where the one before ended, and the function calls itself for the next."""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.reconcile import handler as reconcile
from tagstream.errors import CatalogError, TagstreamError
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.pipeline.reconcile import documents, reconcile_slice
from tagstream.pipeline.retag import DIFFERENCES, MOST_WAITING, Looked, Retag
from tagstream.topics import Outgoing, Topics
from tagstream.topics.testing import MemorySqs, VirtualClock

OLD = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 25, tzinfo=UTC)
ABOUT = {"model": "lite0", "vocabulary": "2", "rejected_by": None, "thumbnails": []}


class World:
    """A bucket, a catalog, and the queue that S3 fills."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.sqs = MemorySqs(clock=self.clock)
        self.topics = Topics(self.sqs, clock=self.clock.now, sleep=self.clock.sleep)
        self.topics.create_queue("ingest")
        self.keys = [f"{number:05}.jpg" for number in range(2500)]
        self.known = {key: self.document(key) for key in self.keys}

    @staticmethod
    def document(key: str, **other: Any) -> dict[str, Any]:
        return {"key": key, "status": "classified", "etag": "e", "uploaded_at": OLD.isoformat(), **other}

    # S3's side.

    def get_bucket_notification_configuration(self, **_: str) -> dict[str, Any]:
        return {}

    def get_paginator(self, _name: str) -> World:
        return self

    def paginate(self, *, StartAfter: str = "", **_: str) -> Iterator[dict[str, Any]]:
        keys = [key for key in self.keys if key > StartAfter]
        for start in range(0, len(keys), 1000):
            page = keys[start : start + 1000]
            yield {"Contents": [{"Key": key, "ETag": '"e"', "Size": 9, "LastModified": OLD} for key in page]}

    # The search function's.

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert request["query"] == "versions"
        assert request["removed"]
        behind = tuple(request["after"] or ("", ""))
        found = [doc for key, doc in sorted(self.known.items()) if (key, "0123") > behind][: request["limit"]]
        after = [found[-1]["key"], "0123"] if len(found) == request["limit"] else None
        return {"images": found, "after": after}

    def waiting(self) -> int:
        return self.topics.counts("ingest").visible

    def run(self) -> Retag:
        return Retag(
            self.topics,
            "",
            "ingest",
            "photos",
            lambda: Looked("lite0"),
            100.0,
            NOW,
            only=DIFFERENCES,
            clock=self.clock.now,
            sleep=self.clock.sleep,
        )

    def sent(self) -> list[tuple[str, str]]:
        """What is in the queue, which is empty then: keys, and what is told of each."""
        told = []
        while messages := self.topics.pull("ingest", min_messages=0, max_messages=5000, timeout=0):
            for message in messages:
                (event,) = parse_notification(message.body)
                assert isinstance(event, ObjectEvent)
                told.append((event.key, event.kind))
            self.topics.acknowledge("ingest", messages)
        return told

    def differ(self) -> list[tuple[str, str]]:
        """In some documents that are missing, at both ends of pages, some of other versions, and some without photo."""
        expected = []
        for number in (0, 17, 999, 1000, 1999, 2499):
            del self.known[self.keys[number]]
            expected.append((self.keys[number], "created"))
        for number in (18, 1001):
            self.known[self.keys[number]]["etag"] = "other"
            expected.append((self.keys[number], "created"))
        for key in ("00017.jpg+", "00999.jpg+", "99999.jpg"):
            self.known[key] = self.document(key)
            expected.append((key, "removed"))
        self.known["remembered"] = self.document("remembered", status="removed")
        return sorted(expected)


@pytest.mark.parametrize("seconds", [0.0, 10**6])
def test_every_difference_is_sent_once_however_many_slices_it_takes(seconds: float) -> None:
    world = World()
    expected = world.differ()
    after: str | None = ""
    slices, sent = 0, []
    while after is not None:
        assert slices < 10
        run, before = world.run(), after
        after = reconcile_slice(run, world, world.ask, world.waiting, after=after, seconds=seconds)
        assert after is None or after > before
        assert run.tally.sent == run.tally.outdated
        sent += world.sent()
        slices += 1
    assert sorted(sent) == expected
    assert (slices == 1) == (seconds > 0)


def test_nothing_is_added_to_a_full_queue_and_the_slice_ends_where_it_was() -> None:
    world = World()
    world.differ()
    for _ in range(MOST_WAITING // 10 + 1):
        world.topics.publish_all("ingest", [Outgoing("upload")] * 10)
    waiting = world.topics.counts("ingest").visible
    run = world.run()
    assert reconcile_slice(run, world, world.ask, world.waiting, after="00010.jpg", seconds=300) == "00010.jpg"
    assert world.clock.now() >= 300
    assert (run.tally.sent, world.topics.counts("ingest").visible) == (0, waiting)


def test_it_is_not_faster_than_its_rate() -> None:
    world = World()
    world.known.clear()
    del world.keys[900:]
    run = world.run()
    assert reconcile_slice(run, world, world.ask, world.waiting, seconds=1000) is None
    assert run.tally.sent == 900 == len(world.sent())
    assert 8 <= world.clock.now() < 12


def test_a_search_that_refuses_is_no_empty_catalog() -> None:
    """Or every photo would be sent."""
    with pytest.raises(CatalogError, match="too long"):
        list(documents(lambda _: {"error": "too long"}, "photos"))


SELF = "arn:aws:lambda:eu-west-1:111122223333:function:reconcile:live"


class Clients:
    """What the handler asks of AWS, in the place of its clients."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.next: list[dict[str, Any]] = []
        self.fails = False

    def __call__(self, service: str) -> Any:
        return {"s3": self.world, "sqs": self.world.sqs, "lambda": self}[service]

    def invoke(self, *, FunctionName: str, Payload: bytes, InvocationType: str = "") -> dict[str, Any]:
        request = json.loads(Payload)
        # By the alias through which it was called.
        if FunctionName == SELF:
            assert InvocationType == "Event"
            self.next.append(request)
            return {"StatusCode": 202}
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "away"}')}
        answer = ABOUT if FunctionName == "classify" else self.world.ask(request)
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    world = World()
    url = world.topics.url("ingest")
    for name, value in (
        ("BUCKET", "photos"),
        ("INGEST_QUEUE_URL", url),
        ("CLASSIFY_FUNCTION", "classify"),
        ("SEARCH_FUNCTION", "search"),
        ("SEQUENCERS_DATED", "true"),
        ("UNDER_WAY_SECONDS", "3600"),
        ("POWERTOOLS_SERVICE_NAME", "reconcile"),
        ("POWERTOOLS_METRICS_NAMESPACE", "Tagstream"),
    ):
        monkeypatch.setenv(name, value)
    importlib.reload(reconcile)
    made = Clients(world)
    monkeypatch.setattr("lambdas.aws.client", made)
    monkeypatch.setattr(reconcile, "_RATE", 10**6)
    return made


def called(event: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    context = SimpleNamespace(
        function_name="reconcile",
        memory_limit_in_mb=512,
        invoked_function_arn=SELF,
        aws_request_id="1",
        get_remaining_time_in_millis=lambda: seconds * 1000,
    )
    answer = reconcile.handler(event, context)  # type: ignore[arg-type]
    assert isinstance(answer, dict)
    return answer


def metrics(said: str) -> dict[str, float]:
    """What the metric lines in the log count, added up."""
    counted: dict[str, float] = {}
    for line in said.splitlines():
        told = json.loads(line)
        for name in ("PhotosReconciled", "DifferencesFound", "DifferencesSent", "Reconciles"):
            counted[name] = counted.get(name, 0) + sum(told.get(name, ()) if "_aws" in told else ())
    return counted


def test_the_function_calls_itself_until_all_is_done(clients: Clients, capsys: pytest.CaptureFixture[str]) -> None:
    expected = clients.world.differ()
    events: list[dict[str, Any]] = [{"source": "aws.events"}]
    answers = []
    for event in events:
        answers.append(called(event, seconds=1))
        events += clients.next
        clients.next.clear()
    assert [answer["slice"] for answer in answers] == list(range(1, len(answers) + 1))
    assert [answer["complete"] for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert sorted(clients.world.sent()) == expected
    counted = metrics(capsys.readouterr().out)
    assert counted == {
        "PhotosReconciled": 2500,
        "DifferencesFound": len(expected),
        "DifferencesSent": len(expected),
        "Reconciles": 1,
    }


def test_too_many_slices_are_a_failure_that_says_what_to_type(clients: Clients) -> None:
    with pytest.raises(TagstreamError, match="images reconcile --repair"):
        called({"after": "00000.jpg", "slice": 15}, seconds=1)
    assert clients.next == []


def test_what_was_uploaded_within_the_hour_is_left_to_its_own_notification(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients.world.known.clear()
    young = datetime.now(UTC) - timedelta(minutes=30)
    monkeypatch.setitem(globals(), "OLD", young)
    assert called({}, seconds=1000) == {"photos": 2500, "found": 0, "sent": 0, "slice": 1, "complete": True}


def test_a_search_that_fails_is_a_failure(clients: Clients) -> None:
    clients.fails = True
    with pytest.raises(CatalogError, match="away"):
        called({}, seconds=1000)
    assert clients.world.sent() == []
