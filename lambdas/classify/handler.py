"""The classify function: S3's notifications in, updates of the catalog out."""

from __future__ import annotations

import gc

# Importing makes next to no garbage, and looking for it takes a sixth of a cold start; on again after the first batch.
gc.disable()

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from tagstream.classifier import Classifier, Limits
from tagstream.errors import ConfigurationError
from tagstream.pipeline.ingest import Ingest, Outcome

logger = Logger()
metrics = Metrics()
tracer = Tracer(auto_patch=False)


@dataclass(frozen=True)
class Settings:
    """``catalog_queue_url`` is a FIFO queue; ``max_tags`` and ``min_score`` say which tags are kept."""

    model: Path
    catalog_queue_url: str
    limits: Limits
    max_tags: int
    min_score: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        usual = Limits()
        try:
            return cls(
                Path(environment.get("MODEL_DIR") or Path(__file__).with_name("model")),
                environment["CATALOG_QUEUE_URL"],
                Limits(
                    int(environment.get("MAX_BYTES", usual.max_bytes)),
                    int(environment.get("MAX_PIXELS", usual.max_pixels)),
                    int(environment.get("MAX_SCANS", usual.max_scans)),
                ),
                int(environment.get("MAX_TAGS", "10")),
                float(environment.get("MIN_SCORE", "0.01")),
            )
        except (KeyError, ValueError) as error:
            raise ConfigurationError(f"the function's environment lacks or garbles a setting: {error!r}") from error


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def classifier() -> Classifier:
    # Lambda has checked the bundle; checking the model in it again takes 6 ms of a cold start.
    return Classifier(settings().model, limits=settings().limits, verify=False)


@cache
def ingest() -> Ingest:
    session = botocore.session.get_session()
    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
    return Ingest(
        session.create_client("s3", config=config),
        session.create_client("sqs", config=config),
        settings().catalog_queue_url,
        classifier,
        settings().max_tags,
        settings().min_score,
    )


@tracer.capture_method(capture_response=False)
def outcomes(records: list[dict[str, Any]]) -> dict[str, Outcome]:
    """Work on the whole batch at once; what became of each message, by its id."""
    results = ingest().process({record["messageId"]: record["body"] for record in records})
    for message_id, outcome in results.items():
        for update in outcome.updates:
            about = {"object": f"s3://{update.bucket}/{update.key}", "sequencer": update.sequencer}
            logger.info(update.kind, extra=about | {"message_id": message_id, "reason": update.reason})
        for note in outcome.notes:
            logger.info(note, extra={"message_id": message_id})
        if outcome.error:
            logger.error("failed, to be delivered again", exc_info=outcome.error, extra={"message_id": message_id})
    return results


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers with the messages to deliver again."""
    results = outcomes(event["Records"])
    gc.enable()

    def settle(record: SQSRecord) -> None:
        error = results[record.message_id].error
        if error:
            raise error

    kinds = [update.kind for outcome in results.values() for update in outcome.updates]
    metrics.add_metric(name="ImagesClassified", unit=MetricUnit.Count, value=kinds.count("classified"))
    metrics.add_metric(name="ImagesRejected", unit=MetricUnit.Count, value=kinds.count("rejected"))
    metrics.add_metric(name="ImagesRemoved", unit=MetricUnit.Count, value=kinds.count("removed"))
    failures = sum(outcome.error is not None for outcome in results.values())
    metrics.add_metric(name="Failures", unit=MetricUnit.Count, value=failures)
    # An error raised would cost the warm worker; the alarm is on Failures.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(process_partial_response(event, settle, processor, context))
