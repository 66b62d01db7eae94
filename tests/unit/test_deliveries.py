"""Messages that end the function: a simulated queue delivers random batches, and counts receives as SQS does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from tagstream.catalog.documents import position_of
from tagstream.catalog.updates import CatalogUpdate
from tagstream.classifier import Limits, Recognition
from tagstream.errors import ImageRejected
from tagstream.pipeline.deliveries import LAST_TRY, Delivery, NoTimeLeft, work_off
from tagstream.pipeline.ingest import Ingest
from tagstream.thumbnails.bucket import Written
from tests.unit.test_ingest import Photos, Queue, body, record

CATALOG = "https://queue/catalog.fifo"


class Ended(BaseException):
    """The function is no more: nothing that it would have said is heard."""


class Eyes:
    """Sees a cat in every photo but in those that end the function, or a decoder."""

    name = "eyes"
    limits = Limits()

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bool]] = []

    def recognise(
        self, photo: bytes, *, confined: bool = False, patience: float, when_decoded: Any = None
    ) -> Recognition:
        assert 1 <= patience < 60
        self.seen.append((photo, confined))
        if photo == b"poison":
            raise Ended
        if photo == b"hungry":
            raise MemoryError("there is too little memory to decode the image")
        if photo == b"damaged":
            raise ImageRejected("the image is damaged")
        if when_decoded is not None:
            when_decoded(SimpleNamespace(picture=None))
        return Recognition({"cat": 0.9}, 4, 3)


@dataclass
class Simulation:
    """A queue of messages by key; ``receives`` counts those of each, ``dead`` has those received too often."""

    max_receives: int
    left: dict[str, str] = field(default_factory=dict)
    receives: dict[str, int] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    s3: Photos = field(default_factory=Photos)
    sqs: Queue = field(default_factory=Queue)
    eyes: Eyes = field(default_factory=Eyes)
    seconds_left: Callable[[], float] = lambda: 60.0
    shelf: Any = None

    def add(self, key: str, content: bytes) -> None:
        self.s3.put(key, content)
        self.left[key] = body(record(key))

    def deliver(self, keys: list[str]) -> None:
        """One invocation of the function with these messages."""
        for key in keys:
            self.receives[key] = self.receives.get(key, 0) + 1
        ingest = Ingest(self.s3, self.sqs, CATALOG, lambda: self.eyes, threads=2, thumbnails=self.shelf)
        batch = {key: Delivery(self.left[key], self.receives[key], key) for key in keys}
        try:
            outcomes = dict(
                work_off(ingest, batch, seconds_left=self.seconds_left, delete=lambda key: self.left.pop(key, None))
            )
        except Ended:
            outcomes = {}
        assert set(outcomes) in (set(), set(keys))
        for key, outcome in outcomes.items():
            if outcome.error is None:
                self.left.pop(key, None)
        for key in keys:
            if key in self.left and self.receives[key] >= self.max_receives:
                self.dead.append(key)
                del self.left[key]

    @property
    def catalog(self) -> dict[str, CatalogUpdate]:
        """What the catalog says in the end: of each image the newest update."""
        found: dict[str, CatalogUpdate] = {}
        for update in self.sqs.updates:
            known = found.get(update.key)
            if known is None or position_of(update) > position_of(known):
                found[update.key] = update
        return found


def kinds(simulation: Simulation) -> dict[str, str]:
    return {key: update.kind for key, update in simulation.catalog.items()}


@pytest.mark.parametrize("poisons", [1, 2, 7])
def test_poisons_among_thirty_take_nobody_with_them(poisons: int) -> None:
    for seed in range(60):
        chance = random.Random(f"{poisons}/{seed}")
        simulation = Simulation(max_receives=10)
        keys = [f"{number}.jpg" for number in range(30)]
        bad = set(chance.sample(keys, poisons))
        waiting = list(keys)
        while waiting or simulation.left:
            # Some photos come while others are tried again.
            while waiting and chance.random() < 0.7:
                key = waiting.pop()
                simulation.add(key, b"poison" if key in bad else b"a cat")
            there = sorted(simulation.left)
            if there:
                simulation.deliver(chance.sample(there, min(len(there), chance.randint(1, 10))))
        assert simulation.dead == [], f"seed {seed}"
        assert kinds(simulation) == {key: "rejected" if key in bad else "classified" for key in keys}
        assert max(simulation.receives[key] for key in keys if key not in bad) <= LAST_TRY + poisons
        assert all("ended the function" in str(simulation.catalog[key].reason) for key in bad)
        assert all(simulation.eyes.seen.count((b"poison", alone)) <= LAST_TRY * poisons for alone in (True, False))


@pytest.mark.parametrize("poisons", [1, 2])
def test_not_even_the_worst_order_takes_anybody_with_it(poisons: int) -> None:
    """Each poison is delivered with the same nine photos and stands first, as long as it is there."""
    simulation = Simulation(max_receives=LAST_TRY + poisons)
    good = [f"good{number}" for number in range(9)]
    for key in good:
        simulation.add(key, b"a cat")
    for number in range(poisons):
        simulation.add(f"bad{number}", b"poison")
        # It has been received as often as they have, and ties go to whoever stands first.
        simulation.receives[f"bad{number}"] = simulation.receives.get(good[0], 0)
        while f"bad{number}" in simulation.left:
            simulation.receives[f"bad{number}"] = simulation.receives.get(good[0], 0)
            simulation.deliver([f"bad{number}", *good])
    simulation.deliver([key for key in good if key in simulation.left])
    assert simulation.dead == []
    assert kinds(simulation) == dict.fromkeys(good, "classified") | {f"bad{n}": "rejected" for n in range(poisons)}


def test_the_first_time_all_are_worked_on_at_once_and_later_each_in_a_process_of_its_own() -> None:
    simulation = Simulation(max_receives=10)
    for key in ("a", "b", "c"):
        simulation.add(key, b"a cat")
    simulation.deliver(["a"])
    simulation.receives["b"] = 1
    simulation.deliver(["b", "c"])
    assert simulation.eyes.seen == [(b"a cat", False), (b"a cat", True), (b"a cat", True)]
    assert simulation.left == {}


def test_what_lacks_memory_each_time_is_rejected_in_the_end_with_its_reason() -> None:
    simulation = Simulation(max_receives=10)
    simulation.add("hungry", b"hungry")
    for receive in range(1, LAST_TRY + 1):
        assert "hungry" not in kinds(simulation), receive
        simulation.deliver(["hungry"])
    assert (simulation.left, simulation.dead) == ({}, [])
    assert "too little memory" in str(simulation.catalog["hungry"].reason)


def test_what_a_last_try_finds_takes_the_place_of_the_rejection() -> None:
    simulation = Simulation(max_receives=10)
    for key, content in (("good", b"a cat"), ("damaged", b"damaged")):
        simulation.add(key, content)
        simulation.receives[key] = 8
    simulation.deliver(["good", "damaged"])
    assert [update.kind for update in simulation.sqs.updates] == ["rejected", "classified", "rejected", "rejected"]
    assert kinds(simulation) == {"good": "classified", "damaged": "rejected"}
    assert simulation.catalog["damaged"].reason == "the image is damaged"
    # SQS would drop the second rejection if it took it for the first.
    assert len({entry["MessageDeduplicationId"] for batch in simulation.sqs.batches for entry in batch}) == 4


class Shelf:
    """Where no thumbnails can be written."""

    def begin(self, _: object, key: str) -> Any:
        written = Written({"key": key, "sizes": {}}, ConnectionError("S3 is away"))
        return SimpleNamespace(key=key, result=lambda: written)


def test_thumbnails_that_cannot_be_written_bring_a_photo_back_once_and_never_to_its_last_try() -> None:
    simulation = Simulation(max_receives=10, shelf=Shelf())
    simulation.add("a", b"a cat")
    simulation.deliver(["a"])
    assert simulation.left.keys() == {"a"}
    assert kinds(simulation) == {"a": "classified"}
    simulation.deliver(["a"])
    assert (simulation.left, simulation.dead) == ({}, [])
    assert [update.kind for update in simulation.sqs.updates] == ["classified", "classified"]
    # The same event, the same key.
    assert len({update.thumbnails["key"] for update in simulation.sqs.updates if update.thumbnails}) == 1


def test_a_last_try_has_thumbnails_of_its_own() -> None:
    """The rejection before it takes away those of the tries before."""
    simulation = Simulation(max_receives=10, shelf=Shelf())
    simulation.add("a", b"a cat")
    simulation.deliver(["a"])
    simulation.receives["a"] = LAST_TRY
    simulation.deliver(["a"])
    assert [update.kind for update in simulation.sqs.updates] == ["classified", "rejected", "classified"]
    assert len({update.thumbnails["key"] for update in simulation.sqs.updates if update.thumbnails}) == 2


def test_what_may_pass_does_not_use_up_the_last_try() -> None:
    simulation = Simulation(max_receives=10)
    simulation.add("a", b"a cat")
    simulation.receives["a"] = LAST_TRY
    simulation.s3.errors["a"] = ConnectionError("S3 is away")
    simulation.deliver(["a"])
    assert list(simulation.left) == ["a"]
    simulation.s3.errors.clear()
    simulation.sqs.error = ConnectionError("the catalog's queue is away")
    simulation.deliver(["a"])
    assert list(simulation.left) == ["a"]
    simulation.sqs.error = None
    simulation.deliver(["a"])
    assert kinds(simulation) == {"a": "classified"}
    assert simulation.left == {}


@pytest.mark.parametrize("receives", [0, 1])
def test_what_there_is_no_time_for_comes_back_unbegun(receives: int) -> None:
    left = iter([60.0, *[60.0] * 9, *[5.0] * 100])
    simulation = Simulation(max_receives=10, seconds_left=lambda: next(left))
    keys = [f"{number}" for number in range(10)]
    for key in keys:
        simulation.add(key, b"a cat")
        simulation.receives[key] = receives
    simulation.deliver(keys)
    assert 1 <= len(simulation.eyes.seen) < 10
    assert len(simulation.left) == 10 - len(simulation.eyes.seen)
    assert len(simulation.sqs.updates) == len(simulation.eyes.seen)


def test_the_first_one_is_begun_whatever_the_time() -> None:
    simulation = Simulation(max_receives=10, seconds_left=lambda: 2.0)
    simulation.add("a", b"a cat")
    simulation.deliver(["a"])
    assert kinds(simulation) == {"a": "classified"}


def test_no_time_left_says_that_it_comes_back() -> None:
    left = iter([60.0, *[1.0] * 10])
    ingest = Ingest(Photos(), Queue(), CATALOG, Eyes)
    outcomes = dict(
        work_off(ingest, {"a": Delivery("", 2, "r")}, seconds_left=lambda: next(left), delete=lambda _: None)
    )
    assert isinstance(outcomes["a"].error, NoTimeLeft)
    assert "delivered again" in str(outcomes["a"].error)


def test_a_delivery_as_lambda_hands_it_over() -> None:
    made: dict[str, Any] = {"messageId": "m", "body": "b", "receiptHandle": "r"}
    assert Delivery.from_lambda(made | {"attributes": {"ApproximateReceiveCount": "3"}}) == Delivery("b", 3, "r")
    assert Delivery.from_lambda(made) == Delivery("b", 1, "r")
