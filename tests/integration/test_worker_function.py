"""The step function, as Lambda calls it, on moto's SQS and S3."""

from __future__ import annotations

import base64
import importlib.util
import json
import logging
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tagstream.topics import Message, Outgoing, Parcel, Place, Topics, outgoing, unpack

Handler = Callable[[dict[str, Any]], dict[str, Any]]
HERE = Path(__file__).parents[2] / "lambdas" / "step"


class Context:
    function_name = "step"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:step"
    aws_request_id = "1"
    seconds = 60.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def topics(aws: boto3.Session) -> Topics:
    topics = Topics(aws.client("sqs"))
    topics.create("out")
    return topics


@pytest.fixture
def function(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Handler]]:
    """A cold start of the function with that step."""
    log = logging.getLogger("tagstream")
    before = (log.level, list(log.handlers), log.propagate)

    def load(step: str | Path, *, output: str | None = None, seconds: float = 60.0) -> Handler:
        for variable, value in {
            "STEP": str(step),
            "OUTPUT_QUEUE_URL": output or topics.url("out"),
            # A logger is kept by this name, with the standard output of the test that was first.
            "POWERTOOLS_SERVICE_NAME": f"step-{secrets.token_hex(4)}",
            "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
        }.items():
            monkeypatch.setenv(variable, value)
        spec = importlib.util.spec_from_file_location("function_step", HERE / "handler.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        context = Context()
        context.seconds = seconds
        return lambda event: dict(module.handler(event, context))

    yield load
    # The function takes over the package's log; other tests read it.
    log.setLevel(before[0])
    log.handlers, log.propagate = before[1:]


def batch(*messages: Outgoing) -> dict[str, Any]:
    """An SQS event with these messages; their ids are 0, 1, 2 …"""
    return {
        "Records": [
            {
                "messageId": str(number),
                "receiptHandle": "x",
                "body": message.body,
                "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "0"},
                "messageAttributes": {
                    name: {"dataType": "Binary", "binaryValue": base64.b64encode(value).decode()}
                    if isinstance(value, bytes)
                    else {"dataType": "Number" if isinstance(value, int) else "String", "stringValue": str(value)}
                    for name, value in message.attributes.items()
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:in",
                "awsRegion": "eu-west-1",
            }
            for number, message in enumerate(messages)
        ]
    }


def failed(answer: dict[str, Any]) -> list[str]:
    assert answer.keys() == {"batchItemFailures"}
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


def parcels(topics: Topics) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    messages: list[Message] = topics.pull("out", min_messages=0, max_messages=100, timeout=0)
    for message in messages:
        parcel = unpack(message)
        assert parcel is not None
        found[str(parcel.place)] = parcel.content
    return found


def test_what_the_step_makes_is_published_under_its_inputs_place(
    function: Callable[..., Handler], topics: Topics
) -> None:
    large = b"".join(b"line %d\n" % number for number in range(2000))
    handler = function("uppercase")
    event = batch(*(outgoing(Parcel("u", Place.of(number), text)) for number, text in enumerate((b"c\n", large, b""))))
    assert failed(handler(event)) == []
    made = parcels(topics)
    assert [content for _, content in sorted(made.items())] == [b"C\n", large.upper(), b""]
    # Delivered again: the same identities, so that a download drops them.
    assert failed(handler(event)) == []
    assert parcels(topics).keys() == made.keys()


def test_only_the_message_whose_step_failed_is_given_back_and_its_reason_is_logged(
    function: Callable[..., Handler], topics: Topics, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    step = tmp_path / "step"
    step.write_text('#!/bin/sh\nif grep -q bad "$1"; then echo "no such atom" >&2; exit 7; fi; cp "$1" "$2"\n')
    step.chmod(0o755)
    assert failed(function(step)(batch(Outgoing("good"), Outgoing("bad"), Outgoing("fine")))) == ["1"]
    assert sorted(parcels(topics).values()) == [b"fine\n", b"good\n"]
    logged = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"level"' in line]
    [record] = [record for record in logged if record["level"] == "ERROR"]
    assert record["message_id"] == "1"
    assert "exit code 7" in record["exception"]
    assert any("no such atom" in str(record["message"]) for record in logged)


def test_a_damaged_parcel_a_lost_output_topic_and_no_time_are_failures(
    function: Callable[..., Handler], topics: Topics
) -> None:
    whole = outgoing(Parcel("u", Place.of(0), b"c\n"))
    event = batch(Outgoing("o\n", whole.attributes), Outgoing("x"))
    assert failed(function("cp")(event)) == ["0"]
    assert failed(function("cp", output=topics.url("out") + "-missing")(batch(Outgoing("x")))) == ["0"]
    assert failed(function("cp", seconds=4)(batch(Outgoing("x")))) == ["0"]


def test_a_step_that_outlasts_the_function_is_killed_in_time(function: Callable[..., Handler], tmp_path: Path) -> None:
    step = tmp_path / "step"
    step.write_text("#!/bin/sh\nsleep 600\n")
    step.chmod(0o755)
    assert failed(function(step, seconds=5.2)(batch(Outgoing("x")))) == ["0"]
