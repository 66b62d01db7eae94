"""What becomes of a message that a worker holds: published and acknowledged, given back, dead-lettered, or lost."""

from __future__ import annotations

import json
import logging
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tagstream.errors import TopicError
from tagstream.topics.client import Topics
from tagstream.topics.dead_letters import dead_letter
from tagstream.topics.errors import StepFailed
from tagstream.topics.leases import Held, Leases, is_ours
from tagstream.topics.messages import BATCH_ENTRIES, Outgoing
from tagstream.topics.names import is_fifo
from tagstream.topics.totals import Totals

__all__ = ["Job", "Result", "Settling"]

_log = logging.getLogger(__name__)

_TOLD = 5
"""Failures of a kind that are told one by one: what ails one input often ails thousands."""


class Job:
    """Some messages that one run of the step works on; it is over when each of them is dealt with."""

    def __init__(self, held: list[Held]) -> None:
        self.held = held
        self.pending = len(held)
        self.done = Totals()
        self.started = time.monotonic()


@dataclass(frozen=True, slots=True)
class Result:
    """What is to be published to ``topic`` before ``held`` is acknowledged."""

    job: Job
    held: tuple[Held, ...]
    topic: str
    outgoing: tuple[Outgoing, ...]
    done: Totals


class Settling:
    """Publishes results and acknowledges their inputs, in a thread of its own while it is entered, and keeps count.

    ``on_settled`` is called whenever a job is over, ``on_error`` when going on is pointless, ``on_progress`` with the
    totals whenever messages were dealt with. Each job that is over is logged, with its own counts and all so far.
    """

    def __init__(
        self,
        topics: Topics,
        input_topic: str,
        output_topic: str,
        leases: Leases,
        *,
        retry_delay: int,
        on_settled: Callable[[], None],
        on_error: Callable[[BaseException], None],
        on_progress: Callable[[Totals], None] | None,
    ) -> None:
        self._topics = topics
        self._input = input_topic
        self._output = output_topic
        self._leases = leases
        self._retry_delay = retry_delay
        self._on_settled = on_settled
        self._on_error = on_error
        self._on_progress = on_progress
        self._fifo = is_fifo(input_topic)
        self._dead_letters: str | None = None
        self.max_receives: float = math.inf
        self._results: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
        self._publisher = threading.Thread(target=self._publish_on, name="publish", daemon=True)
        self._lock = threading.Lock()
        self._totals = Totals()
        self._told: Counter[str] = Counter()
        self._started = time.monotonic()
        self._error: BaseException | None = None

    def __enter__(self) -> Settling:
        self._started = time.monotonic()
        policy = json.loads(self._topics.attributes(self._input).get("RedrivePolicy", "null"))
        if policy is not None:
            self._dead_letters = str(policy["deadLetterTargetArn"]).rsplit(":", 1)[1]
            self.max_receives = int(policy["maxReceiveCount"])
        self._publisher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._results.put(None)
        self._publisher.join()
        # After an error only: all else has been dealt with.
        self._count(Totals(released=self._leases.release_all()))

    @property
    def totals(self) -> Totals:
        return replace(self._totals, seconds=time.monotonic() - self._started)

    def put(self, result: Result) -> None:
        """To be published, and its input to be acknowledged."""
        self._results.put(result)

    def failed(self) -> None:
        """Count a run of a step that went wrong."""
        self._count(Totals(failed=1))

    def tell(self, level: int, about: str, what: str) -> None:
        """Log what is done about a failure; from the sixth time on that the same is done, for the curious only."""
        with self._lock:
            self._told[what] += 1
            count = self._told[what]
        last = " Further ones are logged at level INFO (-v)." if count == _TOLD else ""
        _log.log(level if count <= _TOLD else logging.INFO, "%s %s%s", about, what, last)

    def _publish_on(self) -> None:
        while (first := self._results.get()) is not None:
            batch, more = [first], True
            while more and sum(len(result.outgoing) for result in batch) < 4 * BATCH_ENTRIES:
                try:
                    result = self._results.get_nowait()
                except queue.Empty:
                    break
                if result is None:
                    self._results.put(None)
                    more = False
                else:
                    batch.append(result)
            try:
                if self._error is None:
                    self._publish(batch)
            except BaseException as error:  # noqa: BLE001 - run() raises it
                self._error = error
                self._on_error(error)

    def _publish(self, batch: Sequence[Result]) -> None:
        owned = []
        for result in batch:
            ours = self.still_ours(result.job, result.held)
            if len(ours) == len(result.held):
                owned.append(result)
            else:
                # What a step made of several inputs is not the output of those that are left.
                self.release(result.job, ours)
        refused: dict[int, str] = {}
        for topic in dict.fromkeys(result.topic for result in owned):
            messages = [message for result in owned if result.topic == topic for message in result.outgoing]
            answer = self._topics.publish_all(topic, messages)
            refused |= {id(failed.message): f"{failed.code}: {failed.reason}" for failed in answer.failed}
        published = []
        for result in owned:
            reasons = [refused[id(message)] for message in result.outgoing if id(message) in refused]
            if not reasons:
                published.append(result)
            for held in result.held if reasons else ():
                self.fail(result.job, held, TopicError(f"topic {result.topic!r} refused the output: {reasons[0]}"))
        self._acknowledge(published)

    def _acknowledge(self, published: Sequence[Result]) -> None:
        held = {item for result in published for item in self.still_ours(result.job, result.held)}
        answer = self._topics.acknowledge(self._input, [item.message for item in held])
        self._leases.drop(held)
        refused = {failed.message.receipt: failed.reason for failed in answer}
        for failed in answer:
            _log.warning(
                "topic %s: message %s was processed and could not be acknowledged, and will be again: %s",
                self._input,
                failed.message.id,
                failed.reason,
            )
        for result in published:
            kept = [item for item in result.held if item in held]
            done = [item for item in kept if item.message.receipt not in refused]
            totals = replace(result.done, lost=len(kept) - len(done))
            if len(done) < len(result.held):
                totals = replace(totals, messages_in=len(done), lines_in=0)
            self._count(totals, result.job)
            self._settled(result.job, len(kept))
        if self._on_progress is not None:
            self._on_progress(self.totals)

    def fail(self, job: Job, held: Held, failure: TopicError) -> None:
        message = held.message
        about = f"topic {self._input}: message {message.id} (receive {message.receive_count}): {failure}"
        if isinstance(failure, StepFailed) and (last_words := failure.stderr.strip().splitlines()[-1:]):
            about += (
                ""
                if str(failure).removesuffix(".").endswith(last_words[0])
                else f" It printed last: {last_words[0]!r}."
            )
        if message.receive_count >= self.max_receives and self._dead_letters is not None:
            letter = dead_letter(message, failure, fifo=self._fifo)
            try:
                if letter is not None and not self._topics.publish_all(self._dead_letters, [letter]).failed:
                    self.tell(logging.ERROR, about, f"Moved to {self._dead_letters}.")
                    refused = self._topics.acknowledge(self._input, [message]) if is_ours(held) else []
                    self._leases.drop([held])
                    self._count(Totals(dead_lettered=1, lost=len(refused)), job)
                    self._settled(job, 1)
                    return
            except TopicError as error:
                _log.warning("topic %s takes no dead letter from here: %s", self._dead_letters, error)
            self.tell(logging.ERROR, about, f"SQS moves it to {self._dead_letters}, without this reason.")
        else:
            self.tell(logging.WARNING, about, "Given back to be tried again.")
        self.release(job, [held], delay=self._retry_delay, failed=True)

    def release(self, job: Job, held: Sequence[Held], *, delay: int = 0, failed: bool = False) -> None:
        if held:
            self._leases.release(held, delay)
            self._count(Totals(released=0 if failed else len(held)), job)
            self._settled(job, len(held))

    def still_ours(self, job: Job, held: Sequence[Held]) -> list[Held]:
        """Those whose deadline has not passed; the others are with somebody else by now, and are let go."""
        lost = [item for item in held if not is_ours(item)]
        if lost:
            _log.warning("topic %s: lost %d messages, whose deadlines passed", self._input, len(lost))
            self._leases.drop(lost)
            self._count(Totals(lost=len(lost)), job)
            self._settled(job, len(lost))
        return [item for item in held if item not in lost]

    def _settled(self, job: Job, messages: int) -> None:
        with self._lock:
            job.pending -= messages
            over = messages > 0 and job.pending == 0
        if over:
            done = replace(job.done, seconds=time.monotonic() - job.started)
            _log.info("%s -> %s: batch: %s. So far: %s", self._input, self._output, done, self.totals)
            self._on_settled()

    def _count(self, more: Totals, job: Job | None = None) -> None:
        with self._lock:
            self._totals += more
            if job is not None:
                job.done += more
