"""The canary's handler: what it answers, and that it fails when the pipeline does."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.canary import handler as canary
from tagstream.errors import CatalogError

LOCATION = "s3://photos/tagstream-canary.png"


class Aws:
    """S3 and Lambda, with a search function that knows what is in the bucket at once."""

    def __init__(self) -> None:
        self.etag: str | None = None
        self.fails = False
        self.rejects = False

    def put_object(self, **given: Any) -> dict[str, str]:
        assert (given["Bucket"], given["Key"]) == ("photos", "tagstream-canary.png")
        self.etag = hashlib.md5(given["Body"], usedforsecurity=False).hexdigest()
        return {"VersionId": "v1"}

    def delete_object(self, **given: str) -> None:
        assert given == {"Bucket": "photos", "Key": "tagstream-canary.png", "VersionId": "v1"}
        self.etag = None

    def invoke(self, **given: Any) -> dict[str, Any]:
        assert given["FunctionName"] == "search"
        answer: dict[str, Any] = {"images": []}
        if self.etag:
            status = "rejected" if self.rejects else "classified"
            image = {"s3_location": LOCATION, "etag": self.etag, "status": status, "tags": [{"tag": "quilt"}]}
            answer = {"images": [image]}
        if self.fails:
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "OpenSearch is away"}')}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    fake = Aws()
    for name, value in (
        ("BUCKET", "photos"),
        ("OBJECT_KEY", "tagstream-canary.png"),
        ("SEARCH_FUNCTION", "search"),
        ("POWERTOOLS_SERVICE_NAME", "canary"),
        ("POWERTOOLS_METRICS_NAMESPACE", "Tagstream"),
    ):
        monkeypatch.setenv(name, value)
    # What is around the handler reads its part of them when it is imported.
    importlib.reload(canary)
    monkeypatch.setattr("lambdas.aws.client", lambda _service: fake)
    return fake


def run() -> dict[str, Any]:
    context = SimpleNamespace(
        function_name="canary",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:eu-west-1:111122223333:function:canary",
        aws_request_id="1",
        get_remaining_time_in_millis=lambda: 60_000,
    )
    answer = canary.handler({}, context)  # type: ignore[arg-type]
    assert isinstance(answer, dict)
    return answer


def test_it_says_how_long_each_step_took_and_leaves_nothing(aws: Aws) -> None:
    assert list(run()) == ["uploaded", "classified", "found", "removed"]
    assert aws.etag is None


def test_it_fails_with_the_step_that_does_and_leaves_nothing(aws: Aws) -> None:
    aws.rejects = True
    with pytest.raises(CatalogError, match=r"classified: .* was rejected"):
        run()
    assert aws.etag is None


def test_a_search_that_fails_is_a_failure(aws: Aws) -> None:
    aws.fails = True
    with pytest.raises(CatalogError, match="OpenSearch is away"):
        run()
    assert aws.etag is None
