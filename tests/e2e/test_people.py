"""People with one of the policies of the stage, where IAM is enforced: what they may do, and that this is all.

Only ``make least-privilege`` runs this.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Pipeline, deployed

POLICIES = ("MayUpload", "MaySearch", "MayOperate")
_REFUSED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")


@dataclass
class Person:
    """Somebody with keys of their own, and ``policy``, or a part of it."""

    pipeline: Pipeline
    policy: str
    document: dict[str, Any]
    name: str
    keys: dict[str, str]
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.clients:
            settings = self.pipeline.connection.client_settings() | self.keys
            self.clients[service] = boto3.Session().client(service, **settings)
        return self.clients[service]

    def may(self, service: str, operation: str, **arguments: Any) -> bool:
        """Whether they may do this; what else is wrong with it is no matter."""
        try:
            getattr(self.client(service), operation)(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] in _REFUSED:
                return False
            if error.response["Error"]["Code"] not in ("ReceiptHandleIsInvalid", "NoSuchUpload"):
                raise
        return True

    def ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command, as they type it."""
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        as_them = {names[name]: value for name, value in self.keys.items()}
        return self.pipeline.run(*arguments, variables=as_them)

    def run(self, *arguments: str) -> bool:
        """Whether a command did its work, or found nothing to do."""
        done = self.ran(*arguments)
        if done.returncode not in (0, 3):
            said = done.stdout + done.stderr
            assert any(word in said for word in ("not authorized", "AccessDenied", "Forbidden")), said
        return done.returncode in (0, 3)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A cloud of its own: what was begun without a permission is not always taken away."""
    yield from deployed(tmp_path_factory, "people", least_privilege=True)


@pytest.fixture(scope="module")
def people(pipeline: Pipeline) -> Iterator[dict[str, Person]]:
    iam, outputs = pipeline.connection.client("iam"), pipeline.connection.outputs("people")
    made: dict[str, Person] = {}
    for policy in POLICIES:
        arn = outputs[f"{policy}PolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        # IAM takes no longer ones.
        assert len(json.dumps(document, separators=(",", ":"))) <= 6144
        iam.create_user(UserName=policy)
        iam.attach_user_policy(UserName=policy, PolicyArn=arn)
        key = iam.create_access_key(UserName=policy)["AccessKey"]
        keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        made[policy] = Person(pipeline, policy, document, policy, keys)
    yield made
    for person in made.values():
        iam.detach_user_policy(UserName=person.name, PolicyArn=outputs[f"{person.policy}PolicyArn"])
        iam.delete_access_key(UserName=person.name, AccessKeyId=person.keys["aws_access_key_id"])
        iam.delete_user(UserName=person.name)
        for client in person.clients.values():
            client.close()
    iam.close()


@contextlib.contextmanager
def without(person: Person, action: str) -> Iterator[None]:
    """The person with all of the policy but this action."""
    iam, arn = person.pipeline.connection.client("iam"), person.pipeline.connection.outputs("people")
    statements = [
        statement | {"Action": left}
        for statement in person.document["Statement"]
        if (left := [one for one in _list(statement["Action"]) if one != action])
    ]
    left = json.dumps(person.document | {"Statement": statements})
    iam.put_user_policy(UserName=person.name, PolicyName="left", PolicyDocument=left)
    iam.detach_user_policy(UserName=person.name, PolicyArn=arn[f"{person.policy}PolicyArn"])
    try:
        yield
    finally:
        iam.attach_user_policy(UserName=person.name, PolicyArn=arn[f"{person.policy}PolicyArn"])
        iam.delete_user_policy(UserName=person.name, PolicyName="left")
        iam.close()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _key() -> str:
    return f"people/{uuid.uuid4().hex}.jpg"


def uploads(person: Person) -> bool:
    """By the command, which waits until the photo can be searched."""
    photo = next(Path("build/photos").glob("coffee.png"))
    return person.run("images", "upload", str(photo), "--prefix", f"people/{uuid.uuid4().hex}/", "--wait")


def aborts(person: Person) -> bool:
    key = {"Bucket": person.pipeline.bucket, "Key": _key()}
    upload = person.pipeline.s3.create_multipart_upload(**key)["UploadId"]
    return person.may("s3", "abort_multipart_upload", **key, UploadId=upload)


def searches(person: Person) -> bool:
    return person.run("images", "search", "espresso")


def removes(person: Person) -> bool:
    key = _key()
    person.pipeline.put(key, b"no photo")
    done = person.run("images", "rm", "--yes", key)
    gone = not person.pipeline.s3.list_objects_v2(Bucket=person.pipeline.bucket, Prefix=key)["KeyCount"]
    return done and gone


def tries(person: Person) -> bool:
    return person.run("smoke")


def retags(person: Person) -> bool:
    """All of it: the topic is made, photos are sent to be looked at again, and the topic goes."""
    return person.run("images", "retag", "--all", "--where", "espresso", "--wait")


def counts_what_to_retag(person: Person) -> bool:
    return person.run("images", "retag", "--dry-run")


def reconciles(person: Person) -> bool:
    return person.run("images", "reconcile", "--repair", "--wait")


def rebuilds(person: Person) -> bool:
    return person.run("images", "rebuild")


def reindexes(person: Person) -> bool:
    return person.run("images", "reindex")


def _classify(person: Person) -> str:
    return person.pipeline.connection.outputs("ingest")["ClassifyFunctionName"]


def examines(person: Person) -> bool:
    """The doctor goes on where it may not look, and says so."""
    done = person.ran("doctor", "--json")
    return "not authorized" not in done.stdout + done.stderr


def looks(person: Person) -> bool:
    return "not authorized" not in (done := person.ran("status")).stdout + done.stderr


def pauses(person: Person) -> bool:
    """And goes on."""
    paused = person.run("pause", "steps")
    return person.run("resume", "steps") and paused


def _dead_letter(person: Person) -> None:
    dead = person.pipeline.ingest_dead_letters
    body = json.dumps({"Records": [person.pipeline.record("people.png", "00")]})
    person.pipeline.sqs.purge_queue(QueueUrl=dead)
    person.pipeline.sqs.send_message(QueueUrl=dead, MessageBody=body)


def peeks(person: Person) -> bool:
    _dead_letter(person)
    return person.run("dlq", "peek", "ingest")


def lets_go(person: Person) -> bool:
    """What was looked at is there for others at once, and not some seconds later."""
    dead = person.pipeline.ingest_dead_letters
    return person.may("sqs", "change_message_visibility", QueueUrl=dead, ReceiptHandle="x", VisibilityTimeout=0)


def redrives(person: Person) -> bool:
    _dead_letter(person)
    return person.run("dlq", "redrive", "ingest", "--idle", "0.5") and (
        person.pipeline.waiting(person.pipeline.ingest_dead_letters) == 0
    )


UPLOADS: dict[str, Callable[[Person], bool]] = {
    "cloudformation:DescribeStacks": uploads,
    "s3:AbortMultipartUpload": aborts,
    "s3:PutObject": uploads,
    "lambda:InvokeFunction": uploads,
}
SEARCHES: dict[str, Callable[[Person], bool]] = {
    "cloudformation:DescribeStacks": searches,
    "lambda:InvokeFunction": searches,
}
OPERATES: dict[str, Callable[[Person], bool]] = {
    "cloudformation:DescribeStacks": reindexes,
    "cloudformation:GetTemplate": examines,
    "cloudformation:ListStackResources": examines,
    "ssm:GetParameter": examines,
    "logs:FilterLogEvents": peeks,
    "lambda:InvokeFunction": reindexes,
    "lambda:GetFunctionConfiguration": examines,
    "lambda:GetAccountSettings": examines,
    "lambda:ListEventSourceMappings": pauses,
    "lambda:GetEventSourceMapping": pauses,
    "lambda:UpdateEventSourceMapping": pauses,
    "sqs:GetQueueUrl": redrives,
    "sqs:GetQueueAttributes": redrives,
    "sqs:ReceiveMessage": redrives,
    "sqs:ChangeMessageVisibility": lets_go,
    "sqs:DeleteMessage": redrives,
    "sqs:PurgeQueue": lambda p: p.run("dlq", "purge", "steps-output", "--yes", "--no-wait"),
    "sqs:SendMessage": retags,
    "sqs:CreateQueue": retags,
    "sqs:DeleteQueue": retags,
    "sqs:TagQueue": retags,
    "sqs:UntagQueue": lambda p: p.run("images", "retag", "--all", "--where", "espresso", "--no-wait"),
    "sqs:ListQueueTags": retags,
    "s3:GetBucketNotification": counts_what_to_retag,
    "s3:ListBucket": counts_what_to_retag,
    "s3:GetObject": removes,
    "s3:DeleteObject": removes,
    "s3:PutObject": tries,
    "s3:DeleteObjectVersion": tries,
    "cloudwatch:DescribeAlarms": looks,
    "cloudwatch:GetMetricStatistics": looks,
}
EXERCISES = {"MayUpload": UPLOADS, "MaySearch": SEARCHES, "MayOperate": OPERATES}
"""What fails without each action."""


@pytest.fixture(scope="module", autouse=True)
def espresso(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    pipeline.put("people.png", photos["coffee.png"])
    pipeline.shows("people.png", "espresso")


@pytest.mark.parametrize("policy", POLICIES)
def test_every_action_of_a_policy_is_taken_away_below(people: dict[str, Person], policy: str) -> None:
    allowed = {action for statement in people[policy].document["Statement"] for action in _list(statement["Action"])}
    assert allowed == EXERCISES[policy].keys()


@pytest.mark.parametrize(
    ("policy", "action"), [(policy, action) for policy, all_of in EXERCISES.items() for action in all_of]
)
def test_without_the_action_it_fails(people: dict[str, Person], policy: str, action: str) -> None:
    person, works = people[policy], EXERCISES[policy][action]
    with without(person, action):
        assert not works(person), f"nobody needs {action} in {policy}: take it out of stacks/people.py"
    assert works(person)


# Waiting for an upload, smoke and retag ask the search function, too.
_ALL = "MaySearch MayUpload MayOperate"
COMMANDS: dict[str, tuple[str, Callable[[Person], bool]]] = {
    "upload": ("MayUpload", uploads),
    "search": (_ALL, searches),
    "show": (_ALL, lambda p: p.run("images", "show", "people.png")),
    "tags": (_ALL, lambda p: p.run("images", "tags")),
    "stats": (_ALL, lambda p: p.run("images", "stats")),
    "rejected": (_ALL, lambda p: p.run("images", "rejected")),
    "rm": ("MayOperate", removes),
    "retag": ("MayOperate", retags),
    "reconcile": ("MayOperate", reconciles),
    "rebuild": ("MayOperate", rebuilds),
    "reindex": ("MayOperate", reindexes),
    "status": ("MayOperate", looks),
    "doctor": ("MayOperate", examines),
    "pause and resume": ("MayOperate", pauses),
    "redrive": ("MayOperate", redrives),
    "smoke": ("MayOperate", tries),
    "read a photo": ("MayOperate", lambda p: p.may("s3", "get_object", Bucket=p.pipeline.bucket, Key="people.png")),
    "receive from the catalog's queue": (
        "",
        lambda p: p.may("sqs", "receive_message", QueueUrl=p.pipeline.catalog_queue),
    ),
    "purge the ingest queue": ("", lambda p: p.may("sqs", "purge_queue", QueueUrl=p.pipeline.ingest_queue)),
    "delete a function": (
        "",
        lambda p: p.may("lambda", "delete_function", FunctionName=_classify(p)),
    ),
    "delete a version of a photo": (
        "",
        lambda p: p.may("s3", "delete_object", Bucket=p.pipeline.bucket, Key="people.png", VersionId="x"),
    ),
    "list roles": ("", lambda p: p.may("iam", "list_roles")),
}
"""What is done, and with which of the policies alone it can be done."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("policy", POLICIES)
def test_who_may_do_what(people: dict[str, Person], policy: str, command: str) -> None:
    allowed, works = COMMANDS[command]
    assert works(people[policy]) == (policy in allowed.split())
