"""The catalog: what one read and one bulk write for a whole batch save, against osmem over HTTP."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.measure import interleaved
from benchmarks.report import Results, faster

__all__ = ["catalog"]

INDEX = "imagerepository"
BATCH = 10  # what a FIFO queue gives a function at most
STORED = 1_000  # images in the catalog meanwhile


def catalog(rounds: int) -> Results:
    """Ten updates of known images as the catalog function applies them, and one after the other."""
    from osmem_server import OsmemServer

    from tagstream.catalog.client import connect
    from tagstream.catalog.documents import POSITION_FIELDS, document, position_of, position_of_document
    from tagstream.catalog.store import CatalogStore
    from tagstream.catalog.updates import CatalogUpdate
    from tagstream.tags import Tag

    clock = iter(range(1, 10_000_000))

    def update(image: int) -> CatalogUpdate:
        """Newer than all before: every one has to be written."""
        return CatalogUpdate(
            "classified",
            "photos",
            f"2026/image-{image}.jpg",
            f"{next(clock):016X}",
            "created",
            "2026-01-01T00:00:00Z",
            version_id="3sL4kqtJlcpXroDTDmJ",
            etag="d41d8cd98f00b204e9800998ecf8427e",
            size=4_000_000,
            width=4032,
            height=3024,
            model="efficientnet-lite0",
            tags=tuple(Tag(f"tag {image} {number}", 1 / (number + 2)) for number in range(5)),
            processed_at="2026-01-01T00:00:01Z",
        )

    with OsmemServer.start(japanese=False) as server:
        client = connect(server.url, timeout=60)
        subject = CatalogStore(client, INDEX)
        for first in range(0, STORED, 100):
            _all_written(subject, [update(image) for image in range(first, first + 100)])

        def together(round_: int) -> float:
            updates = [update((BATCH * round_ + image) % STORED) for image in range(BATCH)]
            started = time.perf_counter()
            _all_written(subject, updates)
            return 1e3 * (time.perf_counter() - started)

        def one_by_one(round_: int) -> float:
            updates = [update((BATCH * round_ + image) % STORED) for image in range(BATCH)]
            started = time.perf_counter()
            for change in updates:
                place, fields = f"{INDEX}/_doc/{change.document_id}", ",".join(POSITION_FIELDS)
                found: dict[str, Any] = client.request("GET", place, params={"_source_includes": fields})
                if position_of_document(found["_source"]) < position_of(change):
                    client.request(
                        "PUT",
                        place,
                        document(change, indexed_at="2026-01-01T00:00:02Z"),
                        params={"if_seq_no": str(found["_seq_no"]), "if_primary_term": str(found["_primary_term"])},
                    )
            return 1e3 * (time.perf_counter() - started)

        # Each takes milliseconds: many rounds cost nothing.
        times = interleaved({"together": together, "one by one": one_by_one}, 10 * rounds, warm_ups=10)
    row = faster(
        f"{BATCH} catalog updates in one batch, against {BATCH} single reads and writes",
        times["together"],
        times["one by one"],
        target=5.0,
    )
    return Results([row])


def _all_written(subject: Any, updates: list[Any]) -> None:
    states = {outcome.state for outcome in subject.apply(updates)}
    if states != {"applied"}:
        raise RuntimeError(f"updates that should have been applied are {states}")
