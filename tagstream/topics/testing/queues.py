"""What the SQS in memory keeps, and what it answers and refuses, as SQS words it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from tagstream.topics.messages import BATCH_ENTRIES, is_legal_text

__all__ = [
    "Queue",
    "Stored",
    "batch_answer",
    "check_batch",
    "client_error",
    "problem_of",
    "received_message",
    "size_of",
]


@dataclass(slots=True)
class Stored:
    id: str
    body: str
    attributes: dict[str, Any]
    sent: float
    order: int
    group: str | None = None
    deduplication: str | None = None
    visible_at: float = 0.0
    delayed: bool = False
    receives: int = 0
    receipt: str | None = None
    gone: bool = False
    ticket: int = -1
    """Of its entry among the waiting; entries with another one are out of date."""


@dataclass
class Queue:
    name: str
    attributes: dict[str, str]
    created: float
    ready: deque[Stored] = field(default_factory=deque)
    waiting: list[tuple[float, int, Stored]] = field(default_factory=list)
    groups: dict[str, deque[Stored]] = field(default_factory=dict)
    seen: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    purged: float | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def fifo(self) -> bool:
        return self.name.endswith(".fifo")


def received_message(stored: Stored) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": str(stored.receives),
        "SentTimestamp": str(int(stored.sent * 1000)),
    }
    if stored.group is not None:
        attributes["MessageGroupId"] = stored.group
        attributes["SequenceNumber"] = f"{stored.order:020d}"
    if stored.deduplication is not None:
        attributes["MessageDeduplicationId"] = stored.deduplication
    received = {
        "MessageId": stored.id,
        "ReceiptHandle": stored.receipt,
        "Body": stored.body,
        "MD5OfBody": hashlib.md5(stored.body.encode(), usedforsecurity=False).hexdigest(),
        "Attributes": attributes,
    }
    if stored.attributes:
        received["MessageAttributes"] = stored.attributes
    return received


def size_of(entry: Mapping[str, Any]) -> int:
    total = len(entry["MessageBody"].encode("utf-8", "surrogatepass"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        content = value["BinaryValue"] if "BinaryValue" in value else value["StringValue"].encode()
        total += len(name) + len(value["DataType"]) + len(content)
    return total


def problem_of(queue: Queue, entry: Mapping[str, Any]) -> tuple[str, str] | None:  # noqa: PLR0911
    if not entry["MessageBody"]:
        return ("MissingParameter", "The request must contain the parameter MessageBody.")
    attributes = entry.get("MessageAttributes") or {}
    texts = [entry["MessageBody"], *(value["StringValue"] for value in attributes.values() if "StringValue" in value)]
    if not all(map(is_legal_text, texts)):
        return ("InvalidMessageContents", "Invalid characters found.")
    if len(attributes) > 10 or any(value.get("BinaryValue") == b"" for value in attributes.values()):
        return ("InvalidParameterValue", "Message attributes must be at most 10, and none empty.")
    if queue.fifo and not entry.get("MessageGroupId"):
        return ("MissingParameter", "The request must contain the parameter MessageGroupId.")
    content_based = queue.attributes.get("ContentBasedDeduplication") == "true"
    if queue.fifo and not entry.get("MessageDeduplicationId") and not content_based:
        return ("InvalidParameterValue", "The queue should either have ContentBasedDeduplication or ids be given.")
    if not queue.fifo and entry.get("MessageDeduplicationId"):
        return ("InvalidParameterValue", "MessageDeduplicationId is not valid for this queue type.")
    if queue.fifo and entry.get("DelaySeconds"):
        return ("InvalidParameterValue", "FIFO queues have no delay per message.")
    return None


def check_batch(entries: Sequence[Mapping[str, Any]]) -> None:
    if not entries:
        raise client_error(
            "AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry in the request."
        )
    if len(entries) > BATCH_ENTRIES:
        raise client_error("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries is 10.")
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise client_error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Ids must be distinct.")


def batch_answer(done: list[dict[str, Any]], failed: list[dict[str, Any]]) -> dict[str, Any]:
    # boto3 leaves an empty list out.
    return ({"Successful": done} if done else {}) | ({"Failed": failed} if failed else {})


def client_error(code: str, message: str) -> ClientError:
    status = 403 if code == "RequestThrottled" else 400
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "SQS")
