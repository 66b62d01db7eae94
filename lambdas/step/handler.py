"""The step function: parcels of the input topic in, what the step makes of them out to the output topic."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from lambdas.discretion import is_discreet
from lambdas.frame import Event, Frame
from tagstream.errors import ConfigurationError, TopicError
from tagstream.steps import classify, uppercase
from tagstream.topics.client import Topics
from tagstream.topics.messages import Message
from tagstream.topics.outputs import outputs, parcel_in
from tagstream.topics.step import Step

frame = Frame()

# The bundle has what is imported here; a step runs in a process of its own.
SHIPPED = (classify, uppercase)
# What is left of the function's time after this is not enough to publish and to answer.
_MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class Settings:
    """``step`` is the name of a step that comes with Tagstream, or of a program that lies beside this handler."""

    step: str
    output_queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        try:
            return cls(environment["STEP"], environment["OUTPUT_QUEUE_URL"])
        except KeyError as error:
            raise ConfigurationError(f"the function's environment lacks a setting: {error!r}") from error


@cache
def settings() -> Settings:
    return Settings.from_environment()


@cache
def topics() -> Topics:
    config = Config(retries={"mode": "standard", "max_attempts": 3}, connect_timeout=5, read_timeout=20)
    return Topics(botocore.session.get_session().create_client("sqs", config=config))


@cache
def step() -> Step:
    # What the step prints goes where the function's own log goes, unless that may say nothing personal.
    copy_config_to_registered_loggers(frame.logger, include={"tagstream"})
    if is_discreet():
        logging.getLogger("tagstream.topics.step").setLevel(logging.WARNING)
    here = Path(__file__).parent
    own, settings_file, model = here / settings().step, here / "settings.yaml", here / "model"
    return Step(
        own if own.is_file() else settings().step,
        settings_file=settings_file if settings_file.is_file() else None,
        environment={"MODEL_DIR": str(model)} if model.is_dir() else {},
        # The only place where a function may write.
        cwd=tempfile.gettempdir(),
    )


def run(record: dict[str, Any], seconds: float) -> None:
    """Put one message through the step, and what comes out into the output topic, within ``seconds``."""
    if seconds <= 0:
        raise TopicError("the invocation has no time left for this message: ask for a smaller batch.")
    message = Message.from_lambda(record)
    parcel = parcel_in(message)
    output = step().run(parcel.content, timeout=seconds) if parcel.content else b""
    queue = settings().output_queue_url
    made = outputs(parcel, output, workflow=step().name, topic=queue, group_id=message.group_id)
    result = topics().publish_all(queue, made)
    if result.failed:
        raise TopicError(f"the output topic refused {len(result.failed)} messages: {result.failed[0].reason}")
    frame.count(StepLines=parcel.line_count)


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """Answers with the messages to deliver again."""
    errors: dict[str, Exception] = {}
    for record in event["Records"]:
        try:
            run(record, context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS)
        except Exception as error:
            # The only place where the reason is kept: SQS moves a message without one.
            frame.logger.exception("failed, to be delivered again", extra={"message_id": record["messageId"]})
            frame.count(Failures=1)
            errors[record["messageId"]] = error
    return frame.answer(event, context, errors)
