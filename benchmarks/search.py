"""Searches of the query language: how long they take, and what a document needs.

Against osmem with a small catalog; with ``OPENSEARCH_URL`` against a real OpenSearch, which must hold no catalog, with
10,000 and 100,000 documents.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import say
from benchmarks.report import Results, limited, noted

__all__ = ["INDEX", "QUESTIONS", "endpoint", "search", "store"]

INDEX = "imagerepository"
LEAVES, ANCESTORS = 6, 8
"""Tags of an image, about as many as photos get."""

SIZES = (10_000, 100_000)
SMALL = (1_000,)
"""For osmem, which takes a tenth of a millisecond for each image that it sorts, and 100 kB of memory to keep it."""

_OSMEM_ROUNDS = 5
AT_MOST = 10.0  # milliseconds, 95th percentile at the largest size
QUESTIONS = (
    "dog", "cat", "bird", "food", "car", "boat", "flower", "fruit", "furniture", "clothing", "puppy", "sofa",
    "dalmatian", "espresso", "hot dog", "tiger", "volcano", "piano", "strawbery", "automobile",
    "dog food", "bird boat", "dog | cat",
    "fish -food", "vehicle>0.5", "animal", "castle", "banana", "beach dog", "guitar | violin",
)  # fmt: skip


def search(rounds: int) -> Results:
    """Each question once a round, through all that the search function does: look up words, ask, say why."""
    from tagstream.catalog.queries import parse_request
    from tagstream.catalog.store import CatalogStore

    rows = []
    with endpoint() as (client, engine, used):
        catalog = CatalogStore(client, INDEX)
        sizes = SIZES if engine == "OpenSearch" else SMALL
        stored = 0
        before = used()
        for size in sizes:
            started = time.monotonic()
            store(client, catalog, stored, size)
            stored = size
            say(f"  {size:,} documents stored in {time.monotonic() - started:.0f} s")
            requests = [parse_request({"query": "search", "q": question}) for question in QUESTIONS]
            # A Java machine compiles what it has done some thousand times.
            for request in requests * (40 if engine == "OpenSearch" else 1):
                catalog.search(request)
            times = []
            for _ in range(rounds if engine == "OpenSearch" else min(rounds, _OSMEM_ROUNDS)):
                for request in requests:
                    began = time.perf_counter()
                    catalog.search(request)
                    times.append(1e3 * (time.perf_counter() - began))
            cuts = statistics.quantiles(times, n=20)
            name = f"a search among {size:,} documents, {engine}"
            rows.append(noted(f"{name}, p50", cuts[9], unit="ms"))
            if size == SIZES[-1]:
                rows.append(limited(f"{name}, p95", cuts[18], AT_MOST, unit="ms", at_most=AT_MOST))
            else:
                rows.append(noted(f"{name}, p95", cuts[18], unit="ms"))
        rows.append(noted(f"a document in the index, {engine}", (used() - before) / stored, unit="bytes"))
    return Results(rows)


@contextmanager
def endpoint() -> Iterator[tuple[Any, str, Any]]:
    """A client, the engine's name, and what tells how many bytes it uses."""
    from osmem_server import OsmemServer

    from tagstream.catalog import mapping
    from tagstream.catalog.client import NotFound, connect

    if url := os.environ.get("OPENSEARCH_URL"):
        client = connect(url, timeout=120)

        def on_disk() -> int:
            try:
                client.request("POST", f"{INDEX}/_forcemerge", params={"max_num_segments": "1"})
            except NotFound:
                return 0
            stats = client.request("GET", f"{INDEX}/_stats")
            return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

        try:
            yield client, "OpenSearch", on_disk
        finally:
            client.request("DELETE", mapping.index_name(INDEX), params={"ignore_unavailable": "true"})
        return
    with OsmemServer.start(japanese=False) as server:
        pid = server.process.pid

        def in_memory() -> int:
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        yield connect(server.url, timeout=120), "osmem", in_memory


def store(client: Any, catalog: Any, first: int, last: int) -> None:
    """Store the images of these numbers; the first make the index."""
    if first == 0:
        catalog.create_index()
    chance = random.Random(first)
    for start in range(first, last, 1000):
        lines: list[dict[str, Any]] = []
        for number in range(start, min(start + 1000, last)):
            made = _document(number, chance)
            lines += [{"index": {"_index": INDEX, "_id": made["id"]}}, made]
        if client.request("POST", "_bulk", lines)["errors"]:
            raise RuntimeError("documents were refused")
    client.request("POST", f"{INDEX}/_refresh")


def _document(number: int, chance: random.Random) -> dict[str, Any]:
    """One image, with a class that it surely shows and some like it, and what these are in general."""
    from tagstream.catalog.documents import document
    from tagstream.catalog.updates import CatalogUpdate
    from tagstream.tags import Tag
    from tagstream.vocabulary import load_tree

    tree = load_tree()
    main = chance.randrange(len(tree.leaves))
    left = 1.0
    scores: dict[str, float] = {}
    for place in range(LEAVES):
        near = main if not place else min(len(tree.leaves) - 1, max(0, main + chance.randint(-20, 20)))
        score = left * chance.uniform(0.3, 0.9)
        left -= score
        scores.setdefault(tree.leaves[near].name, score)
    above: dict[str, float] = {}
    for leaf, score in scores.items():
        for parent in tree.concepts[leaf].parents:
            above[parent] = above.get(parent, 0.0) + score
    general = sorted(above.items(), key=lambda pair: -pair[1])[:ANCESTORS]
    tags = [
        *(Tag(name, score) for name, score in scores.items()),
        *(Tag(name, min(1.0, score)) for name, score in general),
    ]
    update = CatalogUpdate(
        "classified",
        "photos",
        f"2026/image-{number}.jpg",
        f"{number:016X}",
        "created",
        "2026-01-01T00:00:00Z",
        etag="d41d8cd98f00b204e9800998ecf8427e",
        size=4_000_000 + number,
        width=4032,
        height=3024,
        model="efficientnet-lite0",
        tags=tuple(tags),
        processed_at="2026-01-01T00:00:01Z",
    )
    return document(update, indexed_at="2026-01-01T00:00:02Z")
