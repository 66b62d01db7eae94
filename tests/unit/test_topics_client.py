"""The client against the SQS in memory: the contract, and what only a fake can be made to do."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

import tagstream.topics
from tagstream.topics import (
    InvalidTopic,
    LookCounts,
    Message,
    Outgoing,
    PublishFailed,
    TopicBusy,
    TopicError,
    TopicExists,
    TopicNotFound,
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


# What people pass, and what they type wrong


def test_text_is_a_message() -> None:
    topics, _, _ = make()
    topics.create("smiles")
    topics.publish("smiles", "one")
    assert topics.publish_all("smiles", ["two", Outgoing("three")]).accepted == 2
    messages = topics.pull("smiles", min_messages=3)
    assert {message.body for message in messages} == {"one", "two", "three"}
    assert topics.acknowledge("smiles", messages[0]) == []
    assert topics.refresh_deadline("smiles", messages[1], 0) == []
    assert topics.counts("smiles").visible == 1


def test_what_is_no_message_says_what_is_expected() -> None:
    topics, _, _ = make()
    topics.create("smiles")
    misuse: list[tuple[Callable[[], object], str]] = [
        (lambda: topics.publish("smiles", b"CCO"), "text or an Outgoing: not bytes"),  # type: ignore[arg-type]
        (lambda: topics.publish("smiles", Outgoing(5)), "text, its attributes may be bytes: not an int"),  # type: ignore[arg-type]
        (lambda: topics.publish("smiles", Outgoing("C", {"a": 0.5})), "'a' of a message .* not a float"),  # type: ignore[dict-item]
        (lambda: topics.publish_all("smiles", "CCO"), "several messages, such as a list: not text"),
        (lambda: topics.publish_all("smiles", Outgoing("CCO")), "publish takes one"),  # type: ignore[arg-type]
        (lambda: topics.publish_all("smiles", None), "not None"),  # type: ignore[arg-type]
        (lambda: topics.acknowledge("smiles", "receipt"), "the messages that pull returned: not a str"),  # type: ignore[arg-type]
        (lambda: topics.refresh_deadline("smiles", [5]), "the messages that pull returned"),  # type: ignore[list-item]
        (lambda: topics.pull("smiles", max_messages=0), "max_messages is a whole number of at least 1: not 0"),
        (lambda: topics.pull("smiles", min_messages=11), "from 0 to 10: not 11"),
        (lambda: topics.pull("smiles", timeout="5"), "timeout is a number of seconds"),  # type: ignore[arg-type]
        (lambda: topics.pull("smiles", visibility_timeout=1.5), "visibility_timeout is a whole number"),  # type: ignore[arg-type]
        (lambda: topics.refresh_deadline("smiles", [], 50_000), "from 0 to 43,200: not 50000"),
        (lambda: topics.pull(None), "a topic is its name or its URL"),  # type: ignore[arg-type]
        (lambda: topics.counts("a b"), "1 to 80 letters"),
        (lambda: topics.create(None), "a topic is its name or its URL"),  # type: ignore[arg-type]
        (lambda: topics.exists([]), "a topic is its name or its URL"),  # type: ignore[arg-type]
        (lambda: topics.list_topics(3), "a prefix is the text"),  # type: ignore[arg-type]
        (lambda: topics.delete_all("smiles"), "delete takes one"),
        (lambda: Topics("eu-west-1"), "a boto3 SQS client"),
        (lambda: topics.create("x", max_receives="2"), "max_receives must be a whole number"),  # type: ignore[arg-type]
        (lambda: topics.create("x", attributes=["DelaySeconds"]), "names with values"),  # type: ignore[arg-type]
    ]
    for act, words in misuse:
        with pytest.raises(TopicError, match=words):
            act()
    assert topics.counts("smiles").total == 0
    with pytest.raises(PublishFailed, match=r"after 3 accepted .* not an int") as caught:
        topics.publish_all("smiles", ["a", "b", "c", 4])  # type: ignore[list-item]
    assert caught.value.result.accepted == 3


def test_why_a_text_is_refused() -> None:
    topics, _, _ = make()
    topics.create("smiles")
    failed = topics.publish_all("smiles", ["bell: \x07", "", "\udcff"]).failed
    assert [failure.reason.split(":")[0] for failure in failed] == [
        "SQS refuses control characters, here '\\x07'",
        "SQS refuses empty texts.",
        "the text is no valid UTF-8, as SQS wants it",
    ]


def test_ids_come_with_each_batch_in_the_order_of_its_messages() -> None:
    topics, _, _ = make()
    topics.create("smiles")
    seen: dict[str, str] = {}
    result = topics.publish_all(
        "smiles",
        [f"{n}" for n in range(25)],
        on_batch=lambda batch, accepted: seen.update(zip(batch.ids, (m.body for m in accepted), strict=True)),
    )
    assert result.ids == ()  # all of a long run would fill memory
    assert {m.id: m.body for m in topics.pull("smiles", min_messages=25, max_messages=25)} == seen


def test_a_wrong_name_is_told_once_and_the_one_that_is_wrong() -> None:
    topics, sqs, _ = make()
    with pytest.raises(InvalidTopic) as caught:
        topics.create("a b")
    assert str(caught.value).count("1 to 80 letters") == 1
    with pytest.raises(InvalidTopic, match="at most 68 characters") as caught:
        topics.create("x" * 70)
    assert len(caught.value.problems) == 1
    topics.create_queue("x" * 70)
    assert sqs.calls["CreateQueue"] == 1


# Topics that exist


def test_exist_ok_gives_a_topic_without_dead_letters_a_topic_for_them() -> None:
    topics, _, _ = make()
    topics.create_queue("raw")
    topics.create("raw", exist_ok=True, max_receives=3)
    assert topics.dead_letter_topic("raw") == "raw-dead-letter"
    assert json.loads(topics.attributes("raw")["RedrivePolicy"])["maxReceiveCount"] == 3
    # A dead-letter topic that somebody deleted is made again; the policy stays.
    topics.delete("raw-dead-letter")
    topics.create("raw", exist_ok=True)
    assert json.loads(topics.attributes("raw")["RedrivePolicy"])["maxReceiveCount"] == 3
    assert topics.exists("raw-dead-letter")
    # Another one is as good.
    arn = topics.attributes("raw-dead-letter")["QueueArn"]
    topics.create_queue("other", {"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})})
    topics.create("other", exist_ok=True)
    assert topics.dead_letter_topic("other") == "raw-dead-letter"
    assert not topics.exists("other-dead-letter")


def test_attributes_are_changed_and_messages_kept() -> None:
    topics, _, _ = make()
    topics.create("smiles")
    topics.publish("smiles", "CCO")
    topics.update("smiles", {"VisibilityTimeout": 77, "DelaySeconds": "5"}, max_receives=9)
    attributes = topics.attributes("smiles")
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("77", "5")
    policy = json.loads(attributes["RedrivePolicy"])
    assert policy["maxReceiveCount"] == 9
    assert policy["deadLetterTargetArn"].endswith(":smiles-dead-letter")
    assert topics.counts("smiles").visible == 1
    for arguments, words in (
        ({"VisibilityTimeout": 50_000, "Colour": "red"}, "SQS has no attribute Colour"),
        ({"FifoQueue": "true"}, "cannot be changed"),
        ({}, "nothing to change"),
    ):
        with pytest.raises(InvalidTopic, match=words):
            topics.update("smiles", arguments)
    with pytest.raises(InvalidTopic, match="no dead-letter topic"):
        topics.update("smiles-dead-letter", max_receives=3)
    with pytest.raises(TopicNotFound):
        topics.update("nowhere", {"DelaySeconds": 5})


def test_clear_leaves_what_the_deployed_stacks_own() -> None:
    topics, _, _ = make()
    owned = ["tagstream-dev-catalog-QueueA1.fifo", "tagstream-local-steps-InputDeadLettersB2"]
    for name in (*owned, "tagstream-order-check-1f", "smiles"):
        topics.create_queue(name)
    assert topics.clear("tagstream-") == ["tagstream-order-check-1f"]
    assert topics.clear("", everything=True) == ["smiles"]
    assert topics.list_topics() == owned
    assert list(topics.urls("tagstream-dev")) == owned[:1]


# Looking


def test_nothing_comes_twice_in_one_pull_however_short_its_deadline() -> None:
    topics, _, _ = make()
    topics.create("smiles", max_receives=2)
    topics.publish_all("smiles", [f"{n}" for n in range(15)])
    for receives in (1, 2):
        messages = topics.pull("smiles", min_messages=40, max_messages=40, timeout=5, visibility_timeout=0)
        assert sorted(int(message.body) for message in messages) == list(range(15))
        assert {message.receive_count for message in messages} == {receives}
        # They are there again at once.
        assert topics.counts("smiles").visible == 15


def test_a_look_where_it_counts_is_refused_and_where_it_does_not_it_leaves_everything() -> None:
    topics, sqs, _ = make()
    topics.create("smiles")
    topics.publish("smiles", "CCO")
    topics.publish("smiles-dead-letter", "poison")
    with pytest.raises(LookCounts, match=r"2 times to 'smiles-dead-letter'.*--count"):
        topics.peek("smiles")
    assert "ReceiveMessage" not in sqs.calls
    for _ in range(5):
        assert [message.body for message in topics.peek("smiles-dead-letter")] == ["poison"]
    assert topics.counts("smiles-dead-letter").visible == 1
    assert [message.body for message in topics.peek("smiles", count=True)] == ["CCO"]
    assert topics.counts("smiles").visible == 1
