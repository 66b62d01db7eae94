"""Dead letters are moved back: none is lost, order is kept where there is one, and none goes round in circles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from tagstream.topics import (
    Outgoing,
    ParcelSettings,
    PublishFailed,
    TopicError,
    TopicNotFound,
    Topics,
    TopicSettings,
    download,
    redrive,
    upload,
)
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tests.topics_contract import bodies
from tests.transfers import Killer, Plug, chaos, written


def make(
    topic: str = "smiles",
    *,
    chaos: Chaos | None = None,
    intercept: Callable[[str, Mapping[str, Any]], None] | None = None,
) -> tuple[Topics, VirtualClock]:
    clock = VirtualClock()
    sqs = MemorySqs(clock=clock, chaos=chaos, intercept=intercept)
    topics = Topics(sqs, settings=TopicSettings(attempts=20), clock=clock.now, sleep=clock.sleep)
    topics.create(topic, max_receives=1)
    return topics, clock


def fail(topics: Topics, topic: str = "smiles") -> None:
    """Receive everything, and let it go: as what fails does, it is dead-lettered."""
    while messages := topics.pull(topic, timeout=0, max_messages=100):
        topics.refresh_deadline(topic, messages, 0)
    topics.pull(topic, timeout=0)


def test_dead_letters_go_back_without_their_reasons() -> None:
    topics, _ = make()
    dead = [Outgoing(f"{n}", {"n": n, "failure": "exit code 1", "failure_output": "no"}) for n in range(25)]
    topics.publish_all("smiles-dead-letter", dead)
    steps: list[tuple[int, int]] = []
    result = redrive(topics, "smiles", on_progress=lambda *step: steps.append(step))
    assert (result.dead_letter_topic, result.to, result.moved, result.left) == ("smiles-dead-letter", "smiles", 25, 0)
    assert steps == [(10, 25), (20, 25), (25, 25)]
    messages = topics.pull("smiles", min_messages=25, max_messages=25)
    assert {(message.body, message.attributes["n"]) for message in messages} == {(f"{n}", n) for n in range(25)}
    assert not any(name.startswith("failure") for message in messages for name in message.attributes)


def test_they_go_to_another_topic_when_one_is_named_even_if_theirs_is_gone() -> None:
    topics, _ = make()
    topics.create("other")
    topics.publish("smiles-dead-letter", "CCO")
    topics.delete("smiles")
    with pytest.raises(TopicNotFound, match="'smiles'"):
        redrive(topics, "smiles")
    assert redrive(topics, "smiles", "other").to == "other"
    assert bodies(topics, "other") == ["CCO"]


def test_what_cannot_be_redriven_is_told() -> None:
    topics, _ = make()
    topics.create("updates.fifo")
    topics.create_queue("raw")
    for arguments, words in (
        (("raw",), "'topics create raw --exist-ok'"),
        (("smiles-dead-letter",), "name the topic that they come from, 'smiles'"),
        (("smiles", "updates.fifo"), "both must be FIFO"),
        (("smiles", "smiles-dead-letter"), "to itself"),
    ):
        with pytest.raises(TopicError, match=words):
            redrive(topics, *arguments)
    for rate in (0, float("nan")):
        with pytest.raises(TopicError, match="more than 0"):
            redrive(topics, "smiles", rate=rate)
    with pytest.raises(TopicError, match="a topic is its name"):
        redrive(topics, "smiles", to=3)  # type: ignore[arg-type]


def test_a_message_that_fails_again_at_once_is_moved_once() -> None:
    topics, _ = make()
    topics.publish_all("smiles", [f"{n}" for n in range(30)])
    fail(topics)
    result = redrive(topics, "smiles", on_progress=lambda *_: fail(topics))
    assert (result.moved, result.left) == (30, 30)
    # Those of the last ten that came too late were not even seen again.
    assert 20 <= result.came_back <= 30
    assert topics.counts("smiles-dead-letter").visible == 30  # what was held back is there again
    assert redrive(topics, "smiles").moved == 30


def test_what_comes_later_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    topics, _ = make()
    topics.publish("smiles-dead-letter", "old")
    real = __import__("time").time
    later: list[int] = []

    def more(moved: int, _: int) -> None:
        # An hour later, somebody else's work goes on failing.
        monkeypatch.setattr("time.time", lambda: real() + 3_600)
        topics.publish("smiles-dead-letter", "new")
        later.append(moved)

    result = redrive(topics, "smiles", on_progress=more)
    assert (result.moved, result.came_back, result.left, later) == (1, 1, 1, [1])
    assert bodies(topics, "smiles") == ["old"]


def test_fifo_groups_and_their_order_are_kept_and_sqs_drops_nothing() -> None:
    topics, _ = make("updates.fifo")
    sent = [Outgoing(f"{n}", group_id=f"g{n % 3}", deduplication_id=f"id-{n}") for n in range(40)]
    topics.publish_all("updates.fifo", sent)
    fail(topics, "updates.fifo")
    for _ in range(3):  # again and again, within the five minutes
        assert redrive(topics, "updates.fifo").moved == 40
        fail(topics, "updates.fifo")
    assert redrive(topics, "updates.fifo").left == 0
    got: dict[str | None, list[int]] = {}
    while messages := topics.pull("updates.fifo", timeout=0):
        for message in messages:
            got.setdefault(message.group_id, []).append(int(message.body))
        topics.acknowledge("updates.fifo", messages)
    assert got == {f"g{group}": list(range(group, 40, 3)) for group in range(3)}


class Picky(MemorySqs):
    """Refuses, in one topic, the messages whose body is "no"."""

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        refused = [entry for entry in Entries if QueueUrl.endswith("/picky.fifo") and entry["MessageBody"] == "no"]
        taken = [entry for entry in Entries if entry not in refused]
        answer = super().send_message_batch(QueueUrl=QueueUrl, Entries=taken) if taken else {}
        failed = [{"Id": entry["Id"], "SenderFault": True, "Code": "Picky", "Message": "not that"} for entry in refused]
        return answer | {"Failed": failed}


def test_of_a_fifo_group_nothing_overtakes_what_is_not_accepted() -> None:
    clock = VirtualClock()
    topics = Topics(Picky(clock=clock), clock=clock.now, sleep=clock.sleep)
    topics.create("updates.fifo")
    topics.create("picky.fifo")
    letters = [("a", "1"), ("a", "no"), ("a", "3"), ("b", "4")]
    topics.publish_all("updates-dead-letter.fifo", [Outgoing(body, group_id=group) for group, body in letters])
    result = redrive(topics, "updates.fifo", "picky.fifo")
    assert (result.moved, result.left) == (2, 2)
    assert [(failed.message.body, failed.code) for failed in result.failed] == [("no", "Picky"), ("3", "Behind")]
    assert sorted(bodies(topics, "picky.fifo")) == ["1", "4"]
    # Nothing of them is lost, and they are there at once.
    assert bodies(topics, "updates-dead-letter.fifo") == ["no", "3"]


def test_a_rate_is_kept_to() -> None:
    topics, clock = make()
    topics.publish_all("smiles-dead-letter", [f"{n}" for n in range(100)])
    times: list[float] = []
    started = clock.now()
    redrive(topics, "smiles", rate=5, idle=1, on_progress=lambda *_: times.append(clock.now() - started))
    assert len(times) == 20
    assert all(5 * (passed + 1) + 5 >= 5 * (number + 1) for number, passed in enumerate(times))
    assert 95 / 5 <= times[-1] <= 100 / 5 + 1


def test_stopped_it_ends_after_what_is_in_hand_and_gives_the_rest_back() -> None:
    topics, _ = make()
    topics.publish_all("smiles-dead-letter", [f"{n}" for n in range(30)])
    moved: list[int] = []
    result = redrive(topics, "smiles", on_progress=lambda n, _: moved.append(n), stopped=lambda: bool(moved))
    assert (result.moved, result.left) == (10, 20)
    assert topics.counts("smiles-dead-letter").visible == 20


def test_what_a_killed_redrive_held_is_waited_for() -> None:
    topics, _ = make()
    topics.publish_all("smiles-dead-letter", [f"{n}" for n in range(10)])
    topics.pull("smiles-dead-letter", visibility_timeout=60)
    assert redrive(topics, "smiles").moved == 10


def test_when_publishing_fails_altogether_nothing_is_lost() -> None:
    def intercept(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "SendMessageBatch" and parameters["QueueUrl"].endswith("/smiles"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    topics, _ = make(intercept=intercept)
    topics.publish_all("smiles-dead-letter", [f"{n}" for n in range(15)])
    with pytest.raises(PublishFailed, match="AccessDenied"):
        redrive(topics, "smiles")
    assert topics.counts("smiles-dead-letter").visible == 15


@pytest.mark.parametrize("topic", ["smiles", "smiles.fifo"])
def test_when_nothing_may_be_deleted_it_stops_after_what_is_in_hand(topic: str) -> None:
    def intercept(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "DeleteMessageBatch":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    topics, clock = make(topic, intercept=intercept)
    dead = topic.replace("smiles", "smiles-dead-letter")
    group = "a" if topic.endswith(".fifo") else None
    topics.publish_all(dead, [Outgoing(f"{n}", group_id=group) for n in range(30)])
    started = clock.now()
    with pytest.raises(TopicError, match=r"could not be deleted from 'smiles-dead-letter.*AccessDenied: no\. .*again"):
        redrive(topics, topic)
    assert clock.now() - started < 10
    assert 1 <= topics.counts(topic).total <= 10
    # All are there still, and can be looked at.
    assert topics.counts(dead).visible == 30


class Keeping(MemorySqs):
    """Deletes no message whose turn it is not: each is refused ``refusals`` times."""

    refusals = 1

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.asked: Counter[str] = Counter()
        self.bodies: dict[str, str] = {}

    def receive_message(self, **parameters: Any) -> dict[str, Any]:
        answer = super().receive_message(**parameters)
        self.bodies |= {message["ReceiptHandle"]: message["Body"] for message in answer.get("Messages", [])}
        return answer

    def delete_message_batch(self, *, QueueUrl: str, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        self.asked.update(self.bodies[entry["ReceiptHandle"]] for entry in Entries)
        refused = [entry for entry in Entries if self.asked[self.bodies[entry["ReceiptHandle"]]] <= self.refusals]
        taken = [entry for entry in Entries if entry not in refused]
        answer = super().delete_message_batch(QueueUrl=QueueUrl, Entries=taken) if taken else {}
        failed = [{"Id": entry["Id"], "SenderFault": True, "Code": "Expired", "Message": "old"} for entry in refused]
        return answer | {"Failed": failed}


@pytest.mark.parametrize(("refusals", "fails"), [(1, False), (2, True)])
def test_what_could_not_be_deleted_once_is_when_it_comes_again(refusals: int, fails: bool) -> None:
    clock = VirtualClock()
    sqs = Keeping(clock=clock)
    sqs.refusals = refusals
    topics = Topics(sqs, clock=clock.now, sleep=clock.sleep)
    topics.create("smiles")
    topics.publish_all("smiles-dead-letter", ["1", "2", "3"])
    if fails:
        with pytest.raises(TopicError, match="could not be deleted"):
            redrive(topics, "smiles")
    else:
        assert redrive(topics, "smiles").moved == 3
    assert topics.counts("smiles-dead-letter").total == (3 if fails else 0)
    assert topics.counts("smiles").total == 3


@settings(max_examples=30, deadline=None)
@given(fifo=st.booleans(), chaos=chaos, kills=st.lists(st.integers(0, 12), max_size=4), count=st.integers(1, 40))
def test_killed_anywhere_and_repeated_nothing_is_lost_and_fifo_topics_have_nothing_twice(
    fifo: bool, chaos: Chaos, kills: list[int], count: int
) -> None:
    topic = "updates.fifo" if fifo else "updates"
    dead = "updates-dead-letter.fifo" if fifo else "updates-dead-letter"
    killer = Killer("ReceiveMessage", "SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch")
    topics, _ = make(topic, chaos=chaos, intercept=killer)
    letters = [Outgoing(f"{n}", group_id=f"g{n % 3}" if fifo else None) for n in range(count)]
    while topics.publish_all(dead, letters).failed:
        pass  # chaos: as often as it takes, here too in order
    for kill in kills:
        killer.left = kill
        try:
            redrive(topics, topic)
        except Plug:
            continue
    killer.left = None
    for _ in range(20):
        redrive(topics, topic)
        if not topics.counts(dead).total:
            break
    assert topics.counts(dead).total == 0
    found = bodies(topics, topic)
    assert set(map(int, found)) == set(range(count))
    if fifo:
        assert len(found) == count


def test_parcels_that_came_twice_are_one_in_the_file(tmp_path: Path) -> None:
    killer = Killer("DeleteMessageBatch")
    topics, _ = make(intercept=killer)
    source = written(tmp_path / "in", b"".join(b"%d\n" % n for n in range(25)))
    upload(topics, "smiles", [source], settings=ParcelSettings(max_lines=1))
    fail(topics)
    killer.left = 1
    with pytest.raises(Plug):
        redrive(topics, "smiles")
    killer.left = None
    assert redrive(topics, "smiles").moved == 15
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    assert result.duplicates == 10


def test_some_are_chosen_and_the_others_stay_as_they_were() -> None:
    topics, _ = make()
    topics.publish_all("smiles-dead-letter", [Outgoing(f"{n}", {"failure": "exit code 1"}) for n in range(2500)])
    result = redrive(topics, "smiles", only=lambda message: message.body in ("7", "1007", "2499"))
    assert (result.moved, result.came_back, result.left, result.failed) == (3, 0, 2497, ())
    assert sorted(bodies(topics, "smiles")) == ["1007", "2499", "7"]
    # Visible at once, with what they say about their failure.
    left = topics.pull("smiles-dead-letter", min_messages=2497, max_messages=2497)
    assert len(left) == 2497
    assert {message.attributes["failure"] for message in left} == {"exit code 1"}


def test_no_more_are_moved_than_was_said() -> None:
    topics, _ = make()
    topics.publish_all("smiles-dead-letter", [Outgoing(f"{n}") for n in range(25)])
    result = redrive(topics, "smiles", most=12)
    assert (result.moved, result.left) == (12, 13)
    assert len(topics.pull("smiles-dead-letter", min_messages=13, max_messages=13)) == 13
    with pytest.raises(TopicError, match="most"):
        redrive(topics, "smiles", most=0)


def test_of_a_fifo_group_nothing_overtakes_what_is_not_chosen() -> None:
    topics, _ = make("smiles.fifo")
    for group in ("a", "b"):
        topics.publish_all(
            "smiles-dead-letter.fifo",
            [Outgoing(f"{group}{n}", group_id=group, deduplication_id=f"{group}{n}") for n in range(3)],
        )
    result = redrive(topics, "smiles.fifo", only=lambda message: message.body in ("a0", "a2", "b0", "b1"))
    assert result.moved == 3
    assert {failed.code for failed in result.failed} <= {"Behind"}
    assert result.left == 3
    assert sorted(bodies(topics, "smiles.fifo")) == ["a0", "b0", "b1"]
