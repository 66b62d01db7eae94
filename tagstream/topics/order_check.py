"""The difference between a standard and a FIFO topic, seen: order, duplicates and losses of the same messages."""

from __future__ import annotations

import bisect
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tagstream.topics.client import Topics
from tagstream.topics.errors import Misuse, PublishFailed, TopicNotFound
from tagstream.topics.messages import Message, Outgoing
from tagstream.topics.names import dead_letter_name

__all__ = ["OrderReport", "inversions", "order_check"]

# Every tenth message is sent a second time, as a producer does that got no answer.
_REPEAT_EVERY = 10
_RECEIVES = 100
"""A message that a slow endpoint delivers again must not end as a dead letter: it would count as lost."""


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What consumers saw of one topic.

    ``sent`` messages, ``repeated`` of them twice. ``out_of_order`` counts the pairs of messages of the same group
    of which the later one was worked on first. ``duplicates`` were worked on again, ``lost`` ones never came.
    """

    topic: str
    kind: str
    sent: int
    repeated: int
    received: int
    out_of_order: int
    duplicates: int
    lost: int
    seconds: float


def order_check(
    topics: Topics,
    *,
    messages: int = 1000,
    groups: int = 10,
    consumers: int = 4,
    patience: float = 60.0,
    on_progress: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[OrderReport]:
    """Send numbered messages, some twice, to a standard and to a FIFO topic made for this, and compare what arrives.

    Each of ``consumers`` threads pulls up to ten messages at a time, works on them in turn, and acknowledges them.
    Consuming ends when all have come and the topic is empty, or when nothing new came for ``patience`` seconds.
    Both topics are deleted at the end, whatever happens. ``on_progress`` gets how many more messages were received.
    When ``stopped`` says so, this ends soon, with the reports that are complete.
    """
    if messages < 1 or groups < 1 or consumers < 1:
        raise Misuse("messages, groups and consumers are 1 or more.")
    reports = []
    name = f"tagstream-order-check-{secrets.token_hex(4)}"
    with _made(topics, [name, f"{name}.fifo"]) as made:
        for topic in made:
            kind = "FIFO" if topic.endswith(".fifo") else "standard"
            started = time.monotonic()
            _send(topics, topic, messages, groups, stopped)
            worked_on = _Consumers(
                topics, topic, messages=messages, patience=patience, on_progress=on_progress, stopped=stopped
            ).run(consumers)
            if stopped():
                break
            first: dict[int, None] = dict.fromkeys(worked_on)
            reports.append(
                OrderReport(
                    topic=topic,
                    kind=kind,
                    sent=messages,
                    repeated=len(range(0, messages, _REPEAT_EVERY)),
                    received=len(worked_on),
                    out_of_order=sum(
                        inversions([number for number in first if number % groups == group]) for group in range(groups)
                    ),
                    duplicates=len(worked_on) - len(first),
                    lost=messages - len(first),
                    seconds=time.monotonic() - started,
                )
            )
    return reports


def inversions(numbers: Sequence[int]) -> int:
    """How many pairs are in the wrong order.

    >>> inversions([0, 1, 2]), inversions([1, 0, 2]), inversions([2, 1, 0])
    (0, 1, 3)
    """
    before: list[int] = []
    count = 0
    for number in numbers:
        place = bisect.bisect(before, number)
        count += len(before) - place
        before.insert(place, number)
    return count


@contextmanager
def _made(topics: Topics, names: Iterable[str]) -> Iterator[list[str]]:
    made = list(names)
    try:
        for name in made:
            topics.create(name, max_receives=_RECEIVES, visibility_timeout=60)
        yield made
    finally:
        for name in made:
            for topic in (name, dead_letter_name(name)):
                # Never made, if it was interrupted early.
                with suppress(TopicNotFound):
                    topics.delete(topic)


def _send(topics: Topics, topic: str, messages: int, groups: int, stopped: Callable[[], bool]) -> None:
    fifo = topic.endswith(".fifo")

    def numbered() -> Iterator[Outgoing]:
        for number in range(messages):
            if stopped():
                return
            group = f"group-{number % groups}" if fifo else None
            message = Outgoing(str(number), group_id=group, deduplication_id=str(number) if fifo else None)
            yield message
            if number % _REPEAT_EVERY == 0:
                yield message

    result = topics.publish_all(topic, numbered())
    if result.failed:
        raise PublishFailed(f"topic {topic!r} refused {len(result.failed)} messages.", result, topic=topic)


class _Consumers:
    """Threads that pull, work on each message (they note its number) and acknowledge."""

    def __init__(
        self,
        topics: Topics,
        topic: str,
        *,
        messages: int,
        patience: float,
        on_progress: Callable[[int], None] | None,
        stopped: Callable[[], bool],
    ) -> None:
        self._topics = topics
        self._topic = topic
        self._messages = messages
        self._patience = patience
        self._on_progress = on_progress
        self._stopped = stopped
        self._lock = threading.Lock()
        self._numbers: list[int] = []
        self._seen: set[int] = set()
        self._news = time.monotonic()
        self._end = threading.Event()

    def run(self, consumers: int) -> list[int]:
        """The numbers in the order in which they were worked on."""
        with ThreadPoolExecutor(consumers, thread_name_prefix="consumer") as pool:
            try:
                futures = [pool.submit(self._consume) for _ in range(consumers)]
                for future in futures:
                    future.result()
            finally:
                self._end.set()
        return self._numbers

    def _consume(self) -> None:
        while not self._end.is_set() and not self._stopped():
            messages = self._topics.pull(self._topic, timeout=1.0)
            for message in messages:
                self._work_on(message)
            # What can't be acknowledged comes again, and is counted as a duplicate.
            self._topics.acknowledge(self._topic, messages)
            if not messages and self._is_over():
                self._end.set()

    def _work_on(self, message: Message) -> None:
        number = int(message.body)
        with self._lock:
            self._numbers.append(number)
            if number not in self._seen:
                self._seen.add(number)
                self._news = time.monotonic()
        if self._on_progress is not None:
            self._on_progress(1)

    def _is_over(self) -> bool:
        if len(self._seen) == self._messages:
            return self._topics.counts(self._topic).total == 0
        return time.monotonic() - self._news >= self._patience
