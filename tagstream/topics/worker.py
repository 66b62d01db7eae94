"""A worker: pulls from an input topic, runs a step, publishes what it made, acknowledges.

What holds, whatever dies when:

* Output is published before its input is acknowledged, and its identity comes from its input's and the
  workflow's alone: a message that is processed twice gives the same output twice, which a download drops.
* The deadlines of all that is held are refreshed from the moment of receipt. What could not be refreshed in
  time belongs to someone else: it is neither published nor acknowledged.
* A step that fails leaves its input to be retried. On the last receive that the topic allows, the worker
  moves the input to the dead-letter topic itself, with the attributes ``failure`` (why) and
  ``failure_output`` (what the step printed last); SQS' own redrive, which says no reason, remains for crashes.
* Nothing more is held than is being processed, plus about half a second's worth of work.
* On a FIFO topic one message is received at a time: a batch would hold the next messages of a group, and
  each failure of the first would count as a receive of the others, until they are dead-lettered as well.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import TypedDict, Unpack, cast

from tagstream.errors import TopicError
from tagstream.topics.client import Topics
from tagstream.topics.errors import MessageTooLarge, Misuse, ParcelDamaged, StepFailed
from tagstream.topics.functions import FunctionStep
from tagstream.topics.leases import Held, Leases
from tagstream.topics.messages import BATCH_ENTRIES
from tagstream.topics.names import is_fifo
from tagstream.topics.outputs import count_lines, ended, is_part, lines_in, outputs, parcel_in, shares
from tagstream.topics.parcels import Parcel, ParcelSettings, outgoing
from tagstream.topics.settling import Job, Result, Settling
from tagstream.topics.step import Step
from tagstream.topics.totals import Totals

__all__ = ["Totals", "Worker", "WorkerSettings", "process"]

AnyStep = Step | FunctionStep

_log = logging.getLogger(__name__)

# Received ahead of what is being processed, so that quick steps don't wait for the network, while those that
# take long leave the rest to other workers.
_AHEAD_SECONDS = 0.5
_AHEAD_MESSAGES = 20
# A long poll cannot be broken off without losing what it is just being given: short enough to drain soon.
_POLL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker works; all times in seconds.

    ``workers`` steps run at once. ``batch_size`` is the number of lines that a step gets: a larger parcel is
    split and republished to the input topic (on a FIFO topic: run batch by batch, to keep the order), smaller
    ones are gathered until there are at least as many, or no more come; ``None`` runs the step on each parcel
    as it comes. Gathering is for steps that write a line for each line: only then can each parcel's output be
    told apart. With any other step the worker goes on parcel by parcel, and says so.

    ``deadline`` is the acknowledgement deadline (visibility timeout): how soon others take over what a killed
    worker held. ``retry_delay`` is how long a failed input stays hidden. The worker ends when the topic
    has been empty for ``idle_timeout``, in flight and delayed messages included, or never if that is ``None``.
    """

    workers: int = 1
    batch_size: int | None = None
    deadline: int = 60
    retry_delay: int = 0
    idle_timeout: float | None = 20.0

    def __post_init__(self) -> None:
        self._check_types()
        wrong = []
        if self.workers < 1:
            wrong.append(f"workers is {self.workers}, and must be 1 or more")
        if self.batch_size is not None and self.batch_size < 1:
            wrong.append(f"batch size is {self.batch_size} lines, and must be 1 or more")
        if not 1 <= self.deadline <= 43_200:
            wrong.append(f"deadline is {self.deadline} s, and must be from 1 to 43,200")
        if not 0 <= self.retry_delay <= 43_200:
            wrong.append(f"retry delay is {self.retry_delay} s, and must be from 0 to 43,200")
        # Also what is no number at all, and would never be reached.
        if self.idle_timeout is not None and not self.idle_timeout >= 0:
            wrong.append(f"idle timeout is {self.idle_timeout} s, and must be 0 or more")
        if wrong:
            raise Misuse("; ".join(wrong) + ".")

    def _check_types(self) -> None:
        for name in ("workers", "batch_size", "deadline", "retry_delay", "idle_timeout"):
            value = getattr(self, name)
            optional, kinds = name in {"batch_size", "idle_timeout"}, (int, float) if name == "idle_timeout" else (int,)
            if (value is None and optional) or (isinstance(value, kinds) and not isinstance(value, bool)):
                continue
            wanted = ("a number of seconds" if len(kinds) > 1 else "a whole number") + (" or None" if optional else "")
            raise TopicError(f"{name.replace('_', ' ')} is {value!r}, and must be {wanted}.")


class Worker:
    """Runs ``step`` over the messages of one topic; see the module for what it guarantees.

    :meth:`run` blocks until the topic is empty, or until :meth:`drain` or :meth:`kill`, which may be called from
    other threads and from a signal handler of the main thread while :meth:`run` is in another one.
    ``on_progress`` gets the totals whenever messages were dealt with, from a thread of the worker's.
    """

    def __init__(
        self,
        topics: Topics,
        input_topic: str,
        output_topic: str,
        step: AnyStep,
        *,
        settings: WorkerSettings | None = None,
        parcels: ParcelSettings | None = None,
        on_progress: Callable[[Totals], None] | None = None,
    ) -> None:
        for value, kind, wanted in (
            (topics, Topics, "the topics come first, a tagstream.topics.Topics"),
            (input_topic, str, "the input topic is a name"),
            (output_topic, str, "the output topic is a name"),
            (
                step,
                Step | FunctionStep,
                "a step is a tagstream.topics.Step or FunctionStep, or what process makes one of",
            ),
        ):
            if not isinstance(value, kind):
                raise TopicError(f"{wanted}, and not {value!r}.")
        self._topics = topics
        self._input = input_topic
        self._output = output_topic
        self._step = step
        self._settings = settings or WorkerSettings()
        self._parcels = parcels or ParcelSettings()
        self._workflow = step.workflow_id or step.name
        self._fifo = is_fifo(input_topic)
        self._leases = Leases(topics, input_topic, self._settings.deadline)
        self._changed = threading.Condition()
        self._jobs = 0
        self._step_seconds: float | None = None
        self._gathers = self._settings.batch_size is not None
        self._messages_a_job = 1
        self._draining = False
        self._killed = False
        self._error: BaseException | None = None
        self._settling = Settling(
            topics,
            input_topic,
            output_topic,
            self._leases,
            retry_delay=self._settings.retry_delay,
            on_settled=self._on_settled,
            on_error=self._abort,
            on_progress=on_progress,
        )

    def run(self) -> Totals:
        """Work until there is nothing left to do; returns what was done.

        Raises what makes going on pointless (:class:`TopicNotFound`, :class:`PublishFailed`, a step that can't be
        executed, no connection), after everything held was given back.
        """
        if self._topics.url(self._output) == self._topics.url(self._input):
            raise Misuse(f"topic {self._input!r} can't be both input and output: it would never be empty.")
        with self._leases, self._settling, ThreadPoolExecutor(self._settings.workers, "step") as pool:
            try:
                self._pull_on(pool)
            except BaseException:
                self.drain()
                raise
        if self._error is not None:
            raise self._error
        _log.info("%s -> %s: done: %s", self._input, self._output, self.totals)
        return self.totals

    @property
    def totals(self) -> Totals:
        return self._settling.totals

    def drain(self) -> None:
        """Receive no more, finish the steps that run, give the rest back."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def kill(self) -> None:
        """Like :meth:`drain`, but kill the steps that run and give their input back as well."""
        self._killed = True
        self.drain()
        self._step.kill()

    # Pulling: in the thread of run()

    def _pull_on(self, pool: ThreadPoolExecutor) -> None:
        idle_timeout = self._settings.idle_timeout
        poll = _POLL_SECONDS if idle_timeout is None else min(_POLL_SECONDS, idle_timeout)
        gathered: list[Held] = []
        idle_since = time.monotonic()
        while (room := self._await_room(len(gathered))) > 0:
            messages = self._topics.pull(
                self._input,
                max_messages=room,
                timeout=min(poll, 1.0) if gathered else poll,
                visibility_timeout=self._settings.deadline,
            )
            gathered += self._leases.hold(messages)
            gathered = self._start(pool, gathered, more=bool(messages))
            if messages:
                idle_since = time.monotonic()
                continue
            if self._jobs == 0 and idle_timeout is not None and time.monotonic() - idle_since >= idle_timeout:
                if self._topics.counts(self._input).total == 0:
                    return
                idle_since = time.monotonic()
            with self._changed:
                if self._jobs:
                    idle_since = time.monotonic()
                # With an idle timeout below a second, or an endpoint that does not wait: no busy loop.
                self._changed.wait(0.05)
        self._start(pool, gathered, more=False)

    def _await_room(self, gathered: int) -> int:
        """How many messages may be received now; 0 when no more are wanted."""
        workers = self._settings.workers
        with self._changed:
            while not self._draining:
                ahead = 0
                if self._step_seconds is not None:
                    ahead = min(_AHEAD_MESSAGES, int(workers * _AHEAD_SECONDS / self._step_seconds))
                room, wanted = workers + ahead - self._jobs, max(1, min(BATCH_ENTRIES, ahead))
                if self._gathers and room > 0:
                    # What completes the next batches, and no more: others may be free to work on it.
                    room, wanted = min(BATCH_ENTRIES, max(1, room * self._messages_a_job - gathered)), 1
                if self._fifo:
                    room, wanted = min(room, 1), 1
                if room >= wanted:
                    return room
                # With an end, for whoever runs a worker in the main thread: Python's handlers of signals run there.
                self._changed.wait(1.0)
        return 0

    def _start(self, pool: ThreadPoolExecutor, gathered: list[Held], *, more: bool) -> list[Held]:
        """Start the jobs that are complete; returns what is still to be gathered for, if ``more`` may come."""
        batch_size = self._settings.batch_size or 0
        batch: list[Held] = []
        lines = 0
        for held in gathered:
            count = lines_in(held.message)
            # The last part of a split parcel is as large as it is meant to be.
            if not self._gathers or count > batch_size or is_part(held.message, batch_size):
                self._submit(pool, [held])
                continue
            self._messages_a_job = math.ceil(batch_size / max(count, 1))
            batch.append(held)
            lines += count
            if lines >= batch_size:
                self._submit(pool, batch)
                batch, lines = [], 0
        if batch and not more:
            self._submit(pool, batch)
            batch = []
        return batch

    def _submit(self, pool: ThreadPoolExecutor, held: list[Held]) -> None:
        job = Job(held)
        with self._changed:
            self._jobs += 1
        pool.submit(self._run, job)

    # Processing: in the threads of the pool

    def _run(self, job: Job) -> None:
        try:
            held = self._settling.still_ours(job, job.held)
            # Released on its last receive, a message would be dead-lettered without having been tried.
            spare = all(item.message.receive_count < self._settling.max_receives for item in held)
            if self._draining and (self._killed or spare):
                self._settling.release(job, held)
            elif held:
                self._process(job, held)
        except BaseException as error:  # noqa: BLE001 - run() raises it
            self._abort(error)

    def _process(self, job: Job, held: Sequence[Held]) -> None:
        try:
            results = self._results_of(job, held)
        except (StepFailed, ParcelDamaged, MessageTooLarge) as failure:
            if self._killed:
                self._settling.release(job, held)
                return
            self._settling.failed()
            if len(held) > 1:
                self._settling.tell(logging.WARNING, f"topic {self._input}: {failure}", "Trying its inputs one by one.")
                for item in held:
                    self._process(job, [item])
            else:
                self._settling.fail(job, held[0], failure)
            return
        for result in results:
            self._settling.put(result)

    def _results_of(self, job: Job, held: Sequence[Held]) -> list[Result]:
        parcels = [parcel_in(item.message) for item in held]
        lines = sum(parcel.line_count for parcel in parcels)
        batch_size = self._settings.batch_size
        too_large = len(parcels) == 1 and batch_size is not None and lines > batch_size
        if too_large and not self._fifo:
            parts = parcels[0].parts(cast(int, batch_size))
            messages = tuple(outgoing(part, self._parcels) for part in parts)
            return [Result(job, tuple(held), self._input, messages, Totals(repackaged=1))]
        if too_large:
            # Republished, the parts would come after the rest of their group.
            output = b"".join(self._step_on(part.content) for part in parcels[0].parts(cast(int, batch_size)))
        else:
            output = self._step_on(b"".join(ended(parcel.content) for parcel in parcels[:-1]) + parcels[-1].content)
        each = shares(output, [parcel.line_count for parcel in parcels])
        if each is None:
            # Output of several inputs together could not be told from that of others that overlap, after a crash.
            if self._gathers:
                _log.warning(
                    "step %s does not write a line for each line, so that the output of gathered parcels can't be told "
                    "apart: from now on it gets one parcel at a time. Upload larger parcels to give it more lines.",
                    self._step.name,
                )
            self._gathers = False
            return [result for item in held for result in self._results_of(job, [item])]
        # The newlines that kept the inputs apart are no part of the output.
        for number, parcel in enumerate(parcels[:-1]):
            if not parcel.content.endswith(b"\n"):
                each[number] = each[number].removesuffix(b"\n")
        return [
            self._result(job, [item], parcel, share, parcel.line_count)
            for item, parcel, share in zip(held, parcels, each, strict=True)
        ]

    def _step_on(self, content: bytes) -> bytes:
        if not content:
            return b""  # an earlier step had nothing to say
        started = time.monotonic()
        output = self._step.run(content)
        seconds = max(time.monotonic() - started, 1e-6)
        known = self._step_seconds
        self._step_seconds = seconds if known is None else 0.8 * known + 0.2 * seconds
        return ended(output) if content.endswith(b"\n") else output

    def _result(self, job: Job, held: Sequence[Held], parcel: Parcel, output: bytes, lines_in: int) -> Result:
        messages = tuple(
            outputs(
                parcel,
                output,
                workflow=self._workflow,
                topic=self._output,
                group_id=held[0].message.group_id,
                settings=self._parcels,
            )
        )
        done = Totals(
            messages_in=len(held), lines_in=lines_in, messages_out=len(messages), lines_out=count_lines(output)
        )
        return Result(job, tuple(held), self._output, messages, done)

    def _on_settled(self) -> None:
        with self._changed:
            self._jobs -= 1
            self._changed.notify_all()

    def _abort(self, error: BaseException) -> None:
        self._error = self._error or error
        self.drain()


class Options(TypedDict, total=False):
    """The fields of :class:`WorkerSettings`, one by one."""

    workers: int
    batch_size: int | None
    deadline: int
    retry_delay: int
    idle_timeout: float | None


def process(
    topics: Topics,
    input_topic: str,
    output_topic: str,
    step: str | os.PathLike[str] | Callable[[bytes], bytes] | AnyStep,
    *,
    settings_file: str | os.PathLike[str] | None = None,
    workflow_id: str = "",
    step_timeout: float | None = None,
    settings: WorkerSettings | None = None,
    **options: Unpack[Options],
) -> tuple[int, int]:
    """Run ``step`` over all messages of a topic; returns how many were processed and how many published for them.

    ``step`` is a program (see :class:`Step`) or a Python function of bytes (see :class:`FunctionStep`; :func:`by_line`
    makes one of a function of lines). A program may be given a settings file and is killed after ``step_timeout``
    seconds (900); a function can be neither. ``options`` are those of :class:`WorkerSettings`, and come before
    ``settings``. Misuse is a :class:`TopicError` that says what was expected.

    >>> from tagstream.topics import Outgoing
    >>> from tagstream.topics.testing import MemorySqs
    >>> topics = Topics(MemorySqs())
    >>> for name in ("smiles", "copies", "capitals"):
    ...     topics.create(name)
    >>> topics.publish_all("smiles", [Outgoing("cco"), Outgoing("c")]).accepted
    2
    >>> process(topics, "smiles", "copies", "cp", batch_size=50, idle_timeout=0)
    (2, 2)
    >>> process(topics, "copies", "capitals", bytes.upper, idle_timeout=0)
    (2, 2)
    """
    names = [item.name for item in fields(WorkerSettings)]
    if unknown := [name for name in options if name not in names]:
        raise TopicError(f"process takes no {unknown[0]}: its options are {', '.join(names)}.")
    if settings is not None and not isinstance(settings, WorkerSettings):
        raise TopicError(f"settings are a WorkerSettings, and not {settings!r}: a file for the step is settings_file.")
    chosen = replace(settings or WorkerSettings(), **options)
    program: AnyStep
    if isinstance(step, str | os.PathLike):
        timeout = 900.0 if step_timeout is None else step_timeout
        program = Step(step, settings_file=settings_file, workflow_id=workflow_id, timeout=timeout)
    elif settings_file is not None or step_timeout is not None:
        raise TopicError("a settings file and a time limit are for programs: give a function all that it needs itself.")
    elif callable(step):
        program = FunctionStep(step, workflow_id=workflow_id)
    else:
        program = step
    totals = Worker(topics, input_topic, output_topic, program, settings=chosen).run()
    return totals.messages_in, totals.messages_out
