"""What topics may be called, and what attributes they may have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tagstream.topics.messages import MAX_BYTES

__all__ = ["check_attributes", "dead_letter_name", "is_fifo"]

_DEAD_LETTER = "-dead-letter"


def is_fifo(topic: str) -> bool:
    """Whether the topic of this name or URL keeps an order.

    >>> is_fifo("smiles"), is_fifo("smiles.fifo")
    (False, True)
    """
    return topic.endswith(".fifo")


def dead_letter_name(topic: str) -> str:
    """The name of a topic's dead-letter topic.

    >>> dead_letter_name("smiles"), dead_letter_name("smiles.fifo")
    ('smiles-dead-letter', 'smiles-dead-letter.fifo')
    """
    if topic.endswith(".fifo"):
        return topic.removesuffix(".fifo") + _DEAD_LETTER + ".fifo"
    return topic + _DEAD_LETTER


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
_RANGES = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1_024, MAX_BYTES),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
_CHOICES = {
    "ContentBasedDeduplication": ("true", "false"),
    "DeduplicationScope": ("messageGroup", "queue"),
    "FifoQueue": ("true",),
    "FifoThroughputLimit": ("perQueue", "perMessageGroupId"),
    "SqsManagedSseEnabled": ("true", "false"),
}
_FIFO_ONLY = ("ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit")
_JSON = ("Policy", "RedriveAllowPolicy", "RedrivePolicy")
_FREE = ("KmsMasterKeyId",)
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.fifo)?")


def check_attributes(name: str, attributes: Mapping[str, str]) -> list[str]:
    """What SQS would refuse in a queue's name and attributes: one sentence a problem, none when all is well.

    >>> check_attributes("smiles", {"VisibilityTimeout": "50000", "Colour": "red"})
    ['VisibilityTimeout must be a whole number from 0 to 43200, not 50000', 'SQS has no attribute Colour']
    """
    problems = []
    if not _NAME.fullmatch(name) or len(name) > 80:
        problems.append(
            "a name has 1 to 80 letters, digits, hyphens and underscores, and .fifo at the end of FIFO ones"
        )
    for attribute, value in attributes.items():
        if attribute in _RANGES:
            low, high = _RANGES[attribute]
            if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
                problems.append(f"{attribute} must be a whole number from {low} to {high}, not {value}")
        elif attribute in _CHOICES:
            if value not in _CHOICES[attribute]:
                problems.append(f"{attribute} must be {' or '.join(_CHOICES[attribute])}, not {value}")
        elif attribute in _JSON:
            try:
                json.loads(value)
            except ValueError:
                problems.append(f"{attribute} must be JSON")
        elif attribute not in _FREE:
            problems.append(f"SQS has no attribute {attribute}")
        if attribute in _FIFO_ONLY and not name.endswith(".fifo"):
            problems.append(f"{attribute} is for names that end in .fifo")
    if attributes.get("FifoThroughputLimit") == "perMessageGroupId" and (
        attributes.get("DeduplicationScope") != "messageGroup"
    ):
        problems.append("FifoThroughputLimit perMessageGroupId needs DeduplicationScope messageGroup")
    return problems
