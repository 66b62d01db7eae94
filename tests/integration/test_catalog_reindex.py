"""Moving to a new index while the catalog is being written: nothing is lost, nothing gets older."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog import mapping, reindex, store
from tagstream.catalog.client import Client, OpenSearchError, connect
from tagstream.catalog.queries import parse_request
from tagstream.catalog.reindex import SLICES, abandon, rebuild_step, reindex_step
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.errors import CatalogError
from tagstream.tags import Tag

INDEX = "imagerepository"
OLD, NEW, NEWER = mapping.VERSION, mapping.VERSION + 1, mapping.VERSION + 2


def update(key: str, sequencer: str = "0A", kind: str = "classified") -> CatalogUpdate:
    return CatalogUpdate(
        kind=kind,  # type: ignore[arg-type]
        bucket="photos",
        key=key,
        sequencer=sequencer,
        event_kind="created",
        event_time="2026-01-01T00:00:00Z",
        tags=(Tag("cat", 0.5),),
        processed_at="2026-01-01T00:00:01Z",
    )


def contents(opensearch: OpenSearch) -> dict[str, str]:
    opensearch.indices.refresh(index=INDEX)
    hits = opensearch.search(index=INDEX, body={"size": 10_000})["hits"]["hits"]
    return {hit["_source"]["key"]: hit["_source"]["sequencer"] for hit in hits}


@pytest.fixture
def catalog(client: Client) -> CatalogStore:
    made = CatalogStore(client, INDEX)
    made.apply([update(f"{n}.jpg") for n in range(300)])
    return made


def test_everything_moves_and_the_alias_with_it(catalog: CatalogStore, opensearch: OpenSearch, client: Client) -> None:
    catalog.apply([update("0.jpg", "0B"), update("gone.jpg", kind="removed")])
    before = contents(opensearch)
    moved = reindex_step(client, INDEX, version=NEW)
    assert (moved["state"], moved["index"]) == ("done", f"{INDEX}-v{NEW}")
    assert list(opensearch.indices.get_alias(name=INDEX)) == [f"{INDEX}-v{NEW}"]
    assert contents(opensearch) == before
    # Writing and searching go on in the new one, and order still holds.
    assert [o.state for o in catalog.apply([update("0.jpg", "0A"), update("1.jpg", "0C"), update("new.jpg")])] == [
        "stale",
        "applied",
        "applied",
    ]
    assert contents(opensearch) == before | {"1.jpg": "0C", "new.jpg": "0A"}
    assert catalog.search(parse_request({"query": "tag", "tag": "cat"}))["total"] == 301
    assert reindex_step(client, INDEX, version=NEW)["state"] == "done"


def test_steps_are_bounded_and_can_be_repeated_or_begun_anew(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    before = contents(opensearch)
    ticks: Iterator[int] = iter(range(10**6))
    progress: dict[str, Any] | None = None
    steps = []
    for _ in range(1000):
        last, progress = (
            progress,
            reindex_step(client, INDEX, progress, version=NEW, seconds=60, clock=lambda: float(next(ticks))),
        )
        steps.append(progress["slice"])
        if progress["state"] == "done":
            break
        if len(steps) == 2:
            # The answer got lost, and the step is done again; then somebody else begins from the start.
            assert reindex_step(client, INDEX, last, version=NEW, seconds=0)["slice"] == steps[0] + 1
            reindex_step(client, INDEX, version=NEW, seconds=0)
        catalog.apply([update("0.jpg", f"{0x10 + len(steps):x}"), update(f"during {len(steps)}.jpg")])
    assert steps == [60, 120, 180, 240, SLICES]
    assert contents(opensearch) == before | {"0.jpg": "14"} | {f"during {n}.jpg": "0A" for n in (1, 2, 3, 4)}


def test_a_writer_that_read_before_the_switch_does_not_write_after_it(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, osmem_clone: Any
) -> None:
    class SlowWriter(Client):
        def __init__(self) -> None:
            self.moved = False

        def request(self, method: str, path: str, *arguments: Any, **more: Any) -> Any:
            if path == "_bulk" and not self.moved:
                self.moved = True
                reindex_step(client, INDEX, version=NEW)
            return client.request(method, path, *arguments, **more)

    slow = CatalogStore(SlowWriter(), INDEX)
    batch = [update("0.jpg", "0B"), update("new.jpg")]
    assert {outcome.state for outcome in slow.apply(batch)} == {"failed"}
    assert {outcome.state for outcome in slow.apply(batch)} == {"applied"}
    assert contents(opensearch)["0.jpg"] == "0B"


@pytest.mark.parametrize("move", [functools.partial(reindex_step, version=NEW), rebuild_step])
def test_nothing_is_lost_under_concurrent_writers(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, osmem_clone: Any, move: Callable[..., dict[str, Any]]
) -> None:
    stop = threading.Event()
    written: list[dict[str, str]] = [{}, {}]

    def write(writer: int) -> None:
        mine, client = CatalogStore(connect(osmem_clone.url), INDEX), written[writer]
        number = 0
        while not stop.is_set():
            number += 1
            batch = [
                update(f"{writer}-{number % 50}.jpg", f"{0x1000 + number:x}"),
                update(f"{writer}-{number}-new.jpg"),
            ]
            while any(outcome.state == "failed" for outcome in mine.apply(batch)):
                pass  # the queue delivers again
            client |= {one.key: one.sequencer for one in batch}

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(2)]
    before = contents(opensearch)
    for thread in threads:
        thread.start()
    assert move(client, INDEX)["state"] == "done"
    stop.set()
    for thread in threads:
        thread.join(60)
    assert all(written)
    assert contents(opensearch) == before | written[0] | written[1]


class Interrupted(Client):
    """A client that OpenSearch answers no more once a path that ends so is asked for; it was ``done`` all the same."""

    def __init__(self, client: Client, end: str, *, done: bool) -> None:
        self._client, self._end, self._done = client, end, done

    def request(self, method: str, path: str, *arguments: Any, **more: Any) -> Any:
        if not path.endswith(self._end):
            return self._client.request(method, path, *arguments, **more)
        if self._done:
            self._client.request(method, path, *arguments, **more)
        raise OpenSearchError("away")


def blocks(opensearch: OpenSearch, name: str) -> list[str]:
    return mapping.blocks(opensearch.indices.get_settings(index=name)[name])


def test_a_failed_switch_opens_the_old_index_again(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    # A document that the new index can't take: the copy must stop, and say so, with the catalog as it was.
    broken = Interrupted(client, "_refresh", done=False)
    with pytest.raises(CatalogError, match="away"):
        reindex_step(broken, INDEX, version=NEW)
    assert list(opensearch.indices.get_alias(name=INDEX)) == [f"{INDEX}-v{OLD}"]
    assert [outcome.state for outcome in catalog.apply([update("after.jpg")])] == ["applied"]
    assert reindex_step(client, INDEX, version=NEW)["state"] == "done"
    assert contents(opensearch)["after.jpg"] == "0A"


@pytest.mark.parametrize("done", [True, False])
def test_the_old_index_stays_closed_if_it_was_the_answer_to_the_move_that_got_lost(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, done: bool
) -> None:
    with pytest.raises(CatalogError, match="away"):
        rebuild_step(Interrupted(client, "_aliases", done=done), INDEX)
    first = mapping.index_name(INDEX)
    assert list(opensearch.indices.get_alias(name=INDEX)) == [SECOND if done else first]
    assert blocks(opensearch, first) == (["write"] if done else [])
    assert [outcome.state for outcome in catalog.apply([update("0.jpg", "0C")])] == ["applied"]
    assert contents(opensearch)["0.jpg"] == "0C"
    # And so the next purge takes it, rather than the first one after a week.
    assert catalog.purge(older_than_days=1)["indexes"] == ([first] if done else [])


def test_the_old_index_is_opened_again_where_nobody_says_what_became_of_the_move(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    class Silent(Client):
        def __init__(self) -> None:
            """Neither the move nor the look afterwards has an answer."""

        def request(self, method: str, path: str, *arguments: Any, **more: Any) -> Any:
            self.moved = getattr(self, "moved", False) or path == "_aliases"
            if path == "_aliases" or (self.moved and path.endswith("/_alias")):
                raise OpenSearchError("it did not answer")
            return client.request(method, path, *arguments, **more)

    with pytest.raises(OpenSearchError):
        reindex_step(Silent(), INDEX, version=NEW)
    assert blocks(opensearch, mapping.index_name(INDEX)) == []
    assert [outcome.state for outcome in catalog.apply([update("after.jpg")])] == ["applied"]


def test_the_old_index_stays_closed_if_somebody_else_has_moved_the_catalog(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    class Late(Client):
        def __init__(self) -> None:
            """Another move is through just before this one gives the alias away."""

        def request(self, method: str, path: str, *arguments: Any, **more: Any) -> Any:
            if path == "_aliases":
                reindex_step(client, INDEX, version=NEW)
            return client.request(method, path, *arguments, **more)

    with pytest.raises(OpenSearchError):
        reindex_step(Late(), INDEX, version=NEWER)
    assert list(opensearch.indices.get_alias(name=INDEX)) == [f"{INDEX}-v{NEW}"]
    assert blocks(opensearch, mapping.index_name(INDEX)) == ["write"]


def test_older_code_does_not_move_the_catalog_back(catalog: CatalogStore, client: Client) -> None:
    reindex_step(client, INDEX, version=NEWER)
    with pytest.raises(CatalogError, match="deploy the new code"):
        reindex_step(client, INDEX, version=NEW)


def test_without_a_catalog_there_is_nothing_to_move(client: Client) -> None:
    with pytest.raises(CatalogError, match="there is no catalog"):
        reindex_step(client, INDEX, version=NEW)


def test_the_purge_drops_replaced_indexes_only(catalog: CatalogStore, opensearch: OpenSearch, client: Client) -> None:
    reindex_step(client, INDEX, version=NEW)
    opensearch.indices.create(index=f"{INDEX}-v{NEWER}")  # being filled
    assert catalog.purge(older_than_days=1) == {"tombstones": 0, "indexes": [f"{INDEX}-v{OLD}"]}
    assert sorted(opensearch.indices.get_alias(index=f"{INDEX}-v*")) == [f"{INDEX}-v{NEW}", f"{INDEX}-v{NEWER}"]


def test_the_catalog_moves_to_other_shards_and_back(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    before, few, many = contents(opensearch), mapping.index_name(INDEX), mapping.index_name(INDEX, shards=3)
    moved = reindex_step(client, INDEX, shards=3)
    assert (moved["state"], moved["index"]) == ("done", many)
    assert list(opensearch.indices.get_alias(name=INDEX)) == [many]
    assert opensearch.indices.get_settings(index=many)[many]["settings"]["index"]["number_of_shards"] == "3"
    assert contents(opensearch) == before
    spread = CatalogStore(client, INDEX, shards=3)
    assert [outcome.state for outcome in spread.apply([update("0.jpg", "0A"), update("1.jpg", "0C")])] == [
        "stale",
        "applied",
    ]
    # The one that it came from is closed, and there until the purge comes.
    moved = reindex_step(client, INDEX)
    assert (moved["state"], moved["index"]) == ("done", few)
    assert contents(opensearch) == before | {"1.jpg": "0C"}
    assert [outcome.state for outcome in catalog.apply([update("2.jpg", "0C")])] == ["applied"]
    assert catalog.purge(older_than_days=1) == {"tombstones": 0, "indexes": [many]}


def test_what_an_index_remembers_does_not_win_when_the_catalog_comes_back(
    opensearch: OpenSearch, client: Client
) -> None:
    catalog, spread = CatalogStore(client, INDEX), CatalogStore(client, INDEX, shards=3)
    for sequencer in ("0A", "0B", "0C"):
        catalog.apply([update("cat.jpg", sequencer, "removed")])
    reindex_step(client, INDEX, shards=3)
    # Its tombstone is purged, and it comes again: in the first version, once the deletion itself is forgotten.
    opensearch.indices.put_settings(index=INDEX, body={"index.gc_deletes": "0s"})
    opensearch.delete(index=INDEX, id=update("cat.jpg").document_id, params={"refresh": "true"})
    spread.apply([update("cat.jpg", "0D")])
    reindex_step(client, INDEX)
    assert contents(opensearch) == {"cat.jpg": "0D"}


def test_a_large_catalog_is_copied_in_parts_that_stay_small(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "PART", 1)
    before = contents(opensearch)
    moved = reindex_step(client, INDEX, version=NEW, seconds=0)
    assert (moved["slice"], moved["slices"]) == (1, 4096)
    while moved["state"] == "copying":
        moved = reindex_step(client, INDEX, moved, version=NEW)
    assert moved["slice"] == moved["slices"] == 4096
    assert contents(opensearch) == before


def test_what_is_written_meanwhile_is_copied_before_the_index_is_closed(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex, "PART", 20)
    monkeypatch.setattr(reindex, "SLICES", 16)
    monkeypatch.setattr(reindex, "_CLOCK_DIFFERENCE", "0s")
    before = contents(opensearch)
    moved = reindex_step(client, INDEX, version=NEW, seconds=0)
    passes = [moved["left"]]
    while moved["state"] == "copying":
        # Half of all is written during the first copy, three images during the second.
        if moved["slice"] == 1:
            for n in range(150 if len(passes) == 1 else 3):
                assert catalog.apply([update(f"{n}.jpg", f"0{'AB'[n % 2]}")])[0].state in {"applied", "stale"}
                catalog.apply([update(f"{n}.jpg", f"0C{len(passes)}")])
            opensearch.indices.refresh(index=INDEX)
        moved = reindex_step(client, INDEX, moved, version=NEW, seconds=0)
        if moved["state"] == "copying" and moved["left"] != passes[-1]:
            passes.append(moved["left"])
    assert passes == [300, 150]
    assert contents(opensearch) == before | {f"{n}.jpg": "0C1" for n in range(150)} | {
        f"{n}.jpg": "0C2" for n in range(3)
    }


@pytest.mark.parametrize("slices", [256, 4096])
def test_each_id_is_in_one_part(slices: int) -> None:
    ids = [update(f"{n}.jpg").document_id for n in range(200)] + ["0" * 64, "f" * 64]
    parts = [reindex._slice(number, slices) for number in range(slices)]
    assert [sum(part["gte"] <= one < part["lt"] for part in parts) for one in ids] == [1] * len(ids)


def test_the_purge_leaves_an_index_that_is_being_filled(catalog: CatalogStore, client: Client) -> None:
    assert reindex_step(client, INDEX, shards=3, seconds=0)["state"] == "copying"
    assert catalog.purge(older_than_days=1) == {"tombstones": 0, "indexes": []}


def test_a_catalog_is_made_in_the_shards_that_it_is_given(opensearch: OpenSearch, client: Client) -> None:
    made = CatalogStore(client, INDEX, shards=2)
    assert [outcome.state for outcome in made.apply([update("cat.jpg")])] == ["applied"]
    assert list(opensearch.indices.get_alias(name=INDEX)) == [mapping.index_name(INDEX, shards=2)]


SECOND = mapping.index_name(INDEX, generation=2)


def rebuilt(client: Client) -> str:
    moved = rebuild_step(client, INDEX)
    assert moved["state"] == "done"
    return str(moved["index"])


def test_the_catalog_is_rebuilt_beside_itself_again_and_again(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    first = mapping.index_name(INDEX)
    catalog.apply([update("0.jpg", "0B"), update("gone.jpg", kind="removed")])
    before = contents(opensearch)
    assert rebuilt(client) == SECOND
    assert contents(opensearch) == before
    # What this code would make is there, whatever its generation.
    assert reindex_step(client, INDEX)["index"] == SECOND
    assert [o.state for o in catalog.apply([update("0.jpg", "0A"), update("1.jpg", "0C")])] == ["stale", "applied"]
    assert rebuilt(client) == mapping.index_name(INDEX, generation=3)
    assert contents(opensearch) == before | {"1.jpg": "0C"}
    assert catalog.purge(older_than_days=1) == {"tombstones": 0, "indexes": [first, SECOND]}
    assert reindex_step(client, INDEX, version=NEW)["index"] == f"{INDEX}-v{NEW}"
    assert contents(opensearch) == before | {"1.jpg": "0C"}


def test_an_index_that_is_mapped_wrongly_is_made_right(opensearch: OpenSearch, client: Client) -> None:
    """As somebody's own request had OpenSearch make it, with the alias given to it later."""
    first = mapping.index_name(INDEX)
    opensearch.index(index=first, id=update("cat.jpg").document_id, body={"id": update("cat.jpg").document_id})
    opensearch.indices.delete(index=first)
    shape = {"mappings": {"properties": {"id": {"type": "keyword"}}}}
    opensearch.indices.create(index=first, body=shape | {"aliases": {INDEX: {}}})
    catalog = CatalogStore(client, INDEX)
    catalog.apply([update("cat.jpg")])
    assert rebuilt(client) == SECOND
    opensearch.indices.refresh(index=INDEX)
    assert catalog.search(parse_request({"query": "tag", "tag": "cat"}))["total"] == 1


def test_a_lost_index_or_alias_is_made_again(opensearch: OpenSearch, client: Client) -> None:
    first, catalog = mapping.index_name(INDEX), CatalogStore(client, INDEX)
    assert rebuilt(client) == first
    assert catalog.search(parse_request({"query": "tag", "tag": "cat"})) == {"total": 0, "images": [], "after": None}
    catalog.apply([update("cat.jpg")])
    opensearch.indices.delete_alias(index=first, name=INDEX)
    assert rebuilt(client) == SECOND
    assert contents(opensearch) == {"cat.jpg": "0A"}
    # Beside the closed one that it came from, it is known which had the alias.
    opensearch.indices.delete_alias(index=SECOND, name=INDEX)
    assert rebuilt(client) == mapping.index_name(INDEX, generation=3)
    assert contents(opensearch) == {"cat.jpg": "0A"}
    opensearch.indices.delete_alias(index=f"{INDEX}-v*", name=INDEX)
    opensearch.indices.create(index=f"{INDEX}-v{NEW}")
    with pytest.raises(CatalogError, match=r"which of .* cannot be told"):
        rebuild_step(client, INDEX)


def test_an_interrupted_rebuild_goes_on_or_is_taken_away(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client
) -> None:
    before = contents(opensearch)
    assert abandon(client, INDEX) == []
    begun = rebuild_step(client, INDEX, seconds=0)
    assert (begun["state"], begun["index"], begun["slice"]) == ("copying", SECOND, 1)
    assert abandon(client, INDEX) == [SECOND]
    # Somebody still goes on with it: from the beginning.
    assert rebuild_step(client, INDEX, begun, seconds=0)["slice"] == 1
    catalog.apply([update("1.jpg", "0B")])
    assert rebuilt(client) == SECOND
    assert contents(opensearch) == before | {"1.jpg": "0B"}
    # The last answer was lost: nothing is begun again.
    assert rebuild_step(client, INDEX, begun) == {
        "state": "done",
        "index": SECOND,
        "slice": SLICES,
        "slices": SLICES,
    }
    # The one that was replaced is the purge's.
    assert abandon(client, INDEX) == []


def test_tombstones_outlive_a_move_and_an_image_that_comes_again_wins(
    catalog: CatalogStore, opensearch: OpenSearch, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copied already, a tombstone would be in a higher version than the image that comes after it was purged."""
    for sequencer in ("0A", "0B", "0C"):
        catalog.apply([update("gone.jpg", sequencer, "removed")])
    opensearch.update(
        index=INDEX, id=update("gone.jpg").document_id, body={"doc": {"indexed_at": "2020-01-01T00:00:00Z"}}
    )
    opensearch.indices.refresh(index=INDEX)
    opensearch.indices.put_settings(index=INDEX, body={"index.gc_deletes": "0s"})
    ticks = iter(range(10**6))
    begun = rebuild_step(client, INDEX, seconds=250, clock=lambda: float(next(ticks)))
    assert begun["state"] == "copying"
    assert catalog.purge(older_than_days=1) == {"tombstones": 0, "indexes": []}
    catalog.apply([update("gone.jpg", "0D")])
    assert rebuild_step(client, INDEX, begun)["state"] == "done"
    assert contents(opensearch)["gone.jpg"] == "0D"

    # One that nobody goes on with keeps nothing from being purged for ever.
    rebuild_step(client, INDEX, seconds=0)
    monkeypatch.setattr(store, "_GIVEN_UP_AFTER", timedelta(0))
    assert catalog.purge(older_than_days=1)["indexes"] == [
        mapping.index_name(INDEX),
        mapping.index_name(INDEX, generation=3),
    ]
