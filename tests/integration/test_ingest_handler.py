"""The classify function as Lambda calls it; S3 and SQS by moto in this process, the model is the real one."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from tagstream.classifier.models import find_model
from tagstream.errors import ConfigurationError

HANDLER = Path(__file__).parents[2] / "lambdas" / "classify" / "handler.py"
CONTEXT = SimpleNamespace(
    function_name="classify",
    memory_limit_in_mb=1769,
    invoked_function_arn="arn",
    aws_request_id="id",
    tenant_id=None,
    get_remaining_time_in_millis=lambda: 60_000,
)


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("classify_handler", HANDLER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "POWERTOOLS_SERVICE_NAME": "classify",
        "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
        "MODEL_DIR": str(find_model("efficientnet-lite0")),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        s3.create_bucket(Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        url = sqs.create_queue(QueueName="catalog.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
        monkeypatch.setenv("CATALOG_QUEUE_URL", url)
        ingest = sqs.create_queue(QueueName="ingest", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
        monkeypatch.setenv("INGEST_QUEUE_URL", ingest)
        s3.create_bucket(Bucket="thumbnails", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        monkeypatch.setenv("THUMBNAILS_BUCKET", "thumbnails")
        yield SimpleNamespace(s3=s3, sqs=sqs, url=url, ingest=ingest)


def event(*, receives: int = 1, receipt: str = "r", **bodies: str) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {
        "Records": [
            {"messageId": name, "body": text, "receiptHandle": receipt, "eventSource": "aws:sqs"}
            | {"attributes": attributes}
            for name, text in bodies.items()
        ]
    }


def created(key: str, bucket: str = "photos") -> str:
    record = {
        "eventName": "ObjectCreated:Put",
        "eventTime": "2026-11-22T10:00:00Z",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": "0A"}},
    }
    return json.dumps({"Records": [record]})


def test_a_batch(aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (300, 200), "orange").save(photo, "JPEG")
    aws.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo.getvalue())
    aws.s3.put_object(Bucket="photos", Key="b.jpg", Body=b"a text")
    module = load()
    answer = module.handler(event(photo=created("a.jpg"), text=created("b.jpg"), junk="junk"), CONTEXT)
    assert answer == {"batchItemFailures": []}

    messages = aws.sqs.receive_message(QueueUrl=aws.url, MaxNumberOfMessages=10)["Messages"]
    updates = {update["key"]: update for update in (json.loads(message["Body"]) for message in messages)}
    assert {key: update["kind"] for key, update in updates.items()} == {
        "a.jpg": "classified",
        "b.jpg": "rejected",
        "junk": "rejected",
    }
    assert updates["a.jpg"]["model"] == "efficientnet-lite0"
    assert (updates["a.jpg"]["width"], updates["a.jpg"]["height"]) == (300, 200)
    assert 0 < [tag["kind"] for tag in updates["a.jpg"]["tags"]].count("leaf") <= 10

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = {line["s3_location"]: line["message"] for line in lines if "s3_location" in line}
    assert told == {"s3://photos/a.jpg": "classified", "s3://photos/b.jpg": "rejected", "s3:///junk": "rejected"}
    (metrics,) = (line for line in lines if "ImagesClassified" in line)
    assert [metrics[name] for name in ("ImagesClassified", "ImagesRejected", "ImagesRemoved", "Failures")] == [
        [1.0],
        [2.0],
        [0.0],
        [0.0],
    ]


def test_a_last_try_deletes_the_message_by_itself(aws: Any) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (300, 200), "orange").save(photo, "JPEG")
    aws.s3.put_object(Bucket="photos", Key="a.jpg", Body=photo.getvalue())
    aws.sqs.send_message(QueueUrl=aws.ingest, MessageBody=created("a.jpg"))
    (message,) = aws.sqs.receive_message(QueueUrl=aws.ingest)["Messages"]
    again = event(receives=3, receipt=message["ReceiptHandle"], photo=message["Body"])
    assert load().handler(again, CONTEXT) == {"batchItemFailures": []}
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=aws.ingest)
    messages = aws.sqs.receive_message(QueueUrl=aws.url, MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["kind"] for message in messages] == ["rejected", "classified"]


def test_every_message_may_fail_without_an_error_raised(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    aws.s3.put_object(Bucket="photos", Key="b.jpg", Body=b"a text")
    monkeypatch.setenv("CATALOG_QUEUE_URL", aws.url.replace("catalog", "none"))
    answer = load().handler(event(one=created("b.jpg"), two="junk"), CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "one"}, {"itemIdentifier": "two"}]}


def test_a_missing_model_fails_the_messages_and_loses_nothing(
    aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    answer = load().handler(event(one=created("b.jpg"), two='{"Event": "s3:TestEvent"}'), CONTEXT)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "one"}]}


def test_settings_are_read_from_the_environment() -> None:
    module = load()
    queues = {"CATALOG_QUEUE_URL": "url", "INGEST_QUEUE_URL": "url"}
    settings = module.Settings.from_environment(
        queues
        | {"MODEL_DIR": "/m", "MAX_PIXELS": "10", "MAX_BYTES": "20", "MAX_SCANS": "3"}
        | {"MAX_TAGS": "4", "MIN_SCORE": "0.5"}
    )
    assert (settings.limits.max_pixels, settings.limits.max_bytes, settings.limits.max_scans) == (10, 20, 3)
    assert (settings.max_tags, settings.min_score, settings.model) == (4, 0.5, Path("/m"))
    assert module.Settings.from_environment(queues).model == HANDLER.parent / "model"
    assert not module.Settings.from_environment(queues).store_location
    assert module.Settings.from_environment(queues | {"STORE_LOCATION": "true"}).store_location
    for wrong in (
        {},
        {"CATALOG_QUEUE_URL": "url"},
        queues | {"MAX_TAGS": "many"},
        queues | {"STORE_LOCATION": "maybe"},
    ):
        with pytest.raises(ConfigurationError):
            module.Settings.from_environment(wrong)


def test_a_thumbnail_is_sent_without_asking_first(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.awsrequest import AWSResponse

    from lambdas import thumbnails

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    s3 = thumbnails.client.__wrapped__()
    sent: list[dict[str, str]] = []

    def answer(request: Any, **_: Any) -> AWSResponse:
        sent.append({name.lower(): value for name, value in request.headers.items()})
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: [b""]))

    s3.meta.events.register("before-send.s3.PutObject", answer)
    s3.put_object(Bucket="thumbnails", Key="a/0-1/320.jpg", Body=b"picture", ContentType="image/jpeg")
    assert len(sent) == 1
    assert "expect" not in sent[0]


def test_importing_the_handler_loads_nothing_heavy() -> None:
    code = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("handler", {str(HANDLER)!r})
module = importlib.util.module_from_spec(spec)
sys.modules["handler"] = module
spec.loader.exec_module(module)
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=HANDLER.parents[2],
        timeout=120,
    )
    loaded = set(done.stdout.split())
    assert "tagstream" in loaded
    assert not loaded & {
        "ai_edge_litert",
        "aws_cdk",
        "boto3",
        "click",
        "keras",
        "opensearchpy",
        "pi_heif",
        "rich",
        "tensorflow",
        "zstandard",
    }
