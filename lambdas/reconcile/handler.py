"""The reconcile function: on some days the catalog is held against the bucket, and what differs is repaired."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import aws
from lambdas.frame import Event, Frame
from tagstream.errors import TagstreamError
from tagstream.pipeline.reconcile import reconcile_slice
from tagstream.pipeline.retag import DIFFERENCES, Looked, Retag
from tagstream.topics import Topics

frame = Frame()
_RATE = 20.0
"""Photos a second: what a page of 1,000 takes then is within what is left."""
_SECONDS_TO_END = 120.0
"""Of the function's time: for the last page, and for calling the next slice."""
_MOST_SLICES = 15
"""Lambda itself ends functions that call themselves, after sixteen calls."""


def waiting() -> int:
    """Messages in the queue that nobody has taken."""
    name = "ApproximateNumberOfMessages"
    told = aws.client("sqs").get_queue_attributes(QueueUrl=os.environ["INGEST_QUEUE_URL"], AttributeNames=[name])
    return int(told["Attributes"][name])


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """A slice of it, from the beginning, or ``{"after": key, "slice": number}``; calls itself for the next one.

    Answers with what it counted; raises :class:`TagstreamError` where the last slice that there may be leaves some.
    """
    frame.count(ReconcileSlices=1)
    number = int(event.get("slice", 1))
    run = Retag(
        Topics(aws.client("sqs")),
        "",
        os.environ["INGEST_QUEUE_URL"],
        os.environ["BUCKET"],
        lambda: Looked.of(aws.ask(os.environ["CLASSIFY_FUNCTION"], {"action": "describe"})),
        _RATE,
        # What was uploaded within that time has its own notification, which may be on its way yet.
        datetime.now(UTC) - timedelta(seconds=int(os.environ["UNDER_WAY_SECONDS"])),
        only=DIFFERENCES,
        dated=os.environ["SEQUENCERS_DATED"] == "true",
    )
    after = reconcile_slice(
        run,
        aws.client("s3"),
        lambda request: aws.ask(os.environ["SEARCH_FUNCTION"], request),
        waiting,
        after=event.get("after", ""),
        seconds=context.get_remaining_time_in_millis() / 1000 - _SECONDS_TO_END,
    )
    counted = {"photos": run.tally.listed, "found": run.tally.outdated, "sent": run.tally.sent}
    frame.count(PhotosReconciled=run.tally.listed, DifferencesFound=run.tally.outdated, DifferencesSent=run.tally.sent)
    frame.logger.info("reconciled", extra=counted | dict(run.tally.why) | {"slice": number, "complete": after is None})
    if after is None:
        frame.count(Reconciles=1)
    elif number >= _MOST_SLICES:
        raise TagstreamError(f"{number} slices were not enough: 'tagstream images reconcile --repair' does the rest")
    else:
        aws.client("lambda").invoke(
            # With the alias by which it was called itself.
            FunctionName=context.invoked_function_arn,
            InvocationType="Event",
            Payload=json.dumps({"after": after, "slice": number + 1}).encode(),
        )
    return counted | {"slice": number, "complete": after is None}
