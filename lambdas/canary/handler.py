"""The canary: every few minutes a photo in, found, and out again. Where one of them fails, so does it, and alarms."""

from __future__ import annotations

import os

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas import aws
from lambdas.frame import Event, Frame
from tagstream.errors import CatalogError
from tagstream.pipeline.smoke import questions_by, smoke

frame = Frame()
_LEFT_SECONDS = 15.0
"""Of the function's time, for removing the photo whatever happened."""


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:  # noqa: ARG001 - AWS passes two
    """Whatever the event; answers with the seconds of each step, and raises :class:`CatalogError` at one that fails."""
    frame.count(CanaryRuns=1)
    timeout = context.get_remaining_time_in_millis() / 1000 - _LEFT_SECONDS
    taken: dict[str, float] = {}
    questions = questions_by(lambda request: aws.ask(os.environ["SEARCH_FUNCTION"], request))
    for step in smoke(aws.client("s3"), questions, os.environ["BUCKET"], os.environ["OBJECT_KEY"], timeout=timeout):
        if step.reason is not None:
            raise CatalogError(f"{step.step}: {step.reason}")
        taken[step.step] = round(step.seconds, 3)
    frame.logger.info("works", extra=taken)
    return taken
