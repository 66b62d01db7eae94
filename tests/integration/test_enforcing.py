"""The local cloud's least-privilege profile, without the stacks: who is let in, to what, and over what."""

from __future__ import annotations

import json
import ssl
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError, SSLError

from tagstream.errors import LocalCloudError
from tagstream.local.cloud import LocalCloud, Process, State, up


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("enforcing"), least_privilege=True) as made:
        yield made


@pytest.fixture
def somebody(cloud: LocalCloud) -> Iterator[Any]:
    """``somebody(service, statement, …)`` is a client of a user who may do that."""
    iam, clients = cloud.connection.client("iam"), []
    iam.create_user(UserName="somebody")
    key = iam.create_access_key(UserName="somebody")["AccessKey"]

    def client(service: str, *allowed: dict[str, Any]) -> Any:
        statements = [{"Effect": "Allow"} | statement for statement in allowed]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName="somebody", PolicyName="one", PolicyDocument=document)
        keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        clients.append(boto3.Session().client(service, **(cloud.connection.client_settings() | keys)))
        return clients[-1]

    yield client
    iam.delete_user_policy(UserName="somebody", PolicyName="one")
    iam.delete_access_key(UserName="somebody", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="somebody")
    for each in (iam, *clients):
        each.close()


def test_it_speaks_tls_with_a_certificate_of_its_own_and_on_this_machine_only(cloud: LocalCloud) -> None:
    connection = cloud.connection
    assert connection.endpoint_url == f"https://127.0.0.1:{connection.port}"
    assert connection.certificate is not None
    assert stat.S_IMODE((Path(connection.certificate).parent / "key.pem").stat().st_mode) == 0o600
    assert connection.environment()["AWS_CA_BUNDLE"] == connection.certificate
    url = f"{connection.endpoint_url}/_ministack/health"
    trusted = ssl.create_default_context(cafile=connection.certificate)
    with urllib.request.urlopen(url, timeout=10, context=trusted) as answer:  # noqa: S310
        assert answer.status == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context())  # noqa: S310
    client = boto3.Session().client("sqs", **(connection.client_settings() | {"verify": True}))
    with pytest.raises(SSLError):
        client.list_queues()
    client.close()
    processes = [psutil.Process(pid) for pid in cloud.pids.values()]
    listening = {c.laddr.ip for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_who_may_send_may_send_ten_at_once_and_nothing_else(cloud: LocalCloud, somebody: Any) -> None:
    ours = cloud.connection.client("sqs")
    url, other = (ours.create_queue(QueueName=name)["QueueUrl"] for name in ("one", "other"))
    arn = ours.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    theirs = somebody("sqs", {"Action": "sqs:SendMessage", "Resource": arn})
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(10)]
    assert len(theirs.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    with pytest.raises(ClientError, match="AccessDenied"):
        theirs.send_message_batch(QueueUrl=other, Entries=entries)
    (message, *_) = ours.receive_message(QueueUrl=url)["Messages"]
    gone = [{"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}]
    with pytest.raises(ClientError, match="AccessDenied"):
        theirs.delete_message_batch(QueueUrl=url, Entries=gone)
    theirs = somebody("sqs", {"Action": "sqs:DeleteMessage", "Resource": arn})
    assert theirs.delete_message_batch(QueueUrl=url, Entries=gone)["Successful"] == [{"Id": "0"}]
    ours.close()


def test_a_wrong_secret_and_an_unknown_key_are_refused(cloud: LocalCloud, somebody: Any) -> None:
    theirs = somebody("sqs", {"Action": "sqs:ListQueues", "Resource": "*"})
    theirs.list_queues()
    key = theirs._request_signer._credentials.access_key
    for changed in ({"aws_access_key_id": key}, {"aws_access_key_id": "AKIAABCDEFGHIJKLMNOP"}):
        settings = cloud.connection.client_settings() | {"aws_secret_access_key": "wrong"} | changed
        client = boto3.Session().client("sqs", **settings)
        with pytest.raises(ClientError):
            client.list_queues()
        client.close()


def test_who_may_only_look_at_mappings_changes_none(somebody: Any) -> None:
    theirs = somebody("lambda", {"Action": "lambda:ListEventSourceMappings", "Resource": "*"})
    assert theirs.list_event_source_mappings()["EventSourceMappings"] == []
    for operation in (theirs.get_event_source_mapping, theirs.update_event_source_mapping):
        with pytest.raises(ClientError, match="AccessDenied"):
            operation(UUID="0" * 36)
    theirs = somebody("lambda", {"Action": ["lambda:GetEventSourceMapping"], "Resource": "*"})
    with pytest.raises(ClientError, match="ResourceNotFound"):
        theirs.get_event_source_mapping(UUID="0" * 36)


def test_one_that_runs_without_it_is_not_turned_into_it(tmp_path: Path) -> None:
    with LocalCloud(tmp_path) as made:
        processes = {name: Process.of(pid) for name, pid in made.pids.items()}
        State(connection=made.connection, **processes).write(tmp_path / "state.json")
        with pytest.raises(LocalCloudError, match=r"enforces nothing: run 'tagstream local down' first"):
            up(least_privilege=True, directory=tmp_path)
