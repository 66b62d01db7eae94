"""The domain admits what functions ask of it, and nothing that none of them asks."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from opensearchpy import OpenSearch

from stacks.access import DOMAIN_ACCESS
from tagstream.catalog import mapping
from tagstream.catalog.client import Client, OpenSearchError
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import Tag
from tagstream.thumbnails.names import key_of, objects_of
from tests.domain import GRANTED, DomainPolicy, granted
from tests.integration.test_catalog_functions import batch
from tests.web import event

INDEX = "imagerepository"
OLD = mapping.index_name(INDEX, mapping.VERSION - 1)
OLDEST = mapping.index_name(INDEX, max(mapping.VERSION - 2, 0))


@pytest.fixture
def functions(
    function: Callable[[str, str], Callable[[Any], Any]], osmem_clone: Any, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Callable[[Any], Any]]:
    for name, value in {"PHOTOS_BUCKET": "photos", "PREFIX": "", "MAX_BYTES": "1000", "UNDO_DAYS": "30"}.items():
        monkeypatch.setenv(name, value)
    return {name: function(name, osmem_clone.url) for name in DOMAIN_ACCESS}


def update(key: str, kind: str = "classified", **fields: Any) -> CatalogUpdate:
    made = CatalogUpdate(kind, "photos", key, "0A", "created", "2020-01-01T00:00:00Z")  # type: ignore[arg-type]
    return replace(made, **{"tags": (Tag("cat", 0.9),), "processed_at": "2020-01-01T00:00:01Z"} | fields)


def live(functions: dict[str, Callable[[Any], Any]], opensearch: OpenSearch) -> None:
    """Everything that the functions do with the catalog: from the first image to the move to a new index."""
    catalog, purge = functions["catalog"], functions["purge"]
    # Its index is made with the first image, and by another writer a moment earlier.
    assert catalog(batch(update("cat.jpg"))) == {"batchItemFailures": []}
    opensearch.indices.update_aliases(
        body={"actions": [{"remove": {"index": mapping.index_name(INDEX), "alias": INDEX}}]}
    )
    assert len(catalog(batch(update("cat.jpg")))["batchItemFailures"]) == 1
    opensearch.indices.delete(index=mapping.index_name(INDEX))

    # A catalog as an older version of the program made it.
    shape = mapping.settings_and_mappings()
    opensearch.indices.create(index=OLDEST, body=shape)
    opensearch.indices.create(index=OLD, body=shape | {"aliases": {INDEX: {}}})
    gone = update("gone.jpg", "removed")
    assert catalog(batch(update("cat.jpg"), gone)) == {"batchItemFailures": []}
    opensearch.update(index=INDEX, id=gone.document_id, body={"doc": {"indexed_at": "2020-01-01T00:00:00Z"}})
    opensearch.indices.refresh(index=INDEX)
    moved = None
    while moved is None or moved["state"] != "done":
        moved = purge({"action": "reindex", "progress": moved})
    assert moved["index"] == mapping.index_name(INDEX)

    assert purge({"action": "rebuild"})["index"] == mapping.index_name(INDEX, generation=2)
    assert purge({"action": "abandon"}) == {"indexes": []}

    assert purge({"action": "inspect"})["images"] == {"classified": 1, "removed": 1}

    # Thumbnails that no document names, from before anybody could name them.
    for name in objects_of(key_of(update("dog.jpg").document_id, "0A", "etag")):
        boto3.client("s3").put_object(Bucket="thumbnails", Key=name, Body=b"a picture")
    os.environ["TOMBSTONE_DAYS"] = "0"
    purged = purge({"source": "aws.events"})
    assert (purged["tombstones"], purged["thumbnails"]) == (1, 2)
    assert set(purged["indexes"]) == {OLD, OLDEST, mapping.index_name(INDEX)}

    opensearch.indices.refresh(index=INDEX)
    search = functions["search"]
    assert search({"query": "search", "q": "cat"})["total"] == 1
    for asked in (
        {"query": "search", "q": "cat", "facets": True, "sort": "newest"},
        {"query": "search", "q": "similar:cat.jpg"},
        {"query": "search", "q": "hippopotamus"},
        {"query": "tags", "prefix": "c"},
        {"query": "title", "title": "cat.jpg"},
        {"query": "locations", "locations": ["s3://photos/cat.jpg"]},
        {"query": "versions", "bucket": "photos"},
        {"query": "list"},
        {"query": "rejected"},
        {"query": "stats"},
    ):
        search(asked)
    identity = update("cat.jpg").document_id
    for path in ("/images", "/tags", "/stats", f"/images/{identity}", f"/images/{identity}/similar"):
        functions["api"](event("GET", path))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_request_is_admitted_and_all_that_is_admitted_is_asked(
    functions: dict[str, Callable[[Any], Any]],
    domain_policy: DomainPolicy,
    opensearch: OpenSearch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOMBSTONE_DAYS", "60")
    live(functions, opensearch)
    assert domain_policy.refused == []
    assert GRANTED - domain_policy.used == set(), "nothing asks for these: take them out of stacks/access.py"


def test_what_is_not_admitted_is_refused(
    functions: dict[str, Callable[[Any], Any]], domain_policy: DomainPolicy, client: Client
) -> None:
    """The catalog's function with the search function's rights."""
    functions["catalog"](batch(update("cat.jpg")))
    with (
        domain_policy.acting("search"),
        pytest.raises(OpenSearchError, match=r"search is not authorized .*ESHttpPost.*_bulk"),
    ):
        client.request("POST", "_bulk", [{"delete": {"_index": INDEX, "_id": "x"}}])
    assert domain_policy.refused == [("search", "POST", "_bulk")]
    domain_policy.refused.clear()


@pytest.mark.parametrize("function", DOMAIN_ACCESS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "_all",
        "_all/_search",
        "_cat/indices",
        "_cluster/settings",
        "_plugins/_security/api/internalusers",
        "_search",
        "_snapshot/mine",
        "_snapshot/mine/one/_restore",
        "*",
        "*/_delete_by_query",
        "another",
        "another/_bulk",
        "another/_search",
        f"another,{INDEX}/_search",
        f"{INDEX}/_search/template",
    ],
)
def test_no_function_reaches_the_cluster_or_another_index(function: str, method: str, path: str) -> None:
    assert granted(function, method, path) == set()
