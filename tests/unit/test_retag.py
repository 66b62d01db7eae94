"""Looking again: what is outdated, and how it gets from the bucket's inventory into the queue, also after a kill."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tagstream.catalog.order import newer
from tagstream.cli.images.retag import rounds
from tagstream.errors import TagstreamError
from tagstream.pipeline import retag
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.pipeline.retag import (
    DIFFERENCES,
    PARCEL,
    Known,
    Looked,
    Photo,
    QueueStuck,
    Retag,
    Tally,
    begun,
    ended,
    inventory,
    joined,
    why_outdated,
)
from tagstream.pipeline.updates import update_of
from tagstream.topics import Topics
from tagstream.topics.testing import MemorySqs, VirtualClock

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LIMITS = "efficientnet-lite2, 64 bytes"
LOOKED = Looked("efficientnet-lite2", "v2", LIMITS)


def photo(key: str = "cat.jpg", etag: str = "e1") -> Photo:
    return Photo(key, etag, 1000, NOW - timedelta(days=1))


def document(**other: Any) -> dict[str, Any]:
    return {
        "key": "cat.jpg",
        "status": "classified",
        "etag": "e1",
        "model": "efficientnet-lite2",
        "vocabulary": "v2",
        "sequencer": "0069AB",
        "uploaded_at": "2026-11-01T10:00:00.000Z",
        "classified_at": "2026-11-24T00:00:00Z",
        **other,
    }


def is_outdated(*about: Any, **times: Any) -> bool:
    return why_outdated(*about, **times) is not None


@pytest.mark.parametrize(
    ("thumbnails", "outdated"),
    [
        (None, True),
        ({"sizes": {}}, True),
        ({"sizes": {"320": [320, 240]}}, True),
        ({"sizes": {"320": [320, 240], "1024": [1024, 768]}}, False),
    ],
)
def test_a_photo_without_all_of_its_thumbnails_is_outdated(thumbnails: dict[str, Any] | None, outdated: bool) -> None:
    making, known = replace(LOOKED, thumbnails=(320, 1024)), document() | {"thumbnails": thumbnails}
    assert is_outdated(photo(), known, making, since=NOW) is outdated
    # A function of a time before thumbnails would make none.
    assert not is_outdated(photo(), known, LOOKED, since=NOW)
    assert not is_outdated(photo(), document(status="rejected", rejected_by=LIMITS), making, since=NOW)


@pytest.mark.parametrize(
    ("known", "outdated"),
    [
        (None, True),
        (document(), False),
        (document(etag="e0"), True),
        (document(model="efficientnet-lite0"), True),
        (document(vocabulary="v1"), True),
        (document(vocabulary=None), True),
        (document(status="rejected", model=None, vocabulary=None, rejected_by=LIMITS), False),
        (document(status="rejected", model=None, rejected_by="efficientnet-lite2, 32 bytes"), True),
        # Rejected by a version that did not say what by.
        (document(status="rejected", model=None), True),
    ],
)
def test_what_is_outdated(known: dict[str, Any] | None, outdated: bool) -> None:
    assert is_outdated(photo(), known, LOOKED, since=NOW) is outdated


@pytest.mark.parametrize(
    ("known", "by_all", "by_rejected"),
    [
        (document(), True, False),
        (document(status="rejected", model=None, rejected_by=LIMITS), True, True),
        (document(classified_at="2026-11-25T12:00:01Z"), False, False),
        (document(status="rejected", rejected_by=LIMITS, classified_at="2026-11-25T12:00:01Z"), False, False),
        (document(classified_at="nonsense"), True, False),
    ],
)
def test_what_was_looked_at_before_a_time_is_looked_at_again_if_wanted(
    known: dict[str, Any], by_all: bool, by_rejected: bool
) -> None:
    assert is_outdated(photo(), known, LOOKED, since=NOW, everything_before=NOW) is by_all
    assert is_outdated(photo(), known, LOOKED, since=NOW, rejected_before=NOW) is by_rejected


@pytest.mark.parametrize("known", [None, document(etag="e0")])
def test_what_is_uploaded_meanwhile_has_its_own_notification(known: dict[str, Any] | None) -> None:
    new = Photo("cat.jpg", "e1", 1000, NOW + timedelta(seconds=1))
    assert not is_outdated(new, known, LOOKED, since=NOW)
    assert is_outdated(new, known, LOOKED, since=NOW + timedelta(minutes=1))


def event_of(one: Photo, known: dict[str, Any] | None) -> ObjectEvent:
    (event,) = parse_notification(retag.notification("photos", one, known, look="1"))
    assert isinstance(event, ObjectEvent)
    return event


def test_a_second_look_stands_where_the_first_one_stood() -> None:
    event = event_of(photo("a b/ä+%.jpg"), document())
    assert (event.bucket, event.key, event.kind) == ("photos", "a b/ä+%.jpg", "created")
    assert (event.sequencer, event.time, event.etag, event.size) == ("0069AB", "2026-11-01T10:00:00.000Z", "e1", 1000)
    # Whatever is there when it is looked at: a version of its own would be an old one by then.
    assert event.version_id is None


@pytest.mark.parametrize("known", [None, document(etag="another")])
def test_what_the_catalog_does_not_know_stands_before_its_true_event(known: dict[str, Any] | None) -> None:
    event = event_of(photo(), known)
    seconds = int((NOW - timedelta(days=1)).timestamp())
    true = f"00{seconds:08X}1F407460"
    assert newer(true, event.sequencer)
    assert newer(event.sequencer, f"00{seconds - 1:08X}FFFFFFFF")
    assert event.time == "2026-11-24T12:00:00.000Z"


def test_two_looks_at_one_event_are_two_updates() -> None:
    first, again, usual = (
        update_of(event, "classified", processed_at=None).deduplication_id
        for look in ("1", "2", None)
        for event in parse_notification(retag.notification("photos", photo(), document(), look=look or ""))
        if isinstance(event, ObjectEvent)
    )
    assert len({first, again, usual}) == 3


class Bucket:
    """What an inventory asks of S3."""

    def __init__(self, keys: Sequence[str], rules: Sequence[dict[str, str]] = ()) -> None:
        self.keys, self.rules = keys, rules

    def get_bucket_notification_configuration(self, **_: str) -> dict[str, Any]:
        return {"QueueConfigurations": [{"Filter": {"Key": {"FilterRules": list(self.rules)}}}] if self.rules else []}

    def get_paginator(self, name: str) -> Bucket:
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Prefix: str, **_: str) -> Iterator[dict[str, Any]]:
        keys = [key for key in self.keys if key.startswith(Prefix)]
        for start in range(0, len(keys), 1000):
            yield {
                "Contents": [
                    {"Key": key, "ETag": '"e1"', "Size": 0 if key.endswith("/") else 9, "LastModified": NOW}
                    for key in keys[start : start + 1000]
                ]
            }
        yield {}


def test_the_inventory_has_what_the_bucket_tells_of() -> None:
    keys = ["a/", "a/1.jpg", "a/2.png", "b/3.jpg"]
    assert [one.key for page in inventory(Bucket(keys), "photos") for one in page] == keys[1:]
    rules = [{"Name": "Prefix", "Value": "a/"}, {"Name": "suffix", "Value": ".jpg"}]
    assert [one.key for page in inventory(Bucket(keys, rules), "photos") for one in page] == ["a/1.jpg"]
    assert next(inventory(Bucket(keys), "photos"))[0].etag == "e1"


def test_bucket_and_catalog_are_read_side_by_side() -> None:
    photos = [photo(key) for key in ("a", "b", "d", "e/ä", "e/中", "e/😀")]
    documents = [document(key=key) for key in ("A", "b", "c", "e/ä", "e/😀", "f")]
    pages = [photos[:2], [], photos[2:]]
    known = [[(one.key, found and found["key"]) for one, found in page] for page in joined(pages, documents)]
    assert known == [[("a", None), ("b", "b")], [], [("d", None), ("e/ä", "e/ä"), ("e/中", None), ("e/😀", "e/😀")]]
    assert [found for page in joined(pages, []) for _, found in page] == [None] * 6


def test_no_more_of_the_catalog_is_read_than_a_page_needs() -> None:
    read: list[str] = []

    def documents() -> Iterator[dict[str, Any]]:
        for key in "abcdef":
            read.append(key)
            yield document(key=key)

    pages = joined(([photo(key)] for key in "abcdef"), documents())
    next(pages)
    assert len(read) <= 2


@pytest.mark.parametrize(("keys", "known"), [("ba", ""), ("aa", ""), ("ac", "cb")])
def test_without_order_nothing_is_compared(keys: str, known: str) -> None:
    with pytest.raises(TagstreamError, match="does not list its keys in order"):
        list(joined([[photo(key)] for key in keys + "z"], [document(key=key) for key in known]))


def test_a_run_over_everything_is_gone_on_with_until_it_ends() -> None:
    sqs = MemorySqs()
    Topics(sqs).create("work")
    url = sqs.get_queue_url(QueueName="work")["QueueUrl"]
    assert begun(sqs, url, "all", NOW) == NOW
    later = NOW + timedelta(hours=1)
    assert begun(sqs, url, "all", later) == NOW
    assert begun(sqs, url, "rejected", later) == later
    ended(sqs, url)
    assert begun(sqs, url, "all", later) == later


class World:
    """A bucket, a catalog, a queue that a function works off, and a clock."""

    def __init__(self, count: int) -> None:
        self.clock = VirtualClock()
        self.sqs = MemorySqs(clock=self.clock)
        self.topics = Topics(self.sqs, clock=self.clock.now, sleep=self.clock.sleep)
        for name in ("work", "ingest"):
            self.topics.create(name, max_receives=1000)
        self.bucket = Bucket([f"{number:05}.jpg" for number in range(count)])
        self.catalog: dict[str, dict[str, Any]] = {}
        self.looked = LOOKED

    def retag(self, **other: Any) -> Retag:
        settings: dict[str, Any] = {"rate": 50.0, "clock": self.clock.now, "sleep": self.clock.sleep} | other
        return Retag(self.topics, "work", "ingest", "photos", lambda: self.looked, since=NOW, **settings)

    def pages(self) -> Iterator[list[Known]]:
        return joined(inventory(self.bucket, "photos"), (self.catalog[key] for key in sorted(self.catalog)))

    def time(self) -> datetime:
        return NOW + timedelta(seconds=self.clock.now())

    def classify(self, most: int = 10_000) -> list[str]:
        """What the functions do: take events, write documents. The keys, in order."""
        keys = []
        for message in self.topics.pull("ingest", min_messages=0, max_messages=most, timeout=0):
            (event,) = parse_notification(message.body)
            assert isinstance(event, ObjectEvent)
            self.catalog[event.key] = document(key=event.key, classified_at=self.time().isoformat())
            self.topics.acknowledge("ingest", [message])
            keys.append(event.key)
        return keys


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody takes from the queue meanwhile, there is room for all."""
    monkeypatch.setattr(retag, "MOST_WAITING", 10_000)


def quiet(_: object) -> None:
    pass


def test_every_outdated_photo_is_sent_once_and_no_other() -> None:
    world = World(2345)
    for key in world.bucket.keys[::3]:
        world.catalog[key] = document(key=key)
    reports: list[int] = []
    tally = world.retag().run(world.pages(), lambda tally: reports.append(tally.sent))
    expected = [key for number, key in enumerate(world.bucket.keys) if number % 3]
    assert (tally.listed, tally.outdated, tally.sent) == (2345, len(expected), len(expected))
    assert sorted(world.classify()) == expected
    assert reports == sorted(reports)
    assert world.retag().run(world.pages(), quiet).sent == 0
    assert world.retag(everything_before=world.time()).run(world.pages(), quiet).sent == 2345


def test_all_of_them_after_a_kill_are_not_begun_anew() -> None:
    world = World(1500)
    for key in world.bucket.keys:
        world.catalog[key] = document(key=key)
    world.clock.sleep(10)
    started = world.time()

    def kill(tally: Tally) -> None:
        if tally.sent >= 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.retag(everything_before=started).run(world.pages(), kill)
    done = world.classify()
    world.clock.sleep(retag.DEADLINE + 1)
    world.retag(everything_before=started).run(world.pages(), quiet)
    done += world.classify()
    assert set(done) == set(world.bucket.keys)
    assert len(done) - 1500 <= 1000
    assert world.retag(everything_before=started).run(world.pages(), quiet).sent == 0


def test_what_is_deployed_meanwhile_is_what_photos_are_held_against() -> None:
    world = World(2000)
    for key in world.bucket.keys:
        world.catalog[key] = document(key=key)

    def pages() -> Iterator[list[Known]]:
        for page in world.pages():
            yield page
            world.clock.sleep(61)
            world.looked = Looked("efficientnet-lite0", "v2", LIMITS)

    current = world.retag(rate=1e6)
    assert current.run(pages(), quiet).sent == 1000
    assert current.changed
    assert current.looked.model == "efficientnet-lite0"
    again = world.retag(rate=1e6)
    assert again.count(world.pages()).outdated == 2000
    assert not again.changed


def test_not_faster_than_asked_for() -> None:
    world = World(500)
    started = world.clock.now()
    world.retag(rate=10.0).run(world.pages(), quiet)
    assert world.clock.now() - started >= 49


def test_counting_sends_nothing() -> None:
    world = World(250)
    tally = world.retag().count(world.pages())
    assert (tally.listed, tally.outdated, tally.sent) == (250, 250, 0)
    assert world.topics.counts("work").total == world.topics.counts("ingest").total == 0


@pytest.mark.parametrize("sent_before", [0, 10, 130, 240])
def test_after_a_kill_the_next_run_goes_on_and_nothing_is_lost(sent_before: int) -> None:
    world = World(1500)

    def kill(tally: Tally) -> None:
        if tally.sent >= sent_before:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.retag().run(world.pages(), kill)
    done = world.classify()
    world.clock.sleep(retag.DEADLINE + 1)
    tally = world.retag().run(world.pages(), quiet)
    done += world.classify()
    assert set(done) == set(world.bucket.keys)
    # Only what was in the killed run's hands may be looked at twice: one page of the inventory.
    assert len(done) - 1500 <= 1000
    assert tally.listed == 1500
    assert world.retag().run(world.pages(), quiet).sent == 0


def test_uploads_wait_behind_no_more_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retag, "MOST_WAITING", 200)
    world = World(1000)
    most = 0

    def report(_: Tally) -> None:
        nonlocal most
        most = max(most, world.topics.counts("ingest").visible)

    def working(seconds: float) -> None:
        world.clock.sleep(seconds)
        if seconds >= 1:
            world.classify(most=50)

    world.retag(sleep=working, rate=10_000.0).run(world.pages(), report)
    assert most <= 220


def test_a_queue_that_nobody_takes_from_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retag, "MOST_WAITING", 20)
    world = World(100)
    with pytest.raises(QueueStuck, match="none was taken"):
        world.retag(rate=10_000.0).run(world.pages(), quiet)


def test_waiting_for_what_never_ends_has_an_end() -> None:
    """A photo that fails again and again, or uploads without a pause: the next round tells what is left."""
    world = World(3)
    world.retag().run(world.pages(), quiet)
    started = world.clock.now()
    world.retag().wait(["ingest"], quiet)
    assert world.clock.now() - started < 1000
    assert world.topics.counts("ingest").total == 3


def test_a_queue_that_uploads_keep_full_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retag, "MOST_WAITING", 20)
    world = World(100)
    uploads = itertools.count()

    def working(seconds: float) -> None:
        world.clock.sleep(seconds)
        number = next(uploads)
        if number < 950:
            world.topics.publish_all(
                "ingest", [retag.notification("photos", photo(f"new{number}-{i}"), None, look="") for i in range(3)]
            )
            world.classify(most=4 if number % 2 else 1)
        else:
            world.classify(most=50)

    world.topics.publish_all(
        "ingest", [retag.notification("photos", photo(f"old{i}"), None, look="") for i in range(100)]
    )
    world.retag(sleep=working).run(world.pages(), quiet)
    assert world.clock.now() > retag._PATIENCE


def test_waiting_ends_when_nothing_is_left() -> None:
    world = World(10)
    world.retag().run(world.pages(), quiet)
    left: list[int] = []

    def working(seconds: float) -> None:
        world.clock.sleep(seconds)
        world.classify(most=4)

    world.retag(sleep=working).wait(["ingest"], left.append)
    assert left[0] == 10
    assert left[-3:] == [0, 0, 0]


def test_what_the_queue_refuses_stays_in_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(150)
    publish_all = world.topics.publish_all

    def refusing(topic: str, messages: Iterable[Any], **other: Any) -> Any:
        refused = [*messages]
        if topic == "ingest" and next(refusals) > 3:
            result = publish_all(topic, [], **other)
            return type(result)(failed=(type("Refused", (), {"reason": "no room"})(),))
        return publish_all(topic, refused, **other)

    refusals = itertools.count()
    monkeypatch.setattr(world.topics, "publish_all", refusing)
    with pytest.raises(TagstreamError, match="no room"):
        world.retag().run(world.pages(), quiet)
    monkeypatch.undo()
    world.clock.sleep(retag.DEADLINE + 1)
    world.retag().run(world.pages(), quiet)
    assert set(world.classify()) == set(world.bucket.keys)


def test_a_parcel_is_one_billed_request() -> None:
    longest = "ä" * 512
    bodies = [retag.notification("b" * 63, photo(longest[:340]), document(sequencer="0" * 64), look="0" * 32)] * PARCEL
    usual = [
        retag.notification(
            "photos-of-many-years", photo("2026/holidays/IMG_20260102_101112.jpg"), document(), look="0" * 32
        )
    ] * PARCEL
    assert len("\n".join(bodies).encode()) < 1_048_576
    assert len("\n".join(usual).encode()) < 65_536
    assert json.loads(bodies[0])


def test_interrupted_it_says_how_to_go_on() -> None:
    world = World(30)

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        rounds(lambda: world.retag(sleep=interrupted), world.pages, ["ingest"], wait=True)
    assert caught.value.__notes__ == ["10 photos are on their way: the same command goes on."]


def test_a_deploy_meanwhile_begins_the_rounds_anew_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(30)
    newer = Looked("efficientnet-lite0", "v2", LIMITS)

    def working(seconds: float) -> None:
        world.clock.sleep(seconds)
        for key in world.classify():
            world.catalog[key]["model"] = world.looked.model
        if world.clock.now() > 2:
            world.looked = newer

    sent, tally, looked = rounds(lambda: world.retag(sleep=working), world.pages, ["ingest"], wait=True)
    assert (sent, tally.outdated, looked) == (60, 0, newer)
    assert capsys.readouterr().err == (
        "Meanwhile efficientnet-lite0, vocabulary v2 was deployed: every photo is brought up to date with that.\n"
    )


def test_documents_without_an_object_are_there_if_wanted_in_pages_however_many() -> None:
    pages = [[photo("b"), photo("d")], [], [photo("f")]]
    known = [document(key=key) for key in "abcfgh"]

    def keys(page: Sequence[Known]) -> list[tuple[str | None, str | None]]:
        return [(one and one.key, found and found["key"]) for one, found in page]

    assert [pair for page in joined(pages, known, gone=True) for pair in keys(page)] == [
        (None, "a"),
        ("b", "b"),
        (None, "c"),
        ("d", None),
        ("f", "f"),
        (None, "g"),
        (None, "h"),
    ]
    assert [pair for page in joined(pages, known) for pair in keys(page)] == [("b", "b"), ("d", None), ("f", "f")]
    many = (document(key=f"{number:06}") for number in range(5500))
    sizes = [len(page) for page in joined([[photo("003000")]], many, gone=True)]
    assert sum(sizes) == 5500
    assert max(sizes) <= 1000


@pytest.mark.parametrize(
    ("one", "known", "why"),
    [
        (photo(), None, "missing"),
        (photo(), document(etag="e0"), "changed"),
        (photo(), document(status="removed", etag=None), "missing"),
        (photo(), document(status="removed"), "missing"),
        (None, document(status="removed"), None),
        (None, document(), "gone"),
        (None, document(status="rejected"), "gone"),
        (None, document(uploaded_at=(NOW + timedelta(seconds=1)).isoformat()), None),
        (photo(), document(), None),
        (photo(), document(model="efficientnet-lite0"), "other model"),
    ],
)
def test_why_something_is_outdated(one: Photo | None, known: dict[str, Any] | None, why: str | None) -> None:
    assert why_outdated(one, known, LOOKED, since=NOW) == why


def test_only_what_bucket_and_catalog_differ_in_is_sent() -> None:
    world = World(30)
    for key in world.bucket.keys[10:]:
        world.catalog[key] = document(
            key=key, model="efficientnet-lite0" if key < "00020.jpg" else "efficientnet-lite2"
        )
    world.catalog["gone.jpg"] = document(key="gone.jpg")
    pages = joined(inventory(world.bucket, "photos"), (world.catalog[key] for key in sorted(world.catalog)), gone=True)
    tally = world.retag(only=DIFFERENCES).run(pages, quiet)
    assert tally.why == {"missing": 10, "gone": 1}
    assert (tally.listed, tally.outdated, tally.sent) == (30, 11, 11)
    events = [parse_notification(message.body)[0] for message in world.topics.pull("ingest", max_messages=11)]
    (removed,) = [event for event in events if isinstance(event, ObjectEvent) and event.kind == "removed"]
    # A second look at the event that the document tells of: any newer event wins.
    assert (removed.key, removed.sequencer, bool(removed.look)) == ("gone.jpg", "0069AB", True)
    assert not newer(removed.sequencer, document()["sequencer"])


@pytest.mark.parametrize("status", ["classified", "removed"])
def test_an_older_version_that_came_up_again_is_a_second_look_at_what_came_after_it(status: str) -> None:
    """Or its notification would be older than what the catalog knows, and no repair could ever succeed."""
    one = photo()
    later = f"{int(NOW.timestamp()):010X}5C0FFEE0"
    assert event_of(one, document(status=status, etag="e0", sequencer=later)).sequencer == later
    # What was written after all that the catalog knows stands where it was written.
    written = f"{int(one.modified.timestamp()):010X}"
    assert event_of(one, document(status=status, etag="e0", sequencer="0069AB")).sequencer == written


def test_where_sequencers_are_not_dated_every_event_comes_after_a_repair() -> None:
    def place(known: dict[str, Any] | None) -> str:
        (event,) = parse_notification(retag.notification("photos", photo(), known, look="x", dated=False))
        assert isinstance(event, ObjectEvent)
        return event.sequencer

    counted = "000006612B6E01C2A7"  # as the emulator counts, from microseconds at its start
    assert newer(counted, place(None))
    assert not newer(counted, place(document(etag="e0", sequencer=counted)))
