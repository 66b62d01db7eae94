"""The catalog function: a batch of catalog updates from the FIFO queue into OpenSearch."""

from __future__ import annotations

from datetime import UTC, datetime

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.frame import Event, Frame
from lambdas.opensearch import Connection
from lambdas.thumbnails import thumbnails
from tagstream.catalog.store import Outcome
from tagstream.catalog.updates import CatalogUpdate
from tagstream.errors import CatalogError, ConfigurationError

frame = Frame()
_SECONDS = 3.0


def outcomes(bodies: dict[str, str]) -> dict[str, Outcome]:
    """Apply the whole batch in one go; what became of each message, by its id."""
    settled: dict[str, Outcome] = {}
    updates: dict[str, CatalogUpdate] = {}
    for message_id, body in bodies.items():
        try:
            updates[message_id] = CatalogUpdate.from_json(body)
        except ConfigurationError as error:
            settled[message_id] = Outcome("failed", str(error))
    catalog = Connection.from_environment(timeout=_SECONDS).catalog_with(thumbnails())
    settled |= zip(updates, catalog.apply(list(updates.values())), strict=True)
    now = datetime.now(UTC)
    frame.took(
        "UploadToIndexed",
        (
            update.milliseconds_until(now)
            for message_id, update in updates.items()
            # Another look at a photo is no upload, and what the catalog knew already was counted before.
            if update.kind == "classified" and update.look is None and settled[message_id].state == "applied"
        ),
    )
    for message_id, outcome in settled.items():
        log(message_id, updates.get(message_id), outcome)
    return settled


def log(message_id: str, update: CatalogUpdate | None, outcome: Outcome) -> None:
    about = {"message_id": message_id, "error": outcome.error}
    if update is not None:
        about |= {
            "document": update.document_id,
            "s3_location": f"s3://{update.bucket}/{update.key}",
            "sequencer": update.sequencer,
            "kind": update.kind,
        }
    say = frame.logger.error if outcome.state == "failed" else frame.logger.info
    say(f"update {outcome.state}", extra=about)


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """Answers with the messages to deliver again: the failed ones and the later ones of their images."""
    settled = outcomes({record["messageId"]: record["body"] for record in event["Records"]})
    states = [outcome.state for outcome in settled.values()]
    failed = states.count("failed")
    frame.count(UpdatesApplied=states.count("applied"), UpdatesStale=states.count("stale"), Failures=failed)
    errors = {
        message_id: CatalogError(outcome.error or "the update failed")
        for message_id, outcome in settled.items()
        if outcome.state == "failed"
    }
    return frame.answer(event, context, errors, fifo=True)
