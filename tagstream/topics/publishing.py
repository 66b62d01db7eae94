"""Many messages to one topic: in batches, several at once, and each message that was not accepted with its reason."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from botocore.exceptions import BotoCoreError, ClientError

from tagstream.errors import TopicError
from tagstream.topics.arguments import outgoing_of
from tagstream.topics.batching import batches, billed_requests
from tagstream.topics.calls import MISSING, Calls, code_of, reason_of
from tagstream.topics.errors import PublishFailed, TopicNotFound
from tagstream.topics.messages import MAX_BYTES, Failed, Outgoing, PublishResult, is_legal_text
from tagstream.topics.names import is_fifo

__all__ = ["problem_of", "publish_all"]

log = logging.getLogger(__name__)


def publish_all(
    calls: Calls,
    topic: str,
    messages: Iterable[Outgoing | str],
    on_batch: Callable[[PublishResult, Sequence[Outgoing]], None] | None,
) -> PublishResult:
    """What :meth:`tagstream.topics.Topics.publish_all` says."""
    url = calls.url(topic)
    in_flight = 1 if is_fifo(topic) else calls.settings.in_flight
    total = _Total(on_batch)
    refused: list[Failed[Outgoing]] = []

    def sendable() -> Iterator[Outgoing]:
        for given in messages:
            try:
                message = outgoing_of(given)
            except TopicError as error:
                fatal.append(error)  # no message at all
                return
            problem = problem_of(topic, message)
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
                running.add(pool.submit(_publish_batch, calls, topic, url, batch))
                if len(running) >= 2 * in_flight or in_flight == 1:
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    collect(finished)
        finally:
            collect(wait(running).done)
            total.add(PublishResult(failed=tuple(refused)))
    if fatal:
        cause = fatal[0]
        if isinstance(cause, ClientError):
            if code_of(cause) in MISSING:
                raise TopicNotFound(topic) from cause
            reason = f"{code_of(cause)}: {reason_of(cause)}"
        else:
            reason = str(cause)
        raise PublishFailed(
            f"topic {topic!r}: publishing stopped after {total.result.accepted} accepted messages: {reason}",
            total.result,
            topic=topic,
        ) from cause
    return total.result


def _publish_batch(
    calls: Calls, topic: str, url: str, batch: Sequence[Outgoing]
) -> tuple[PublishResult, list[Outgoing]]:
    """One batch, with retries of the entries that SQS failed to take through no fault of theirs."""
    requests = billed = 0
    accepted: list[Outgoing] = []
    ids: list[str] = []
    failed: list[Failed[Outgoing]] = []
    pending = list(batch)
    for attempt in range(1, calls.settings.attempts + 1):
        entries = [{"Id": str(number), **message.to_entry()} for number, message in enumerate(pending)]
        try:
            answer = calls.tried(calls.sqs.send_message_batch, QueueUrl=url, Entries=entries)
        except (ClientError, BotoCoreError) as error:
            code, reason = (
                (code_of(error), reason_of(error))
                if isinstance(error, ClientError)
                else (type(error).__name__, str(error))
            )
            failed += [Failed(message, code, reason) for message in pending]
            result = PublishResult(len(accepted), tuple(failed), requests, billed, tuple(ids))
            raise _CallFailed(result, accepted, error) from error
        requests += 1
        billed += billed_requests(sum(message.size for message in pending))
        for success in sorted(answer.get("Successful", []), key=lambda success: int(success["Id"])):
            accepted.append(pending[int(success["Id"])])
            ids.append(str(success.get("MessageId", "")))
        again: list[Outgoing] = []
        for failure in answer.get("Failed", []):
            message = pending[int(failure["Id"])]
            final = failure.get("SenderFault") or attempt == calls.settings.attempts
            if final:
                failed.append(Failed(message, failure["Code"], failure.get("Message", "")))
            else:
                again.append(message)
        pending = again
        if not pending:
            break
        log.info("topic %s: trying %d refused messages again", topic, len(pending))
        calls.pause(attempt)
    return PublishResult(len(accepted), tuple(failed), requests, billed, tuple(ids)), accepted


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


def problem_of(topic: str, message: Outgoing) -> tuple[str, str] | None:
    """What SQS would refuse in a message: a code and a sentence. Found here, it costs no request."""
    if message.size > MAX_BYTES:
        return (
            "MessageTooLong",
            f"a message has {message.size:,} bytes with its attributes; the limit is {MAX_BYTES:,}.",
        )
    texts = [message.body, *(value for value in message.attributes.values() if isinstance(value, str))]
    for text in texts:
        if not is_legal_text(text):
            return "InvalidMessageContents", _why_illegal(text)
    if len(message.attributes) > 10 or b"" in message.attributes.values():
        return "InvalidParameterValue", "a message has at most 10 attributes, none of them empty."
    if is_fifo(topic) and not message.group_id:
        return "MissingParameter", "a message to a FIFO topic needs a group."
    return None


def _why_illegal(text: str) -> str:
    """Why SQS refuses a text, and what takes it.

    >>> _why_illegal("bell: \\a")
    "SQS refuses control characters, here '\\\\x07': 'upload' takes any bytes."
    """
    if not text:
        return "SQS refuses empty texts."
    character = next(character for character in text if not is_legal_text(character))
    if "\ud800" <= character <= "\udfff":
        return "the text is no valid UTF-8, as SQS wants it: 'upload' takes any bytes."
    return f"SQS refuses control characters, here {character!r}: 'upload' takes any bytes."
