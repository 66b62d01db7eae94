"""What an image needs, as `tagstream plan` reckons with it: tags, messages, Lucene documents, disk, CPU to write it.

With ``OPENSEARCH_URL``, which must hold no catalog; osmem keeps documents in another way, and says nothing of the CPU.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.classification import DEFAULT, build
from benchmarks.measure import say
from benchmarks.photos import originals
from benchmarks.report import Results, Skipped, noted
from benchmarks.search import INDEX, endpoint, store

__all__ = ["capacity"]

BATCH = 10
BATCHES = 4_000
"""Half of them warm up; the other half take seconds, since OpenSearch looks at its CPU once a second."""
STORED = 20_000


def capacity(rounds: int) -> Results:  # noqa: ARG001 - as every group is called
    """Of the demo's photos, then of images in the catalog; ``rounds`` say nothing here."""
    results = Results()
    updates = _updates()
    results.rows += [
        noted("tags of an image, the demo's photos", statistics.mean(len(u.tags) for u in updates), unit="tags"),
        noted("an update in the queue", statistics.mean(len(u.to_json()) for u in updates), unit="bytes"),
    ]
    if not os.environ.get("OPENSEARCH_URL"):
        results.skipped.append(Skipped("an image in the index", "OPENSEARCH_URL names no real OpenSearch"))
        return results
    with endpoint() as (client, _, used):
        results.rows += _written(client)
        client.request("DELETE", f"{INDEX}-v*")
        results.rows += _stored(client, used)
    return results


def _updates() -> list[Any]:
    """What the classify function would say of each of the demo's photos."""
    from tagstream.analysis import analyse
    from tagstream.catalog.updates import CatalogUpdate
    from tagstream.classifier import Classifier, best_tags

    classifier = Classifier(Path(build(DEFAULT, "fp16")))
    said = []
    for photo in originals():
        seen = classifier.recognise(photo.read_bytes())
        said.append(
            CatalogUpdate(
                "classified",
                "tagstream-prod-ingest-photosf2e52e4e-1x2y3z4a5b6c",
                f"2026/{photo.name}",
                "0055AED6DCD90281E5",
                "created",
                "2026-01-01T00:00:00.000Z",
                version_id="3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY",
                etag="d41d8cd98f00b204e9800998ecf8427e",
                size=photo.stat().st_size,
                width=seen.width,
                height=seen.height,
                model=classifier.name,
                vocabulary=seen.vocabulary,
                tags=best_tags(
                    seen.scores, min_score=0.01, max_tags=10, ancestors=seen.ancestors, min_ancestor_score=0.01
                ),
                processed_at="2026-01-01T00:00:01.000+00:00",
                facts=analyse(seen.photo).facts if seen.photo else {},
            )
        )
    return said


def _written(client: Any) -> list[Any]:
    """New images in the batches of the catalog function: one read, one write, as it makes them."""
    from dataclasses import replace

    from tagstream.catalog.store import CatalogStore

    catalog, known = CatalogStore(client, INDEX), _updates()
    batches = [
        [replace(known[n % len(known)], key=f"2026/{turn}-{n}.jpg") for n in range(BATCH)] for turn in range(BATCHES)
    ]

    def spent() -> float:
        nodes = client.request("GET", "_nodes/stats/process")["nodes"].values()
        return float(sum(node["process"]["cpu"]["total_in_millis"] for node in nodes))

    # A Java machine compiles what it has done some thousand times.
    for batch in batches[: BATCHES // 2]:
        catalog.apply(batch)
    before, own, walls = spent(), time.process_time(), []
    for batch in batches[BATCHES // 2 :]:
        began = time.perf_counter()
        outcomes = catalog.apply(batch)
        walls.append(1e3 * (time.perf_counter() - began))
        if any(outcome.state != "applied" for outcome in outcomes):
            raise RuntimeError(f"an update was not applied: {outcomes}")
    own = 1e3 * (time.process_time() - own) / len(walls)
    theirs = (spent() - before) / len(walls) / BATCH
    say(f"  {len(walls)} batches of {BATCH} updates")
    return [
        noted(f"{BATCH} updates of new images, OpenSearch", statistics.median(walls), unit="ms"),
        noted("the same, CPU of the function", own, unit="ms"),
        noted("CPU of the domain for an image", theirs, unit="ms"),
    ]


def _stored(client: Any, used: Any) -> list[Any]:
    from tagstream.catalog.store import CatalogStore

    store(client, CatalogStore(client, INDEX), 0, STORED)
    disk = used()
    documents = client.request("GET", f"{INDEX}/_stats")["_all"]["primaries"]["docs"]["count"]
    say(f"  {STORED:,} images of {documents / STORED:.1f} Lucene documents")
    return [
        noted("an image in the index, OpenSearch", disk / STORED, unit="bytes"),
        noted("Lucene documents of an image, OpenSearch", documents / STORED, unit="documents"),
    ]
