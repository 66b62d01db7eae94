"""Deadlines: what a worker holds stays its own until it is dealt with, and is known to be lost when it is not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tagstream.topics.client import Topics
from tagstream.topics.messages import Message

__all__ = ["Held", "Leases", "is_ours"]

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Held:
    """A message that is ours until ``expires`` (of the monotonic clock)."""

    message: Message
    expires: float
    lost: bool = False


class Leases:
    """Refreshes the deadlines of all that is held, three times before each would end, from a thread of its own."""

    def __init__(self, topics: Topics, topic: str, deadline: int) -> None:
        self._topics = topics
        self._topic = topic
        self._deadline = deadline
        self._held: set[Held] = set()
        self._lock = threading.Lock()
        self._beating = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="deadlines", daemon=True)

    def __enter__(self) -> Leases:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def hold(self, messages: Iterable[Message]) -> list[Held]:
        expires = time.monotonic() + self._deadline
        held = [Held(message, expires) for message in messages]
        with self._lock:
            self._held.update(held)
        return held

    def drop(self, held: Iterable[Held]) -> None:
        """Refresh these no more."""
        with self._lock:
            self._held.difference_update(held)

    def release(self, held: Sequence[Held], delay: int = 0) -> None:
        """Give these back: others see them after ``delay`` seconds."""
        # Not in the middle of a beat, which would take them back.
        with self._beating:
            self.drop(held)
        mine = [item.message for item in held if is_ours(item)]
        if mine:
            for failed in self._topics.refresh_deadline(self._topic, mine, delay):
                _log.warning(
                    "topic %s: message %s could not be given back (%s); it shows up when its deadline ends",
                    self._topic,
                    failed.message.id,
                    failed.reason,
                )

    def release_all(self) -> int:
        """Give back whatever is still held; returns how much that was."""
        held = list(self._held)
        self.release(held)
        return len(held)

    def _beat_on(self) -> None:
        pause = self._deadline / 3
        while not self._end.wait(pause):
            with self._beating:
                with self._lock:
                    held = {item.message.receipt: item for item in self._held if is_ours(item)}
                if held:
                    self._beat(held)

    def _beat(self, held: dict[str, Held]) -> None:
        started = time.monotonic()
        messages = [item.message for item in held.values()]
        try:
            refused = self._topics.refresh_deadline(self._topic, messages, self._deadline)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next beat tries again until it is too late
            _log.warning("topic %s: deadlines could not be refreshed: %s", self._topic, error)
            return
        for failed in refused:
            item = held.pop(failed.message.receipt)
            with self._lock:
                if item not in self._held:
                    continue  # acknowledged meanwhile
            _log.warning(
                "topic %s: the deadline of message %s could not be refreshed: %s",
                self._topic,
                failed.message.id,
                failed.reason,
            )
            item.lost = True
        for item in held.values():
            item.expires = started + self._deadline


def is_ours(held: Held) -> bool:
    return not held.lost and time.monotonic() < held.expires
