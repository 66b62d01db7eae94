"""The purge function: scheduled upkeep of the catalog, and its move to a new index on demand."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch

from tagstream.catalog.client import connect
from tagstream.catalog.reindex import reindex_step
from tagstream.catalog.store import Catalog

logger = Logger()
metrics = Metrics()
tracer = Tracer(auto_patch=False)


@dataclass(frozen=True)
class Settings:
    """``endpoint`` is a full URL, ``index`` the alias."""

    endpoint: str
    index: str
    tombstone_days: int

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(os.environ["OPENSEARCH_ENDPOINT"], os.environ["OPENSEARCH_INDEX"], int(os.environ["TOMBSTONE_DAYS"]))


@cache
def client(endpoint: str) -> OpenSearch:
    return connect(endpoint, timeout=60)


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - AWS passes two
    """Purges, whatever the event; ``{"action": "reindex", "progress"?}`` does a step of a reindex instead."""
    settings = Settings.from_environment()
    opensearch = client(settings.endpoint)
    if event.get("action") == "reindex":
        metrics.add_metric(name="ReindexSteps", unit=MetricUnit.Count, value=1)
        moved = reindex_step(opensearch, settings.index, event.get("progress"))
        logger.info("reindexed", extra=moved)
        return moved
    metrics.add_metric(name="Purges", unit=MetricUnit.Count, value=1)
    purged = Catalog(opensearch, settings.index).purge(older_than_days=settings.tombstone_days)
    logger.info("purged", extra=purged)
    metrics.add_metric(name="TombstonesPurged", unit=MetricUnit.Count, value=purged["tombstones"])
    return purged
