"""Where ``log_personal`` is false, nothing that a function says tells a key, a word or what a step has printed."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

import boto3
import pytest

from lambdas.discretion import Discreet
from tests.integration.test_catalog_functions import batch, update

PERSONAL = "zebrafinch"  # in no word of ours


Load: TypeAlias = Callable[[str, str], Callable[[Any], Any]]


def said(capfd: pytest.CaptureFixture[str]) -> str:
    captured = capfd.readouterr()
    return captured.out + captured.err


@pytest.fixture
def discreet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_PERSONAL", "false")
    monkeypatch.setenv("LOG_KEY", "arn:aws:cloudformation:eu-west-1:123456789012:stack/x/1")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    for name in ("catalog", "search", "classify"):
        # Powertools keeps the loggers of functions that were started before.
        monkeypatch.delitem(logging.Logger.manager.loggerDict, name, raising=False)


@pytest.mark.usefixtures("discreet")
@pytest.mark.parametrize("personal", ["true", "false"])
def test_catalog_and_search(
    function: Load, osmem_clone: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], personal: str
) -> None:
    monkeypatch.setenv("LOG_PERSONAL", personal)
    catalog, search = function("catalog", osmem_clone.url), function("search", osmem_clone.url)
    event = batch(
        update(f"{PERSONAL}/cat.jpg"), update(f"{PERSONAL}.jpg", tags=(), kind="rejected", reason=f"no {PERSONAL}")
    )
    event["Records"].append({**event["Records"][0], "messageId": "9", "body": f'{{"{PERSONAL}": 1'})
    catalog(event)
    search({"query": "search", "q": PERSONAL})
    search({"query": "search", "q": f"{PERSONAL} ("})
    search({"query": PERSONAL})
    everything = said(capfd)
    assert "update applied" in everything
    assert "searched" in everything
    # Otherwise it is there, which shows that this test would see it.
    assert (PERSONAL in everything) is (personal == "true"), everything
    lines = [json.loads(line) for line in everything.splitlines() if line.startswith("{")]
    applied = [line for line in lines if line.get("message") == "update applied"]
    assert {line["document"] for line in applied} >= {update(f"{PERSONAL}/cat.jpg").document_id}


@pytest.mark.usefixtures("discreet")
@pytest.mark.parametrize("personal", ["true", "false"])
def test_classify(
    function: Load, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], personal: str
) -> None:
    monkeypatch.setenv("LOG_PERSONAL", personal)
    sqs, s3 = boto3.client("sqs"), boto3.client("s3")
    catalog = sqs.create_queue(QueueName="c.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    monkeypatch.setenv("CATALOG_QUEUE_URL", catalog)
    monkeypatch.setenv("INGEST_QUEUE_URL", sqs.create_queue(QueueName="i")["QueueUrl"])
    monkeypatch.setenv("MODEL_DIR", "build/models/efficientnet-lite0")
    s3.put_object(Bucket="thumbnails", Key=f"{PERSONAL}.jpg", Body=b"no photo")
    classify = function("classify", "http://127.0.0.1:1")

    def record(bucket: str, key: str) -> dict[str, Any]:
        about = {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "0A"}}
        return {"eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00Z", "s3": about}

    bodies = [
        {"Records": [record("thumbnails", f"{PERSONAL}.jpg")]},
        {"Records": [record("thumbnails", f"gone-{PERSONAL}.jpg")]},
        {"Records": [record(f"{PERSONAL} is no bucket", "cat.jpg")]},
        {PERSONAL: PERSONAL},
    ]
    classify(
        {
            "Records": [
                {"messageId": str(number), "receiptHandle": "x", "eventSource": "aws:sqs", "body": json.dumps(body)}
                | {"attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}}
                for number, body in enumerate(bodies)
            ]
        }
    )
    everything = said(capfd)
    assert "rejected" in everything
    assert "failed, to be delivered again" in everything
    assert (PERSONAL in everything) is (personal == "true"), everything


def test_whatever_is_logged_however_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_KEY", "key")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Discreet())
    logger = logging.Logger("any")
    logger.addHandler(handler)
    try:
        try:
            raise KeyError(PERSONAL)
        except KeyError as error:
            error.add_note(PERSONAL)
            raise ValueError(f"multi\n  line {PERSONAL}\nTraceback {PERSONAL}: {PERSONAL}") from error
    except ValueError:
        logger.exception(
            "failed with %s", PERSONAL, extra={"key": PERSONAL, "about": {PERSONAL: [PERSONAL, {"deep": PERSONAL}]}}
        )
    line = json.loads(stream.getvalue().replace(PERSONAL, "FOUND"))
    assert line["message"] == "failed with %s"
    assert line["exception_name"] == "ValueError"
    assert "KeyError hmac:" in line["exception"]
    assert line["key"].startswith("hmac:")
    # A name is ours, not somebody's; what stands in the place of one is not looked at.
    del line["about"]
    assert "FOUND" not in json.dumps(line)
    monkeypatch.setenv("LOG_KEY", "another")
    stream.truncate(0)
    logger.warning("x", extra={"key": PERSONAL})
    assert line["key"] not in stream.getvalue()
