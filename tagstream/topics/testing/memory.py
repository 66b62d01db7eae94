"""An SQS in memory, for tests: the boto3 client's calls that :class:`tagstream.topics.Topics` makes.

It has what matters to code above it: visibility timeouts, receive counts, dead-letter queues, delays, FIFO groups
and deduplication, the limits of sizes and of batches; and, when asked, the unpleasant things that SQS may do:
deliver twice, in any order, fail now and then. Limits that it does not have: throughput, retention, permissions.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tagstream.topics.messages import BATCH_ENTRIES, MAX_BYTES
from tagstream.topics.testing.clock import Clock
from tagstream.topics.testing.queues import (
    Queue,
    Stored,
    batch_answer,
    check_batch,
    client_error,
    problem_of,
    received_message,
    size_of,
)

__all__ = ["Chaos", "MemorySqs"]

_URL = "https://sqs.memory.invalid/000000000000/"
_DEDUPLICATION_SECONDS = 300
_DEFAULTS = {
    "VisibilityTimeout": "30",
    "MaximumMessageSize": str(MAX_BYTES),
    "MessageRetentionPeriod": "345600",
    "DelaySeconds": "0",
    "ReceiveMessageWaitTimeSeconds": "0",
}


@dataclass(frozen=True, slots=True)
class Chaos:
    """What goes wrong, as probabilities from 0 to 1; the same ``seed`` does the same again.

    ``duplicates``: a message sent to a standard queue is there twice. ``reorder``: standard queues give messages in any
    order. ``refusals``: an entry of a batch fails with an error that is not the sender's fault. ``throttles``: a call
    fails as a whole. ``lost_answers``: a send succeeds, and the caller gets a connection error.
    """

    duplicates: float = 0.0
    reorder: bool = False
    refusals: float = 0.0
    throttles: float = 0.0
    lost_answers: float = 0.0
    seed: int = 0


class MemorySqs:
    """A stand-in for ``boto3.client("sqs")``.

    >>> from tagstream.topics import Outgoing, Topics
    >>> topics = Topics(MemorySqs())
    >>> topics.create("smiles")
    >>> topics.publish("smiles", Outgoing("CCO")) != ""
    True
    >>> [message.body for message in topics.pull("smiles")]
    ['CCO']

    ``calls`` counts the calls by operation, ``throttled`` those of them that chaos refused.
    ``intercept(operation, parameters)`` is called before each, and may raise. ``name_wait`` are the seconds for which a
    deleted name cannot be used again (60 on AWS).
    """

    def __init__(
        self,
        *,
        chaos: Chaos | None = None,
        clock: Clock | None = None,
        intercept: Callable[[str, Mapping[str, Any]], None] | None = None,
        name_wait: float = 0.0,
    ) -> None:
        self.calls: dict[str, int] = {}
        self.throttled: dict[str, int] = {}
        self._chaos = chaos or Chaos()
        self._random = random.Random(self._chaos.seed)  # noqa: S311 - faults to test with, no secrets
        self._clock = clock
        self._intercept = intercept
        self._name_wait = name_wait
        self._queues: dict[str, Queue] = {}
        self._deleted: dict[str, float] = {}
        self._receipts: dict[str, tuple[Queue, Stored]] = {}
        self._order = itertools.count()
        self._changed = threading.Condition()

    # Queues

    def create_queue(self, *, QueueName: str, Attributes: Mapping[str, str] | None = None) -> dict[str, Any]:
        with self._call("CreateQueue", {"QueueName": QueueName}):
            wanted = dict(Attributes or {})
            queue = self._queues.get(QueueName)
            if queue is not None:
                if any(queue.attributes.get(name) != value for name, value in wanted.items()):
                    raise client_error(
                        "QueueAlreadyExists", "A queue already exists with the same name and other attributes"
                    )
            else:
                if self._now() - self._deleted.get(QueueName, float("-inf")) < self._name_wait:
                    raise client_error(
                        "AWS.SimpleQueueService.QueueDeletedRecently",
                        "You must wait 60 seconds after deleting a queue before you can create another of its name.",
                    )
                attributes = _DEFAULTS | {"QueueArn": f"arn:aws:sqs:memory:000000000000:{QueueName}"} | wanted
                self._queues[QueueName] = Queue(QueueName, attributes, self._now())
            return {"QueueUrl": _URL + QueueName}

    def get_queue_url(self, *, QueueName: str) -> dict[str, Any]:
        with self._call("GetQueueUrl", {"QueueName": QueueName}):
            return {"QueueUrl": _URL + self._queue(QueueName).name}

    def list_queues(
        self, *, QueueNamePrefix: str = "", MaxResults: int | None = None, NextToken: str | None = None
    ) -> dict[str, Any]:
        with self._call("ListQueues", {"QueueNamePrefix": QueueNamePrefix}):
            names = sorted(name for name in self._queues if name.startswith(QueueNamePrefix))
            start = int(NextToken or 0)
            # Without MaxResults SQS gives at most 1,000 and no token.
            end = start + min(MaxResults or 1000, 1000)
            answer: dict[str, Any] = {"QueueUrls": [_URL + name for name in names[start:end]]}
            if MaxResults and end < len(names):
                answer["NextToken"] = str(end)
            return answer

    def delete_queue(self, *, QueueUrl: str) -> dict[str, Any]:
        with self._call("DeleteQueue", {"QueueUrl": QueueUrl}):
            queue = self._queue(QueueUrl)
            del self._queues[queue.name]
            self._deleted[queue.name] = self._now()
            return {}

    def purge_queue(self, *, QueueUrl: str) -> dict[str, Any]:
        with self._call("PurgeQueue", {"QueueUrl": QueueUrl}):
            queue = self._queue(QueueUrl)
            if queue.purged is not None and self._now() - queue.purged < self._name_wait:
                raise client_error(
                    "AWS.SimpleQueueService.PurgeQueueInProgress", "Only one PurgeQueue operation every 60 seconds."
                )
            queue.purged = self._now()
            for stored in self._messages(queue):
                stored.gone = True
            queue.ready.clear()
            queue.waiting.clear()
            queue.groups.clear()
            return {}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str] = ()) -> dict[str, Any]:
        with self._call("GetQueueAttributes", {"QueueUrl": QueueUrl}):
            queue = self._queue(QueueUrl)
            visible, in_flight, delayed = self._counts(queue)
            attributes = queue.attributes | {
                "ApproximateNumberOfMessages": str(visible),
                "ApproximateNumberOfMessagesNotVisible": str(in_flight),
                "ApproximateNumberOfMessagesDelayed": str(delayed),
            }
            if "All" not in AttributeNames:
                attributes = {name: value for name, value in attributes.items() if name in AttributeNames}
            return {"Attributes": attributes}

    def tag_queue(self, *, QueueUrl: str, Tags: Mapping[str, str]) -> dict[str, Any]:
        with self._call("TagQueue", {"QueueUrl": QueueUrl}):
            self._queue(QueueUrl).tags.update(Tags)
            return {}

    def untag_queue(self, *, QueueUrl: str, TagKeys: Sequence[str]) -> dict[str, Any]:
        with self._call("UntagQueue", {"QueueUrl": QueueUrl}):
            for key in TagKeys:
                self._queue(QueueUrl).tags.pop(key, None)
            return {}

    def list_queue_tags(self, *, QueueUrl: str) -> dict[str, Any]:
        with self._call("ListQueueTags", {"QueueUrl": QueueUrl}):
            tags = self._queue(QueueUrl).tags
            # SQS leaves out what is empty.
            return {"Tags": dict(tags)} if tags else {}

    def set_queue_attributes(self, *, QueueUrl: str, Attributes: Mapping[str, str]) -> dict[str, Any]:
        with self._call("SetQueueAttributes", {"QueueUrl": QueueUrl}):
            self._queue(QueueUrl).attributes.update(Attributes)
            return {}

    # Messages

    def send_message(self, *, QueueUrl: str, **entry: Any) -> dict[str, Any]:
        with self._call("SendMessage", {"QueueUrl": QueueUrl, **entry}):
            queue = self._queue(QueueUrl)
            if size_of(entry) > int(queue.attributes["MaximumMessageSize"]):
                raise client_error(
                    "InvalidParameterValue", "One or more parameters are invalid. Reason: Message too long."
                )
            problem = problem_of(queue, entry)
            if problem:
                raise client_error(*problem)
            answer = self._send(queue, entry)
            self._lose_answer()
            return answer

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        with self._call("SendMessageBatch", {"QueueUrl": QueueUrl, "Entries": Entries}):
            queue = self._queue(QueueUrl)
            check_batch(Entries)
            limit = int(queue.attributes["MaximumMessageSize"])
            if sum(map(size_of, Entries)) > MAX_BYTES or any(size_of(entry) > limit for entry in Entries):
                raise client_error("AWS.SimpleQueueService.BatchRequestTooLong", "Batch requests cannot be longer.")
            done: list[dict[str, Any]] = []
            failed: list[dict[str, Any]] = []
            for entry in Entries:
                problem = problem_of(queue, entry)
                if problem:
                    failed.append({"Id": entry["Id"], "SenderFault": True, "Code": problem[0], "Message": problem[1]})
                elif self._random.random() < self._chaos.refusals:
                    failed.append(
                        {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "Try again."}
                    )
                else:
                    done.append({"Id": entry["Id"], **self._send(queue, entry)})
            self._lose_answer()
            return batch_answer(done, failed)

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        WaitTimeSeconds: int | None = None,
        VisibilityTimeout: int | None = None,
        **_names: Any,
    ) -> dict[str, Any]:
        with self._call("ReceiveMessage", {"QueueUrl": QueueUrl}):
            if not 1 <= MaxNumberOfMessages <= BATCH_ENTRIES:
                raise client_error("InvalidParameterValue", "MaxNumberOfMessages must be between 1 and 10.")
            queue = self._queue(QueueUrl)
            wait = (
                int(queue.attributes["ReceiveMessageWaitTimeSeconds"]) if WaitTimeSeconds is None else WaitTimeSeconds
            )
            deadline = self._now() + wait
            while True:
                visibility = (
                    int(queue.attributes["VisibilityTimeout"]) if VisibilityTimeout is None else VisibilityTimeout
                )
                received = self._receive(queue, MaxNumberOfMessages, visibility)
                remaining = deadline - self._now()
                if received or remaining <= 0 or self._queues.get(queue.name) is not queue:
                    return {"Messages": received} if received else {}
                self._wait(min(remaining, max(self._next_visible(queue) - self._now(), 0.0)))

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        with self._call("DeleteMessage", {"QueueUrl": QueueUrl}):
            problem = self._delete(self._queue(QueueUrl), ReceiptHandle)
            if problem:
                raise client_error(*problem)
            return {}

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        with self._call("DeleteMessageBatch", {"QueueUrl": QueueUrl, "Entries": Entries}):
            queue = self._queue(QueueUrl)
            return self._each(Entries, lambda entry: self._delete(queue, entry["ReceiptHandle"]))

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:
        with self._call("ChangeMessageVisibility", {"QueueUrl": QueueUrl}):
            problem = self._change(self._queue(QueueUrl), ReceiptHandle, VisibilityTimeout)
            if problem:
                raise client_error(*problem)
            return {}

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        with self._call("ChangeMessageVisibilityBatch", {"QueueUrl": QueueUrl, "Entries": Entries}):
            queue = self._queue(QueueUrl)
            return self._each(
                Entries, lambda entry: self._change(queue, entry["ReceiptHandle"], entry["VisibilityTimeout"])
            )

    # What the calls are made of; all of it under the lock

    def _call(self, operation: str, parameters: Mapping[str, Any]) -> threading.Condition:
        if self._intercept is not None:
            self._intercept(operation, parameters)
        with self._changed:
            self.calls[operation] = self.calls.get(operation, 0) + 1
            if self._random.random() < self._chaos.throttles:
                self.throttled[operation] = self.throttled.get(operation, 0) + 1
                raise client_error("RequestThrottled", "Rate exceeded")
        return self._changed

    def _lose_answer(self) -> None:
        if self._random.random() < self._chaos.lost_answers:
            from botocore.exceptions import ConnectionClosedError

            raise ConnectionClosedError(endpoint_url=_URL)

    def _each(
        self, entries: Sequence[Mapping[str, Any]], act: Callable[[Mapping[str, Any]], tuple[str, str] | None]
    ) -> dict[str, Any]:
        check_batch(entries)
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for entry in entries:
            if self._random.random() < self._chaos.refusals:
                failed.append(
                    {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError", "Message": "Try again."}
                )
                continue
            problem = act(entry)
            if problem:
                failed.append({"Id": entry["Id"], "SenderFault": True, "Code": problem[0], "Message": problem[1]})
            else:
                done.append({"Id": entry["Id"]})
        return batch_answer(done, failed)

    def _now(self) -> float:
        return self._clock.now() if self._clock else time.monotonic()

    def _wait(self, seconds: float) -> None:
        if self._clock:
            self._clock.sleep(seconds)
        else:
            self._changed.wait(max(seconds, 0.001))

    def _queue(self, name_or_url: str) -> Queue:
        queue = self._queues.get(name_or_url.removeprefix(_URL))
        if queue is None:
            raise client_error("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
        return queue

    def _send(self, queue: Queue, entry: Mapping[str, Any]) -> dict[str, Any]:
        now = self._now()
        body, group = entry["MessageBody"], entry.get("MessageGroupId")
        digest = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
        order = next(self._order)
        key = entry.get("MessageDeduplicationId")
        if queue.fifo:
            key = key or hashlib.sha256(body.encode()).hexdigest()
            scope = f"{group}/{key}" if queue.attributes.get("DeduplicationScope") == "messageGroup" else key
            seen = queue.seen.get(scope)
            if seen and now - seen[0] < _DEDUPLICATION_SECONDS:
                return {"MessageId": seen[1], "SequenceNumber": seen[2], "MD5OfMessageBody": digest}
        delay = int(entry.get("DelaySeconds") or queue.attributes["DelaySeconds"])
        stored = Stored(
            str(uuid.UUID(int=self._random.getrandbits(128), version=4)),
            body,
            dict(entry.get("MessageAttributes") or {}),
            time.time(),
            order,
            group,
            key,
            visible_at=now + delay,
            delayed=delay > 0,
        )
        self._put(queue, stored)
        if queue.fifo:
            queue.seen[scope] = (now, stored.id, f"{order:020d}")
        elif self._random.random() < self._chaos.duplicates:
            twin = Stored(stored.id, body, stored.attributes, stored.sent, next(self._order), group, key, now + delay)
            self._put(queue, twin)
        self._changed.notify_all()
        answer = {"MessageId": stored.id, "MD5OfMessageBody": digest}
        return answer | {"SequenceNumber": f"{order:020d}"} if queue.fifo else answer

    def _put(self, queue: Queue, stored: Stored) -> None:
        if queue.fifo:
            queue.groups.setdefault(stored.group or "", deque()).append(stored)
        elif stored.visible_at > self._now():
            self._hide(queue, stored)
        else:
            queue.ready.append(stored)

    def _hide(self, queue: Queue, stored: Stored) -> None:
        stored.ticket = next(self._order)
        heapq.heappush(queue.waiting, (stored.visible_at, stored.ticket, stored))

    def _receive(self, queue: Queue, most: int, visibility: int) -> list[dict[str, Any]]:
        now = self._now()
        policy = queue.attributes.get("RedrivePolicy")
        received: list[dict[str, Any]] = []
        for stored in self._candidates(queue, now):
            if policy and self._dead(queue, stored, policy):
                continue
            stored.receives += 1
            stored.delayed = False
            stored.visible_at = now + visibility
            stored.receipt = f"{stored.id}#{stored.order}#{stored.receives}"
            self._receipts[stored.receipt] = (queue, stored)
            if not queue.fifo:
                self._hide(queue, stored)
            received.append(received_message(stored))
            if len(received) == most:
                break
        return received

    def _candidates(self, queue: Queue, now: float) -> Any:
        if queue.fifo:
            # A group waits for its oldest message: as long as that is in flight, nothing behind it is given.
            for group in sorted(queue.groups.values(), key=lambda items: items[0].order if items else 0):
                if any(stored.visible_at > now for stored in group):
                    continue
                yield from list(group)
            return
        while queue.waiting and queue.waiting[0][0] <= now:
            _, ticket, stored = heapq.heappop(queue.waiting)
            if not stored.gone and stored.ticket == ticket:
                stored.ticket = -1
                queue.ready.append(stored)
        while queue.ready:
            if self._chaos.reorder:
                queue.ready.rotate(self._random.randrange(len(queue.ready)))
            stored = queue.ready.popleft()
            if not stored.gone:
                yield stored

    def _dead(self, queue: Queue, stored: Stored, policy: str) -> bool:
        import json

        target = json.loads(policy)
        if stored.receives < int(target["maxReceiveCount"]):
            return False
        dead = self._queues.get(str(target["deadLetterTargetArn"]).rsplit(":", 1)[1])
        if dead is None:
            return False
        if queue.fifo:
            queue.groups[stored.group or ""].remove(stored)
        stored.visible_at = 0.0
        stored.receives = 0
        stored.ticket = -1
        self._put(dead, stored)
        return True

    def _find(self, queue: Queue, receipt: str) -> Stored | tuple[str, str]:
        owner, stored = self._receipts.get(receipt, (None, None))
        if stored is None or owner is not queue:
            return ("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        if queue.fifo and not stored.gone and (stored.receipt != receipt or stored.visible_at <= self._now()):
            return ("InvalidParameterValue", "Reason: The receipt handle has expired.")
        return stored

    def _delete(self, queue: Queue, receipt: str) -> tuple[str, str] | None:
        found = self._find(queue, receipt)
        if isinstance(found, tuple):
            return found
        if not found.gone:
            found.gone = True
            if queue.fifo:
                queue.groups[found.group or ""].remove(found)
                if not queue.groups[found.group or ""]:
                    del queue.groups[found.group or ""]
            self._changed.notify_all()
        return None

    def _change(self, queue: Queue, receipt: str, seconds: int) -> tuple[str, str] | None:
        found = self._find(queue, receipt)
        if isinstance(found, tuple):
            return found
        if found.gone or found.receipt != receipt or found.visible_at <= self._now():
            return ("MessageNotInflight", "The message referred to isn't in flight.")
        found.visible_at = self._now() + seconds
        if not queue.fifo:
            self._hide(queue, found)
        self._changed.notify_all()
        return None

    def _messages(self, queue: Queue) -> list[Stored]:
        if queue.fifo:
            return [stored for group in queue.groups.values() for stored in group]
        found = {id(stored): stored for stored in queue.ready}
        found.update((id(stored), stored) for _, ticket, stored in queue.waiting if stored.ticket == ticket)
        return [stored for stored in found.values() if not stored.gone]

    def _counts(self, queue: Queue) -> tuple[int, int, int]:
        now = self._now()
        hidden = [stored for stored in self._messages(queue) if stored.visible_at > now]
        delayed = sum(stored.delayed for stored in hidden)
        return len(self._messages(queue)) - len(hidden), len(hidden) - delayed, delayed

    def _next_visible(self, queue: Queue) -> float:
        now = self._now()
        times = [stored.visible_at for stored in self._messages(queue) if stored.visible_at > now]
        return min(times, default=float("inf"))
