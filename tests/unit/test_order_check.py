"""The order check over topics in memory, which keep their promises, and over ones that don't."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError, TopicError
from tagstream.topics import Topics
from tagstream.topics.order_check import inversions, order_check
from tagstream.topics.testing import Chaos, MemorySqs


def test_a_fifo_topic_keeps_order_and_drops_repetitions_where_a_standard_one_does_not() -> None:
    topics = Topics(MemorySqs(chaos=Chaos(reorder=True, duplicates=0.1)))
    seen: list[int] = []
    standard, fifo = order_check(topics, messages=200, groups=5, consumers=4, on_progress=seen.append)
    assert (standard.kind, standard.sent, standard.repeated, standard.lost) == ("standard", 200, 20, 0)
    assert standard.out_of_order > 0
    assert standard.duplicates >= 20
    assert (fifo.kind, fifo.received) == ("FIFO", 200)
    assert (fifo.out_of_order, fifo.duplicates, fifo.lost) == (0, 0, 0)
    assert len(seen) == standard.received + fifo.received
    assert topics.list_topics() == []


class Leaky(MemorySqs):
    """Loses every message that says 7."""

    def send_message_batch(self, *, QueueUrl: str, Entries: Any) -> dict[str, Any]:
        kept = [entry for entry in Entries if entry["MessageBody"] != "7"]
        answer = super().send_message_batch(QueueUrl=QueueUrl, Entries=kept)
        lost = [{"Id": entry["Id"], "MessageId": "gone"} for entry in Entries if entry["MessageBody"] == "7"]
        return {**answer, "Successful": [*answer.get("Successful", []), *lost]}


def test_losses_are_counted() -> None:
    reports = order_check(Topics(Leaky()), messages=12, groups=2, consumers=2, patience=0)
    assert [report.lost for report in reports] == [1, 1]


def test_the_topics_are_deleted_when_something_goes_wrong_or_it_is_stopped() -> None:
    calls: list[str] = []

    def fail(operation: str, _parameters: object) -> None:
        calls.append(operation)
        if operation == "ReceiveMessage":
            raise TopicError("broken")

    topics = Topics(MemorySqs(intercept=fail))
    with pytest.raises(TopicError, match="broken"):
        order_check(topics, messages=5)
    assert topics.list_topics() == []
    topics = Topics(MemorySqs())
    assert order_check(topics, messages=5, stopped=lambda: True) == []
    assert topics.list_topics() == []


@given(st.lists(st.integers(0, 20)))
def test_inversions_are_the_pairs_in_the_wrong_order(numbers: list[int]) -> None:
    assert inversions(numbers) == sum(first > second for first, second in combinations(numbers, 2))


def test_nothing_to_send_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        order_check(Topics(MemorySqs()), messages=0)
