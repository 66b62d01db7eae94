"""The queues of a deployed stage, the functions behind them, and what a message in them is about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tagstream.catalog.updates import CatalogUpdate
from tagstream.deployed.aws import Aws
from tagstream.errors import ConfigurationError, NotAnEvent, TopicError
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.topics import Message, Topics, unpack

__all__ = ["QUEUES", "Queue", "about", "queue_named", "reasons"]

_LOG_PAGES = 20
_HASHED = "hmac:"
"""How functions begin what they log as a hash (lambdas/discretion.py)."""


@dataclass(frozen=True)
class Queue:
    """A queue of the pipeline: which output of which stack has its URL or name, and its function's name if it has one.

    ``words`` say what waits in it.
    """

    name: str
    capability: str
    output: str
    function: str | None
    words: str

    def url(self, aws: Aws, topics: Topics) -> str:
        return topics.url(aws.output(self.capability, self.output))

    def function_name(self, aws: Aws) -> str | None:
        """The function's own name, which metrics and logs go by; the output may call an alias of it, ``name:live``."""
        return None if self.function is None else aws.output(self.capability, self.function).partition(":")[0]


QUEUES = (
    Queue("ingest", "ingest", "IngestQueueUrl", "ClassifyFunctionName", "events of photos, for the classify function"),
    Queue("catalog", "catalog", "CatalogQueueUrl", "CatalogFunctionName", "updates, for the catalog function"),
    Queue("steps", "steps", "InputTopicName", "StepFunctionName", "parcels, for the step function"),
    Queue("steps-output", "steps", "OutputTopicName", None, "what steps made, for whoever downloads it"),
)


def queue_named(name: str) -> Queue:
    """Raises :class:`ConfigurationError` for a name that no queue has."""
    for queue in QUEUES:
        if queue.name == name:
            return queue
    known = ", ".join(queue.name for queue in QUEUES)
    raise ConfigurationError(f"no queue is called {name!r}: they are {known}.")


def about(queue: Queue, message: Message) -> list[str]:
    """What a message is about, in words for people: the photos' keys, or which part of which upload.

    >>> about(QUEUES[0], Message("id", "receipt", "{}"))
    ['no event of S3: the message has no list of Records']
    """
    try:
        if queue.name == "ingest":
            return [
                event.key if isinstance(event, ObjectEvent) else f"no event of S3: {event}"
                for event in parse_notification(message.body)
            ]
        if queue.name == "catalog":
            return [CatalogUpdate.from_json(message.body).key]
        parcel = unpack(message)
    except NotAnEvent as error:
        return [f"no event of S3: {error}"]
    except (ConfigurationError, TopicError) as error:
        return [f"not readable: {error}"]
    if parcel is None:
        return [f"{len(message.body):,} characters"]
    return [f"parcel {parcel.place} of upload {parcel.upload_id}, {parcel.line_count:,} lines"]


def reasons(aws: Aws, queue: Queue, messages: list[Message]) -> dict[str, str]:
    """Why messages failed, by their ids, as far as that is recorded: in themselves, or in their function's log.

    Of the log some pages are read for each message, from the time when it was sent.
    """
    found = {
        message.id: str(message.attributes["failure"]) for message in messages if message.attributes.get("failure")
    }
    function = queue.function_name(aws)
    if function is not None:
        group = log_group(aws, function)
        for message in messages:
            if message.id not in found and (said := _last_error(aws.client("logs"), group, message)) is not None:
                found[message.id] = said
    return found


def log_group(aws: Aws, function: str) -> str:
    """The log group that a function writes to."""
    configuration: Mapping[str, Any] = aws.client("lambda").get_function_configuration(FunctionName=function)
    return str(configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}")


def _last_error(logs: Any, group: str, message: Message) -> str | None:
    said = None
    for event in _events(logs, group, message):
        try:
            entry = json.loads(event["message"])
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("message_id") == message.id and entry.get("level") == "ERROR":
            said = _said(entry)
    return said


def _said(entry: Mapping[str, Any]) -> str:
    """What a line of a log says of an error, in one line; the message where the rest is only a hash.

    >>> _said({"message": "The photo can't be read", "error": "hmac:12", "exception": None})
    "The photo can't be read (hmac:12)"
    >>> _said({"message": "Failed", "exception": "Traceback:\\n  …\\nOSError: disk full"})
    'OSError: disk full'
    """
    error = str(entry.get("exception") or entry.get("error") or "").strip().rpartition("\n")[2]
    message = str(entry.get("message") or "").strip()
    if error.startswith(_HASHED):
        return f"{message} ({error})" if message else error
    return error or message


def _events(logs: Any, group: str, message: Message) -> Iterator[Mapping[str, Any]]:
    wanted: dict[str, Any] = {
        "logGroupName": group,
        "filterPattern": f'"{message.id}"',
        "startTime": message.sent_at,
    }
    for _ in range(_LOG_PAGES):
        try:
            answer = logs.filter_log_events(**wanted)
        except logs.exceptions.ResourceNotFoundException:
            return  # nothing was ever said there
        yield from answer.get("events", ())
        if not answer.get("nextToken"):
            return
        wanted["nextToken"] = answer["nextToken"]
