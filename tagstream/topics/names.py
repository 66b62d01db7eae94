"""What topics may be called, and what attributes they may have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from tagstream.topics.messages import MAX_BYTES

__all__ = [
    "check_attributes",
    "check_change",
    "check_name",
    "dead_letter_name",
    "is_dead_letter_name",
    "is_deployed",
    "is_fifo",
    "main_name",
    "name_of",
]

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


def is_dead_letter_name(topic: str) -> bool:
    """Whether this is how dead-letter topics are called here.

    >>> is_dead_letter_name("smiles-dead-letter.fifo"), is_dead_letter_name("smiles.fifo")
    (True, False)
    """
    return main_name(topic) != topic


def main_name(topic: str) -> str:
    """The name of the topic whose dead letters are in the topic of this name; the name itself if it is no such one.

    >>> main_name("smiles-dead-letter.fifo"), main_name("smiles")
    ('smiles.fifo', 'smiles')
    """
    suffix = ".fifo" if topic.endswith(".fifo") else ""
    stem = topic.removesuffix(suffix)
    main = stem.removesuffix(_DEAD_LETTER)
    return main + suffix if main else topic


def name_of(topic: str) -> str:
    """The name of the topic of this name or URL.

    >>> name_of("https://sqs.eu-west-1.amazonaws.com/123456789012/smiles"), name_of("smiles")
    ('smiles', 'smiles')
    """
    return topic.rstrip("/").rsplit("/", 1)[-1]


# As CloudFormation names what a stack does not name itself: the stack, and what it is in there.
_DEPLOYED = re.compile(r"tagstream-[a-z][a-z0-9]*-(catalog|ingest|operations|search|steps)-")


def is_deployed(topic: str) -> bool:
    """Whether a queue of this name belongs to one of the deployed stacks.

    >>> is_deployed("tagstream-local-ingest-IngestQueue0A1B2C3D-Xyz"), is_deployed("tagstream-order-check-1f")
    (True, False)
    """
    return _DEPLOYED.match(name_of(topic)) is not None


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
_LONGEST_NAME = 80
_RULE = "a name has 1 to 80 letters, digits, hyphens and underscores, and .fifo at the end of FIFO ones"


def check_name(name: str, *, with_dead_letters: bool = False) -> list[str]:
    """What SQS would refuse in a queue's name, or in that of its dead-letter topic: one sentence, or none.

    >>> check_name("a b")
    ['a name has 1 to 80 letters, digits, hyphens and underscores, and .fifo at the end of FIFO ones']
    >>> check_name("x" * 70), check_name("x" * 70, with_dead_letters=True)
    ([], ['a name has at most 68 characters, since that of its dead-letter topic, 12 longer, has at most 80: not 70'])
    """
    if "://" in name:
        return ["a name is wanted here, not an address: " + _RULE]
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        return [_RULE]
    most = _LONGEST_NAME - len(_DEAD_LETTER)
    if with_dead_letters and len(name) > most:
        return [
            f"a name has at most {most} characters, since that of its dead-letter topic, {len(_DEAD_LETTER)} longer, "
            f"has at most {_LONGEST_NAME}: not {len(name)}"
        ]
    return []


def check_change(name: str, attributes: Mapping[str, str]) -> list[str]:
    """What SQS would refuse in new attributes of an existing queue."""
    fixed = [f"{name} cannot be changed: make another topic" for name in attributes if name == "FifoQueue"]
    return fixed or check_attributes(name, attributes)


def check_attributes(name: str, attributes: Mapping[str, str]) -> list[str]:
    """What SQS would refuse in a queue's attributes: one sentence a problem, none when all is well.

    >>> check_attributes("smiles", {"VisibilityTimeout": "50000", "Colour": "red"})
    ['VisibilityTimeout must be a whole number from 0 to 43200, not 50000', 'SQS has no attribute Colour']
    """
    problems = []
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
