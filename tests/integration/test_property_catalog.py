"""The catalog's promise: whatever happens on the way, in the end the catalog equals the bucket.

Hypothesis plays a versioned bucket, its users, an unreliable notification service, an unreliable queue,
functions that are run twice or die in between, and an OpenSearch that goes away or takes part of a batch.
Then everything that is still under way is delivered, and the catalog is compared with the bucket.
The store is the real one, over a real OpenSearch API.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout
from osmem_server import OsmemServer

from tagstream.catalog.client import connect
from tagstream.catalog.mapping import index_name
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.pipeline.events import ObjectEvent
from tagstream.pipeline.updates import update_of
from tagstream.tags import Tag

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


class Flaky:
    """An OpenSearch client that fails as told, once: before a request, after it, or in the middle of a bulk."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client
        self.indices = client.indices
        self.failure = ""

    def _fails(self, *kinds: str) -> bool:
        if self.failure not in kinds:
            return False
        self.failure = ""
        return True

    def mget(self, **arguments: Any) -> Any:
        if self._fails("read away"):
            raise ConnectionTimeout("TIMEOUT", "away", OSError())
        return self._client.mget(**arguments)

    def bulk(self, *, body: list[Any]) -> Any:
        if self._fails("write away"):
            raise ConnectionTimeout("TIMEOUT", "away", OSError())
        if self._fails("answer lost"):
            self._client.bulk(body=body)
            raise ConnectionTimeout("TIMEOUT", "answer lost", OSError())
        if self._fails("bulk in part"):
            # The first half is written, the rest is refused for now.
            half = len(body) // 4 * 2
            items = self._client.bulk(body=body[:half])["items"] if half else []
            refused = {"status": 429, "error": {"type": "rejected", "reason": "too many requests"}}
            return {"errors": True, "items": items + [{"index": refused}] * (len(body) // 2 - half // 2)}
        return self._client.bulk(body=body)


class Pipeline(RuleBasedStateMachine):
    """Events wait in ``notified`` (any order, any number of times), updates in ``queued`` (likewise)."""

    client: OpenSearch

    def __init__(self) -> None:
        super().__init__()
        # An index of its own is all that one example needs; a server each would cost more time.
        self.alias = f"photos-{next(_indexes)}"
        self.flaky = Flaky(self.client)
        self.catalog = CatalogStore(self.flaky, self.alias)  # type: ignore[arg-type]
        self.bucket = Bucket()
        self.notified: list[ObjectEvent] = []
        self.queued: list[CatalogUpdate] = []
        self.clock: Iterator[int] = itertools.count()

    def teardown(self) -> None:
        try:
            self._drain()
            self._check()
        finally:
            self.client.indices.delete(index=index_name(self.alias), params={"ignore_unavailable": "true"})

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

    def _classify(self, event: ObjectEvent) -> None:
        now = next(self.clock)
        processed_at = f"2026-01-01T{now // 3600:02}:{now // 60 % 60:02}:{now % 60:02}Z"
        # A removal is looked up again, since an older version may have come up.
        seen = self.bucket.read(event.key, event.version_id if event.kind == "created" else None)
        if seen is None:
            if event.kind == "removed":
                self.queued.append(update_of(event, "removed", processed_at=processed_at))
            return
        version_id, content = seen
        facts: dict[str, Any] = {"version_id": version_id, "processed_at": processed_at}
        if content == UNREADABLE:
            self.queued.append(update_of(event, "rejected", reason="a text", **facts))
        else:
            self.queued.append(update_of(event, "classified", tags=(Tag(content, 0.9),), **facts))

    # What the catalog function does with what is queued.

    @precondition(lambda self: self.queued)
    @rule(
        numbers=st.lists(st.integers(0, 9), min_size=1, max_size=10),
        again=_seldom,
        failure=st.sampled_from(FAILURES),
    )
    def index(self, numbers: list[int], again: bool, failure: str) -> None:
        """A batch of any updates, in any order and repeated: far worse than the FIFO queue that it has."""
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
        self.flaky.failure = ""
        assert len(outcomes) == len(batch)
        if not again:
            done = [update for update, outcome in zip(batch, outcomes, strict=True) if outcome.state != "failed"]
            self.queued = [update for update in self.queued if update not in done]

    # What must hold.

    def _documents(self) -> dict[str, dict[str, Any]]:
        ids = {CatalogUpdate("removed", "photos", key, "", "removed", "").document_id: key for key in KEYS}
        if not self.client.indices.exists_alias(name=self.alias):
            return {}
        docs = self.client.mget(index=self.alias, body={"ids": list(ids)})["docs"]
        return {ids[doc["_id"]]: doc["_source"] for doc in docs if doc["found"]}

    @invariant()
    def never_backwards(self) -> None:
        positions = {key: int(doc["sequencer"][:4], 16) for key, doc in self._documents().items()}
        before = getattr(self, "positions", {})
        assert all(positions[key] >= before[key] for key in before)
        self.positions = positions

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
            assert shown["version_id"] == version_id
            if content == UNREADABLE:
                assert shown["status"] == "rejected"
            else:
                assert (shown["status"], shown["tags"]) == (
                    "classified",
                    [{"tag": content, "score": 0.9, "kind": "leaf"}],
                )


@pytest.fixture(scope="module")
def client(osmem_server: OsmemServer) -> Iterator[OpenSearch]:
    with osmem_server.clone() as clone:
        made = connect(clone.url)
        yield made
        made.close()


def test_the_catalog_ends_up_equal_to_the_bucket(client: OpenSearch) -> None:
    machine = type("PipelineOverOsmem", (Pipeline,), {"client": client})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            database=None,
        ),
    )
