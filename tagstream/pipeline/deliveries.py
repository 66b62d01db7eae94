"""What is delivered to the ingest function, worked off so that no photo can take another one with it.

A function that is ended, for its time or for its memory, cannot say by which message: all of its batch come back, and
each counts one more receive. So:

1. Messages that come for the first time are worked on side by side, as many as the time allows; the rest are handed
   back before the function's time is over.
2. If any of a batch was received before, something went wrong then. All of them are worked on one at a time, those
   received most often first, each photo decoded in a process of its own, and each message deleted as soon as it is
   done: what ends the function later does not bring it back.
3. From the third receive on, a message's photos are recorded as rejected and the message is deleted *before* its last
   try. If the function survives that, what the try found takes the place of the rejection.

A message that ends the function does so three times at most, and is then gone, with its reason in the catalog. One
that does not is held up only by messages that stand before it, which were received as often or more: from its third
receive on, each time by another one, for the last time. Beside ``n`` messages that end the function it is therefore
done at its receive ``3 + n`` at the latest, and a queue that allows ten receives dead-letters none beside seven.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tagstream.classifier import Decoded, Limits, Recognition
from tagstream.errors import ImageRejected, TagstreamError
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.pipeline.ingest import Ingest, Outcome, Recogniser, rejected_by
from tagstream.pipeline.updates import update_of

__all__ = ["LAST_TRY", "Delivery", "NoTimeLeft", "work_off"]

LAST_TRY = 3
"""Receives of a message, this one included, from which on it is tried for the last time."""

_SECONDS_TO_BEGIN = 12.0
"""What must be left of the function's time for one more photo: twice the CPU time that a decoder may take, and more."""
_SECONDS_TO_END = 3.0
"""What is left when a decoder is given up: enough to tell the catalog and to answer."""
_SUSPECTED = (
    f"each of {LAST_TRY} tries to look at it ended the function: it takes more time or memory than a photo may take"
)


class NoTimeLeft(TagstreamError):
    """The function's time is nearly over: the message is delivered again, and begun earlier then."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of the queue: ``receives`` counts this one too, ``receipt`` is what it takes to delete it."""

    body: str
    receives: int = 1
    receipt: str = ""

    @classmethod
    def from_lambda(cls, record: Mapping[str, Any]) -> Delivery:
        """As an event-source mapping hands it over."""
        receives = record.get("attributes", {}).get("ApproximateReceiveCount", 1)
        return cls(record["body"], int(receives), record.get("receiptHandle", ""))


def work_off(
    ingest: Ingest,
    deliveries: Mapping[str, Delivery],
    *,
    seconds_left: Callable[[], float],
    delete: Callable[[str], object],
) -> Iterator[tuple[str, Outcome]]:
    """What became of each message, by its id, as soon as that is known.

    ``seconds_left`` is what remains of the function's time; ``delete`` takes a receipt and deletes its message.
    """
    # Whatever the function's time is, the first one is begun.
    clock = _Clock(seconds_left, min(_SECONDS_TO_BEGIN, seconds_left() / 2))
    if all(delivery.receives < 2 for delivery in deliveries.values()):
        watched = replace(ingest, recogniser=lambda: _Watched(ingest.recogniser(), clock))
        yield from watched.process({name: delivery.body for name, delivery in deliveries.items()}).items()
        return
    for name, delivery in sorted(deliveries.items(), key=lambda item: -item[1].receives):
        try:
            clock.check()
        except NoTimeLeft as error:
            yield name, Outcome(error=error)
            continue
        yield name, _alone(ingest, name, delivery, clock, delete)


def _alone(ingest: Ingest, name: str, delivery: Delivery, clock: _Clock, delete: Callable[[str], object]) -> Outcome:
    # Thumbnails that fail twice are no reason for a last try, which begins with a rejection.
    ingest, before = replace(ingest, insist=False), None
    if delivery.receives >= LAST_TRY:
        # Once for a message, whatever the number of its photos.
        before = functools.cache(lambda: _give_up(ingest, name, delivery, delete))
        # The rejection takes away the thumbnails that a try before has made: this one's have names of their own.
        ingest = replace(ingest, look=f"{name}-{delivery.receives}")
    watched = replace(
        ingest, recogniser=lambda: _Watched(ingest.recogniser(), clock, confined=True, before=before), threads=1
    )
    outcome = watched.process({name: delivery.body})[name]
    if outcome.error is None:
        # It may be deleted already. If that fails, Lambda does it when the function answers.
        with contextlib.suppress(Exception):
            delete(delivery.receipt)
    return outcome


def _give_up(ingest: Ingest, name: str, delivery: Delivery, delete: Callable[[str], object]) -> None:
    """Record a message's photos as rejected, and delete it. Raises, and has not deleted it, if that fails."""
    # A little earlier than now, so that what the try finds is newer.
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    said = {"reason": _SUSPECTED, "rejected_by": rejected_by(ingest.recogniser())}
    rejections = tuple(
        update_of(event, "rejected", **said, processed_at=before.isoformat(timespec="milliseconds"))
        for event in parse_notification(delivery.body)
        if isinstance(event, ObjectEvent)
    )
    error = ingest.publish({name: Outcome(rejections)})[name].error
    if error is not None:
        raise error
    delete(delivery.receipt)


@dataclass(frozen=True)
class _Clock:
    """What is left of the function's time, and how much of it one more photo needs."""

    seconds_left: Callable[[], float]
    to_begin: float

    def check(self) -> None:
        if self.seconds_left() < self.to_begin:
            raise NoTimeLeft("the function has no time left for it: it is delivered again")

    @property
    def patience(self) -> float:
        return max(self.seconds_left() - _SECONDS_TO_END, 1.0)


@dataclass(frozen=True)
class _Watched:
    """A recogniser that begins nothing without time for it. ``before`` is called before a last try."""

    recogniser: Recogniser
    clock: _Clock
    confined: bool = False
    before: Callable[[], None] | None = None

    @property
    def name(self) -> str:
        return self.recogniser.name

    @property
    def limits(self) -> Limits:
        return self.recogniser.limits

    def recognise(
        self,
        photo: bytes,
        *,
        confined: bool = False,
        patience: float | None = None,
        when_decoded: Callable[[Decoded], object] | None = None,
    ) -> Recognition:
        self.clock.check()
        most = self.clock.patience if patience is None else min(patience, self.clock.patience)
        confined = confined or self.confined
        if self.before is not None:
            self.before()
        try:
            return self.recogniser.recognise(photo, confined=confined, patience=most, when_decoded=when_decoded)
        except ImageRejected:
            raise
        except Exception as error:
            if self.before is None:
                raise
            reason = str(error) or type(error).__name__
            raise ImageRejected(f"none of {LAST_TRY} tries to look at it succeeded: {reason}") from error
