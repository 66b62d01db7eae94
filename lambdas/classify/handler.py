"""The classify function: S3's notifications in, updates of the catalog out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from lambdas.frame import Event, Frame
from lambdas.thumbnails import client, session, thumbnails
from tagstream.classifier import MIN_ANCESTOR_SCORE, Classifier, Limits
from tagstream.errors import ConfigurationError
from tagstream.pipeline.deliveries import Delivery, work_off
from tagstream.pipeline.ingest import Ingest, Outcome, rejected_by
from tagstream.thumbnails.names import SIZES

frame = Frame()


@dataclass(frozen=True)
class Settings:
    """``catalog_queue_url`` is a FIFO queue; ``max_tags`` and the least scores say which tags are kept.

    ``store_location``: whether the catalog may learn where photos were taken.
    """

    model: Path
    ingest_queue_url: str
    catalog_queue_url: str
    limits: Limits
    max_tags: int
    min_score: float
    min_ancestor_score: float
    store_location: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        usual = Limits()
        try:
            return cls(
                Path(environment.get("MODEL_DIR") or Path(__file__).with_name("model")),
                environment["INGEST_QUEUE_URL"],
                environment["CATALOG_QUEUE_URL"],
                Limits(
                    int(environment.get("MAX_BYTES", usual.max_bytes)),
                    int(environment.get("MAX_PIXELS", usual.max_pixels)),
                    int(environment.get("MAX_SCANS", usual.max_scans)),
                ),
                int(environment.get("MAX_TAGS", "10")),
                float(environment.get("MIN_SCORE", "0.01")),
                float(environment.get("MIN_ANCESTOR_SCORE", MIN_ANCESTOR_SCORE)),
                {"true": True, "false": False}[environment.get("STORE_LOCATION", "false")],
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
    client()  # before threads ask for it, each for one of its own
    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
    return Ingest(
        session().create_client("s3", config=config),
        session().create_client("sqs", config=config),
        settings().catalog_queue_url,
        classifier,
        settings().max_tags,
        settings().min_score,
        settings().min_ancestor_score,
        store_location=settings().store_location,
        thumbnails=thumbnails(),
    )


def log(message_id: str, outcome: Outcome) -> None:
    for update in outcome.updates:
        about = {
            "document": update.document_id,
            "s3_location": f"s3://{update.bucket}/{update.key}",
            "sequencer": update.sequencer,
        }
        frame.logger.info(update.kind, extra=about | {"message_id": message_id, "reason": update.reason})
    for note in outcome.notes:
        frame.logger.info("noted", extra={"note": note, "message_id": message_id})
    if outcome.error:
        about = {"message_id": message_id}
        frame.logger.error("failed, to be delivered again", exc_info=outcome.error, extra=about)


def outcomes(records: list[dict[str, Any]], context: LambdaContext) -> dict[str, Outcome]:
    """What became of each message, by its id, logged as soon as it is known."""
    results: dict[str, Outcome] = {}
    for message_id, outcome in work_off(
        ingest(),
        {record["messageId"]: Delivery.from_lambda(record) for record in records},
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
        delete=lambda receipt: ingest().sqs.delete_message(QueueUrl=settings().ingest_queue_url, ReceiptHandle=receipt),
    ):
        log(message_id, outcome)
        results[message_id] = outcome
    return results


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """Answers with the messages to deliver again; to ``{"action": "describe"}`` with what it looks at photos with."""
    if event.get("action") == "describe":
        return {
            "model": classifier().name,
            "vocabulary": classifier().vocabulary,
            "rejected_by": rejected_by(classifier()),
            "thumbnails": list(SIZES),
            # By the clock that documents are written by.
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
    results = outcomes(event["Records"], context)
    kinds = [update.kind for outcome in results.values() for update in outcome.updates]
    errors = {message_id: outcome.error for message_id, outcome in results.items() if outcome.error is not None}
    frame.count(
        ImagesClassified=kinds.count("classified"),
        ImagesRejected=kinds.count("rejected"),
        ImagesRemoved=kinds.count("removed"),
        Failures=len(errors),
    )
    return frame.answer(event, context, errors)
