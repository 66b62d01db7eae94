"""Topics: SQS queues in the words of PubSub, over an injected boto3 SQS client."""

from __future__ import annotations

import json
import logging
import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from tagstream.errors import TopicError
from tagstream.topics.errors import InvalidTopic, MessageTooLarge, PublishFailed, TopicBusy, TopicExists, TopicNotFound
from tagstream.topics.messages import (
    BATCH_ENTRIES,
    BILLED_BYTES,
    MAX_BYTES,
    Counts,
    Failed,
    Message,
    Outgoing,
    PublishResult,
    is_legal_text,
)

__all__ = ["TopicSettings", "Topics", "batches", "check_attributes", "dead_letter_name"]

log = logging.getLogger(__name__)

_MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_DELETED_RECENTLY = {"AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"}
_PURGING = {"AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress"}
_EXISTS = {"QueueAlreadyExists", "QueueNameExists"}
_TRANSIENT = {
    "InternalError",
    "InternalFailure",
    "KmsThrottled",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_DEAD_LETTER = "-dead-letter"
_LONGEST_POLL = 20
_SECONDS_OF_SQS = 60
"""For this long a deleted name cannot be used again, and a purge is not over."""

T = TypeVar("T")
M = TypeVar("M", Outgoing, Message)


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How the calls are made.

    ``in_flight`` batches are published at the same time (FIFO topics: one, to keep the order), and no more than
    twice as many are held in memory. A transient failure is tried ``attempts`` times in all, after pauses that double
    from ``pause`` seconds up to ``longest_pause``, each cut at random to between a half and the whole.
    """

    in_flight: int = 4
    attempts: int = 6
    pause: float = 0.1
    longest_pause: float = 10.0


class Topics:
    """The topics of one account and region.

    ``sqs`` is a boto3 SQS client, or :class:`tagstream.topics.MemorySqs`. Wherever a topic is asked for, its name or
    its URL will do. Every failure is a :class:`tagstream.errors.TopicError`, except errors of credentials and
    connections that remain after the retries, which stay botocore's own. Safe to share between threads.

    >>> from tagstream.topics import MemorySqs, Outgoing, Topics
    >>> topics = Topics(MemorySqs())
    >>> topics.create("smiles")
    >>> topics.publish_all("smiles", (Outgoing(text) for text in ("CCO", "c1ccccc1"))).accepted
    2
    >>> received = topics.pull("smiles", min_messages=2)
    >>> topics.acknowledge("smiles", received)
    []
    """

    def __init__(
        self,
        sqs: Any,
        *,
        settings: TopicSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings or TopicSettings()
        self._sqs = sqs
        self._clock = clock
        self._sleep = sleep
        self._random = random.Random()  # noqa: S311 - jitter of pauses
        self._urls: dict[str, str] = {}

    # Topics themselves

    def list_topics(self, prefix: str = "") -> list[str]:
        """The names of all topics, or of those that start with ``prefix``, sorted; however many there are."""
        return sorted(url.rsplit("/", 1)[1] for url in self._list_urls(prefix))

    def _list_urls(self, prefix: str) -> Iterator[str]:
        parameters: dict[str, Any] = {"MaxResults": 1000}
        if prefix:
            parameters["QueueNamePrefix"] = prefix
        while True:
            answer = self._try(self._sqs.list_queues, **parameters)
            yield from answer.get("QueueUrls", [])
            if not answer.get("NextToken"):
                return
            parameters["NextToken"] = answer["NextToken"]

    def exists(self, topic: str) -> bool:
        """Whether there is a topic of that name."""
        self._urls.pop(topic, None)
        try:
            self.url(topic)
        except TopicNotFound:
            return False
        return True

    def url(self, topic: str) -> str:
        """The URL of a topic; raises :class:`TopicNotFound`."""
        if topic.startswith(("https://", "http://")):
            return topic
        if topic not in self._urls:
            self._urls[topic] = str(self._on(topic, self._sqs.get_queue_url, QueueName=topic)["QueueUrl"])
        return self._urls[topic]

    def create(
        self,
        topic: str,
        *,
        exist_ok: bool = False,
        max_receives: int = 2,
        visibility_timeout: int = 300,
        high_throughput: bool = True,
        attributes: Mapping[str, str] | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        """Make a topic and its dead-letter topic ``NAME-dead-letter``; replace both when they exist.

        A name that ends in ``.fifo`` makes a FIFO topic (its dead-letter topic is ``NAME-dead-letter.fifo``), with
        content-based deduplication and, unless ``high_throughput`` is false, limits and deduplication per group.
        A message goes to the dead-letter topic after ``max_receives`` receives without an acknowledgement.
        Unacknowledged messages come back after ``visibility_timeout`` seconds. ``attributes`` are any others of SQS.

        Replacing deletes both, **messages included**. AWS gives a deleted name free again after 60 s: so long this
        waits, and calls ``on_wait`` with the seconds left, once a second. (The emulator gives it free at once.)
        Use :meth:`purge` to empty a topic and keep its settings. With ``exist_ok`` what exists stays as it is.
        """
        fifo = topic.endswith(".fifo")
        wanted: dict[str, str] = {"VisibilityTimeout": str(visibility_timeout)}
        dead_wanted = {"MessageRetentionPeriod": "1209600"}  # 14 days, the longest: time to look into what failed
        if fifo:
            kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
            if high_throughput:
                kind |= {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
            wanted |= kind
            dead_wanted |= kind
        wanted |= attributes or {}
        dead = dead_letter_name(topic)
        problems = check_attributes(topic, wanted) + check_attributes(dead, dead_wanted)
        if not 1 <= max_receives <= 1000:
            problems.append("max_receives must be from 1 to 1,000")
        if problems:
            raise InvalidTopic(topic, problems)
        existing = [name for name in (dead, topic) if self.exists(name)]
        if exist_ok and len(existing) == 2:
            return
        if not exist_ok:
            for name in existing:
                self.delete(name)
        if dead not in existing or not exist_ok:
            self._create(dead, dead_wanted, on_wait)
        if topic in existing and exist_ok:
            return
        arn = self.attributes(dead)["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        self._create(topic, wanted | {"RedrivePolicy": policy}, on_wait)

    def _create(self, name: str, attributes: Mapping[str, str], on_wait: Callable[[float], None] | None) -> None:
        deadline = self._clock() + 2 * _SECONDS_OF_SQS
        free = self._clock() + _SECONDS_OF_SQS
        while True:
            try:
                answer = self._try(self._sqs.create_queue, QueueName=name, Attributes=dict(attributes))
            except ClientError as error:
                code = _code(error)
                if code in _EXISTS:
                    raise TopicExists(
                        f"topic {name!r} exists with other attributes: delete it first, or keep it with exist_ok.",
                        topic=name,
                    ) from error
                if code not in _DELETED_RECENTLY:
                    raise self._told(name, error) from error
                if self._clock() >= deadline:
                    raise TopicBusy(
                        f"topic {name!r} was deleted a moment ago and its name is not free yet: try again later.",
                        topic=name,
                    ) from error
                if on_wait is not None:
                    on_wait(max(free - self._clock(), 1.0))
                self._sleep(1.0)
            else:
                self._urls[name] = str(answer["QueueUrl"])
                log.info("created topic %s", name)
                return

    def create_queue(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        """Make one queue, without a dead-letter topic, with any attributes; returns its URL.

        What SQS would refuse is found before the call: :class:`InvalidTopic` names every problem.
        """
        wanted = dict(attributes or {})
        if name.endswith(".fifo"):
            wanted.setdefault("FifoQueue", "true")
        problems = check_attributes(name, wanted)
        if problems:
            raise InvalidTopic(name, problems)
        self._create(name, wanted, None)
        return self._urls[name]

    def delete(self, topic: str) -> None:
        """Delete one topic, by name or URL, with its messages. Its dead-letter topic stays."""
        self._on(topic, self._sqs.delete_queue, QueueUrl=self.url(topic))
        self._urls = {name: url for name, url in self._urls.items() if topic not in (name, url)}
        log.info("deleted topic %s", topic)

    def clear(self, prefix: str, *, everything: bool = False) -> list[str]:
        """Delete all topics whose name starts with ``prefix``, dead-letter topics too; returns their names.

        An empty prefix means every queue of the account and region, and is refused without ``everything``.
        """
        if not prefix and not everything:
            raise InvalidTopic(prefix, ["an empty prefix would delete every queue: say so with everything (--all)"])
        return self.delete_all(self.list_topics(prefix))

    def delete_all(self, topics: Iterable[str]) -> list[str]:
        """Delete these topics, and nothing that has come meanwhile; returns the names of those that were there."""
        deleted = []
        for name in topics:
            try:
                self.delete(name)
            except TopicNotFound:
                continue  # somebody else was faster
            deleted.append(name)
        return deleted

    def purge(self, topic: str, *, on_wait: Callable[[float], None] | None = None) -> None:
        """Empty a topic and keep it.

        On AWS a purge takes up to 60 s, in which new messages may be swept away as well, and cannot be repeated
        within 60 s: raises :class:`TopicBusy` then. With ``on_wait`` this waits the 60 s out, and calls it once a
        second with the seconds left; without, it returns at once.
        """
        self._on(topic, self._sqs.purge_queue, QueueUrl=self.url(topic))
        if on_wait is not None:
            end = self._clock() + _SECONDS_OF_SQS
            while (left := end - self._clock()) > 0:
                on_wait(left)
                self._sleep(min(left, 1.0))

    def attributes(self, topic: str) -> dict[str, str]:
        """All attributes of a topic, as SQS names and writes them."""
        answer = self._on(topic, self._sqs.get_queue_attributes, QueueUrl=self.url(topic), AttributeNames=["All"])
        return dict(answer.get("Attributes", {}))

    def counts(self, topic: str) -> Counts:
        """Approximate numbers of messages, the dead-letter topic's too; see :class:`Counts` for how approximate."""
        attributes = self.attributes(topic)
        dead: int | None = None
        if "RedrivePolicy" in attributes:
            name = str(json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"]).rsplit(":", 1)[1]
            try:
                dead = int(self.attributes(name)["ApproximateNumberOfMessages"])
            except TopicNotFound:
                dead = None
        return Counts(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            delayed=int(attributes.get("ApproximateNumberOfMessagesDelayed", 0)),
            dead_lettered=dead,
        )

    # Publishing

    def publish(self, topic: str, message: Outgoing) -> str:
        """Publish one message; returns its id, or raises :class:`PublishFailed` or :class:`MessageTooLarge`."""
        problem = _problem(topic, message)
        if problem is not None:
            if problem[0] == "MessageTooLong":
                raise MessageTooLarge(f"topic {topic!r}: {problem[1]}", topic=topic)
            raise PublishFailed(
                f"topic {topic!r}: {problem[1]}", PublishResult(failed=(Failed(message, *problem),)), topic=topic
            )
        entry = message.to_entry()
        return str(self._on(topic, self._sqs.send_message, QueueUrl=self.url(topic), **entry)["MessageId"])

    def publish_all(
        self,
        topic: str,
        messages: Iterable[Outgoing],
        *,
        on_batch: Callable[[PublishResult, Sequence[Outgoing]], None] | None = None,
    ) -> PublishResult:
        """Publish any number of messages, in batches within both limits of SQS, several at the same time.

        Returns how many were accepted, and every message that was not, with the reason; transient failures were tried
        again before. ``messages`` is consumed as fast as SQS takes it, so that memory stays flat.
        ``on_batch`` gets the result of each batch and the messages accepted in it, in the caller's thread.

        Raises :class:`TopicNotFound`, or :class:`PublishFailed` when a whole call fails for good (no permission,
        no connection): its ``result`` has what was accepted before, and the messages of the failed calls; what follows
        in ``messages`` was not tried.
        """
        url = self.url(topic)
        in_flight = 1 if self._is_fifo(topic) else self.settings.in_flight
        total = _Total(on_batch)
        refused: list[Failed[Outgoing]] = []

        def sendable() -> Iterator[Outgoing]:
            for message in messages:
                problem = _problem(topic, message)
                if problem is None:
                    yield message
                else:
                    refused.append(Failed(message, *problem))

        running: set[Future[tuple[PublishResult, list[Outgoing]]]] = set()
        stop = threading.Event()
        fatal: list[BaseException] = []

        def collect(finished: Iterable[Future[tuple[PublishResult, list[Outgoing]]]]) -> None:
            for future in finished:
                try:
                    total.add(*future.result())
                except _CallFailed as failure:
                    total.add(failure.result, failure.accepted)
                    fatal.append(failure.cause)
                    stop.set()

        with ThreadPoolExecutor(in_flight, thread_name_prefix="publish") as pool:
            try:
                for batch in batches(sendable()):
                    if stop.is_set():
                        total.add(
                            PublishResult(failed=tuple(Failed(m, "NotTried", "an earlier call failed") for m in batch))
                        )
                        break
                    running.add(pool.submit(self._publish_batch, topic, url, batch))
                    if len(running) >= 2 * in_flight or in_flight == 1:
                        finished, running = wait(running, return_when=FIRST_COMPLETED)
                        collect(finished)
            finally:
                collect(wait(running).done)
                total.add(PublishResult(failed=tuple(refused)))
        if fatal:
            cause = fatal[0]
            if isinstance(cause, ClientError):
                if _code(cause) in _MISSING:
                    raise TopicNotFound(topic) from cause
                reason = f"{_code(cause)}: {_reason(cause)}"
            else:
                reason = str(cause)
            raise PublishFailed(
                f"topic {topic!r}: publishing stopped after {total.result.accepted} accepted messages: {reason}",
                total.result,
                topic=topic,
            ) from cause
        return total.result

    def _publish_batch(self, topic: str, url: str, batch: Sequence[Outgoing]) -> tuple[PublishResult, list[Outgoing]]:
        """One batch, with retries of the entries that SQS failed to take through no fault of theirs."""
        requests = billed = 0
        accepted: list[Outgoing] = []
        failed: list[Failed[Outgoing]] = []
        pending = list(batch)
        for attempt in range(1, self.settings.attempts + 1):
            entries = [{"Id": str(number), **message.to_entry()} for number, message in enumerate(pending)]
            try:
                answer = self._try(self._sqs.send_message_batch, QueueUrl=url, Entries=entries)
            except (ClientError, BotoCoreError) as error:
                code, reason = (
                    (_code(error), _reason(error))
                    if isinstance(error, ClientError)
                    else (type(error).__name__, str(error))
                )
                failed += [Failed(message, code, reason) for message in pending]
                result = PublishResult(len(accepted), tuple(failed), requests, billed)
                raise _CallFailed(result, accepted, error) from error
            requests += 1
            billed += max(1, math.ceil(sum(message.size for message in pending) / BILLED_BYTES))
            accepted += [pending[int(success["Id"])] for success in answer.get("Successful", [])]
            again: list[Outgoing] = []
            for failure in answer.get("Failed", []):
                message = pending[int(failure["Id"])]
                final = failure.get("SenderFault") or attempt == self.settings.attempts
                if final:
                    failed.append(Failed(message, failure["Code"], failure.get("Message", "")))
                else:
                    again.append(message)
            pending = again
            if not pending:
                break
            log.info("topic %s: trying %d refused messages again", topic, len(pending))
            self._pause(attempt)
        return PublishResult(len(accepted), tuple(failed), requests, billed), accepted

    # Pulling

    def pull(
        self,
        topic: str,
        *,
        min_messages: int = 1,
        max_messages: int = 10,
        timeout: float = 20.0,
        visibility_timeout: int | None = None,
    ) -> list[Message]:
        """At least ``min_messages`` unless ``timeout`` seconds pass first, and at most ``max_messages``.

        Waits in long polls, for whole seconds. More than ``min_messages`` come when they are there without waiting.
        The first message's deadline runs while later ones are awaited: keep ``timeout`` below the visibility timeout
        (``visibility_timeout`` seconds for these messages, the topic's own when not given).
        """
        if not 0 <= min_messages <= max_messages or max_messages < 1:
            raise ValueError("0 <= min_messages <= max_messages and 1 <= max_messages is needed")
        url = self.url(topic)
        end = self._clock() + timeout
        pulled: list[Message] = []
        while len(pulled) < max_messages:
            left = end - self._clock()
            enough = len(pulled) >= min_messages
            seconds = 0 if enough or left <= 0 else min(_LONGEST_POLL, math.ceil(left))
            asked = min(BATCH_ENTRIES, max_messages - len(pulled))
            started = self._clock()
            received = self._receive(topic, url, asked, seconds, visibility_timeout)
            pulled += received
            if not received and self._clock() >= end:
                break
            if len(pulled) >= min_messages and len(received) < asked:
                break
            if not received and self._clock() - started < seconds / 2:
                # An endpoint that does not wait would be asked in a busy loop.
                self._sleep(min(1.0, max(end - self._clock(), 0.0)))
        return pulled

    def _receive(self, topic: str, url: str, most: int, seconds: int, visibility_timeout: int | None) -> list[Message]:
        parameters: dict[str, Any] = {
            "QueueUrl": url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": seconds,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["All"],
        }
        if visibility_timeout is not None:
            parameters["VisibilityTimeout"] = visibility_timeout
        answer = self._on(topic, self._sqs.receive_message, **parameters)
        return [Message.from_sqs(received) for received in answer.get("Messages", [])]

    def acknowledge(self, topic: str, messages: Iterable[Message]) -> list[Failed[Message]]:
        """Delete received messages, in batches; returns those that could not be, which SQS will deliver again."""
        url = self.url(topic)
        return self._settle(
            topic,
            messages,
            lambda batch: self._sqs.delete_message_batch(
                QueueUrl=url,
                Entries=[{"Id": str(number), "ReceiptHandle": m.receipt} for number, m in enumerate(batch)],
            ),
        )

    def refresh_deadline(self, topic: str, messages: Iterable[Message], seconds: int = 300) -> list[Failed[Message]]:
        """Set the time until the messages are visible again to ``seconds`` from now, in batches; 0 releases them.

        Returns those that could not be: they may be with another subscriber already.
        SQS: 12 hours (43,200 s) after the receive is the end, whatever is asked.
        """
        url = self.url(topic)
        return self._settle(
            topic,
            messages,
            lambda batch: self._sqs.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": m.receipt, "VisibilityTimeout": seconds}
                    for number, m in enumerate(batch)
                ],
            ),
        )

    def _settle(
        self, topic: str, messages: Iterable[Message], call: Callable[[Sequence[Message]], Any]
    ) -> list[Failed[Message]]:
        failed: list[Failed[Message]] = []
        everything = list(messages)
        for start in range(0, len(everything), BATCH_ENTRIES):
            pending = everything[start : start + BATCH_ENTRIES]
            for attempt in range(1, self.settings.attempts + 1):
                try:
                    answer = self._on(topic, call, pending)
                except TopicNotFound:
                    raise
                except (TopicError, BotoCoreError) as error:
                    failed += [Failed(message, type(error).__name__, str(error)) for message in pending]
                    break
                again: list[Message] = []
                for failure in answer.get("Failed", []):
                    message = pending[int(failure["Id"])]
                    if failure.get("SenderFault") or attempt == self.settings.attempts:
                        failed.append(Failed(message, failure["Code"], failure.get("Message", "")))
                    else:
                        again.append(message)
                pending = again
                if not pending:
                    break
                self._pause(attempt)
        return failed

    def now(self) -> float:
        """Seconds, by the clock that this object was given."""
        return self._clock()

    # Calls

    def _on(self, topic: str, call: Callable[..., Any], *positional: Any, **parameters: Any) -> Any:
        """A call about a topic: SQS' errors become this package's."""
        try:
            return self._try(call, *positional, **parameters)
        except ClientError as error:
            raise self._told(topic, error) from error

    def _told(self, topic: str, error: ClientError) -> TopicError:
        code = _code(error)
        if code in _MISSING:
            self._urls.pop(topic, None)
            return TopicNotFound(topic)
        if code in _PURGING:
            return TopicBusy(f"topic {topic!r} was purged less than 60 s ago: try again in a minute.", topic=topic)
        return TopicError(f"topic {topic!r}: {code}: {_reason(error)}", topic=topic)

    def _try(self, call: Callable[..., Any], *positional: Any, **parameters: Any) -> Any:
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return call(*positional, **parameters)
            except (ClientError, HTTPClientError, NoConnection) as error:
                if attempt == self.settings.attempts or not _is_transient(error):
                    raise
                log.info("trying again after %s", error)
                self._pause(attempt)
        raise AssertionError("attempts must be at least 1")

    def _pause(self, attempt: int) -> None:
        longest = min(self.settings.longest_pause, self.settings.pause * 2 ** (attempt - 1))
        self._sleep(longest * self._random.uniform(0.5, 1.0))

    @staticmethod
    def _is_fifo(topic: str) -> bool:
        return topic.endswith(".fifo")


class _CallFailed(Exception):
    def __init__(self, result: PublishResult, accepted: list[Outgoing], cause: Exception) -> None:
        super().__init__(str(cause))
        self.result = result
        self.accepted = accepted
        self.cause = cause


class _Total:
    """The sum of the batches' results."""

    def __init__(self, on_batch: Callable[[PublishResult, Sequence[Outgoing]], None] | None) -> None:
        self._on_batch = on_batch
        self._accepted = self._requests = self._billed = 0
        self._failed: list[Failed[Outgoing]] = []

    def add(self, result: PublishResult, accepted: Sequence[Outgoing] = ()) -> None:
        self._accepted += result.accepted
        self._requests += result.requests
        self._billed += result.billed
        self._failed += result.failed
        if self._on_batch is not None and (result.accepted or result.failed):
            self._on_batch(result, accepted)

    @property
    def result(self) -> PublishResult:
        return PublishResult(self._accepted, tuple(self._failed), self._requests, self._billed)


def batches(messages: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    """Cut into batches of at most 10 messages and 1 MiB, where the bill is lowest.

    SQS bills a call by its payload, every started 64 KB once. When the next message would start another 64 KB, the
    batch ends there, unless messages of the size seen so far would make a fuller batch cheaper by the message.

    >>> [len(batch) for batch in batches([Outgoing("x" * 9_000)] * 20)]
    [7, 7, 6]
    >>> [len(batch) for batch in batches([Outgoing("x" * 6_000)] * 20)]
    [10, 10]
    """
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        grown = size + message.size
        full = len(batch) == BATCH_ENTRIES or grown > MAX_BYTES
        if batch and (full or (_billed(grown) > _billed(size) and _cheaper_now(size, len(batch)))):
            yield batch
            batch, grown = [], message.size
        batch.append(message)
        size = grown
    if batch:
        yield batch


def _billed(size: int) -> int:
    return max(1, math.ceil(size / BILLED_BYTES))


def _cheaper_now(size: int, count: int) -> bool:
    mean = size / count
    most = min(BATCH_ENTRIES, int(MAX_BYTES / mean))
    now = _billed(size) / count
    return all(now < math.ceil(mean * more / BILLED_BYTES) / more for more in range(count + 1, most + 1))


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


def _problem(topic: str, message: Outgoing) -> tuple[str, str] | None:
    """What SQS would refuse in a message: a code and a sentence. Found here, it costs no request."""
    if message.size > MAX_BYTES:
        return (
            "MessageTooLong",
            f"a message has {message.size:,} bytes with its attributes; the limit is {MAX_BYTES:,}.",
        )
    texts = [message.body, *(value for value in message.attributes.values() if isinstance(value, str))]
    if not all(map(is_legal_text, texts)):
        return "InvalidMessageContents", "SQS refuses empty texts and control characters."
    if len(message.attributes) > 10 or b"" in message.attributes.values():
        return "InvalidParameterValue", "a message has at most 10 attributes, none of them empty."
    if topic.endswith(".fifo") and not message.group_id:
        return "MissingParameter", "a message to a FIFO topic needs a group."
    return None


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True  # no connection, closed, timed out
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or _code(error) in _TRANSIENT


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _reason(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)
