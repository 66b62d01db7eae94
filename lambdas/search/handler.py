"""The search function: invoked directly, answers questions about the catalog (tagstream.catalog.queries)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from tagstream.catalog.client import connect
from tagstream.catalog.queries import parse_request
from tagstream.catalog.store import Catalog
from tagstream.errors import QueryError

logger = Logger()
metrics = Metrics()
tracer = Tracer(auto_patch=False)


@dataclass(frozen=True)
class Settings:
    """``endpoint`` is a full URL, ``index`` the alias."""

    endpoint: str
    index: str

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(os.environ["OPENSEARCH_ENDPOINT"], os.environ["OPENSEARCH_INDEX"])


@cache
def catalog() -> Catalog:
    settings = Settings.from_environment()
    return Catalog(connect(settings.endpoint, timeout=10), settings.index)


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - AWS passes two
    """Answers ``{"total", "images", "after"}``, or ``{"error": sentence}`` to a request that makes no sense.

    Raises :class:`tagstream.errors.CatalogError` when OpenSearch does not answer.
    """
    metrics.add_metric(name="Searches", unit=MetricUnit.Count, value=1)
    try:
        query = parse_request(event)
    except QueryError as error:
        logger.info("bad request", extra={"error": str(error)})
        metrics.add_metric(name="BadRequests", unit=MetricUnit.Count, value=1)
        return {"error": str(error)}
    found = catalog().search(query)
    logger.info("searched", extra={"query": query.kind, "text": query.text, "total": found["total"]})
    return found
