"""The three questions, on a real OpenSearch API with the real mapping."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog.client import Client
from tagstream.catalog.queries import parse_request
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.tags import Tag

INDEX = "imagerepository"


def image(
    key: str, tags: dict[str, float], kind: str = "classified", processed_at: str = "2026-01-01T00:00:00Z"
) -> CatalogUpdate:
    return CatalogUpdate(
        kind=kind,  # type: ignore[arg-type]
        bucket="photos",
        key=key,
        sequencer="0A",
        event_kind="created",
        event_time="2026-01-01T00:00:00.000Z",
        size=1000,
        width=40,
        height=30,
        model="efficientnet-lite0",
        tags=tuple(Tag(tag, score) for tag, score in tags.items()),
        reason="no image" if kind == "rejected" else None,
        processed_at="2026-01-01T00:00:01.000Z",
    )


IMAGES = [
    image("a/Tom_and-Jerry.CAT.jpg", {"Egyptian cat": 0.95, "tabby": 0.03, "hot pot": 0.01}),
    image("boat.jpg", {"catamaran": 0.97, "dog sled": 0.02}),
    image("lunch.jpg", {"hot dog": 0.6, "cats": 0.3, "pizza": 0.1}),
    image("dinner.jpg", {"pizza": 0.9, "hot dog": 0.05}),
    image("b/dinner.jpg", {"pizza": 0.91, "plate": 0.05}),
    image("café été 猫 🐈 +%.jpg", {"Café": 0.4}),
    image("notes.jpg", {}, kind="rejected"),
    image("gone.jpg", {"pizza": 1.0}, kind="removed"),
]


@pytest.fixture
def catalog(opensearch: OpenSearch, client: Client) -> CatalogStore:
    made = CatalogStore(client, INDEX)
    assert {outcome.state for outcome in made.apply(IMAGES)} == {"applied"}
    opensearch.indices.refresh(index=INDEX)
    return made


def found(catalog: CatalogStore, **request: Any) -> list[tuple[str, float | None]]:
    return [(image["key"], image.get("score")) for image in catalog.search(parse_request(request))["images"]]


@pytest.mark.parametrize(
    ("tag", "keys"),
    [
        ("pizza", ["b/dinner.jpg", "dinner.jpg", "lunch.jpg"]),
        ("Pizzas", ["b/dinner.jpg", "dinner.jpg", "lunch.jpg"]),
        ("cat", ["a/Tom_and-Jerry.CAT.jpg", "lunch.jpg"]),
        ("EGYPTIAN CATS", ["a/Tom_and-Jerry.CAT.jpg"]),
        ("catamaran", ["boat.jpg"]),
        ("hot dog", ["lunch.jpg", "dinner.jpg"]),
        ("dog hot", []),
        ("hot", ["lunch.jpg", "dinner.jpg", "a/Tom_and-Jerry.CAT.jpg"]),
        ("cafe", ["café été 猫 🐈 +%.jpg"]),
        ("pizza plate", []),
        ("*", []),
        ("waterfall", []),
    ],
)
def test_by_tag_best_first(catalog: CatalogStore, tag: str, keys: list[str]) -> None:
    assert [key for key, _ in found(catalog, query="tag", tag=tag)] == keys


def test_scores_are_of_the_tag_that_was_asked_for(catalog: CatalogStore) -> None:
    assert found(catalog, query="tag", tag="hot dog") == [("lunch.jpg", 0.6), ("dinner.jpg", 0.05)]
    answer = catalog.search(parse_request({"query": "tag", "tag": "cat"}))
    assert [image["tag"] for image in answer["images"]] == ["Egyptian cat", "cats"]
    assert answer["images"][1]["tags"] == [
        {"tag": "hot dog", "score": 0.6, "kind": "leaf"},
        {"tag": "cats", "score": 0.3, "kind": "leaf"},
        {"tag": "pizza", "score": 0.1, "kind": "leaf"},
    ]


@pytest.mark.parametrize(
    ("tag", "min_score", "keys"),
    [
        ("pizza", 0.9, ["b/dinner.jpg", "dinner.jpg"]),
        ("pizza", 0.905, ["b/dinner.jpg"]),
        ("pizza", 1, []),
        ("pizza", 0, ["b/dinner.jpg", "dinner.jpg", "lunch.jpg"]),
        # The image has a tag of 0.6, but it is another one.
        ("cats", 0.5, ["a/Tom_and-Jerry.CAT.jpg"]),
    ],
)
def test_the_minimum_holds_for_the_same_tag(catalog: CatalogStore, tag: str, min_score: float, keys: list[str]) -> None:
    assert [key for key, _ in found(catalog, query="tag", tag=tag, min_score=min_score)] == keys


def test_exact_tags_match_as_a_whole(catalog: CatalogStore) -> None:
    assert [key for key, _ in found(catalog, query="tag", tag="CATS", exact=True)] == ["lunch.jpg"]
    assert found(catalog, query="tag", tag="cat", exact=True) == []


@pytest.mark.parametrize(
    ("title", "exact", "keys"),
    [
        ("dinner.jpg", True, ["b/dinner.jpg", "dinner.jpg"]),
        ("DINNER.JPG", True, ["b/dinner.jpg", "dinner.jpg"]),
        ("b/dinner.jpg", True, ["b/dinner.jpg"]),
        ("s3://photos/dinner.jpg", True, ["dinner.jpg"]),
        ("dinner", True, []),
        ("dinner", False, ["b/dinner.jpg", "dinner.jpg"]),
        ("cat", False, ["a/Tom_and-Jerry.CAT.jpg"]),
        ("jerry tom", False, []),
        ("café été 猫 🐈 +%.jpg", True, ["café été 猫 🐈 +%.jpg"]),
        ("notes.jpg", True, ["notes.jpg"]),
        ("gone.jpg", True, []),
    ],
)
def test_by_title(catalog: CatalogStore, title: str, exact: bool, keys: list[str]) -> None:
    assert [key for key, _ in found(catalog, query="title", title=title, exact=exact)] == keys


def test_rejected_are_listed_newest_first_and_nowhere_among_the_tags(
    catalog: CatalogStore, opensearch: OpenSearch
) -> None:
    catalog.apply([image("later.jpg", {"pizza": 1.0}, kind="rejected")])
    earlier = next(one for one in IMAGES if one.key == "notes.jpg").document_id
    opensearch.update(index=INDEX, id=earlier, body={"doc": {"indexed_at": "2025-12-31T00:00:00.000Z"}})
    opensearch.indices.refresh(index=INDEX)
    answer = catalog.search(parse_request({"query": "rejected"}))
    assert [(image["key"], image["reason"]) for image in answer["images"]] == [
        ("later.jpg", "no image"),
        ("notes.jpg", "no image"),
    ]
    assert "later.jpg" not in [key for key, _ in found(catalog, query="tag", tag="pizza")]


@pytest.mark.parametrize(
    "request_",
    [
        {"query": "tag", "tag": "same"},
        {"query": "title", "title": "p", "exact": False},
        {"query": "rejected"},
    ],
)
@pytest.mark.parametrize("limit", [1, 7, 30, 31, 100])
def test_pages_together_are_everything_once(
    opensearch: OpenSearch, client: Client, request_: dict[str, Any], limit: int
) -> None:
    catalog = CatalogStore(client, INDEX)
    kind = "rejected" if request_["query"] == "rejected" else "classified"
    # Scores that no float holds exactly, many of them equal.
    catalog.apply([image(f"p {n}.jpg", {"same": (n % 4) / 10 + 0.05, "other": 0.5}, kind) for n in range(31)])
    opensearch.indices.refresh(index=INDEX)
    seen: list[str] = []
    scores: list[float] = []
    after = None
    while True:
        answer = catalog.search(parse_request(request_ | {"limit": limit, "after": after}))
        assert answer["total"] == 31
        assert len(answer["images"]) <= limit
        seen += [image["key"] for image in answer["images"]]
        scores += [image.get("score", 0) for image in answer["images"]]
        after = answer["after"]
        if after is None:
            break
    assert sorted(seen) == sorted(f"p {n}.jpg" for n in range(31))
    assert scores == sorted(scores, reverse=True)


def test_the_mapping_is_what_the_design_says(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    (about,) = opensearch.indices.get_mapping(index=INDEX).values()
    mappings = about["mappings"]
    assert str(mappings["dynamic"]).lower() == "false"
    assert mappings["properties"]["tags"]["type"] == "nested"
    assert mappings["properties"]["tags"]["properties"]["score"]["type"] == "float"


def test_the_newest_come_first_and_what_has_no_time_last(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    march, last_year = "2026-03-01T00:00:00Z", "2025-01-01T00:00:00Z"
    times = {"pizza-1.jpg": "", "pizza-2.jpg": "", "pizza-3.jpg": march, "pizza-4.jpg": last_year}
    catalog.apply([replace(image(key, {"pizza": 0.3}), event_time=time) for key, time in times.items()])
    opensearch.indices.refresh(index=INDEX)
    timeless = sorted(("pizza-1.jpg", "pizza-2.jpg"), key=lambda key: document_id("photos", key))
    for more in ({}, {"q": "pizza"}):
        seen: list[str] = []
        after = None
        while True:
            request = {"query": "search", "sort": "newest", "limit": 1, "after": after, **more}
            answer = catalog.search(parse_request(request))
            seen += [one["key"] for one in answer["images"]]
            after = answer["after"]
            if after is None:
                break
        assert [key for key in seen if key.startswith("pizza")] == ["pizza-3.jpg", "pizza-4.jpg", *timeless]
        assert len(seen) == len(set(seen)) == answer["total"]
        assert "notes.jpg" not in seen
        assert "gone.jpg" not in seen


def test_what_became_of_keys_that_begin_alike(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    catalog.apply([image("up/1*?.jpg", {"pizza": 0.3}), image("up/2.jpg", {}, kind="rejected"), image("upper.jpg", {})])
    opensearch.indices.refresh(index=INDEX)
    first = catalog.search(parse_request({"query": "under", "prefix": "up/", "limit": 1}))
    assert (first["total"], [one["key"] for one in first["images"]]) == (2, ["up/1*?.jpg"])
    rest = catalog.search(parse_request({"query": "under", "prefix": "up/", "after": first["after"]}))
    assert [(one["key"], one["status"]) for one in rest["images"]] == [("up/2.jpg", "rejected")]
    assert catalog.search(parse_request({"query": "under", "prefix": "up/*"}))["total"] == 0


def test_documents_are_looked_up_by_their_ids(catalog: CatalogStore) -> None:
    wanted = [document_id("photos", key) for key in ("boat.jpg", "notes.jpg", "gone.jpg", "never.jpg")]
    found = catalog.documents(wanted)
    assert [found[one]["status"] for one in wanted[:3]] == ["classified", "rejected", "removed"]
    assert wanted[3] not in found
    assert found[wanted[2]]["key"] == "gone.jpg"


def test_words_are_completed_by_the_tags_that_are_there(catalog: CatalogStore) -> None:
    assert catalog.complete("hot", limit=5) == [{"tag": "hot dog", "images": 1}]
    assert catalog.complete("", limit=1) == [{"tag": "pizza", "images": 2}]
    assert catalog.complete("pizza p", limit=5) == [{"tag": "pizza pie", "images": 2, "means": ["pizza"]}]
    assert catalog.complete("zzz", limit=5) == []
