"""The catalog's promise, on a real OpenSearch API: order, repetition, conflicts, failures."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog import mapping, store
from tagstream.catalog.client import Client, OpenSearchError, connect
from tagstream.catalog.mapping import index_name
from tagstream.catalog.queries import parse_request
from tagstream.catalog.store import CatalogStore, Outcome
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import Tag
from tagstream.thumbnails.names import key_of

INDEX = "imagerepository"


def update(key: str = "cat.jpg", sequencer: str = "0A", kind: str = "classified", **fields: Any) -> CatalogUpdate:
    made = CatalogUpdate(
        kind=kind,  # type: ignore[arg-type]
        bucket="photos",
        key=key,
        sequencer=sequencer,
        event_kind="removed" if kind == "removed" else "created",
        event_time="2026-01-01T00:00:00.000Z",
        tags=(Tag("tabby", 0.9),) if kind == "classified" else (),
        reason="not an image" if kind == "rejected" else None,
        processed_at="2026-01-01T00:00:01.000Z",
    )
    return replace(made, **fields)


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


class Requests(Client):
    """A client that notes what is asked of it, and can be told to misbehave before a request."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.made: list[str] = []
        self.before_bulk: Any = lambda: None
        self.unready = 0

    def request(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        if path.endswith("/_mget"):
            self.made.append("mget")
            if self.made.count("mget") <= self.unready:
                # What OpenSearch says while it is making the shard, and osmem never does.
                error = {"type": "no_shard_available_action_exception", "reason": "No shard available for [...]"}
                return {"docs": [{"_id": image, "error": error} for image in body["ids"]]}
        elif path == "_bulk":
            self.made.append("bulk")
            self.before_bulk()
        return self._client.request(method, path, body, **more)


@pytest.fixture
def requests(client: Client) -> Requests:
    return Requests(client)


@pytest.fixture
def catalog(requests: Requests) -> CatalogStore:
    made = CatalogStore(requests, INDEX)
    made.create_index()
    return made


def stored(opensearch: OpenSearch, one: CatalogUpdate) -> dict[str, Any]:
    return dict(opensearch.get(index=INDEX, id=one.document_id)["_source"])


def test_a_batch_is_one_read_and_one_write(catalog: CatalogStore, requests: Requests, opensearch: OpenSearch) -> None:
    batch = [update(f"{n}.jpg") for n in range(10)]
    assert states(catalog.apply(batch)) == ["applied"] * 10
    assert requests.made == ["mget", "bulk"]
    assert stored(opensearch, batch[3])["title"] == "3.jpg"
    requests.made.clear()
    assert states(catalog.apply(batch)) == ["stale"] * 10
    assert requests.made == ["mget"]


def test_an_empty_batch_asks_nothing(catalog: CatalogStore, requests: Requests) -> None:
    assert catalog.apply([]) == []
    assert requests.made == []


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_the_newest_wins_whatever_the_order(catalog: CatalogStore, opensearch: OpenSearch, in_one_batch: bool) -> None:
    # 0B0 is newer than 0AFF although shorter, and than 0a although that has another case.
    late, early, mid = update(sequencer="0B0", model="late"), update(sequencer="0a"), update(sequencer="0AFF")
    if in_one_batch:
        assert states(catalog.apply([early, late, mid])) == ["stale", "applied", "stale"]
    else:
        assert [states(catalog.apply([one])) for one in (early, late, mid)] == [["applied"], ["applied"], ["stale"]]
    assert stored(opensearch, late)["model"] == "late"


def test_a_late_creation_does_not_resurrect_but_a_new_one_does(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    assert states(catalog.apply([update(sequencer="0C", kind="removed")])) == ["applied"]
    assert states(catalog.apply([update(sequencer="0B")])) == ["stale"]
    tombstone = stored(opensearch, update())
    assert (tombstone["status"], tombstone["tags"], tombstone["sequencer"]) == ("removed", [], "0C")
    assert states(catalog.apply([update(sequencer="0D")])) == ["applied"]
    back = stored(opensearch, update())
    assert back["status"] == "classified"
    assert "removed_at" not in back


def test_another_look_at_the_same_event_is_applied_and_an_earlier_one_is_not(
    catalog: CatalogStore, opensearch: OpenSearch
) -> None:
    first = update(model="lite0")
    again = update(model="lite2", processed_at="2026-01-02T00:00:00Z")
    assert states(catalog.apply([first, again, first])) == ["stale", "applied", "stale"]
    assert states(catalog.apply([first])) == ["stale"]
    assert stored(opensearch, first)["model"] == "lite2"


def test_two_functions_create_the_index_at_once(opensearch: OpenSearch, osmem_clone: Any) -> None:
    barrier = threading.Barrier(8, timeout=60)
    outcomes: list[list[Outcome]] = []

    def work(n: int) -> None:
        catalog = CatalogStore(connect(osmem_clone.url), INDEX)
        barrier.wait()
        outcomes.append(catalog.apply([update(f"{n}.jpg")]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [states(outcome) for outcome in outcomes] == [["applied"]] * 8
    assert list(opensearch.indices.get_alias(name=INDEX)) == [index_name(INDEX)]
    opensearch.indices.refresh(index=INDEX)
    assert opensearch.count(index=INDEX)["count"] == 8


def test_the_shard_of_an_index_made_just_now_is_waited_for(catalog: CatalogStore, requests: Requests) -> None:
    requests.unready = 2
    assert states(catalog.apply([update()])) == ["applied"]
    assert requests.made == ["mget"] * 3 + ["bulk"]


def test_a_shard_that_never_comes_is_a_failure(
    catalog: CatalogStore, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store.time, "sleep", lambda _: None)
    requests.unready = 100
    (outcome,) = catalog.apply([update()])
    assert outcome.state == "failed"
    assert "No shard available" in (outcome.error or "")
    assert requests.made == ["mget"] * 5


def test_no_index_is_made_where_one_is_deleted_between_reading_and_writing(
    catalog: CatalogStore, requests: Requests, opensearch: OpenSearch, client: Client
) -> None:
    """OpenSearch would make one of that name, as it sees fit, that no alias leads to."""
    catalog.apply([update(), update("dog.jpg")])

    def delete() -> None:
        requests.before_bulk = lambda: None
        opensearch.indices.delete(index=index_name(INDEX))

    requests.before_bulk = delete
    requests.made.clear()
    # One document was there, the other one not: both ways of writing.
    assert states(catalog.apply([update("cat.jpg", "0B"), update("new.jpg")])) == ["applied", "applied"]
    assert requests.made == ["mget", "bulk", "mget", "mget", "bulk"]
    assert list(opensearch.indices.get_alias(name=INDEX)) == [index_name(INDEX)]
    assert list(opensearch.indices.get_alias(index="*")) == [index_name(INDEX)]
    opensearch.indices.refresh(index=INDEX)
    found = CatalogStore(client, INDEX).search(parse_request({"query": "search", "q": "tabby"}))
    assert found["total"] == 2


def test_an_index_of_an_older_version_of_the_program_is_written_to(
    catalog: CatalogStore, requests: Requests, opensearch: OpenSearch
) -> None:
    """It was made without the alias that it is written to by."""
    opensearch.indices.delete(index=index_name(INDEX))
    body = mapping.settings_and_mappings() | {"aliases": {INDEX: {}}}
    opensearch.indices.create(index=index_name(INDEX), body=body)
    assert states(catalog.apply([update()])) == ["applied"]
    assert requests.made == ["mget", "bulk", "mget", "bulk"]
    requests.made.clear()
    assert states(catalog.apply([update("dog.jpg")])) == ["applied"]
    assert requests.made == ["mget", "bulk"]


def test_an_index_without_its_alias_is_a_clear_failure(opensearch: OpenSearch, client: Client) -> None:
    opensearch.indices.create(index=index_name(INDEX))
    (outcome,) = CatalogStore(client, INDEX).apply([update()])
    assert outcome.state == "failed"
    assert "add the alias" in str(outcome.error)


def test_a_conflict_is_decided_again(
    catalog: CatalogStore, requests: Requests, opensearch: OpenSearch, client: Client
) -> None:
    rival = CatalogStore(client, INDEX)
    requests.before_bulk = lambda: rival.apply([update(sequencer="0C", model="rival")])
    assert states(catalog.apply([update(sequencer="0B"), update("other.jpg")])) == ["stale", "applied"]
    assert stored(opensearch, update())["model"] == "rival"
    requests.before_bulk = lambda: rival.apply([update(sequencer="0D", model="rival")])
    assert states(catalog.apply([update(sequencer="0E", model="mine")])) == ["applied"]
    assert stored(opensearch, update())["model"] == "mine"


def test_endless_conflicts_end_in_a_failure(catalog: CatalogStore, requests: Requests, client: Client) -> None:
    rival, sequencers = CatalogStore(client, INDEX), iter(range(0x10, 0xFF))
    requests.before_bulk = lambda: rival.apply([update(sequencer=f"{next(sequencers):x}")])
    outcomes = catalog.apply([update(sequencer="FF"), update("other.jpg")])
    assert states(outcomes) == ["failed", "applied"]
    assert len(requests.made) <= 10


def test_two_writers_of_one_image_leave_the_newest(opensearch: OpenSearch, client: Client, osmem_clone: Any) -> None:
    CatalogStore(client, INDEX).create_index()
    barrier = threading.Barrier(2, timeout=60)

    def work(numbers: range) -> None:
        catalog = CatalogStore(connect(osmem_clone.url), INDEX)
        barrier.wait()
        for number in numbers:
            one = update(sequencer=f"{number:x}", model=f"m{number:x}")
            while catalog.apply([one])[0].state == "failed":
                pass  # as the queue does: deliver again

    threads = [
        threading.Thread(target=work, args=(numbers,))
        for numbers in (range(0x1000, 0x1100, 2), range(0x1001, 0x1100, 2))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    newest = stored(opensearch, update())
    assert (newest["sequencer"], newest["model"]) == ("10ff", "m10ff")


def test_a_refused_document_fails_alone_with_the_later_ones_of_its_image(
    catalog: CatalogStore, opensearch: OpenSearch
) -> None:
    good, refused, later = update(sequencer="0A"), update(sequencer="0B", size=2**70), update(sequencer="0A1")
    outcomes = catalog.apply([good, update("other.jpg"), refused, later])
    assert states(outcomes) == ["applied", "applied", "failed", "failed"]
    assert "refused the document" in str(outcomes[2].error)
    assert stored(opensearch, good)["sequencer"] == "0A"


def test_opensearch_away_fails_everything_and_loses_nothing(
    catalog: CatalogStore, requests: Requests, opensearch: OpenSearch
) -> None:
    def away() -> None:
        raise OpenSearchError("it did not answer: refused")

    requests.before_bulk = away
    outcomes = catalog.apply([update(), update("other.jpg")])
    assert states(outcomes) == ["failed", "failed"]
    requests.before_bulk = lambda: None
    assert states(catalog.apply([update(), update("other.jpg")])) == ["applied", "applied"]
    nowhere = CatalogStore(connect("http://127.0.0.1:1"), INDEX)
    assert states(nowhere.apply([update()])) == ["failed"]


def test_a_closed_index_is_a_failure_to_be_tried_again(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    opensearch.indices.put_settings(index=INDEX, body={"index.blocks.write": True})
    assert states(catalog.apply([update()])) == ["failed"]
    opensearch.indices.put_settings(index=INDEX, body={"index.blocks.write": False})
    assert states(catalog.apply([update()])) == ["applied"]


def test_a_key_of_1024_bytes_is_stored_and_found(catalog: CatalogStore, opensearch: OpenSearch, client: Client) -> None:
    long = update("ö" * 511 + "/a")
    assert states(catalog.apply([long])) == ["applied"]
    opensearch.indices.refresh(index=INDEX)
    found = catalog_search(client, {"query": "title", "title": long.key})
    assert [image["key"] for image in found["images"]] == [long.key]


def catalog_search(client: Client, request: dict[str, Any]) -> dict[str, Any]:
    return CatalogStore(client, INDEX).search(parse_request(request))


def test_a_search_without_an_index_finds_nothing_and_says_what_is_missing(client: Client) -> None:
    found = catalog_search(client, {"query": "tag", "tag": "cat"})
    assert "no index behind the alias" in found.pop("missing")
    assert found == {"total": 0, "images": [], "after": None}
    assert CatalogStore(client, INDEX).purge(older_than_days=1) == {"tombstones": 0, "indexes": []}


def test_a_search_without_the_alias_is_no_empty_answer(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    catalog.apply([update("cat.jpg")])
    (name,) = opensearch.indices.get_alias(name=INDEX)
    opensearch.indices.delete_alias(index=name, name=INDEX)
    assert INDEX in catalog_search(client, {"query": "tag", "tag": "cat"})["missing"]


def test_old_tombstones_are_purged_and_nothing_else(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    old, young, alive = update("old.jpg", kind="removed"), update("young.jpg", kind="removed"), update("alive.jpg")
    CatalogStore(client, INDEX).apply([old, young, alive])
    for one in (old, alive):
        long_ago = {"doc": {"indexed_at": "2020-01-01T00:00:00.000Z"}}
        opensearch.update(index=INDEX, id=one.document_id, body=long_ago)
    opensearch.indices.refresh(index=INDEX)
    assert CatalogStore(client, INDEX).purge(older_than_days=30) == {"tombstones": 1, "indexes": []}
    ids = [old.document_id, young.document_id, alive.document_id]
    docs = opensearch.mget(index=INDEX, body={"ids": ids})["docs"]
    assert [doc["found"] for doc in docs] == [False, True, True]


class Bin:
    """Where thumbnails are removed, unless S3 is away."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.away: set[str] = set()

    def remove(self, keys: Iterable[str]) -> dict[str, str]:
        wanted = list(keys)
        self.removed += [key for key in wanted if key not in self.away]
        return {key: "S3 is away" for key in wanted if key in self.away}


def pictured(sequencer: str, key: str = "cat.jpg", look: str = "", **fields: Any) -> CatalogUpdate:
    made = update(key, sequencer, **fields)
    return replace(made, thumbnails={"key": key_of(made.document_id, sequencer, "etag", look), "sizes": {}})


def thumbnails(of: CatalogUpdate) -> str:
    assert of.thumbnails is not None
    return str(of.thumbnails["key"])


def test_thumbnails_that_s3_did_not_remove_are_removed_when_the_message_comes_again(
    opensearch: OpenSearch, client: Client
) -> None:
    rubbish, first, dog = Bin(), pictured("0A"), pictured("0A", "dog.jpg")
    catalog = CatalogStore(client, INDEX, thumbnails=rubbish)
    catalog.apply([first, dog])
    rubbish.away = {thumbnails(first)}
    removals = [update("cat.jpg", "0B", "removed"), update("dog.jpg", "0B", "removed")]
    outcomes = catalog.apply(removals)
    assert states(outcomes) == ["failed", "applied"]
    assert outcomes[0].error == "thumbnails that are to go could not be removed: S3 is away"
    # The catalog is right all the same, and the message comes again.
    assert stored(opensearch, first)["status"] == "removed"
    assert rubbish.removed == [thumbnails(dog)]
    rubbish.away = set()
    assert states(catalog.apply(removals[:1])) == ["stale"]
    assert rubbish.removed == [thumbnails(dog), thumbnails(first)]


def test_nothing_is_removed_before_the_document_is_written(opensearch: OpenSearch, requests: Requests) -> None:
    rubbish, first = Bin(), pictured("0A")
    catalog = CatalogStore(requests, INDEX, thumbnails=rubbish)  # type: ignore[arg-type]
    catalog.apply([first])
    opensearch.indices.put_settings(index=index_name(INDEX), body={"index.blocks.write": True})
    assert states(catalog.apply([pictured("0B")])) == ["failed"]
    assert rubbish.removed == []


def test_an_event_that_comes_again_writes_nothing(opensearch: OpenSearch, client: Client) -> None:
    rubbish = Bin()
    catalog = CatalogStore(client, INDEX, thumbnails=rubbish)
    first, again = pictured("0A"), pictured("0A", processed_at="2026-01-01T00:00:09Z")
    assert states(catalog.apply([first])) == ["applied"]
    before = opensearch.get(index=INDEX, id=first.document_id)
    assert states(catalog.apply([again, again])) == ["stale", "stale"]
    assert opensearch.get(index=INDEX, id=first.document_id) == before
    assert rubbish.removed == []
    # What another model says of the same photo is news.
    other = pictured("0A", model="another", processed_at="2026-01-01T00:00:10Z")
    assert states(catalog.apply([other])) == ["applied"]


def test_thumbnails_that_may_be_gone_are_named_no_more(opensearch: OpenSearch, client: Client) -> None:
    """Of two looks at one event that found the same, one is late; in between the photo was rejected."""
    rubbish = Bin()
    catalog = CatalogStore(client, INDEX, thumbnails=rubbish)
    first, again = pictured("0A"), pictured("0A", processed_at="2026-01-01T00:00:09Z")
    assert thumbnails(first) == thumbnails(again)
    catalog.apply([update("cat.jpg", "0A", "rejected", processed_at="2026-01-01T00:00:05Z")])
    assert states(catalog.apply([first])) == ["stale"]
    assert rubbish.removed == [thumbnails(first)]
    assert states(catalog.apply([again])) == ["applied"]
    assert "thumbnails" not in stored(opensearch, first)
    assert rubbish.removed == [thumbnails(first)] * 2
    # Another look has names of its own.
    third = pictured("0A", look="retag", processed_at="2026-01-01T00:00:10Z")
    catalog.apply([third])
    assert stored(opensearch, third)["thumbnails"]["key"] == thumbnails(third)
    assert thumbnails(third) not in rubbish.removed
