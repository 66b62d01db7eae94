"""What becomes of an input that is given up. Pure: nothing here talks to AWS."""

from __future__ import annotations

from dataclasses import replace

from tagstream.errors import TopicError
from tagstream.topics.errors import StepFailed
from tagstream.topics.messages import MAX_BYTES, Attribute, Message, Outgoing, is_legal_text

__all__ = ["dead_letter"]

_FAILURE_OUTPUT_BYTES = 4096


def dead_letter(message: Message, failure: TopicError, *, fifo: bool) -> Outgoing | None:
    """A copy of the message that says why it failed; None if it has no room for that."""
    printed = failure.stderr if isinstance(failure, StepFailed) else ""
    attributes: dict[str, Attribute] = dict(message.attributes)
    attributes["failure"] = _legal(str(failure))
    # SQS refuses the id on standard topics (the emulator and moto do not).
    once = f"{message.id}-failed" if fifo else None
    copy = Outgoing(message.body, attributes, group_id=message.group_id, deduplication_id=once)
    tail = _legal(printed)[-_FAILURE_OUTPUT_BYTES:]
    if tail and len(attributes) < 10:
        longer = replace(copy, attributes={**attributes, "failure_output": tail})
        if longer.size <= MAX_BYTES:
            copy = longer
    return copy if copy.size <= MAX_BYTES and len(copy.attributes) <= 10 else None


def _legal(text: str) -> str:
    """With the characters that SQS refuses replaced."""
    return "".join(char if is_legal_text(char) else "\ufffd" for char in text)
