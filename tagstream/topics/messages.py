"""What goes in and comes out of a topic. Pure data: nothing here talks to AWS."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

__all__ = [
    "BATCH_ENTRIES",
    "BILLED_BYTES",
    "MAX_BYTES",
    "Attribute",
    "Counts",
    "Failed",
    "Message",
    "Outgoing",
    "PublishResult",
    "is_legal_text",
]

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_BYTES = 1_048_576
"""The limit of one message and of one whole batch: body, and every attribute's name, type and value."""
BATCH_ENTRIES = 10
"""The most messages in one call."""
BILLED_BYTES = 65_536
"""Every started 64 KB of a call's payload is billed as one request."""

Attribute = str | int | bytes
"""A message attribute: text, a number, or bytes (SQS carries any bytes, and counts them as they are)."""

_ILLEGAL = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def is_legal_text(text: str) -> bool:
    """Whether SQS accepts this text as a body or a text attribute.

    >>> is_legal_text("CCO"), is_legal_text(""), is_legal_text("bell: \\a")
    (True, False, False)
    """
    return bool(text) and _ILLEGAL.search(text) is None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish.

    ``group_id`` and ``deduplication_id`` are for FIFO topics; ``delay`` is in seconds (0 to 900), for
    standard topics.
    """

    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    group_id: str | None = None
    deduplication_id: str | None = None
    delay: int = 0

    @property
    def size(self) -> int:
        """Bytes as SQS counts them, for its limits and for the bill.

        >>> Outgoing("CCO", {"n": 12}).size
        12
        """
        total = len(self.body.encode("utf-8", "surrogatepass"))
        for name, value in self.attributes.items():
            total += len(name) + len(_type(value)) + len(value if isinstance(value, bytes) else str(value).encode())
        return total

    def to_entry(self) -> dict[str, Any]:
        """The message as boto3's ``send_message`` wants it."""
        entry: dict[str, Any] = {"MessageBody": self.body}
        if self.attributes:
            entry["MessageAttributes"] = {
                name: {
                    "DataType": _type(value),
                    "BinaryValue" if isinstance(value, bytes) else "StringValue": value
                    if isinstance(value, bytes)
                    else str(value),
                }
                for name, value in self.attributes.items()
            }
        if self.group_id is not None:
            entry["MessageGroupId"] = self.group_id
        if self.deduplication_id is not None:
            entry["MessageDeduplicationId"] = self.deduplication_id
        if self.delay:
            entry["DelaySeconds"] = self.delay
        return entry


def _type(value: Attribute) -> str:
    if isinstance(value, bytes):
        return "Binary"
    return "Number" if isinstance(value, int) else "String"


@dataclass(frozen=True, slots=True)
class Message:
    """A received message.

    ``receipt`` is what acknowledges it: of this receive, not of the message. ``receive_count`` starts at 1,
    and is approximate on standard topics. ``sent_at`` is in milliseconds since 1970.
    """

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    receive_count: int = 1
    sent_at: int = 0
    group_id: str | None = None
    deduplication_id: str | None = None
    sequence_number: str | None = None

    @classmethod
    def from_sqs(cls, received: Mapping[str, Any]) -> Message:
        """Of one entry of boto3's ``receive_message``."""
        values = received.get("MessageAttributes", {})
        return cls._of(
            received["MessageId"],
            received["ReceiptHandle"],
            received["Body"],
            {name: _value(v["DataType"], v.get("StringValue"), v.get("BinaryValue")) for name, v in values.items()},
            received.get("Attributes", {}),
        )

    @classmethod
    def from_lambda(cls, record: Mapping[str, Any]) -> Message:
        """Of one record of a Lambda event; it has camel case, and bytes in base64."""
        attributes: dict[str, Attribute] = {}
        for name, value in record.get("messageAttributes", {}).items():
            binary = value.get("binaryValue")
            attributes[name] = _value(
                value["dataType"],
                value.get("stringValue"),
                base64.b64decode(binary) if isinstance(binary, str) else binary,
            )
        return cls._of(
            record["messageId"], record["receiptHandle"], record["body"], attributes, record.get("attributes", {})
        )

    @classmethod
    def _of(
        cls, id_: str, receipt: str, body: str, attributes: Mapping[str, Attribute], system: Mapping[str, str]
    ) -> Message:
        return cls(
            id=id_,
            receipt=receipt,
            body=body,
            attributes=attributes,
            receive_count=int(system.get("ApproximateReceiveCount", 1)),
            sent_at=int(system.get("SentTimestamp", 0)),
            group_id=system.get("MessageGroupId"),
            deduplication_id=system.get("MessageDeduplicationId"),
            sequence_number=system.get("SequenceNumber"),
        )


def _value(kind: str, text: str | None, binary: bytes | None) -> Attribute:
    if kind.startswith("Binary"):
        return binary or b""
    if kind == "Number" and text is not None:
        try:
            return int(text)
        except ValueError:
            return text  # a number may be 1.5 for other producers
    return text or ""


M = TypeVar("M", Outgoing, Message)


@dataclass(frozen=True, slots=True)
class Failed(Generic[M]):
    """A message that a call did not take, SQS' code for it, and the reason in words."""

    message: M
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class PublishResult:
    """``accepted`` counts what SQS confirmed, nothing else; ``failed`` has the rest of what was tried.

    ``requests`` counts the calls that SQS answered, ``billed`` what they cost: each started 64 KB is one.
    ``ids`` are those of the accepted messages, in their order: of one batch, since all of a long run would fill memory.
    """

    accepted: int = 0
    failed: tuple[Failed[Outgoing], ...] = ()
    requests: int = 0
    billed: int = 0
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Approximate numbers of messages; ``dead_lettered`` is None when there is no dead-letter topic.

    SQS: the numbers become consistent about a minute after the last message was sent or received, and are
    not exact even then.
    """

    visible: int
    in_flight: int
    delayed: int
    dead_lettered: int | None = None

    @property
    def total(self) -> int:
        """All that are still to be processed: visible, in flight and delayed."""
        return self.visible + self.in_flight + self.delayed
