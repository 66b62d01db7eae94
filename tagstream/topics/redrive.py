"""Dead letters back to where they can be processed again.

SQS has such a task of its own (StartMessageMoveTask), which keeps neither groups nor order, and which local clouds do
not have. Here each message is published before it is deleted: a redrive that is killed leaves some messages twice at
worst, and loses none. Parcels that come twice are dropped by a download; of a FIFO topic, SQS drops them for five
minutes.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tagstream.errors import TopicError
from tagstream.topics.arguments import expect_topics, seconds_of, topic_of, whole_number
from tagstream.topics.client import Topics
from tagstream.topics.errors import PublishFailed
from tagstream.topics.messages import BATCH_ENTRIES, MAX_BYTES, Attribute, Failed, Message, Outgoing, PublishResult
from tagstream.topics.names import dead_letter_name, is_dead_letter_name, is_deployed, is_fifo, main_name, name_of

__all__ = ["RedriveResult", "redrive"]

log = logging.getLogger(__name__)

_MARK = "redriven"
"""The attribute that says which redrive published a message: if it comes back while that still runs, it is left."""
_REASONS = ("failure", "failure_output")
"""Why a message was dead-lettered; not true of it any more."""
_CLOCKS_DIFFER = 5.0
"""Seconds by which SQS' clock, which says when a message was sent, may be ahead of ours."""
_POLL_SECONDS = 2.0
_SECONDS_TO_LOOK = 600
"""So long a redrive of some hides the others, and one that is killed at most."""


@dataclass(frozen=True, slots=True)
class RedriveResult:
    """``moved`` messages are in ``to`` now. ``failed`` were not accepted there, ``came_back`` failed again meanwhile:
    both are in ``dead_letter_topic``, among the ``left`` messages (approximately) that it still has.
    """

    dead_letter_topic: str
    to: str
    moved: int = 0
    failed: tuple[Failed[Message], ...] = ()
    came_back: int = 0
    left: int = 0


def redrive(
    topics: Topics,
    topic: str,
    to: str | None = None,
    *,
    rate: float | None = None,
    only: Callable[[Message], bool] | None = None,
    most: int | None = None,
    idle: float = 5.0,
    visibility_timeout: int = 60,
    on_progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> RedriveResult:
    """Publish the dead letters of a topic to it again, or to the topic ``to``, and delete them then.

    Takes what was there at the start, and nothing that comes meanwhile: a message that fails again is not moved again.
    The reasons of the failure (the attributes ``failure`` and ``failure_output``) do not go along.

    Of a FIFO topic, groups and the order in them are kept: when a message is not accepted, those behind it in its group
    stay as well. The deduplication ids are new ones, since SQS would drop the old ones for five minutes, and the same
    whenever the same dead letter is published.

    ``only`` chooses which are moved, ``most`` how many at most. Of a FIFO topic, one that is chosen stays when a
    message before it in its group is not, since it would overtake that: it is among the ``failed``, as "Behind".

    No more than ``rate`` messages a second, where that is given. Ends when nothing more has come for ``idle`` seconds,
    or when ``stopped()``, after the messages in hand; what others hold is waited for until it had the time to come
    back (``visibility_timeout``, for which a redrive that was killed may have hidden ten messages).
    ``on_progress`` gets how many are moved, and about how many there were.

    Raises :class:`TopicError` when there is no dead-letter topic, or the two are not of the same kind, and
    :class:`PublishFailed` when publishing fails altogether: what was not published is still among the dead letters.
    When SQS refuses to delete what was published, nothing more is published, and :class:`TopicError` says so.
    """
    expect_topics(topics)
    seconds_of(idle, "idle")
    whole_number(visibility_timeout, "visibility_timeout", 1)
    dead, target = _from(topics, topic_of(topic), to), topic if to is None else topic_of(to)
    if is_fifo(dead) != is_fifo(target):
        raise TopicError(
            f"the dead letters in {dead!r} cannot go to {target!r}: both must be FIFO topics, or none of them.",
            topic=topic,
        )
    if topics.url(dead) == topics.url(target):
        raise TopicError(f"topic {dead!r} cannot be redriven to itself: name another one.", topic=topic)
    if rate is not None and (not isinstance(rate, int | float) or not rate > 0):
        raise TopicError(f"a rate is more than 0 messages a second: not {rate!r}.", topic=topic)
    if most is not None:
        whole_number(most, "most", 1)
    if only is not None:
        # Whoever was not chosen must not come again before all others have.
        visibility_timeout = max(visibility_timeout, _SECONDS_TO_LOOK)
    run = _Run(topics, dead, target, int((time.time() + _CLOCKS_DIFFER) * 1000), only=only, most=most)
    try:
        run.go(rate, idle, visibility_timeout, on_progress, stopped)
    finally:
        run.give_back()
    result = RedriveResult(
        dead_letter_topic=dead,
        to=name_of(target),
        moved=run.moved,
        failed=tuple(run.failed.values()),
        came_back=len(run.later) - run.not_chosen,
        left=topics.counts(dead).total,
    )
    log.info("redrove %d messages from %s to %s", result.moved, dead, target)
    return result


def _from(topics: Topics, topic: str, to: str | None) -> str:
    """The topic that has the dead letters of this one."""
    usual = dead_letter_name(name_of(topic))
    if topics.exists(topic):
        dead = topics.dead_letter_topic(topic)
        if dead is not None:
            return dead
        if topics.exists(usual):
            return usual
        if is_dead_letter_name(name_of(topic)):
            raise TopicError(
                f"topic {topic!r} has dead letters, and none of its own: name the topic that they come from, "
                f"{main_name(name_of(topic))!r}.",
                topic=topic,
            )
        if is_deployed(name_of(topic)):
            raise TopicError(
                f"topic {topic!r} has no dead-letter topic of its own: if it has dead letters, name the queue that "
                "they come from, as 'tagstream topics list --all' shows it.",
                topic=topic,
            )
        raise TopicError(
            f"topic {topic!r} has no dead-letter topic: make one with 'topics create {name_of(topic)} --exist-ok'.",
            topic=topic,
        )
    if to is None or not topics.exists(usual):
        topics.url(topic)  # which says that it does not exist
    return usual


class _Run:
    """What one redrive has moved, and what it holds back."""

    def __init__(
        self,
        topics: Topics,
        dead: str,
        target: str,
        newest: int,
        *,
        only: Callable[[Message], bool] | None,
        most: int | None,
    ) -> None:
        self.moved = 0
        self.not_chosen = 0
        self.failed: dict[str, Failed[Message]] = {}
        self.later: dict[str, Message] = {}
        self._topics = topics
        self._dead = dead
        self._target = target
        self._fifo = is_fifo(target)
        self._newest = newest  # ms since 1970
        self._only = only
        self._most = most
        self._stuck: set[str | None] = set()  # groups, behind a message that was not chosen
        self._mark = secrets.token_hex(6)
        self._published: set[str] = set()  # and not deleted yet
        self._undeleted: set[str] = set()  # those of them that SQS did not delete when it was asked

    def go(
        self,
        rate: float | None,
        idle: float,
        visibility_timeout: int,
        on_progress: Callable[[int, int], None] | None,
        stopped: Callable[[], bool],
    ) -> None:
        topics = self._topics
        total = topics.counts(self._dead).total
        started = last = topics.now()
        size = BATCH_ENTRIES if rate is None else max(1, min(BATCH_ENTRIES, int(rate)))
        while not stopped():
            if self._most is not None:
                if self.moved >= self._most:
                    return
                size = min(size, self._most - self.moved)
            if rate is not None and (early := started + self.moved / rate - topics.now()) > 0:
                topics.sleep(min(early, 0.5))
                last = topics.now()
                continue
            # At least a moment: what is left of the idle time may be too little for a clock to show that it passed.
            poll = max(min(idle - (topics.now() - last), _POLL_SECONDS), 0.01 if idle else 0.0)
            messages = topics.pull(self._dead, max_messages=size, timeout=poll, visibility_timeout=visibility_timeout)
            seen = len(self.later) + len(self.failed)
            ours = self._ours(messages)
            if ours:
                try:
                    self._move(ours)
                except TopicError:
                    # All that was in hand is given back; what was deleted of it is none the less gone.
                    self.later |= {message.id: message for message in ours}
                    raise
                last = topics.now()
                if on_progress is not None:
                    on_progress(self.moved, max(total, self.moved))
                continue
            if len(self.later) + len(self.failed) > seen:
                last = topics.now()
            waited = topics.now() - last
            if waited < idle:
                continue
            held = topics.counts(self._dead).in_flight - len(self.later) - len(self.failed)
            if held <= 0 or waited >= idle + visibility_timeout:
                return
            topics.sleep(min(1.0, idle + visibility_timeout - waited))

    def give_back(self) -> None:
        """What was held back is visible again."""
        held = [*self.later.values(), *(failure.message for failure in self.failed.values())]
        if held:
            self._topics.refresh_deadline(self._dead, held, 0)

    def _ours(self, messages: Sequence[Message]) -> list[Message]:
        """Those that were there at the start; the others are held, so as not to be in the way again and again."""
        ours = []
        for message in messages:
            failure = self.failed.get(message.id)
            if failure is not None:
                self.failed[message.id] = Failed(message, failure.code, failure.reason)  # with its new receipt
            elif message.id in self.later or message.sent_at > self._newest or self._is_marked(message):
                self.later[message.id] = message
            elif self._only is not None and not self._only(message):
                self.later[message.id] = message
                self.not_chosen += 1
                if self._fifo:
                    self._stuck.add(message.group_id)
            elif self._fifo and message.group_id in self._stuck:
                self._hold(message, "Behind", "a message before it in its group was not chosen")
            else:
                ours.append(message)
        return ours

    def _is_marked(self, message: Message) -> bool:
        return message.attributes.get(_MARK) == self._mark

    def _move(self, messages: Sequence[Message]) -> None:
        stuck: set[str | None] = set()
        for wave in _waves(messages) if self._fifo else [list(messages)]:
            wanted = [message for message in wave if not self._fifo or message.group_id not in stuck]
            for message in wave:
                if message not in wanted:
                    self._hold(message, "Behind", "a message before it in its group was not accepted")
            for failure in self._publish([message for message in wanted if message.id not in self._published]):
                self._hold(failure.message, failure.code, failure.reason)
                stuck.add(failure.message.group_id)
            done = [message for message in wanted if message.id not in self.failed]
            # Those that could not be deleted come again, and are not published again then.
            left = self._topics.acknowledge(self._dead, done)
            self._published -= {message.id for message in done} - {failed.message.id for failed in left}
            self._expect_deleted(left)

    def _expect_deleted(self, left: Sequence[Failed[Message]]) -> None:
        """Raises TopicError where trying again is pointless: the call was refused, or twice for the same message."""
        for failed in left:
            if failed.code == TopicError.__name__ or failed.message.id in self._undeleted:
                raise TopicError(
                    f"{len(left):,} messages are in {name_of(self._target)!r} again, and could not be deleted from "
                    f"{self._dead!r}: {failed.reason.rstrip('.')}. So nothing more was moved ({self.moved:,} were in "
                    "all): once messages may be deleted there (sqs:DeleteMessage), type the same again, which "
                    "publishes these another time.",
                    topic=self._dead,
                )
        self._undeleted |= {failed.message.id for failed in left}

    def _hold(self, message: Message, code: str, reason: str) -> None:
        self.failed[message.id] = Failed(message, code, reason)

    def _publish(self, messages: Sequence[Message]) -> list[Failed[Message]]:
        """Publish copies; returns what was not accepted. What was, is known even when the call ends in an error."""
        copies = [again(message, self._mark, fifo=self._fifo) for message in messages]
        originals = {id(copy): message for copy, message in zip(copies, messages, strict=True)}

        def on_batch(_: PublishResult, accepted: Sequence[Outgoing]) -> None:
            self._published |= {originals[id(copy)].id for copy in accepted}
            self.moved += len(accepted)

        try:
            result = self._topics.publish_all(self._target, copies, on_batch=on_batch)
        except PublishFailed:
            done = [message for message in messages if message.id in self._published]
            self._topics.acknowledge(self._dead, done)
            raise
        return [Failed(originals[id(failed.message)], failed.code, failed.reason) for failed in result.failed]


def _waves(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """One message of each group at a time, so that none overtakes the one before it."""
    left = list(messages)
    while left:
        first = {message.group_id: message for message in reversed(left)}
        yield list(first.values())
        left = [message for message in left if first[message.group_id] is not message]


def again(message: Message, mark: str, *, fifo: bool = False) -> Outgoing:
    """A dead letter as it was before it failed, marked with the redrive that publishes it where there is room for that.

    >>> again(Message("id", "receipt", "CCO", {"failure": "exit code 1", "n": 1}), "a1")
    Outgoing(body='CCO', attributes={'n': 1, 'redriven': 'a1'}, group_id=None, deduplication_id=None, delay=0)
    """
    attributes: dict[str, Attribute] = {
        name: value for name, value in message.attributes.items() if name not in _REASONS and name != _MARK
    }
    # Not the one that it had, which SQS may still know; and of this dead letter, whoever publishes it again.
    once = hashlib.sha256(f"redrive/{message.id}".encode()).hexdigest() if fifo else None
    plain = Outgoing(message.body, attributes, group_id=message.group_id, deduplication_id=once)
    marked = replace(plain, attributes={**attributes, _MARK: mark})
    return marked if marked.size <= MAX_BYTES and len(marked.attributes) <= 10 else plain
