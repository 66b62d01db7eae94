"""The drill: a snapshot, time goes by, the index is lost, the snapshot comes back, and what it lacks is made good."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError

from tagstream.catalog.client import Client
from tagstream.catalog.mapping import index_pattern
from tagstream.catalog.queries import parse_request
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.pipeline.retag import DIFFERENCES, Looked, Photo, joined, why_outdated
from tagstream.tags import Tag

INDEX = "imagerepository"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
LOOKED = Looked("lite0", "2")


@pytest.fixture
def repository(opensearch: OpenSearch) -> Iterator[str]:
    """A repository of snapshots in the server's own folder (``path.repo`` in its settings)."""
    name = f"drill-{uuid.uuid4().hex[:8]}"
    settings = {"type": "fs", "settings": {"location": name}}
    try:
        opensearch.snapshot.create_repository(repository=name, body=settings)
    except TransportError as error:
        pytest.skip(f"this OpenSearch keeps no snapshots in files (path.repo): {error.error}")
    yield name
    opensearch.snapshot.delete(repository=name, snapshot="*")
    opensearch.snapshot.delete_repository(repository=name)


def update(key: str, version: int, *, removed: bool = False) -> CatalogUpdate:
    return CatalogUpdate(
        kind="removed" if removed else "classified",
        bucket="photos",
        key=key,
        sequencer=f"{version:08X}",
        event_kind="removed" if removed else "created",
        event_time="2026-11-25T00:00:00Z",
        etag=None if removed else f"e{version}",
        model=None if removed else LOOKED.model,
        vocabulary=None if removed else LOOKED.vocabulary,
        tags=() if removed else (Tag("cat", 0.5),),
        processed_at="2026-11-25T00:00:01Z",
    )


def known(catalog: CatalogStore) -> list[dict[str, Any]]:
    found, after = [], None
    while True:
        page = catalog.search(parse_request({"query": "versions", "bucket": "photos", "limit": 100, "after": after}))
        found += page["images"]
        after = page["after"]
        if after is None:
            return found


def test_what_a_snapshot_lacks_is_made_good(opensearch: OpenSearch, client: Client, repository: str) -> None:
    chance = random.Random(7)
    catalog = CatalogStore(client, INDEX)
    bucket: dict[str, int] = {}
    number = 0

    def happen(times: int) -> None:
        nonlocal number
        for _ in range(times):
            number += 1
            key = f"{chance.randrange(150):03}.jpg"
            removed = key in bucket and chance.random() < 0.3
            if removed:
                del bucket[key]
            else:
                bucket[key] = number
            assert catalog.apply([update(key, number, removed=removed)])[0].state == "applied"

    happen(200)
    opensearch.snapshot.create(
        repository=repository,
        snapshot="one",
        body={"indices": index_pattern(INDEX), "include_global_state": False},
        params={"wait_for_completion": "true"},
    )
    happen(200)
    opensearch.indices.delete(index=index_pattern(INDEX))
    opensearch.snapshot.restore(
        repository=repository,
        snapshot="one",
        body={"indices": index_pattern(INDEX), "include_global_state": False},
        params={"wait_for_completion": "true"},
    )
    # The alias has come back with it: searches answer, with what was true then.
    assert {one["key"]: one["etag"] for one in known(catalog)} != {k: f"e{n}" for k, n in bucket.items()}

    photos = [Photo(key, f"e{bucket[key]}", 1000, NOW - timedelta(days=1)) for key in sorted(bucket)]
    differing = [
        (photo, document)
        for page in joined([photos], known(catalog), gone=True)
        for photo, document in page
        if why_outdated(photo, document, LOOKED, since=NOW) in DIFFERENCES
    ]
    assert 0 < len(differing) < 150
    for photo, document in differing:
        # As the pipeline answers the notifications that reconcile sends.
        if photo is not None:
            catalog.apply([update(photo.key, bucket[photo.key])])
        elif document is not None:
            gone = update(document["key"], int(document["sequencer"], 16), removed=True)
            later = CatalogUpdate.from_json(gone.to_json().replace("00:00:01Z", "00:00:02Z"))
            assert catalog.apply([later])[0].state == "applied"
    opensearch.indices.refresh(index=INDEX)
    assert {one["key"]: one["etag"] for one in known(catalog)} == {key: f"e{n}" for key, n in bucket.items()}
