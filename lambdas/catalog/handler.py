"""The catalog function: a batch of catalog updates from the FIFO queue into OpenSearch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from tagstream.catalog.client import connect
from tagstream.catalog.store import Catalog, Outcome
from tagstream.catalog.updates import CatalogUpdate
from tagstream.errors import CatalogError, ConfigurationError

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
    return Catalog(connect(settings.endpoint), settings.index)


@tracer.capture_method(capture_response=False)
def outcomes(records: list[dict[str, Any]]) -> dict[str, Outcome]:
    """Apply the whole batch in one go; what became of each message, by its id."""
    settled: dict[str, Outcome] = {}
    updates: dict[str, CatalogUpdate] = {}
    for record in records:
        try:
            updates[record["messageId"]] = CatalogUpdate.from_json(record["body"])
        except ConfigurationError as error:
            settled[record["messageId"]] = Outcome("failed", str(error))
    settled |= zip(updates, catalog().apply(list(updates.values())), strict=True)
    for message_id, outcome in settled.items():
        update = updates.get(message_id)
        about = {"message_id": message_id, "error": outcome.error}
        if update is not None:
            about |= {
                "document": update.document_id,
                "s3_location": f"s3://{update.bucket}/{update.key}",
                "sequencer": update.sequencer,
                "kind": update.kind,
            }
        (logger.error if outcome.state == "failed" else logger.info)(f"update {outcome.state}", extra=about)
    return settled


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers with the messages to deliver again: the failed ones and the later ones of their images."""
    settled = outcomes(event["Records"])

    def settle(record: SQSRecord) -> None:
        outcome = settled[record.message_id]
        if outcome.state == "failed":
            raise CatalogError(outcome.error or "the update failed")

    for name, state in (("UpdatesApplied", "applied"), ("UpdatesStale", "stale"), ("Failures", "failed")):
        count = sum(outcome.state == state for outcome in settled.values())
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    processor = SqsFifoPartialProcessor(skip_group_on_error=True)
    # A raised error would fail the innocent groups of the batch too, and cost a cold start.
    processor.raise_on_entire_batch_failure = False
    return dict(process_partial_response(event, settle, processor, context))
