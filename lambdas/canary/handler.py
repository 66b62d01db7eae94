"""The canary: every few minutes a photo in, found, and out again. Where one of them fails, so does it, and alarms."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

import botocore.session
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from lambdas.frame import Event, Frame
from tagstream.errors import CatalogError
from tagstream.pipeline.smoke import questions_by, smoke

frame = Frame()
_LEFT_SECONDS = 15.0
"""Of the function's time, for removing the photo whatever happened."""


@cache
def client(service: str) -> Any:
    return botocore.session.get_session().create_client(
        service, config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 3})
    )


def ask(request: dict[str, Any]) -> dict[str, Any]:
    """What the search function answers; raises :class:`CatalogError` if it failed."""
    response = client("lambda").invoke(FunctionName=os.environ["SEARCH_FUNCTION"], Payload=json.dumps(request).encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise CatalogError(f"the search function failed: {answer.get('errorMessage', answer)}")
    return answer


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:  # noqa: ARG001 - AWS passes two
    """Whatever the event; answers with the seconds of each step, and raises :class:`CatalogError` at one that fails."""
    frame.count(CanaryRuns=1)
    timeout = context.get_remaining_time_in_millis() / 1000 - _LEFT_SECONDS
    taken: dict[str, float] = {}
    for step in smoke(client("s3"), questions_by(ask), os.environ["BUCKET"], os.environ["OBJECT_KEY"], timeout=timeout):
        if step.reason is not None:
            raise CatalogError(f"{step.step}: {step.reason}")
        taken[step.step] = round(step.seconds, 3)
    frame.logger.info("works", extra=taken)
    return taken
