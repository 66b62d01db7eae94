"""Topics: SQS queues in the words of PubSub, over an injected boto3 SQS client."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from tagstream.errors import TopicError
from tagstream.topics.arguments import messages_of, outgoing_of, received, seconds_of, topic_of, whole_number
from tagstream.topics.calls import Calls, TopicSettings, code_of
from tagstream.topics.errors import (
    InvalidTopic,
    LookCounts,
    MessageTooLarge,
    PublishFailed,
    TopicBusy,
    TopicExists,
    TopicNotFound,
)
from tagstream.topics.messages import Counts, Failed, Message, Outgoing, PublishResult
from tagstream.topics.names import (
    check_attributes,
    check_change,
    check_name,
    dead_letter_name,
    is_deployed,
    is_fifo,
    name_of,
)
from tagstream.topics.publishing import problem_of, publish_all
from tagstream.topics.pulling import acknowledge, pull, refresh

__all__ = ["Topics"]

log = logging.getLogger(__name__)

_DELETED_RECENTLY = {"AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently"}
_EXISTS = {"QueueAlreadyExists", "QueueNameExists"}
_LONGEST_DEADLINE = 43_200
_SECONDS_OF_SQS = 60
"""For this long a deleted name cannot be used again, and a purge is not over."""


class Topics:
    """The topics of one account and region.

    ``sqs`` is a boto3 SQS client, or :class:`tagstream.topics.testing.MemorySqs`. Wherever a topic is asked for, its
    name or its URL will do. Every failure is a :class:`tagstream.errors.TopicError`, except errors of credentials and
    connections that remain after the retries, which stay botocore's own. Safe to share between threads.

    >>> from tagstream.topics import Outgoing, Topics
    >>> from tagstream.topics.testing import MemorySqs
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
        if not hasattr(sqs, "get_queue_url"):
            raise TopicError(f'Topics takes a boto3 SQS client, as boto3.client("sqs") makes it: not {sqs!r}.')
        self.settings = settings or TopicSettings()
        self._calls = Calls(sqs, self.settings, clock, sleep)

    # Topics themselves

    def list_topics(self, prefix: str = "") -> list[str]:
        """The names of all topics, or of those that start with ``prefix``, sorted; however many there are."""
        return sorted(self.urls(prefix))

    def urls(self, prefix: str = "") -> dict[str, str]:
        """The URLs of all topics by their names, or of those whose name starts with ``prefix``."""
        if not isinstance(prefix, str):
            raise TopicError(f"a prefix is the text that names start with: not {prefix!r}.")
        return {name_of(url): url for url in self._list_urls(prefix)}

    def _list_urls(self, prefix: str) -> Iterator[str]:
        parameters: dict[str, Any] = {"MaxResults": 1000}
        if prefix:
            parameters["QueueNamePrefix"] = prefix
        while True:
            answer = self._calls.tried(self._calls.sqs.list_queues, **parameters)
            yield from answer.get("QueueUrls", [])
            if not answer.get("NextToken"):
                return
            parameters["NextToken"] = answer["NextToken"]

    def exists(self, topic: str) -> bool:
        """Whether there is a topic of that name."""
        self._calls.urls.pop(topic_of(topic), None)
        try:
            self.url(topic)
        except TopicNotFound:
            return False
        return True

    def url(self, topic: str) -> str:
        """The URL of a topic; raises :class:`TopicNotFound`."""
        return self._calls.url(topic)

    def create(
        self,
        topic: str,
        *,
        exist_ok: bool = False,
        max_receives: int = 2,
        visibility_timeout: int = 300,
        high_throughput: bool = True,
        attributes: Mapping[str, str | int] | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        """Make a topic and its dead-letter topic ``NAME-dead-letter``; replace both when they exist.

        A name that ends in ``.fifo`` makes a FIFO topic (its dead-letter topic is ``NAME-dead-letter.fifo``), with
        content-based deduplication and, unless ``high_throughput`` is false, limits and deduplication per group.
        A message goes to the dead-letter topic after ``max_receives`` receives without an acknowledgement.
        Unacknowledged messages come back after ``visibility_timeout`` seconds. ``attributes`` are any others of SQS.

        Replacing deletes both, **messages included**. AWS gives a deleted name free again after 60 s: so long this
        waits, and calls ``on_wait`` with the seconds left, once a second. (The emulator gives it free at once.)
        Use :meth:`purge` to empty a topic and keep its settings. With ``exist_ok`` what exists stays as it is; a topic
        that has no dead-letter topic is given one.
        """
        fifo = is_fifo(topic_of(topic))
        wanted: dict[str, str] = {"VisibilityTimeout": str(visibility_timeout)}
        dead_wanted = {"MessageRetentionPeriod": "1209600"}  # 14 days, the longest: time to look into what failed
        if fifo:
            kind = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
            if high_throughput:
                kind |= {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
            wanted |= kind
            dead_wanted |= kind
        wanted |= _written(attributes)
        dead = dead_letter_name(topic)
        # What is wrong with both names is said once, and of the one that was given.
        problems = check_name(topic, with_dead_letters=True) + check_attributes(topic, wanted)
        problems += _check_receives(max_receives)
        if problems:
            raise InvalidTopic(topic, problems)
        existing = [name for name in (dead, topic) if self.exists(name)]
        if exist_ok and topic in existing:
            self._link(topic, dead, dead_wanted, max_receives, on_wait)
            return
        if not exist_ok:
            for name in existing:
                self.delete(name)
        if dead not in existing or not exist_ok:
            self._create(dead, dead_wanted, on_wait)
        self._create(topic, wanted | {"RedrivePolicy": self._policy(dead, max_receives)}, on_wait)

    def _link(
        self,
        topic: str,
        dead: str,
        dead_wanted: Mapping[str, str],
        max_receives: int,
        on_wait: Callable[[float], None] | None,
    ) -> None:
        """See that an existing topic has a dead-letter topic: the one that it names, or the usual one."""
        named = self.dead_letter_topic(topic)
        if named is not None and (named == dead or self.exists(named)):
            dead = named
        if not self.exists(dead):
            self._create(dead, dead_wanted, on_wait)
        if named != dead:
            self._set(topic, {"RedrivePolicy": self._policy(dead, max_receives)})

    def _policy(self, dead: str, max_receives: int) -> str:
        return json.dumps({"deadLetterTargetArn": self.attributes(dead)["QueueArn"], "maxReceiveCount": max_receives})

    def _create(self, name: str, attributes: Mapping[str, str], on_wait: Callable[[float], None] | None) -> None:
        deadline = self._calls.now() + 2 * _SECONDS_OF_SQS
        free = self._calls.now() + _SECONDS_OF_SQS
        while True:
            try:
                answer = self._calls.tried(self._calls.sqs.create_queue, QueueName=name, Attributes=dict(attributes))
            except ClientError as error:
                code = code_of(error)
                if code in _EXISTS:
                    raise TopicExists(
                        f"topic {name!r} exists with other attributes: delete it first, or keep it with exist_ok.",
                        topic=name,
                    ) from error
                if code not in _DELETED_RECENTLY:
                    raise self._calls.told(name, error) from error
                if self._calls.now() >= deadline:
                    raise TopicBusy(
                        f"topic {name!r} was deleted a moment ago and its name is not free yet: try again later.",
                        topic=name,
                    ) from error
                if on_wait is not None:
                    on_wait(max(free - self._calls.now(), 1.0))
                self._calls.sleep(1.0)
            else:
                self._calls.urls[name] = str(answer["QueueUrl"])
                log.info("created topic %s", name)
                return

    def create_queue(self, name: str, attributes: Mapping[str, str | int] | None = None) -> str:
        """Make one queue, without a dead-letter topic, with any attributes; returns its URL.

        What SQS would refuse is found before the call: :class:`InvalidTopic` names every problem.
        """
        wanted = _written(attributes)
        if topic_of(name).endswith(".fifo"):
            wanted.setdefault("FifoQueue", "true")
        problems = check_name(name) + check_attributes(name, wanted)
        if problems:
            raise InvalidTopic(name, problems)
        self._create(name, wanted, None)
        return self._calls.urls[name]

    def update(
        self, topic: str, attributes: Mapping[str, str | int] | None = None, *, max_receives: int | None = None
    ) -> None:
        """Change attributes of an existing topic, messages kept; ``max_receives`` is that of its redrive policy.

        What SQS would refuse is found before the call: :class:`InvalidTopic` names every problem. On AWS a change may
        take a minute to show everywhere.
        """
        wanted = _written(attributes)
        problems = check_change(name_of(topic_of(topic)), wanted)
        if max_receives is not None:
            problems += _check_receives(max_receives)
            if "RedrivePolicy" in wanted:
                problems.append("max_receives is a part of RedrivePolicy: give one of them")
        if problems:
            raise InvalidTopic(topic, problems)
        if max_receives is not None:
            dead = self.dead_letter_topic(topic)
            if dead is None:
                raise InvalidTopic(topic, ["it has no dead-letter topic: make one with create and exist_ok"])
            wanted["RedrivePolicy"] = self._policy(dead, max_receives)
        if not wanted:
            raise InvalidTopic(topic, ["there is nothing to change: give an attribute or max_receives"])
        self._set(topic, wanted)

    def _set(self, topic: str, attributes: Mapping[str, str]) -> None:
        url = self.url(topic)
        self._calls.on(topic, self._calls.sqs.set_queue_attributes, QueueUrl=url, Attributes=dict(attributes))
        log.info("topic %s: changed %s", topic, ", ".join(sorted(attributes)))

    def delete(self, topic: str) -> None:
        """Delete one topic, by name or URL, with its messages. Its dead-letter topic stays."""
        self._calls.on(topic, self._calls.sqs.delete_queue, QueueUrl=self.url(topic))
        self._calls.urls = {name: url for name, url in self._calls.urls.items() if topic not in (name, url)}
        log.info("deleted topic %s", topic)

    def clear(self, prefix: str, *, everything: bool = False) -> list[str]:
        """Delete all topics whose name starts with ``prefix``, dead-letter topics too; returns their names.

        Queues that belong to the deployed stacks stay: these are the stacks' to delete. An empty prefix means all other
        queues of the account and region, and is refused without ``everything``.
        """
        if not prefix and not everything:
            raise InvalidTopic(prefix, ["an empty prefix would delete every queue: say so with everything (--all)"])
        return self.delete_all(name for name in self.list_topics(prefix) if not is_deployed(name))

    def delete_all(self, topics: Iterable[str]) -> list[str]:
        """Delete these topics, and nothing that has come meanwhile; returns the names of those that were there."""
        if isinstance(topics, str):
            raise TopicError(f"delete_all takes several topics, such as a list: not {topics!r} (delete takes one).")
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
        self._calls.on(topic, self._calls.sqs.purge_queue, QueueUrl=self.url(topic))
        if on_wait is not None:
            end = self._calls.now() + _SECONDS_OF_SQS
            while (left := end - self._calls.now()) > 0:
                on_wait(left)
                self._calls.sleep(min(left, 1.0))

    def attributes(self, topic: str) -> dict[str, str]:
        """All attributes of a topic, as SQS names and writes them."""
        answer = self._calls.on(
            topic, self._calls.sqs.get_queue_attributes, QueueUrl=self.url(topic), AttributeNames=["All"]
        )
        return dict(answer.get("Attributes", {}))

    def dead_letter_topic(self, topic: str) -> str | None:
        """The name of the topic that takes what fails too often, as the redrive policy says; None without a policy."""
        return _dead_letters_of(self.attributes(topic))

    def counts(self, topic: str) -> Counts:
        """Approximate numbers of messages, the dead-letter topic's too; see :class:`Counts` for how approximate."""
        attributes = self.attributes(topic)
        dead: int | None = None
        name = _dead_letters_of(attributes)
        if name is not None:
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

    def publish(self, topic: str, message: Outgoing | str) -> str:
        """Publish one message, or a text as one; returns its id, or raises :class:`PublishFailed` or
        :class:`MessageTooLarge`.
        """
        message = outgoing_of(message)
        topic_of(topic)
        problem = problem_of(topic, message)
        if problem is not None:
            if problem[0] == "MessageTooLong":
                raise MessageTooLarge(f"topic {topic!r}: {problem[1]}", topic=topic)
            raise PublishFailed(
                f"topic {topic!r}: {problem[1]}", PublishResult(failed=(Failed(message, *problem),)), topic=topic
            )
        entry = message.to_entry()
        return str(self._calls.on(topic, self._calls.sqs.send_message, QueueUrl=self.url(topic), **entry)["MessageId"])

    def publish_all(
        self,
        topic: str,
        messages: Iterable[Outgoing | str],
        *,
        on_batch: Callable[[PublishResult, Sequence[Outgoing]], None] | None = None,
    ) -> PublishResult:
        """Publish any number of messages or texts, in batches within both limits of SQS, several at the same time.

        Returns how many were accepted, and every message that was not, with the reason; transient failures were tried
        again before. ``messages`` is consumed as fast as SQS takes it, so that memory stays flat.
        ``on_batch`` gets the result of each batch, with the accepted messages' ids, and the messages accepted in it, in
        the caller's thread.

        Raises :class:`TopicNotFound`, or :class:`PublishFailed` when a whole call fails for good (no permission,
        no connection): its ``result`` has what was accepted before, and the messages of the failed calls; what follows
        in ``messages`` was not tried.
        """
        return publish_all(self._calls, topic_of(topic), messages_of(messages), on_batch)

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
        (``visibility_timeout`` seconds for these messages, the topic's own when not given). Messages that are asked for
        with less than ``timeout`` are held until all are there, and have it from then: none comes twice.
        """
        whole_number(max_messages, "max_messages", 1)
        whole_number(min_messages, "min_messages", 0, max_messages)
        seconds_of(timeout, "timeout")
        if visibility_timeout is not None:
            whole_number(visibility_timeout, "visibility_timeout", 0, _LONGEST_DEADLINE)
        return pull(
            self._calls,
            topic,
            least=min_messages,
            most=max_messages,
            timeout=timeout,
            visibility_timeout=visibility_timeout,
        )

    def peek(self, topic: str, *, max_messages: int = 10, timeout: float = 1.0, count: bool = False) -> list[Message]:
        """Look at messages, and leave them where they are: they are hidden from others for a moment only.

        SQS knows no look that is not a receive. Where nothing follows from these, as in dead-letter topics, a look does
        no harm. In a topic with a redrive policy each counts, and the last one allowed moves the message to the
        dead-letter topic: raises :class:`LookCounts`, without having looked, unless ``count`` says that it may.
        """
        policy = self.attributes(topic).get("RedrivePolicy")
        if policy and not count:
            raise LookCounts(topic, int(json.loads(policy)["maxReceiveCount"]), self.dead_letter_topic(topic) or "")
        return self.pull(topic, max_messages=max_messages, timeout=timeout, visibility_timeout=0)

    def acknowledge(self, topic: str, messages: Message | Iterable[Message]) -> list[Failed[Message]]:
        """Delete received messages, in batches; returns those that could not be, which SQS will deliver again."""
        return acknowledge(self._calls, topic, received(messages))

    def refresh_deadline(
        self, topic: str, messages: Message | Iterable[Message], seconds: int = 300
    ) -> list[Failed[Message]]:
        """Set the time until the messages are visible again to ``seconds`` from now, in batches; 0 releases them.

        Returns those that could not be: they may be with another subscriber already.
        SQS: 12 hours (43,200 s) after the receive is the end, whatever is asked.
        """
        whole_number(seconds, "seconds", 0, _LONGEST_DEADLINE)
        return refresh(self._calls, topic, received(messages), seconds)

    def now(self) -> float:
        """Seconds, by the clock that this object was given."""
        return self._calls.now()

    def sleep(self, seconds: float) -> None:
        """Wait, by the same clock."""
        self._calls.sleep(seconds)


def _written(attributes: Mapping[str, str | int] | None) -> dict[str, str]:
    """As SQS wants them: all values are texts."""
    if not isinstance(attributes, Mapping | None):
        raise TopicError(f"attributes are names with values, such as {{'DelaySeconds': 5}}: not {attributes!r}.")
    return {str(name): str(value) for name, value in (attributes or {}).items()}


def _check_receives(count: int) -> list[str]:
    within = isinstance(count, int) and 1 <= count <= 1000
    return [] if within else [f"max_receives must be a whole number from 1 to 1,000, not {count!r}"]


def _dead_letters_of(attributes: Mapping[str, str]) -> str | None:
    policy = attributes.get("RedrivePolicy")
    return str(json.loads(policy)["deadLetterTargetArn"]).rsplit(":", 1)[1] if policy else None
