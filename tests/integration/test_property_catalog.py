"""The catalog's promise: whatever happens on the way, in the end the catalog equals the bucket, and so do thumbnails.

Hypothesis plays a versioned bucket, its users, an unreliable notification service, an unreliable queue,
functions that are run twice or die in between, and an OpenSearch that goes away or takes part of a batch.
Then everything that is still under way is delivered, and the catalog is compared with the bucket.
The store is the real one, over a real OpenSearch API; so are the keys of thumbnails, and what is left of them is swept
by the real purge.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from osmem_server import OsmemServer

from tagstream.catalog.client import Client, NotFound, OpenSearchError, connect
from tagstream.catalog.mapping import index_pattern
from tagstream.catalog.queries import parse_request
from tagstream.catalog.reindex import abandon, rebuild_step
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.sweep import sweep
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.pipeline.retag import DIFFERENCES, Document, Looked, Photo, joined, notification, removal, why_outdated
from tagstream.pipeline.updates import update_of
from tagstream.tags import Tag
from tagstream.thumbnails.bucket import Kept
from tagstream.thumbnails.names import key_of

KEYS = ("a.jpg", "b/a.jpg", "b.jpg")
DELETED = "delete marker"
UNREADABLE = "text"
FAILURES = ("", "read away", "write away", "answer lost", "bulk in part")

_indexes = itertools.count()
_seldom = st.sampled_from([False, False, False, True])


@dataclass
class Bucket:
    """A versioned bucket as S3 has it: versions, delete markers, and events with rising sequencers."""

    versions: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {key: [] for key in KEYS})
    count: int = 0

    def _event(self, key: str, kind: Any, version_id: str | None) -> ObjectEvent:
        # As S3's: hexadecimal, of differing length, to be compared after padding on the right.
        sequencer = f"{self.count:04X}" + ("00", "", "0000", "0")[self.count % 4]
        return ObjectEvent("photos", key, kind, sequencer, "2026-01-01T00:00:00.000Z", version_id)

    def _add(self, key: str, content: str) -> str:
        self.count += 1
        self.versions[key].append((f"v{self.count}", content))
        return f"v{self.count}"

    def put(self, key: str, content: str) -> ObjectEvent:
        return self._event(key, "created", self._add(key, content))

    def delete(self, key: str) -> ObjectEvent:
        return self._event(key, "removed", self._add(key, DELETED))

    def delete_version(self, key: str, number: int) -> ObjectEvent:
        """Of an older version, of the current one (the one before comes up again), or of a delete marker."""
        version_id, _ = self.versions[key].pop(number % len(self.versions[key]))
        self.count += 1
        return self._event(key, "removed", version_id)

    def read(self, key: str, version_id: str | None = None) -> tuple[str, str] | None:
        """A version, or without an id the current one; None if there is none, or it is a delete marker."""
        found = [one for one in self.versions[key] if version_id in (None, one[0])]
        return found[-1] if found and found[-1][1] != DELETED else None


class Flaky(Client):
    """A client that fails as told, once: before a request, after it, or in the middle of a bulk."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.failure = ""

    def _fails(self, *kinds: str) -> bool:
        if self.failure not in kinds:
            return False
        self.failure = ""
        return True

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        if path.endswith("/_mget") and self._fails("read away"):
            raise OpenSearchError("away")
        if path == "_bulk":
            if self._fails("write away"):
                raise OpenSearchError("away")
            if self._fails("answer lost"):
                self._client.request(method, path, body, **more)
                raise OpenSearchError("answer lost")
            if self._fails("bulk in part"):
                # The first half is written, the rest is refused for now.
                half = len(body) // 4 * 2
                items = self._client.request(method, path, body[:half], **more)["items"] if half else []
                refused = {"status": 429, "error": {"type": "rejected", "reason": "too many requests"}}
                return {"errors": True, "items": items + [{"index": refused}] * (len(body) // 2 - half // 2)}
        return self._client.request(method, path, body, **more)


def has_alias(client: Client, alias: str) -> bool:
    try:
        client.request("HEAD", f"_alias/{alias}")
    except NotFound:
        return False
    return True


class Shelf:
    """The bucket of thumbnails, by their keys. Removing fails as told, once: the function died before it, or S3 did."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.fails = False

    def remove(self, keys: Iterable[str]) -> dict[str, str]:
        if self.fails:
            self.fails = False
            return dict.fromkeys(keys, "S3 is away")
        self.keys -= set(keys)
        return {}

    def pages(self, *, after: str = "") -> Iterator[list[Kept]]:
        names = sorted(name for name in self.keys if name > after)
        yield [Kept(name.partition("/")[0], name, name, datetime.now(UTC)) for name in names]

    def remove_objects(self, objects: Iterable[Kept]) -> dict[str, str]:
        return self.remove(kept.key for kept in objects)


class Pipeline(RuleBasedStateMachine):
    """Events wait in ``notified`` (any order, any number of times), updates in ``queued`` (likewise)."""

    client: Client
    by_version = True

    def __init__(self) -> None:
        super().__init__()
        # An index of its own is all that one example needs; a server each would cost more time.
        self.alias = f"photos-{next(_indexes)}"
        self.flaky = Flaky(self.client)
        self.shelf = Shelf()
        self.catalog = CatalogStore(self.flaky, self.alias, thumbnails=self.shelf)  # type: ignore[arg-type]
        self.bucket = Bucket()
        self.notified: list[ObjectEvent] = []
        self.queued: list[CatalogUpdate] = []
        self.told: set[str] = set()
        # Thumbnails of functions that died, and that nobody speaks of any more: the purge finds them.
        self.lost: set[str] = set()
        self.written: dict[ObjectEvent, set[str]] = {}
        self.clock: Iterator[int] = itertools.count()

    def teardown(self) -> None:
        try:
            self._drain()
            self._check()
            assert self.shelf.keys - self._named() <= self.lost
            sweep(self.catalog, self.shelf, before=datetime.max.replace(tzinfo=UTC), first="80")
            assert self.shelf.keys == self._named()
        finally:
            self.client.request("DELETE", index_pattern(self.alias))

    # What users do.

    @rule(key=st.sampled_from(KEYS), content=st.sampled_from(["cat", "dog", UNREADABLE]))
    def upload(self, key: str, content: str) -> None:
        self.notified.append(self.bucket.put(key, content))

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: str) -> None:
        self.notified.append(self.bucket.delete(key))

    @precondition(lambda self: any(self.bucket.versions.values()))
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from([key for key in KEYS if self.bucket.versions[key]]))
        number = data.draw(st.integers(0, len(self.bucket.versions[key]) - 1))
        self.notified.append(self.bucket.delete_version(key, number))

    # What the classify function does with a notification: any of them, in any order, more than once.

    @precondition(lambda self: self.notified)
    @rule(data=st.data(), again=_seldom)
    def classify(self, data: st.DataObject, again: bool) -> None:
        """With ``again`` the notification stays: the function died before it acknowledged, or S3 sent two."""
        number = data.draw(st.integers(0, len(self.notified) - 1))
        event = self.notified[number] if again else self.notified.pop(number)
        self._classify(event)

    @precondition(lambda self: self.notified)
    @rule(data=st.data())
    def classify_and_die(self, data: st.DataObject) -> None:
        """Thumbnails are written, and nobody hears of it; the notification comes again."""
        event = data.draw(st.sampled_from(self.notified))
        seen = self._look(event)
        if seen is not None and seen.thumbnails:
            self.written.setdefault(event, set()).add(seen.thumbnails["key"])

    @precondition(lambda self: self.notified)
    @rule(data=st.data(), dies=st.booleans())
    def last_try(self, data: st.DataObject, dies: bool) -> None:
        """The photo is recorded as rejected before it is looked at, and if the function survives, as what it is."""
        event = self.notified[data.draw(st.integers(0, len(self.notified) - 1))]
        rejected = update_of(event, "rejected", reason="it ended the function", processed_at=self._now())
        seen = self._look(event, look=f"try {next(self.clock)}")
        if seen is None or seen.kind == "removed":
            return
        self.notified.remove(event)
        self.lost |= self.written.get(event, set())
        self._send(rejected)
        if dies:
            self.notified.append(self.bucket.put(event.key, "cat"))  # or the bucket and the catalog would differ
            self.lost |= {seen.thumbnails["key"]} if seen.thumbnails else set()
        else:
            self._send(seen)

    @rule(key=st.sampled_from(KEYS))
    def retag(self, key: str) -> None:
        """Another look at the event that the document tells of."""
        known = self._documents().get(key)
        if known and known["status"] != "removed":
            event = ObjectEvent("photos", key, "created", known["sequencer"], "2026-01-01T00:00:00.000Z")
            self.notified.append(replace(event, look=f"look {next(self.clock)}"))

    def _now(self) -> str:
        now = next(self.clock)
        return f"2026-01-01T{now // 3600:02}:{now // 60 % 60:02}:{now % 60:02}Z"

    def _classify(self, event: ObjectEvent) -> None:
        seen = self._look(event)
        # Of what was found then, and has been deleted since, nobody speaks.
        self.lost |= self.written.get(event, set()) - ({seen.thumbnails["key"]} if seen and seen.thumbnails else set())
        if seen is not None:
            self._send(seen)

    def _look(self, event: ObjectEvent, look: str = "") -> CatalogUpdate | None:
        # A removal is looked up again, since an older version may have come up.
        seen = self.bucket.read(event.key, event.version_id if event.kind == "created" else None)
        if seen is None:
            return update_of(event, "removed", processed_at=self._now()) if event.kind == "removed" else None
        version_id, content = seen
        facts: dict[str, Any] = {"version_id": version_id, "etag": content, "processed_at": self._now()}
        if content == UNREADABLE:
            return update_of(event, "rejected", reason="a text", **facts)
        # An object has the same ETag as another one of the same content.
        key = key_of(document_id("photos", event.key), event.sequencer, content, f"{event.look or ''} {look}")
        self.shelf.keys.add(key)
        facts["look"] = f"{event.look} {facts['processed_at']}"
        facts["thumbnails"] = {"key": key, "sizes": {"320": [320, 240], "1024": [1024, 768]}}
        return update_of(event, "classified", tags=(Tag(content, 0.9),), **facts)

    def _send(self, update: CatalogUpdate) -> None:
        """The queue takes the same news once."""
        if update.deduplication_id not in self.told:
            self.told.add(update.deduplication_id)
            self.queued.append(update)

    # What the catalog function does with what is queued.

    @precondition(lambda self: self.queued)
    @rule(
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=10),
        again=_seldom,
        failure=st.sampled_from(FAILURES),
        kept=_seldom,
    )
    def index(self, numbers: list[int], again: bool, failure: str, kept: bool) -> None:
        """A batch of any updates, in any order and repeated: far worse than the FIFO queue that it has."""
        self.shelf.fails = kept
        self._index([self.queued[number % len(self.queued)] for number in numbers], failure, again)

    @precondition(lambda self: self.notified)
    @rule(failure=st.sampled_from(FAILURES))
    def all_goes_its_way(self, failure: str) -> None:
        """What is under way arrives, but for what the failure keeps."""
        events, self.notified = self.notified, []
        for event in events:
            self._classify(event)
        self._index(self.queued[:10], failure)

    def _index(self, batch: list[CatalogUpdate], failure: str = "", again: bool = False) -> None:
        """With ``again`` the updates stay: the function died before it answered."""
        self.flaky.failure = failure
        outcomes = self.catalog.apply(batch)
        self.flaky.failure, self.shelf.fails = "", False
        assert len(outcomes) == len(batch)
        if not again:
            done = [update for update, outcome in zip(batch, outcomes, strict=True) if outcome.state != "failed"]
            self.queued = [update for update in self.queued if update not in done]

    # What must hold.

    def _documents(self) -> dict[str, dict[str, Any]]:
        ids = {CatalogUpdate("removed", "photos", key, "", "removed", "").document_id: key for key in KEYS}
        if not has_alias(self.client, self.alias):
            return {}
        docs = self.client.request("POST", f"{self.alias}/_mget", {"ids": list(ids)})["docs"]
        return {ids[doc["_id"]]: doc["_source"] for doc in docs if doc["found"]}

    @invariant()
    def never_backwards(self) -> None:
        positions = {key: int(doc["sequencer"][:4], 16) for key, doc in self._documents().items()}
        before = getattr(self, "positions", {})
        assert all(positions[key] >= before[key] for key in before)
        self.positions = positions

    @invariant()
    def no_thumbnails_are_missing(self) -> None:
        assert self._named() <= self.shelf.keys

    def _named(self) -> set[str]:
        living = [doc for doc in self._documents().values() if doc["status"] == "classified"]
        others = [doc for doc in self._documents().values() if doc["status"] != "classified"]
        assert not any("thumbnails" in doc for doc in others)
        return {doc["thumbnails"]["key"] for doc in living if "thumbnails" in doc}

    def _drain(self) -> None:
        """Whatever is still under way arrives."""
        for event in self.notified:
            self._classify(event)
        while waiting := len(self.queued):
            self._index(self.queued[:10])
            assert len(self.queued) < waiting

    def _check(self) -> None:
        documents = self._documents()
        for key in KEYS:
            shown = documents.get(key)
            there = self.bucket.read(key)
            if there is None:
                assert shown is None or (shown["status"], shown["tags"]) == ("removed", [])
                continue
            version_id, content = there
            assert shown is not None, f"{key} is in the bucket and not in the catalog"
            assert shown["version_id"] == version_id or not self.by_version
            if content == UNREADABLE:
                assert shown["status"] == "rejected"
            else:
                assert (shown["status"], shown["tags"]) == (
                    "classified",
                    [{"tag": content, "score": 0.9, "kind": "leaf"}],
                )


class Reconciled(Pipeline):
    """Notifications and documents are lost as well, and ``images reconcile --repair`` runs at any time among the rest.

    Bucket and catalog are listed at moments of their own. Nothing is taken for too young to differ.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[Photo] = []
        self.known: list[Document] = []

    @precondition(lambda self: self.notified)
    @rule(data=st.data())
    def lose_notification(self, data: st.DataObject) -> None:
        self.notified.pop(data.draw(st.integers(0, len(self.notified) - 1)))

    @rule(key=st.sampled_from(KEYS))
    def lose_document(self, key: str) -> None:
        """With nothing of the image under way, which could name thumbnails that only the document knows to be gone."""
        if key in self._documents() and key not in {one.key for one in (*self.notified, *self.queued)}:
            self.client.request("DELETE", f"{self.alias}/_doc/{document_id('photos', key)}")
            self.positions.pop(key, None)

    @rule()
    def list_bucket(self) -> None:
        there = {key: self.bucket.read(key) for key in sorted(KEYS)}
        self.listed = [
            # As with S3, the time of a version is that of its event, and sequencers begin with it.
            Photo(key, found[1], 1, datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(found[0][1:])))
            for key, found in there.items()
            if found is not None
        ]

    @rule()
    def list_catalog(self) -> None:
        self.client.request("POST", f"{self.alias}*/_refresh")
        asked = parse_request({"query": "versions", "bucket": "photos", "removed": True})
        self.known = CatalogStore(self.client, self.alias).search(asked)["images"]

    @rule()
    def reconcile(self) -> None:
        self._repair()

    def _repair(self) -> int:
        """How many notifications are sent for what the two lists differ in."""
        bodies = []
        for page in joined([self.listed], self.known, gone=True):
            for photo, document in page:
                why = why_outdated(photo, document, Looked(""), since=datetime.max.replace(tzinfo=UTC))
                if why not in DIFFERENCES:
                    continue
                look = f"look {next(self.clock)}"
                if photo is not None:
                    bodies.append(notification("photos", photo, document, look=look))
                elif document is not None:
                    bodies.append(removal("photos", document, look=look))
        events = [event for body in bodies for event in parse_notification(body)]
        self.notified += [event for event in events if isinstance(event, ObjectEvent)]
        return len(events)

    def teardown(self) -> None:
        try:
            self._drain()
            self.notified = []
            self.list_bucket()
            self.list_catalog()
            self._repair()
            self._drain()
            self.list_catalog()
            assert self._repair() == 0, "one repair is enough"
            self._check()
            # Those of lost documents are for the purge.
            sweep(self.catalog, self.shelf, before=datetime.max.replace(tzinfo=UTC))
            assert self.shelf.keys == self._named()
        finally:
            self.client.request("DELETE", index_pattern(self.alias))

    # A list has no versions: those of the same content can't be told apart.
    by_version = False


class Rebuilt(Reconciled):
    """``images rebuild`` as well: it is interrupted, goes on, is begun anew or given up, and the purge comes."""

    def __init__(self) -> None:
        super().__init__()
        self.moved: dict[str, Any] | None = None

    @rule(far=st.sampled_from([90, 300]), again=_seldom)
    def rebuild(self, far: int, again: bool) -> None:
        """Some steps towards another index, beside all the rest; with ``again`` the answer is lost."""
        ticks = itertools.count()
        moved = rebuild_step(self.client, self.alias, self.moved, seconds=far, clock=lambda: float(next(ticks)))
        if not again:
            self.moved = moved if moved["state"] == "copying" else None

    @rule()
    def interrupt_rebuild(self) -> None:
        self.moved = None

    @precondition(lambda self: has_alias(self.client, self.alias))
    @rule()
    def abandon_rebuild(self) -> None:
        abandon(self.client, self.alias)

    @rule()
    def purge(self) -> None:
        CatalogStore(self.client, self.alias).purge(older_than_days=1)


@pytest.fixture(scope="module")
def client(osmem_server: OsmemServer) -> Iterator[Client]:
    with osmem_server.clone() as clone:
        made = connect(clone.url)
        yield made
        made.close()


@pytest.mark.parametrize(("kind", "examples"), [(Pipeline, 150), (Reconciled, 150), (Rebuilt, 20)])
def test_the_catalog_ends_up_equal_to_the_bucket(client: Client, kind: type[Pipeline], examples: int) -> None:
    machine = type("PipelineOverOsmem", (kind,), {"client": client})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            database=None,
        ),
    )


def test_what_came_up_again_behind_a_tombstone_is_repaired(client: Client) -> None:
    """Random play seldom gets there: only the tombstone's place in the order lets the repair succeed."""
    play = type("OnePlay", (Reconciled,), {"client": client})()
    for event in (play.bucket.put("a.jpg", "cat"), play.bucket.delete("a.jpg")):
        play._classify(event)
    play._drain()
    assert play._documents()["a.jpg"]["status"] == "removed"
    # The marker is deleted, and nobody hears of it.
    play.bucket.delete_version("a.jpg", 1)
    play.teardown()
