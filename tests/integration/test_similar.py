"""What is similar, by an OpenSearch: the scores that the pure functions say, and near copies found by their hash."""

from __future__ import annotations

from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog.client import Client
from tagstream.catalog.similar import frequencies_aggregation, frequencies_of, likeness, similar_query, why
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import Tag

INDEX = "imagerepository"


def update(key: str, tags: dict[str, float], **facts: Any) -> CatalogUpdate:
    return CatalogUpdate(
        kind="classified",
        bucket="photos",
        key=key,
        sequencer="0A",
        event_kind="created",
        event_time="2026-01-01T00:00:00Z",
        tags=tuple(Tag(tag, score) for tag, score in tags.items()),
        processed_at="2026-01-01T00:00:01Z",
        facts=facts,
    )


def colors(**shares: float) -> list[dict[str, Any]]:
    return [{"color": color, "share": share} for color, share in shares.items()]


@pytest.fixture
def documents(opensearch: OpenSearch, client: Client) -> dict[str, dict[str, Any]]:
    outcomes = CatalogStore(client, INDEX).apply(
        [
            update("dog.jpg", {"Dalmatian": 0.9, "dog": 0.95}, colors=colors(white=0.6, black=0.3), phash="0f" * 8),
            update("copy.jpg", {"Dalmatian": 0.8, "dog": 0.95}, colors=colors(white=0.6), phash="0f" * 7 + "0e"),
            update("other.jpg", {"Dalmatian": 0.9, "dog": 0.9}, colors=colors(green=0.9), phash="e1" * 8),
            update("beagle.jpg", {"beagle": 0.9, "dog": 0.9}, colors=colors(black=0.9), phash="d2" * 8),
            update("pug.jpg", {"pug": 0.9, "dog": 0.3}, colors=colors(brown=0.9)),
            update("snow.jpg", {"alp": 0.9}, colors=colors(white=0.9), phash="c3" * 8),
            update("pizza.jpg", {"pizza": 0.9}, colors=colors(red=0.9), phash="b4" * 8),
        ]
    )
    assert {outcome.state for outcome in outcomes} == {"applied"}
    opensearch.indices.refresh(index=INDEX)
    hits = opensearch.search(index=INDEX, body={"size": 100})["hits"]["hits"]
    return {hit["_source"]["key"]: hit["_source"] for hit in hits}


def test_the_engine_ranks_as_the_pure_function_says(
    opensearch: OpenSearch, documents: dict[str, dict[str, Any]]
) -> None:
    dog = documents["dog.jpg"]
    counted = opensearch.search(index=INDEX, body={"size": 0, "aggs": {"tags": frequencies_aggregation(dog)}})
    frequencies = frequencies_of(counted["aggregations"]["tags"])
    assert frequencies == {"dalmatian": 3, "dog": 5}
    query = similar_query(dog, frequencies=frequencies, total=7)
    hits = opensearch.search(index=INDEX, body={"query": query, "size": 100})["hits"]["hits"]
    assert [hit["_source"]["key"] for hit in hits] == [
        "copy.jpg",
        "other.jpg",
        "beagle.jpg",
        "pug.jpg",
    ]
    for hit in hits:
        expected = likeness(dog, hit["_source"], frequencies=frequencies, total=7)
        assert hit["_score"] == pytest.approx(expected, rel=1e-3)
        assert why(dog, hit["_source"])


def test_facts_can_be_searched_and_counted(
    opensearch: OpenSearch, client: Client, documents: dict[str, dict[str, Any]]
) -> None:
    facts = {
        "taken_at": "2025-06-12T14:03:11",
        "camera": "NIKON D850",
        "location": {"lat": 48.2, "lon": 16.37},
        "brightness": 0.25,
        "sharpness": 0.5,
    }
    CatalogStore(client, INDEX).apply([update("vienna.jpg", {"palace": 0.9}, **facts)])
    opensearch.indices.refresh(index=INDEX)

    def found(query: dict[str, Any]) -> list[str]:
        hits = opensearch.search(index=INDEX, body={"query": query, "sort": ["key"]})["hits"]["hits"]
        return [hit["_source"]["key"] for hit in hits]

    assert found({"term": {"colors.color": "black"}}) == ["beagle.jpg", "dog.jpg"]
    assert found({"match": {"camera.words": "nikon"}}) == found({"term": {"camera": "Nikon D850"}}) == ["vienna.jpg"]
    assert found({"geo_distance": {"distance": "5km", "location": {"lat": 48.21, "lon": 16.38}}}) == ["vienna.jpg"]
    assert found({"range": {"taken_at": {"gte": "2025-06", "lt": "2025-07"}}}) == ["vienna.jpg"]
    assert found({"range": {"brightness": {"lte": 0.3}}}) == ["vienna.jpg"]
    assert found({"range": {"sharpness": {"gte": 0.4}}}) == ["vienna.jpg"]
    counted = opensearch.search(index=INDEX, body={"size": 0, "aggs": {"c": {"terms": {"field": "colors.color"}}}})
    counts = {bucket["key"]: bucket["doc_count"] for bucket in counted["aggregations"]["c"]["buckets"]}
    assert counts == {"white": 3, "black": 2, "green": 1, "brown": 1, "red": 1}
