"""A discrete-event simulation of the pipeline: from uploads to photos that are found, batch by batch.

A pure core: no clock, no network, and no randomness but that of the seed. Time is in seconds from the beginning.
What it knows of AWS, as its documentation stood in November 2026:

* An event-source mapping begins with five batches at a time, and adds up to 300 a minute while messages wait, up to
  1,250 or the mapping's own maximum ("Configuring scaling behavior for SQS event source mappings"). How it goes back is
  not said: here, after a minute in which nothing waited for it, to what that minute needed.
* What a FIFO queue gives of a group stays the only one of that group until it is deleted, or visible again; so as many
  batches run as there are groups. That AWS adds them at the same pace as for a standard queue is an assumption.
* A queue gives a message again when its visibility timeout is over, and after so many receives it is a dead letter. A
  call that Lambda throttles has been received, too: that is why such a queue needs five receives or more.
* A FIFO queue takes so many calls of each action a second; others wait their turn, and fail if that takes too long.

Left out: the second delivery of a message that was deleted, the limit on messages in flight (120,000), batches that
take longer than the timeout, and how fast Lambda makes new functions (1,000 in ten seconds).
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any, Literal

__all__ = [
    "Consumer",
    "Histogram",
    "Lognormal",
    "Message",
    "Outcome",
    "Pipeline",
    "Sample",
    "Totals",
    "evenly",
    "poisson",
    "simulate",
]

_NEVER = math.inf
_THROTTLED_SECONDS = 1.0
"""That a poller waits after a call that was throttled."""
_MINUTE = 60

End = Literal["indexed", "rejected", "dead"]


@dataclass(frozen=True)
class Lognormal:
    """What a batch takes: ``wait`` once, and for each message a draw with this ``mean`` and ``sigma`` of its logarithm.

    Each of ``cores`` works on one message at a time, and takes the next one when it is done.

    >>> Lognormal(wait=0.5, mean=0.1)(Random(1), 10)
    1.5
    >>> Lognormal(wait=0.5, mean=0.1, cores=4)(Random(1), 10)
    0.8
    """

    wait: float
    mean: float
    sigma: float = 0.0
    cores: int = 1

    def __call__(self, random: Random, messages: int) -> float:
        if not self.sigma:
            return self.wait + math.ceil(messages / self.cores) * self.mean
        mu = math.log(self.mean) - self.sigma**2 / 2
        draws = (random.lognormvariate(mu, self.sigma) for _ in range(messages))
        if self.cores == 1:
            return self.wait + sum(draws)
        busy = [0.0] * self.cores
        for draw in draws:
            heapq.heapreplace(busy, busy[0] + draw)
        return self.wait + max(busy)


@dataclass(frozen=True)
class Consumer:
    """A function, its queue and the mapping between them.

    ``seconds`` gives what an invocation takes for so many messages, with a warm function; a cold one takes
    ``cold_seconds`` more, and is kept for ``idle_seconds``. So many are ``warm`` at the beginning. ``first``,
    ``more_a_minute`` and ``most`` are batches at a time, and ``reserved`` is the function's own concurrency, if it has
    one. ``poll_seconds`` pass from a message that is there to an invocation that begins. ``calls_a_second`` is what the
    queue takes of each action, and ``patience_seconds`` how long a call may wait for its turn. ``fails`` is the part of
    all tries of a message that fail in a way that may pass.
    """

    seconds: Callable[[Random, int], float]
    most: int
    first: int = 5
    more_a_minute: float = 300
    batch_size: int = 10
    window_seconds: float = 0.0
    visibility_seconds: float = 360
    max_receives: int = 5
    timeout_seconds: float = 60
    fifo: bool = False
    cold_seconds: float = 0.0
    idle_seconds: float = 300
    warm: int = 0
    poll_seconds: float = 0.0
    calls_a_second: float = _NEVER
    patience_seconds: float = 3.0
    reserved: int | None = None
    fails: float = 0.0


@dataclass(frozen=True)
class Pipeline:
    """Both consumers, and what they share.

    ``notified`` gives the seconds from an upload to its event in the queue. Of all uploads, the part ``rejected`` can
    never be classified, and the part ``poisonous`` ends the function that looks at them, at its timeout.
    ``writes_a_second`` is what the domain takes; a write that waits longer than ``write_seconds`` fails, and all do
    between the times of each of ``outages``.
    """

    classify: Consumer
    catalog: Consumer
    account_concurrency: int = 1000
    notified: Callable[[Random], float] = lambda _: 0.0
    rejected: float = 0.0
    poisonous: float = 0.0
    writes_a_second: float = _NEVER
    write_seconds: float = 3.0
    outages: tuple[tuple[float, float], ...] = ()


class Message:
    """An upload on its way: its event in the one queue, and then its update in the other."""

    __slots__ = ("fate", "group", "number", "receives", "uploaded")

    def __init__(self, number: int, uploaded: float, group: int, fate: str) -> None:
        self.number = number
        self.uploaded = uploaded
        self.group = group
        self.fate = fate
        self.receives = 0


class Histogram:
    """Counts of durations in buckets that are 2 % wide, so that a million of them take no more room than a hundred."""

    _STEP = math.log(1.02)

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self._counts[round(math.log(max(seconds, 1e-4)) / self._STEP)] += 1

    def __len__(self) -> int:
        return self._counts.total()

    def percentile(self, percent: float) -> float:
        """Seconds within which ``percent`` of them lie, on 2 %; NaN without any.

        >>> histogram = Histogram()
        >>> for seconds in range(1, 101): histogram.add(seconds)
        >>> 49 < histogram.percentile(50) < 51
        True
        """
        left = percent / 100 * len(self)
        for bucket, number in sorted(self._counts.items()):
            left -= number
            if left <= 0:
                return math.exp(bucket * self._STEP)
        return math.nan


@dataclass
class Totals:
    """Of one consumer. ``calls`` are those to its queue by the mapping that brought something, and its deletes."""

    invocations: int = 0
    messages: int = 0
    seconds: float = 0.0
    cold_starts: int = 0
    throttled: int = 0
    returned: int = 0
    dead: int = 0
    sends: int = 0
    receives: int = 0
    deletes: int = 0
    most_at_once: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """How it stood at a second: uploads so far, ended so far, messages in each queue, batches at a time of each."""

    second: float
    uploaded: int
    ended: int
    events: int
    updates: int
    classify: int
    catalog: int


@dataclass
class Outcome:
    """What became of all uploads. ``latency`` is of those that are found, from the upload on; ``by_minute`` of uploads.

    ``area`` is the time that all uploads have spent in the pipeline, by counting how many there were at each moment;
    ``stayed`` is the same by adding up each one's own.
    """

    ends: Counter[End] = field(default_factory=Counter)
    uploads: int = 0
    classify: Totals = field(default_factory=Totals)
    catalog: Totals = field(default_factory=Totals)
    latency: Histogram = field(default_factory=Histogram)
    by_minute: dict[int, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    samples: list[Sample] = field(default_factory=list)
    area: float = 0.0
    stayed: float = 0.0
    last_upload: float = 0.0
    last_end: float = 0.0


def evenly(number: int, seconds: float, *, groups: int | None = None) -> Iterator[tuple[float, int]]:
    """So many uploads, at equal distances within ``seconds``; each another image, or one of so many ``groups``."""
    for index in range(number):
        yield seconds * index / number, index if groups is None else index % groups


def poisson(number: int, seconds: float, *, seed: int, again: float = 0.0) -> Iterator[tuple[float, int]]:
    """So many uploads by chance within ``seconds`` (about); the part ``again`` replaces an image from before."""
    random, now = Random(seed), 0.0
    rate = number / seconds
    for index in range(number):
        now += random.expovariate(rate)
        yield now, random.randrange(index) if index and random.random() < again else index


def simulate(
    pipeline: Pipeline,
    uploads: Iterable[tuple[float, int]],
    *,
    seed: int = 0,
    every: int = 10,
    trace: Callable[[str, float, Message], None] | None = None,
) -> Outcome:
    """Let ``uploads`` (second and image of each, in the order of time) go through, until the last one has ended.

    The same arguments give the same outcome. Samples are taken ``every`` so many seconds. ``trace`` is told
    ``uploaded``, ``sent`` (to the catalog's queue), and how each ended, with the second and the message.
    """
    return _Run(pipeline, Random(seed), every, trace).through(iter(uploads))


class _Turns:
    """Calls that a service takes one after the other, so many a second."""

    __slots__ = ("_each", "_next")

    def __init__(self, a_second: float) -> None:
        self._each = 1 / a_second
        self._next = 0.0

    def at(self, now: float, amount: int = 1, patience: float = _NEVER) -> float | None:
        """When it is this call's turn; None if that would be after ``patience`` seconds: then it takes no turn."""
        start = max(now, self._next)
        if start - now > patience:
            return None
        self._next = start + amount * self._each
        return start


class _Queue:
    """What is visible of a queue, in order.

    In a FIFO queue, what follows in a group of which something is in flight waits apart from when its turn comes.
    """

    __slots__ = ("_fifo", "_locked", "_waiting", "hidden", "ready")

    def __init__(self, fifo: bool) -> None:
        self._fifo = fifo
        self.ready: deque[Message] = deque()
        self.hidden = 0
        # By group: the messages that wait behind one that is in flight.
        self._waiting: dict[int, deque[Message]] = {}
        self._locked: set[int] = set()

    def __len__(self) -> int:
        return len(self.ready) + self.hidden + sum(map(len, self._waiting.values()))

    def take(self, most: int) -> list[Message]:
        """The next ones, which are hidden now; in a FIFO queue a batch may hold several of one group."""
        taken: list[Message] = []
        if not self._fifo:
            while self.ready and len(taken) < most:
                taken.append(self.ready.popleft())
        else:
            ours: set[int] = set()
            while self.ready and len(taken) < most:
                message = self.ready.popleft()
                if message.group in self._locked and message.group not in ours:
                    self._waiting.setdefault(message.group, deque()).append(message)
                    continue
                ours.add(message.group)
                self._locked.add(message.group)
                taken.append(message)
        for message in taken:
            message.receives += 1
        self.hidden += len(taken)
        return taken

    def release(self, groups: Iterable[int]) -> None:
        """Nothing of these groups is in flight any more: what waited is next, in its order."""
        for group in groups:
            self._locked.discard(group)
            self.ready.extendleft(reversed(self._waiting.pop(group, ())))


class _Feed:
    """A consumer at work."""

    __slots__ = (
        "allowed",
        "busy",
        "consumer",
        "limited",
        "peak",
        "queue",
        "receiving",
        "running",
        "totals",
        "warm",
        "window_ends",
    )

    def __init__(self, consumer: Consumer, totals: Totals) -> None:
        self.consumer = consumer
        self.totals = totals
        self.queue = _Queue(consumer.fifo)
        self.allowed = float(min(consumer.first, consumer.most))
        self.busy = 0
        self.running = 0
        self.peak = 0
        self.limited = False
        self.receiving = _Turns(consumer.calls_a_second)
        # Since when each function that is not in use has been idle; the one that was used last is used next.
        self.warm: deque[float] = deque([0.0] * consumer.warm)
        self.window_ends = -1.0

    def starts_cold(self, now: float) -> bool:
        while self.warm and now - self.warm[0] > self.consumer.idle_seconds:
            self.warm.popleft()
        if self.warm:
            self.warm.pop()
            return False
        return True

    def adapt(self, second: int) -> None:
        """The number of batches at a time, each second."""
        consumer = self.consumer
        if self.queue.ready and self.busy >= int(self.allowed):
            self.limited = True
            self.allowed = min(float(consumer.most), self.allowed + consumer.more_a_minute / _MINUTE)
        if second % _MINUTE == 0:
            if not self.limited:
                self.allowed = float(min(consumer.most, max(consumer.first, self.peak)))
            self.limited, self.peak = False, self.busy


class _Run:
    """One simulation. Events are on a heap, by time and then in the order in which they were planned."""

    def __init__(
        self, pipeline: Pipeline, random: Random, every: int, trace: Callable[[str, float, Message], None] | None
    ) -> None:
        self._pipeline = pipeline
        self._random = random
        self._every = every
        self._trace = trace
        self._now = 0.0
        self._inside = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()
        self._out = Outcome()
        self._classify = _Feed(pipeline.classify, self._out.classify)
        self._catalog = _Feed(pipeline.catalog, self._out.catalog)
        self._feeds = (self._classify, self._catalog)
        self._sending = _Turns(pipeline.catalog.calls_a_second)
        self._writing = _Turns(pipeline.writes_a_second)
        self._over = False

    def _at(self, time: float, what: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._heap, (time, next(self._numbers), what, arguments))

    def through(self, uploads: Iterator[tuple[float, int]]) -> Outcome:
        self._at(0.0, self._tick, 0)
        upcoming = next(uploads, None)
        while self._heap:
            # Only the next upload is known: a million of them take no room.
            if upcoming is not None and upcoming[0] <= self._heap[0][0]:
                self._pass_to(upcoming[0])
                self._upload(upcoming[1])
                upcoming = next(uploads, None)
                continue
            time, _, what, arguments = heapq.heappop(self._heap)
            if what == self._tick and upcoming is None and not self._inside:
                break
            self._pass_to(time)
            what(*arguments)
        self._sample()
        return self._out

    def _pass_to(self, time: float) -> None:
        self._out.area += self._inside * (time - self._now)
        self._now = time

    def _tick(self, second: int) -> None:
        for feed in self._feeds:
            feed.adapt(second)
            self._poll(feed)
        if second % self._every == 0:
            self._sample()
        self._at(float(second + 1), self._tick, second + 1)

    def _sample(self) -> None:
        self._out.samples.append(
            Sample(
                self._now,
                self._out.uploads,
                self._out.uploads - self._inside,
                len(self._classify.queue),
                len(self._catalog.queue),
                self._classify.running,
                self._catalog.running,
            )
        )

    def _upload(self, group: int) -> None:
        random, pipeline = self._random, self._pipeline
        fate = "good"
        if pipeline.rejected or pipeline.poisonous:
            drawn = random.random()
            if drawn < pipeline.rejected:
                fate = "rejected"
            elif drawn < pipeline.rejected + pipeline.poisonous:
                fate = "poisonous"
        message = Message(self._out.uploads, self._now, group, fate)
        self._out.uploads += 1
        self._out.last_upload = self._now
        self._inside += 1
        self._tell("uploaded", message)
        self._at(self._now + pipeline.notified(random), self._arrive, self._classify, message)

    def _arrive(self, feed: _Feed, message: Message) -> None:
        feed.queue.ready.append(message)
        self._poll(feed)

    def _poll(self, feed: _Feed) -> None:
        consumer, queue = feed.consumer, feed.queue
        while queue.ready and feed.busy < int(feed.allowed):
            if consumer.window_seconds and len(queue.ready) < consumer.batch_size:
                if feed.window_ends < 0:
                    feed.window_ends = self._now + consumer.window_seconds
                    self._at(feed.window_ends, self._poll, feed)
                    return
                if self._now < feed.window_ends:
                    return
            feed.window_ends = -1.0
            batch = queue.take(consumer.batch_size)
            if not batch:
                return
            feed.totals.receives += 1
            feed.busy += 1
            feed.peak = max(feed.peak, feed.busy)
            begins = feed.receiving.at(self._now) or 0.0
            if consumer.poll_seconds or begins > self._now:
                self._at(begins + consumer.poll_seconds, self._invoke, feed, batch)
            else:
                self._invoke(feed, batch)

    def _invoke(self, feed: _Feed, batch: list[Message]) -> None:
        consumer, totals = feed.consumer, feed.totals
        at_once = sum(other.running for other in self._feeds)
        if at_once >= self._pipeline.account_concurrency or (
            consumer.reserved is not None and feed.running >= consumer.reserved
        ):
            totals.throttled += 1
            self._give_back(feed, batch)
            self._at(self._now + _THROTTLED_SECONDS, self._free, feed)
            return
        feed.running += 1
        totals.most_at_once = max(totals.most_at_once, feed.running)
        seconds = consumer.seconds(self._random, len(batch))
        if feed.starts_cold(self._now):
            totals.cold_starts += 1
            seconds += consumer.cold_seconds
        written = True
        if feed is self._catalog:
            written, seconds = self._write(len(batch), seconds)
        elif any(message.fate == "poisonous" for message in batch):
            seconds = consumer.timeout_seconds
        totals.invocations += 1
        totals.messages += len(batch)
        totals.seconds += seconds
        finish = self._classified if feed is self._classify else self._cataloged
        self._at(self._now + seconds, finish, batch, written)

    def _write(self, updates: int, seconds: float) -> tuple[bool, float]:
        """Whether the domain takes them, and how long the invocation lasts."""
        pipeline = self._pipeline
        if any(start <= self._now < end for start, end in pipeline.outages):
            return False, seconds + pipeline.write_seconds
        turn = self._writing.at(self._now, updates, pipeline.write_seconds)
        if turn is None:
            return False, seconds + pipeline.write_seconds
        return True, seconds + turn - self._now

    def _classified(self, batch: list[Message], _: bool) -> None:
        """A batch is worked on at once; one that was received before, one by one, those received most often first.

        A photo that ends the function takes all of the batch back the first time, and those behind it later; at its
        third receive it has been recorded as rejected before. See docs/architecture.md.
        """
        feed = self._classify
        done, failed = [], []
        if all(message.receives == 1 for message in batch):
            if any(message.fate == "poisonous" for message in batch):
                failed = batch
            else:
                done = batch
        else:
            batch.sort(key=lambda message: -message.receives)
            for index, message in enumerate(batch):
                if message.fate != "poisonous":
                    done.append(message)
                    continue
                (done if message.receives >= 3 else failed).append(message)
                failed += batch[index + 1 :]
                break
        killed = any(message.fate == "poisonous" for message in batch)
        fails = feed.consumer.fails
        if fails:
            tried, done, failed = done, [], list(failed)
            for message in tried:
                (failed if self._random.random() < fails else done).append(message)
        sent = self._now
        for start in range(0, len(done), 10):
            turn = self._sending.at(self._now, patience=self._pipeline.catalog.patience_seconds)
            some = done[start : start + 10]
            if turn is None:
                failed = failed + some
                continue
            feed.totals.sends += 1
            sent = max(sent, turn)
            feed.queue.hidden -= len(some)
            self._sent(turn, some)
        self._give_back(feed, failed)
        feed.totals.seconds += sent - self._now
        if sent > self._now:
            self._at(sent, self._finish, feed, bool(done), killed)
        else:
            self._finish(feed, bool(done), killed)

    def _sent(self, when: float, some: list[Message]) -> None:
        for message in some:
            message.receives = 0
            if when > self._now:
                self._at(when, self._update, message)
            else:
                self._update(message)

    def _update(self, message: Message) -> None:
        self._tell("sent", message)
        self._catalog.queue.ready.append(message)
        self._poll(self._catalog)

    def _cataloged(self, batch: list[Message], written: bool) -> None:
        """What follows a failed update of the same image fails with it."""
        feed = self._catalog
        if not written:
            failed = batch
        else:
            failed, stuck, fails = [], set(), feed.consumer.fails
            for message in batch:
                if message.group in stuck or (fails and self._random.random() < fails):
                    stuck.add(message.group)
                    failed.append(message)
                else:
                    feed.queue.hidden -= 1
                    self._end(message, "indexed" if message.fate == "good" else "rejected")
            feed.queue.release({message.group for message in batch} - stuck)
        self._give_back(feed, failed)
        self._finish(feed, len(failed) < len(batch), killed=False)

    def _give_back(self, feed: _Feed, messages: Sequence[Message]) -> None:
        """They stay hidden, and in a FIFO queue their groups with them, until their visibility timeout is over."""
        if messages:
            feed.totals.returned += len(messages)
            self._at(self._now + feed.consumer.visibility_seconds, self._again, feed, list(messages))

    def _again(self, feed: _Feed, messages: list[Message]) -> None:
        queue = feed.queue
        queue.hidden -= len(messages)
        alive = []
        for message in messages:
            if message.receives >= feed.consumer.max_receives:
                feed.totals.dead += 1
                self._end(message, "dead")
            else:
                alive.append(message)
        if feed.consumer.fifo:
            queue.release({message.group for message in messages})
            # In front of what has waited behind them.
            queue.ready.extendleft(reversed(alive))
        else:
            queue.ready.extend(alive)
        self._poll(feed)

    def _finish(self, feed: _Feed, deletes: bool, killed: bool) -> None:
        feed.running -= 1
        feed.totals.deletes += deletes
        if not killed:
            feed.warm.append(self._now)
        self._free(feed)

    def _free(self, feed: _Feed) -> None:
        feed.busy -= 1
        self._poll(feed)

    def _end(self, message: Message, end: End) -> None:
        out, stayed = self._out, self._now - message.uploaded
        out.ends[end] += 1
        out.stayed += stayed
        out.last_end = self._now
        self._inside -= 1
        if end == "indexed":
            out.latency.add(stayed)
            out.by_minute[int(message.uploaded // _MINUTE)].add(stayed)
        self._tell(end, message)

    def _tell(self, what: str, message: Message) -> None:
        if self._trace is not None:
            self._trace(what, self._now, message)
