"""What whoever is on call sees of a stage: what is worked out here from what AWS answers."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from click.testing import CliRunner
from moto import mock_aws

from tagstream.cli import main
from tagstream.cli.dlq import _chosen
from tagstream.cli.status import _domain as told_of_domain
from tagstream.deployed.aws import Aws
from tagstream.errors import CatalogError, ConfigurationError
from tagstream.operations import doctor
from tagstream.operations.doctor import Finding, Stage, examine
from tagstream.operations.queues import QUEUES, queue_named
from tagstream.operations.state import _costs, _domain, _images
from tagstream.topics import Message

_NOTHING: dict[str, Any] = {
    "index": None,
    "indexes": [],
    "alias": "images",
    "behind_alias": [],
    "blocked": [],
    "images": {},
}


class Inspected:
    """A stage whose purge function says this of the catalog."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = state

    def manage(self, *_: Any) -> Mapping[str, Any]:
        return self.state


@pytest.mark.parametrize(
    ("state", "photos_expected", "said"),
    [
        (_NOTHING, False, ""),
        (_NOTHING, True, "no index in OpenSearch"),
        (_NOTHING | {"indexes": ["a", "b"], "behind_alias": ["a", "b"]}, True, "leads to 2 indexes"),
        (_NOTHING | {"index": "a", "indexes": ["a"], "images": {"classified": 1}}, True, ""),
    ],
)
def test_an_index_that_is_lost_is_a_problem(state: Mapping[str, Any], photos_expected: bool, said: str) -> None:
    problems: list[str] = []
    _images(cast(Aws, Inspected(state)), problems, photos_expected=photos_expected)
    assert said in " ".join(problems)
    assert len(problems) == bool(said)


def test_ids_that_no_dead_letter_has_are_known_afterwards() -> None:
    missing = {"here", "gone"}
    chosen = _chosen(queue_named("ingest"), missing, ("here", "gone"), ())
    assert chosen is not None
    assert [chosen(Message(name, "receipt", "{}")) for name in ("other", "here")] == [False, True]
    assert missing == {"gone"}


AWS = Aws("dev", None, "eu-west-1", None)


class Deployed(Aws):
    """A stage in moto: every output is a name that was given."""

    def outputs(self, capability: str) -> dict[str, str]:
        assert capability == "ingest"
        return {"BucketName": "photos", "IngestQueueUrl": self.client("sqs").get_queue_url(QueueName="in")["QueueUrl"]}


def test_what_was_found_before_a_check_breaks_off_stays_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_stage: Stage) -> Iterator[tuple[str, str]]:
        yield "one is wrong", "mend it"
        raise CatalogError("nobody answers")

    def follows(_stage: Stage) -> Iterator[tuple[str, str]]:
        yield "two is wrong", "mend that"

    monkeypatch.setattr(doctor, "CHECKS", {"first": breaks, "second": follows})
    assert examine(AWS) == [
        Finding("first", "one is wrong", "mend it"),
        Finding("first", "could not be looked at: nobody answers", "See to that, and look again."),
        Finding("second", "two is wrong", "mend that"),
    ]


def test_the_machine_is_looked_at_where_no_cloud_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped() -> Any:
        raise ConfigurationError("the local cloud does not run")

    monkeypatch.setattr("tagstream.local.cloud.connection", stopped)
    heard: list[str] = []
    found = examine(Aws("local", None, None, None), on_check=heard.append)
    assert heard == ["machine", "credentials"]
    assert [one.what for one in found if one.check == "credentials"] == [
        "could not be looked at: the local cloud does not run"
    ]


@pytest.mark.parametrize(
    ("said", "version"), [("v22.11.0", 22), ("v18.0.0\n", 18), ("", 0), ("something", 0), (None, 0)]
)
def test_the_version_of_node_is_read(monkeypatch: pytest.MonkeyPatch, said: str | None, version: int) -> None:
    def run(*_: Any, **__: Any) -> subprocess.CompletedProcess[str]:
        if said is None:
            raise subprocess.TimeoutExpired("node", 10)
        return subprocess.CompletedProcess("node", 0, said, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert doctor._node() == version


@pytest.mark.parametrize(
    ("events", "missed"),
    [
        (["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], []),
        (["s3:ObjectCreated:Put", "s3:ObjectRemoved:*"], ["s3:ObjectCreated:*"]),
        (["s3:ObjectCreated:*", "s3:ObjectRemoved:Delete"], ["s3:ObjectRemoved:*"]),
    ],
)
@mock_aws
def test_notifications_of_some_uploads_are_not_enough(
    monkeypatch: pytest.MonkeyPatch, events: list[str], missed: list[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    aws = Deployed("dev", None, "us-east-1", None)
    queue = aws.client("sqs").create_queue(QueueName="in")["QueueUrl"]
    asked = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    aws.client("s3").create_bucket(Bucket="photos")
    aws.client("s3").put_bucket_notification_configuration(
        Bucket="photos",
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": asked["Attributes"]["QueueArn"], "Events": events}]
        },
    )
    found = [what for what, _then in doctor._notifications(Stage(aws))]
    assert [what.split("every ")[1].removesuffix(": such photos are missed") for what in found] == missed


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"A": "1", "B": "worked out"}, ""),
        ({"A": "2", "B": "worked out"}, "has other values than its stack's in its environment: A"),
        ({"B": "worked out"}, "lacks A in its environment"),
    ],
)
def test_an_environment_that_was_changed_is_found(there: dict[str, str], found: str) -> None:
    class Functions:
        def client(self, _: str) -> Any:
            return self

        def get_function_configuration(self, **_: str) -> dict[str, Any]:
            return {"MemorySize": 128, "Timeout": 3, "Environment": {"Variables": there}}

        stage, is_local = "dev", False

    stack = {"MemorySize": 128, "Timeout": 3, "Environment": {"Variables": {"A": "1", "B": {"Ref": "Bucket"}}}}
    said = [what for what, _ in doctor._function(cast(Aws, Functions()), "classify", stack)]
    assert said == ([f"function classify {found}"] if found else [])


@pytest.mark.parametrize(("runs", "found"), [(b"bundle", False), (b"a patch", True)])
def test_code_that_was_changed_is_found(runs: bytes, found: bool) -> None:
    there = {
        "FunctionName": "classify",
        "FunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:classify",
        "CodeSha256": base64.b64encode(hashlib.sha256(runs).digest()).decode(),
        "LastModified": "2026-11-26T12:00:00.000+0000",
    }
    key = f"{hashlib.sha256(hashlib.sha256(b'bundle').hexdigest().encode()).hexdigest()}.zip"
    stack = {"S3Bucket": {"Fn::Sub": "cdk-assets-${AWS::AccountId}-${AWS::Region}"}, "S3Key": key}
    said = list(doctor._code(there, stack))
    assert [what for what, _ in said] == [
        "function classify has other code than its stack gave it: somebody changed it by hand, the last time at "
        "2026-11-26T12:00:00.000+0000"
    ] * found
    assert [f"--s3-bucket cdk-assets-123456789012-eu-west-1 --s3-key {key} " in then for _, then in said] == [
        True
    ] * found


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"FunctionVersion": "7"}, ""),
        ({"FunctionVersion": "7", "RoutingConfig": {"AdditionalVersionWeights": {}}}, ""),
        ({"FunctionVersion": "6"}, "go to version 6, and its stack made version 7"),
        (
            {"FunctionVersion": "6", "RoutingConfig": {"AdditionalVersionWeights": {"7": 0.1}}},
            "go to version 6, 10% to version 7, and its stack made version 7",
        ),
    ],
)
def test_calls_that_go_to_another_version_are_found(there: dict[str, Any], found: str) -> None:
    class Functions:
        def client(self, _: str) -> Any:
            return self

        def get_alias(self, FunctionName: str, Name: str) -> dict[str, Any]:
            assert (FunctionName, Name) == ("classify", "live")
            return there

    arn = "arn:aws:lambda:eu-west-1:123456789012:function:classify"
    said = [what for what, _ in doctor._alias(cast(Aws, Functions()), f"{arn}:live", f"{arn}:7")]
    assert said == ([f"calls of function classify {found}"] if found else [])


class Measured:
    """CloudWatch and Lambda with numbers of their own."""

    stage = "dev"

    def client(self, _: str) -> Any:
        return self

    def output(self, _: str, name: str) -> str:
        return name

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": "123456789012"}

    def get_function_configuration(self, FunctionName: str) -> dict[str, int]:
        return {"MemorySize": 2048 if FunctionName == "ClassifyFunctionName" else 512}

    def get_metric_statistics(self, **asked: Any) -> dict[str, Any]:
        (statistic,) = asked["Statistics"]
        names = {one["Name"]: one["Value"] for one in asked["Dimensions"]}
        values = {
            "Invocations": 10.0,
            "Duration": 3000.0,
            "ClusterStatus.red": 0.0,
            "ClusterStatus.yellow": 1.0,
            "Nodes": 3.0,
            "FreeStorageSpace": 4096.0,
        }
        if asked["Namespace"] == "AWS/ES":
            assert names == {"DomainName": "tagstream-dev", "ClientId": "123456789012"}
        if asked["MetricName"] not in values:
            return {"Datapoints": []}
        now = datetime.now(UTC)
        return {"Datapoints": [{"Timestamp": now, statistic: values[asked["MetricName"]]}]}


def test_what_is_billed_for_is_summed_over_functions() -> None:
    functions = sum(queue.function is not None for queue in QUEUES)
    # Three seconds each: at 2 GiB, and at half of one.
    assert _costs(cast(Aws, Measured())) == {
        "invocations": 10.0 * functions,
        "gigabyte_seconds": 3 * 2 + 3 * 0.5 * (functions - 1),
    }


def test_the_domain_is_told_in_a_line() -> None:
    found = _domain(cast(Aws, Measured()))
    assert found == {"red": 0.0, "yellow": 1.0, "nodes": 3.0, "free_mb": 4096.0}
    assert told_of_domain(found) == "yellow, 3 nodes, 4,096 MB free"


def test_watching_goes_on_when_aws_fails_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def look(*_: Any) -> Any:
        nonlocal looks
        looks += 1
        raise CatalogError("no answer") if looks < 3 else KeyboardInterrupt

    monkeypatch.setattr("tagstream.operations.state.look", look)
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("tagstream.cli.status.client_of", lambda _: None)
    done = CliRunner().invoke(main, ["status", "--watch"])
    assert done.exit_code == 130
    assert done.output.count("Not to be seen now: no answer") == 2
