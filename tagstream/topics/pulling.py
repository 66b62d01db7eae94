"""Messages out of a topic, and what becomes of them: acknowledged, or given back at some time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError

from tagstream.errors import TopicError
from tagstream.topics.calls import Calls
from tagstream.topics.errors import TopicNotFound
from tagstream.topics.messages import BATCH_ENTRIES, Failed, Message

__all__ = ["acknowledge", "pull", "refresh"]

_LONGEST_POLL = 20
_HOLD_SECONDS = 30
"""For so much longer than the pull itself are messages hidden that are to come back before it would end."""


def pull(
    calls: Calls,
    topic: str,
    *,
    least: int,
    most: int,
    timeout: float,
    visibility_timeout: int | None,
) -> list[Message]:
    """What :meth:`tagstream.topics.Topics.pull` says."""
    url = calls.url(topic)
    hidden = visibility_timeout
    if hidden is not None and hidden < timeout:
        # Otherwise the first ones would come again, and count again, before the last ones are there.
        hidden = math.ceil(timeout) + _HOLD_SECONDS
    pulled: list[Message] = []
    try:
        _pull(calls, topic, url, pulled, least=least, most=most, timeout=timeout, hidden=hidden)
    finally:
        if hidden != visibility_timeout and pulled:
            refresh(calls, topic, pulled, visibility_timeout or 0)
    return pulled


def _pull(
    calls: Calls,
    topic: str,
    url: str,
    pulled: list[Message],
    *,
    least: int,
    most: int,
    timeout: float,
    hidden: int | None,
) -> None:
    end = calls.now() + timeout
    while len(pulled) < most:
        left = end - calls.now()
        enough = len(pulled) >= least
        seconds = 0 if enough or left <= 0 else min(_LONGEST_POLL, math.ceil(left))
        asked = min(BATCH_ENTRIES, most - len(pulled))
        started = calls.now()
        parameters: dict[str, Any] = {"MaxNumberOfMessages": asked, "WaitTimeSeconds": seconds}
        if hidden is not None:
            parameters["VisibilityTimeout"] = hidden
        received = _receive(calls, topic, url, parameters)
        pulled += received
        if not received and calls.now() >= end:
            break
        if len(pulled) >= least and len(received) < asked:
            break
        if not received and calls.now() - started < seconds / 2:
            # An endpoint that does not wait would be asked in a busy loop.
            calls.sleep(min(1.0, max(end - calls.now(), 0.0)))


def _receive(calls: Calls, topic: str, url: str, parameters: Mapping[str, Any]) -> list[Message]:
    everything = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["All"]}
    answer = calls.on(topic, calls.sqs.receive_message, QueueUrl=url, **everything, **parameters)
    return [Message.from_sqs(received) for received in answer.get("Messages", [])]


def acknowledge(calls: Calls, topic: str, messages: Sequence[Message]) -> list[Failed[Message]]:
    """What :meth:`tagstream.topics.Topics.acknowledge` says."""
    url = calls.url(topic)
    return _settle(
        calls,
        topic,
        messages,
        lambda batch: calls.sqs.delete_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(number), "ReceiptHandle": m.receipt} for number, m in enumerate(batch)],
        ),
    )


def refresh(calls: Calls, topic: str, messages: Sequence[Message], seconds: int) -> list[Failed[Message]]:
    """What :meth:`tagstream.topics.Topics.refresh_deadline` says."""
    url = calls.url(topic)
    return _settle(
        calls,
        topic,
        messages,
        lambda batch: calls.sqs.change_message_visibility_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": m.receipt, "VisibilityTimeout": seconds}
                for number, m in enumerate(batch)
            ],
        ),
    )


def _settle(
    calls: Calls, topic: str, messages: Sequence[Message], call: Callable[[Sequence[Message]], Any]
) -> list[Failed[Message]]:
    failed: list[Failed[Message]] = []
    for start in range(0, len(messages), BATCH_ENTRIES):
        pending = list(messages[start : start + BATCH_ENTRIES])
        for attempt in range(1, calls.settings.attempts + 1):
            try:
                answer = calls.on(topic, call, pending)
            except TopicNotFound:
                raise
            except (TopicError, BotoCoreError) as error:
                failed += [Failed(message, type(error).__name__, str(error)) for message in pending]
                break
            again: list[Message] = []
            for failure in answer.get("Failed", []):
                message = pending[int(failure["Id"])]
                if failure.get("SenderFault") or attempt == calls.settings.attempts:
                    failed.append(Failed(message, failure["Code"], failure.get("Message", "")))
                else:
                    again.append(message)
            pending = again
            if not pending:
                break
            calls.pause(attempt)
    return failed
