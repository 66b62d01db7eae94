"""What topics must do on every SQS: the one in memory (unit tier), moto's, and AWS' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tagstream.topics import (
    InvalidTopic,
    MessageTooLarge,
    Outgoing,
    Parcel,
    ParcelSettings,
    Place,
    PublishFailed,
    TopicError,
    TopicNotFound,
    Topics,
    download,
    outgoing,
    unpack,
    upload,
)

NASTY = (
    b"",
    b"\n",
    b"\n\n\n",
    b"CCO\n",
    b"no newline",
    b"a\r\nb\r\n\r\n",
    b"a\r\nb\rc\n\r",
    b" leading and trailing \t\n ",
    b"\xff\xfe invalid \xc3( utf-8\n\xed\xa0\x80\n",
    b"bell \x07 and zero \x00\n",
    b"\xef\xbf\xbf noncharacter\n",
    "grüße, 漢字, 🧪\u2028\u0085\n".encode(),
    b"<a>&amp;</a>]]>\n",
    b'{"json": "\\u0000"}\n',
    bytes(range(256)) * 40,
    b"x" * 1_000_000 + b"\nshort\n" + b"y" * 900_000,
)


def bodies(topics: Topics, topic: str, most: int = 100) -> list[str]:
    """Everything in a topic, acknowledged."""
    found: list[str] = []
    while messages := topics.pull(topic, min_messages=0, max_messages=most, timeout=0):
        assert topics.acknowledge(topic, messages) == []
        found += [message.body for message in messages]
    return found


class TopicsContract:
    """Subclasses give the fixture ``topics``."""

    # Topics themselves

    def test_a_topic_has_a_dead_letter_topic_that_takes_over_after_two_receives(self, topics: Topics) -> None:
        topics.create("smiles")
        assert topics.list_topics("smi") == ["smiles", "smiles-dead-letter"]
        policy = json.loads(topics.attributes("smiles")["RedrivePolicy"])
        assert int(policy["maxReceiveCount"]) == 2
        assert policy["deadLetterTargetArn"] == topics.attributes("smiles-dead-letter")["QueueArn"]
        topics.publish("smiles", Outgoing("poison"))
        for count in (1, 2):
            (message,) = topics.pull("smiles", timeout=1, visibility_timeout=100)
            assert message.receive_count == count
            assert topics.refresh_deadline("smiles", [message], 0) == []
        assert topics.pull("smiles", timeout=0) == []
        assert topics.counts("smiles").dead_lettered == 1
        assert bodies(topics, "smiles-dead-letter") == ["poison"]

    def test_create_replaces_both_and_exist_ok_keeps_them(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish("smiles", Outgoing("kept"))
        topics.create("smiles", exist_ok=True)
        assert topics.counts("smiles").visible == 1
        topics.publish("smiles-dead-letter", Outgoing("lost"))
        topics.create("smiles", visibility_timeout=77)
        assert topics.counts("smiles").total == 0
        assert topics.counts("smiles").dead_lettered == 0
        assert topics.attributes("smiles")["VisibilityTimeout"] == "77"

    def test_exist_ok_makes_what_is_missing(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish("smiles-dead-letter", Outgoing("kept"))
        topics.delete("smiles")
        topics.create("smiles", exist_ok=True)
        assert topics.counts("smiles").dead_lettered == 1

    def test_a_fifo_topic_has_a_fifo_dead_letter_topic(self, topics: Topics) -> None:
        topics.create("updates.fifo", max_receives=5)
        assert topics.list_topics() == ["updates-dead-letter.fifo", "updates.fifo"]
        attributes = topics.attributes("updates.fifo")
        assert attributes["FifoQueue"] == "true"
        assert attributes["ContentBasedDeduplication"] == "true"
        assert attributes["FifoThroughputLimit"] == "perMessageGroupId"
        assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":updates-dead-letter.fifo")

    def test_a_missing_topic_is_named(self, topics: Topics) -> None:
        for act in (
            topics.url,
            topics.delete,
            topics.attributes,
            topics.counts,
            topics.pull,
            topics.purge,
            lambda topic: topics.publish(topic, Outgoing("CCO")),
            lambda topic: topics.publish_all(topic, [Outgoing("CCO")]),
        ):
            with pytest.raises(TopicNotFound, match="'nowhere'"):
                act("nowhere")
        topics.create("smiles")
        url = topics.url("smiles")
        topics.delete(url)
        for call in (topics.delete, topics.counts, topics.pull):
            with pytest.raises(TopicNotFound):
                call(url)

    def test_a_topic_goes_by_its_url_as_well(self, topics: Topics) -> None:
        topics.create("smiles")
        url = topics.url("smiles")
        topics.publish(url, Outgoing("CCO"))
        assert bodies(topics, url) == ["CCO"]
        topics.delete(url)
        assert not topics.exists("smiles")
        assert topics.exists("smiles-dead-letter")

    def test_clear_takes_the_prefix_and_nothing_else(self, topics: Topics) -> None:
        for name in ("test-a", "test-b.fifo", "other"):
            topics.create(name)
        with pytest.raises(InvalidTopic, match="every queue"):
            topics.clear("")
        assert topics.clear("test-") == ["test-a", "test-a-dead-letter", "test-b-dead-letter.fifo", "test-b.fifo"]
        assert topics.list_topics() == ["other", "other-dead-letter"]
        assert topics.clear("", everything=True) == ["other", "other-dead-letter"]
        assert topics.list_topics() == []

    def test_a_queue_with_any_attributes_checked_before_the_call(self, topics: Topics) -> None:
        url = topics.create_queue("raw", {"DelaySeconds": "5", "MaximumMessageSize": "2048"})
        assert url.endswith("/raw")
        assert topics.attributes("raw")["MaximumMessageSize"] == "2048"
        assert topics.counts("raw").dead_lettered is None
        with pytest.raises(InvalidTopic) as caught:
            topics.create_queue("b@d", {"DelaySeconds": "901", "FifoQueue": "true", "Colour": "red"})
        assert len(caught.value.problems) == 4
        assert topics.list_topics() == ["raw"]

    def test_purge_empties_and_keeps(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish_all("smiles", [Outgoing("CCO")] * 3)
        topics.purge("smiles")
        assert topics.counts("smiles").total == 0

    # Publishing and pulling

    def test_publish_all_respects_both_limits(self, topics: Topics) -> None:
        topics.create("smiles")
        result = topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(25)))
        assert (result.accepted, result.failed, result.requests, result.billed) == (25, (), 3, 3)
        assert sorted(map(int, bodies(topics, "smiles"))) == list(range(25))
        result = topics.publish_all("smiles", (Outgoing("x" * 400_000, {"n": n}) for n in range(5)))
        assert (result.accepted, result.requests) == (5, 3)
        assert [len(body) for body in bodies(topics, "smiles")] == [400_000] * 5

    def test_publish_all_tells_exactly_what_failed(self, topics: Topics) -> None:
        topics.create("smiles")
        messages = [Outgoing("good"), Outgoing("bad \x07"), Outgoing(""), Outgoing("x" * 1_048_577), Outgoing("fine")]
        result = topics.publish_all("smiles", messages)
        assert result.accepted == 2
        assert [failed.message for failed in result.failed] == messages[1:4]
        assert [failed.code for failed in result.failed] == ["InvalidMessageContents"] * 2 + ["MessageTooLong"]
        assert sorted(bodies(topics, "smiles")) == ["fine", "good"]
        with pytest.raises(MessageTooLarge, match="1,048,577"):
            topics.publish("smiles", messages[3])
        with pytest.raises(PublishFailed, match="control characters"):
            topics.publish("smiles", messages[1])

    def test_attributes_arrive_as_they_were(self, topics: Topics) -> None:
        topics.create("smiles")
        attributes = {"text": "grün", "number": 42, "bytes": bytes(range(256))}
        topics.publish_all("smiles", [Outgoing("CCO", attributes)])
        (message,) = topics.pull("smiles", timeout=1)
        assert message.attributes == attributes

    def test_pull_takes_at_least_and_at_most(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(34)))
        assert len(topics.pull("smiles", min_messages=12, max_messages=12)) == 12
        assert len(topics.pull("smiles", min_messages=22, max_messages=50, timeout=2)) == 22
        assert topics.pull("smiles", timeout=0) == []
        assert topics.counts("smiles").in_flight == 34

    def test_a_delayed_message_is_counted_and_not_received(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish("smiles", Outgoing("later", delay=600))
        assert topics.pull("smiles", timeout=0) == []
        counts = topics.counts("smiles")
        assert (counts.visible, counts.in_flight, counts.delayed) == (0, 0, 1)

    def test_released_messages_are_there_at_once_and_acknowledged_ones_gone(self, topics: Topics) -> None:
        topics.create("smiles", max_receives=10)
        topics.publish_all("smiles", (Outgoing(f"{number}") for number in range(12)))
        held = topics.pull("smiles", min_messages=12, max_messages=12)
        assert topics.refresh_deadline("smiles", held, 0) == []
        held = topics.pull("smiles", min_messages=12, max_messages=12)
        assert topics.acknowledge("smiles", held) == []
        assert topics.counts("smiles").total == 0

    def test_a_receipt_that_is_none_is_told(self, topics: Topics) -> None:
        topics.create("smiles")
        topics.publish("smiles", Outgoing("CCO"))
        (message,) = topics.pull("smiles")
        wrong = type(message)(id="wrong", receipt="wrong", body="")
        assert [failed.message.id for failed in topics.acknowledge("smiles", [message, wrong])] == ["wrong"]
        assert [failed.message.id for failed in topics.refresh_deadline("smiles", [wrong])] == ["wrong"]

    def test_what_boto3_would_not_send_is_an_error_of_topics(self, topics: Topics) -> None:
        topics.create("updates.fifo")
        with pytest.raises(TopicError):
            topics.publish("updates.fifo", Outgoing("CCO", group_id=5))  # type: ignore[arg-type]

    # FIFO

    def test_fifo_keeps_order_in_a_group_and_drops_duplicates(self, topics: Topics) -> None:
        topics.create("updates.fifo")
        sent = [Outgoing(f"{n}", group_id=f"g{n % 3}", deduplication_id=f"id-{n}") for n in range(30)]
        assert topics.publish_all("updates.fifo", sent + sent[:5]).accepted == 35
        got: dict[str | None, list[int]] = {}
        while messages := topics.pull("updates.fifo", timeout=0):
            for message in messages:
                got.setdefault(message.group_id, []).append(int(message.body))
            topics.acknowledge("updates.fifo", messages)
        assert got == {f"g{group}": list(range(group, 30, 3)) for group in range(3)}

    def test_a_fifo_group_waits_for_what_is_in_flight(self, topics: Topics) -> None:
        topics.create("updates.fifo")
        topics.publish_all("updates.fifo", [Outgoing(text, group_id=text[0]) for text in ("a1", "a2", "b1")])
        (first,) = topics.pull("updates.fifo", max_messages=1)
        assert first.body == "a1"
        assert [message.body for message in topics.pull("updates.fifo", timeout=0)] == ["b1"]
        topics.acknowledge("updates.fifo", [first])
        assert [message.body for message in topics.pull("updates.fifo", timeout=0)] == ["a2"]

    # Parcels and files

    @pytest.mark.parametrize("encoding", ["auto", "plain", "bz2"])
    def test_parcels_carry_any_bytes(self, topics: Topics, encoding: str) -> None:
        topics.create("smiles")
        settings = ParcelSettings(encoding=encoding)  # type: ignore[arg-type]
        for number, content in enumerate(NASTY[:-1]):
            parcel = Parcel("u", Place.of(number, last=True), content)
            topics.publish("smiles", outgoing(parcel, settings))
            (message,) = topics.pull("smiles")
            assert unpack(message) == parcel
            topics.acknowledge("smiles", [message])

    @pytest.mark.parametrize("topic", ["smiles", "smiles.fifo"])
    def test_files_come_back_byte_for_byte(self, topics: Topics, tmp_path: Path, topic: str) -> None:
        topics.create(topic)
        for number, content in enumerate(NASTY):
            source, target = tmp_path / f"in{number}", tmp_path / f"out{number}"
            source.write_bytes(content)
            sent = upload(topics, topic, [source], settings=ParcelSettings(max_lines=7))
            got = download(topics, topic, target, idle=0)
            assert target.read_bytes() == content
            assert sent.lines == got.lines == content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
            assert sent.bytes == got.bytes == len(content)
            assert topics.counts(topic).total == 0
        assert {path.name[:2] for path in tmp_path.iterdir()} == {"in", "ou"}
