"""What binds first: each quota, how much of it a load takes, and what to do then."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tagstream.plan.figures import measured, quota
from tagstream.plan.sizing import GIB, OTHERS, Size, Workload, documents_an_image, shards_for

__all__ = ["Limit", "limits"]


@dataclass(frozen=True)
class Limit:
    """``needs`` of ``allows``, in ``unit``; ``then`` is what to do about it when it is reached."""

    name: str
    needs: float
    allows: float
    unit: str
    then: str

    @property
    def share(self) -> float:
        return self.needs / self.allows


def limits(load: Workload, planned: Size, *, region: str = "us-east-1") -> list[Limit]:
    """All of them, what binds first at the head: AWS' as accounts have them, and one shard, as stages have it.

    What a load needs grows with it here, without the least that a stage has in any case.
    """
    calls = quota("fifo_calls")
    peak = load.peak_per_second
    concurrency = planned.classify_needed + planned.catalog_needed
    found = [
        Limit(
            "size of the index in one shard",
            load.images * measured("image_bytes") / GIB,
            quota("shard_gib"),
            "GiB",
            f"domain.shards={planned.shards}, before the first photo or by a reindex",
        ),
        Limit(
            "Lucene documents in one shard",
            load.images * documents_an_image(),
            quota("lucene_documents"),
            "documents",
            f"domain.shards={planned.shards}, before the first photo or by a reindex",
        ),
        Limit(
            "shards of one index",
            shards_for(load.images),
            quota("shards_an_index"),
            "shards",
            "give a part of the keys to a second stage (prefix)",
        ),
        Limit(
            "functions at a time in the account",
            concurrency,
            quota("lambda_concurrency"),
            "functions",
            f"ask AWS for {math.ceil(concurrency) + OTHERS:,} (quota L-B99A9384)",
        ),
        Limit(
            "batches at a time of the classify mapping",
            planned.classify_needed,
            quota("mapping_concurrency"),
            "batches",
            "more memory for classify, or give a part of the keys to a second stage (prefix)",
        ),
        Limit(
            "batches at a time of the catalog mapping",
            planned.catalog_needed,
            quota("mapping_concurrency"),
            "batches",
            "more memory for catalog, or give a part of the keys to a second stage (prefix)",
        ),
        Limit(
            "calls to the catalog's FIFO queue",
            # One call of each action for each batch; batches are full when there is that much to do.
            peak / planned.classify_batch_size,
            calls.get(region, calls["elsewhere"]),
            "calls/s",
            "ask AWS for more, or give a part of the keys to a second stage (prefix)",
        ),
        Limit(
            "events in flight",
            planned.classify_needed * planned.classify_batch_size,
            quota("sqs_in_flight"),
            "messages",
            "ask AWS for more, or give a part of the keys to a second stage (prefix)",
        ),
        Limit(
            "uploads to one prefix of S3",
            peak,
            quota("s3_writes"),
            "requests/s",
            "spread the keys over prefixes, or let S3 split busy ones, which takes it up to an hour of slower uploads",
        ),
        Limit(
            "thumbnails written to one prefix of S3",
            2 * peak,
            quota("s3_writes"),
            "requests/s",
            "nothing: their keys begin with digests, so that S3 can split them, which takes it up to an hour",
        ),
        Limit(
            "nodes of the domain",
            planned.nodes_needed + planned.managers,
            quota("instances_a_domain"),
            "nodes",
            "ask AWS for up to 200",
        ),
        Limit(
            "requests to the HTTP API",
            load.searches_per_day / 86_400 * 3,
            quota("http_api_rate"),
            "requests/s",
            "ask AWS for more, and raise api.rate",
        ),
    ]
    return sorted(found, key=lambda limit: -limit.share)
