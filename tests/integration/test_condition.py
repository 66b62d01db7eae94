"""The state of the index, as the catalog tells it to whoever is on call."""

from __future__ import annotations

from opensearchpy import OpenSearch

from tagstream.catalog import mapping
from tagstream.catalog.client import Client
from tagstream.catalog.condition import condition
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import Tag

INDEX = "imagerepository"


def update(key: str, kind: str = "classified", model: str = "lite0", vocabulary: str | None = "2") -> CatalogUpdate:
    return CatalogUpdate(
        kind=kind,  # type: ignore[arg-type]
        bucket="photos",
        key=key,
        sequencer="0A",
        event_kind="created",
        event_time="2026-01-01T00:00:00Z",
        model=model,
        vocabulary=vocabulary,
        tags=(Tag("cat", 0.5),),
    )


def test_before_the_first_photo_there_is_nothing(client: Client) -> None:
    state = condition(client, INDEX)
    assert (state["index"], state["behind_alias"], state["indexes"]) == (None, [], [])
    assert state["wanted"] == mapping.index_name(INDEX)


def test_what_is_there_is_counted_and_mapped_as_it_should_be(opensearch: OpenSearch, client: Client) -> None:
    images = [update("a.jpg"), update("b.jpg", model="own", vocabulary=None), update("c.jpg", "rejected")]
    CatalogStore(client, INDEX).apply(images)
    opensearch.indices.refresh(index=INDEX)
    state = condition(client, INDEX)
    assert state["index"] == state["wanted"] == mapping.index_name(INDEX)
    assert (state["differs"], state["blocked"]) == ([], [])
    assert state["images"] == {"classified": 2, "rejected": 1}
    assert state["seen_by"]["own"] == 1
    assert state["seen_by"]["lite0 2"] >= 1


def test_an_index_that_somebody_made_by_hand_is_known(opensearch: OpenSearch, client: Client) -> None:
    """As OpenSearch makes one by itself from the first document."""
    name = mapping.index_name(INDEX)
    opensearch.indices.create(index=name, body={"aliases": {INDEX: {}}})
    opensearch.index(index=name, id="1", body={"key": "a.jpg", "tags": [{"tag": "cat", "score": 0.5}]}, refresh=True)
    differs = condition(client, INDEX)["differs"]
    assert "dynamic" in differs
    assert any(place.startswith("properties.tags") for place in differs)
    assert any(place.startswith("properties.key") for place in differs)


def test_a_lost_alias_and_a_block_are_known(opensearch: OpenSearch, client: Client) -> None:
    CatalogStore(client, INDEX).apply([update("a.jpg")])
    name = mapping.index_name(INDEX)
    opensearch.indices.put_settings(index=name, body={"index.blocks.write": True})
    try:
        assert condition(client, INDEX)["blocked"] == ["write"]
    finally:
        opensearch.indices.put_settings(index=name, body={"index.blocks.write": False})
    opensearch.indices.delete_alias(index=name, name=INDEX)
    state = condition(client, INDEX)
    assert (state["index"], state["behind_alias"], state["indexes"]) == (None, [], [name])
