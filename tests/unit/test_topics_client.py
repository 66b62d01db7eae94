"""The client against the SQS in memory: the contract, and what only a fake can be made to do."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

import tagstream.topics
from tagstream.topics import (
    InvalidTopic,
    Message,
    Outgoing,
    PublishFailed,
    TopicBusy,
    TopicError,
    TopicExists,
    Topics,
    TopicSettings,
)
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tests.topics_contract import TopicsContract, bodies


def client(sqs: MemorySqs, clock: VirtualClock, **settings: Any) -> Topics:
    return Topics(sqs, settings=TopicSettings(**settings), clock=clock.now, sleep=clock.sleep)


def make(**options: Any) -> tuple[Topics, MemorySqs, VirtualClock]:
    clock = VirtualClock()
    sqs = MemorySqs(clock=clock, **options)
    return client(sqs, clock), sqs, clock


class TestMemory(TopicsContract):
    @pytest.fixture
    def topics(self) -> Topics:
        return make()[0]


def test_the_public_names_are_those_listed() -> None:
    import types

    public = {
        name
        for name, value in vars(tagstream.topics).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public == set(tagstream.topics.__all__)


def test_more_than_a_thousand_topics_are_listed() -> None:
    topics, sqs, _ = make()
    for number in range(2_345):
        sqs.create_queue(QueueName=f"t{number:04d}")
    assert topics.list_topics() == [f"t{number:04d}" for number in range(2_345)]
    assert len(topics.list_topics("t1")) == 1_000


def test_replacing_waits_until_the_name_is_free_and_says_how_long() -> None:
    topics, _, clock = make(name_wait=60)
    waits: list[float] = []
    topics.create("smiles", on_wait=waits.append)
    assert waits == []
    started = clock.now()
    topics.create("smiles", on_wait=waits.append)
    assert 60 <= clock.now() - started < 62
    assert waits == sorted(waits, reverse=True)
    assert waits[0] == 60
    topics.publish("smiles", Outgoing("CCO"))


def test_a_name_that_is_never_free_ends_in_an_error() -> None:
    topics, _, _ = make(name_wait=10_000)
    topics.create("smiles")
    with pytest.raises(TopicBusy, match="'smiles-dead-letter'"):
        topics.create("smiles")


def test_a_purge_cannot_be_repeated_within_a_minute() -> None:
    topics, _, clock = make(name_wait=60)
    topics.create("smiles")
    topics.purge("smiles")
    with pytest.raises(TopicBusy, match="60 s"):
        topics.purge("smiles")
    clock.sleep(60)
    waits: list[float] = []
    topics.purge("smiles", on_wait=waits.append)
    assert waits[0] == 60
    topics.purge("smiles")


def test_other_attributes_of_an_existing_queue_are_an_error() -> None:
    topics, _, _ = make()
    topics.create_queue("raw", {"DelaySeconds": "5"})
    with pytest.raises(TopicExists, match="'raw'"):
        topics.create_queue("raw", {"DelaySeconds": "6"})
    with pytest.raises(InvalidTopic, match="max_receives"):
        topics.create("smiles", max_receives=0)


# Publishing


def test_batches_end_where_the_bill_is_lowest() -> None:
    from tagstream.topics.batching import batches

    def sizes(*lengths: int) -> list[int]:
        return [len(batch) for batch in batches(Outgoing("x" * length) for length in lengths)]

    assert sizes(*[8_000] * 24) == [8, 8, 8]  # 8 x 8,000 is one request, 10 would be two
    assert sizes(*[30_000] * 20) == [10, 10]  # 5 requests for ten are no dearer than 1 for two, and fewer calls
    assert sizes(*[22_000] * 10) == [8, 2]  # 3 for eight; 4 for ten would be dearer by the message
    assert sizes(*[100_000] * 20) == [9, 9, 2]  # 14 for nine; 16 for ten would be dearer by the message
    assert sizes(*[1_048_576] * 2) == [1, 1]
    assert sizes(1_000_000, 48_576, 1) == [2, 1]
    assert sizes(*[1] * 21) == [10, 10, 1]
    assert sizes() == []


def test_transient_failures_are_tried_again_with_pauses() -> None:
    topics, sqs, clock = make(chaos=Chaos(refusals=0.3, throttles=0.3, seed=5))
    topics.create("smiles")
    started = clock.now()
    result = topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(300)))
    failed = {int(failure.message.body) for failure in result.failed}
    assert result.accepted == 300 - len(failed)
    assert {failure.code for failure in result.failed} <= {"InternalError"}
    assert clock.now() > started
    assert {int(body) for body in bodies(topics, "smiles")} == set(range(300)) - failed
    assert result.requests == sqs.calls["SendMessageBatch"] - sqs.throttled["SendMessageBatch"]


def test_pauses_double_and_have_jitter_and_an_end() -> None:
    pauses: list[float] = []
    sqs = MemorySqs(chaos=Chaos(throttles=1.0))
    topics = Topics(
        sqs, settings=TopicSettings(attempts=6, pause=0.1, longest_pause=1.0), clock=lambda: 0.0, sleep=pauses.append
    )
    with pytest.raises(TopicError, match="RequestThrottled"):
        topics.url("smiles")
    assert len(pauses) == 5
    for pause, whole in zip(pauses, (0.1, 0.2, 0.4, 0.8, 1.0), strict=True):
        assert whole / 2 <= pause <= whole
    assert sqs.calls == {"GetQueueUrl": 6}


def test_a_lost_answer_publishes_again_and_counts_once() -> None:
    topics, _, _ = make(chaos=Chaos(lost_answers=0.3, seed=3))
    topics.create("smiles")
    result = topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(50)))
    got = [int(body) for body in bodies(topics, "smiles")]
    assert result.accepted + len(result.failed) == 50
    assert set(got) == set(range(50))
    assert len(got) > 50


def test_a_call_that_fails_for_good_stops_publishing_and_tells_what_was_accepted() -> None:
    calls = 0

    def intercept(operation: str, _: Mapping[str, Any]) -> None:
        nonlocal calls
        if operation == "SendMessageBatch":
            calls += 1
            if calls > 3:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessageBatch")

    clock = VirtualClock()
    topics = client(MemorySqs(clock=clock, intercept=intercept), clock, in_flight=1)
    topics.create("smiles")
    taken = 0

    def endless() -> Iterator[Outgoing]:
        nonlocal taken
        while True:
            taken += 1
            yield Outgoing(f"{taken}")

    with pytest.raises(PublishFailed, match="30 accepted messages: AccessDenied") as caught:
        topics.publish_all("smiles", endless())
    assert caught.value.result.accepted == 30
    assert [int(failure.message.body) for failure in caught.value.result.failed] == list(range(31, 51))
    assert taken < 60
    assert sorted(map(int, bodies(topics, "smiles"))) == list(range(1, 31))


def test_no_connection_is_tried_again_and_then_told() -> None:
    def intercept(operation: str, _: Mapping[str, Any]) -> None:
        if operation == "SendMessageBatch":
            raise EndpointConnectionError(endpoint_url="https://sqs")

    topics, _, clock = make(intercept=intercept)
    topics.create("smiles")
    with pytest.raises(PublishFailed, match="after 0 accepted"):
        topics.publish_all("smiles", [Outgoing("CCO")])
    assert clock.now() > 1


def test_several_batches_are_in_flight_and_only_a_few_are_held() -> None:
    started = threading.Semaphore(0)
    go = threading.Event()
    taken = 0

    def intercept(operation: str, _: Mapping[str, Any]) -> None:
        if operation == "SendMessageBatch":
            started.release()
            assert go.wait(30)

    def messages() -> Iterator[Outgoing]:
        nonlocal taken
        for number in range(1_000):
            taken += 1
            yield Outgoing(f"{number}")

    topics = Topics(MemorySqs(intercept=intercept), settings=TopicSettings(in_flight=3))
    topics.create("smiles")
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(topics.publish_all("smiles", messages()).accepted))
    thread.start()
    for _ in range(3):
        assert started.acquire(timeout=30)  # three calls at the same time, none of them answered
    assert not started.acquire(blocking=False)
    assert taken <= 10 * (2 * 3 + 2)
    go.set()
    thread.join(30)
    assert results == [1_000]


def test_fifo_batches_go_one_after_the_other() -> None:
    running = most = 0
    lock = threading.Lock()

    def intercept(operation: str, _: Mapping[str, Any]) -> None:
        nonlocal running, most
        if operation == "SendMessageBatch":
            with lock:
                running += 1
                most = max(most, running)
            threading.Event().wait(0.001)
            with lock:
                running -= 1

    topics = Topics(MemorySqs(intercept=intercept), settings=TopicSettings(in_flight=8))
    topics.create("updates.fifo")
    topics.publish_all("updates.fifo", (Outgoing(f"{n}", group_id="g") for n in range(100)))
    assert most == 1
    assert [int(body) for body in bodies(topics, "updates.fifo")] == list(range(100))


# Pulling


def test_pull_waits_in_long_polls_up_to_the_timeout() -> None:
    topics, sqs, clock = make()
    topics.create("smiles")
    started = clock.now()
    assert topics.pull("smiles", timeout=45) == []
    assert clock.now() - started == 45
    assert sqs.calls["ReceiveMessage"] == 3  # 20, 20 and 5 seconds


def test_an_endpoint_that_does_not_wait_is_not_asked_in_a_busy_loop() -> None:
    topics, sqs, clock = make()
    topics.create("smiles")
    impatient = sqs.receive_message
    sqs.receive_message = lambda **parameters: impatient(**(parameters | {"WaitTimeSeconds": 0}))  # type: ignore
    started = clock.now()
    assert topics.pull("smiles", timeout=30) == []
    assert clock.now() - started == 30
    assert sqs.calls["ReceiveMessage"] <= 31


def test_what_was_not_acknowledged_comes_back_after_its_time() -> None:
    topics, _, clock = make()
    topics.create("smiles", visibility_timeout=100)
    topics.publish("smiles", Outgoing("CCO"))
    (first,) = topics.pull("smiles")
    clock.sleep(90)
    assert topics.refresh_deadline("smiles", [first], 100) == []
    clock.sleep(90)
    assert topics.pull("smiles", timeout=0) == []
    (second,) = topics.pull("smiles", timeout=30)
    assert clock.now() == 190
    assert second.receive_count == 2
    assert [failed.code for failed in topics.refresh_deadline("smiles", [first])] == ["MessageNotInflight"]


def test_refusals_of_acknowledgements_are_tried_again() -> None:
    topics, _, _ = make(chaos=Chaos(refusals=0.4, seed=1))
    topics.create("smiles")
    topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(40)))
    held = topics.pull("smiles", min_messages=40, max_messages=40)
    failed = topics.acknowledge("smiles", held)
    assert topics.counts("smiles").total == len(failed) < 5


def test_a_message_of_a_lambda_event_is_the_same_message() -> None:
    topics, _, _ = make()
    topics.create("updates.fifo")
    topics.publish("updates.fifo", Outgoing("CCO", {"n": 1, "data": b"\x00\xff"}, group_id="g"))
    (message,) = topics.pull("updates.fifo")
    record = {
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": "CCO",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(message.sent_at),
            "SequenceNumber": message.sequence_number,
            "MessageGroupId": "g",
            "MessageDeduplicationId": message.deduplication_id,
        },
        "messageAttributes": {
            "n": {"stringValue": "1", "stringListValues": [], "binaryListValues": [], "dataType": "Number"},
            "data": {
                "binaryValue": base64.b64encode(b"\x00\xff").decode(),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
            },
        },
    }
    assert Message.from_lambda(record) == message
