"""Each permission of each function is taken away in turn, where IAM is enforced: what needs it fails, and only that.

Functions are called directly, with the smallest event that needs the permission; their queues feed nothing meanwhile.
Only ``make least-privilege`` runs this.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import requests
from opensearchpy import OpenSearch

from tagstream.catalog.updates import CatalogUpdate
from tagstream.local.photos import fetch
from tagstream.pipeline.deliveries import LAST_TRY
from tagstream.tags import Tag
from tagstream.thumbnails.names import key_of, objects_of
from tagstream.topics import Message, Topics, unpack
from tests import web
from tests.e2e.conftest import ROOT, Pipeline, deployed

Permission: TypeAlias = tuple[str, str, str]
"""A function, an action, and a resource as :meth:`Cloud.named` calls it."""

_LOG = "the emulator keeps the log itself"
_TRACE = "nothing is traced in the local cloud, which has no X-Ray"
_GONE = "S3 answers 'forbidden' for an object that is gone to whoever may not list the bucket; the emulator, 'gone'"
_QUEUE = "the emulator feeds the function itself, and not as its role"
NOT_CHECKED: dict[str, str] = {
    "logs:CreateLogStream log": _LOG,
    "logs:PutLogEvents log": _LOG,
    "s3:ListBucket photos": _GONE,
    "xray:PutTelemetryRecords *": _TRACE,
    "xray:PutTraceSegments *": _TRACE,
    **{
        f"sqs:{action} {queue}": _QUEUE
        for action in ("GetQueueAttributes", "ReceiveMessage")
        for queue in ("events", "updates", "input")
    },
    **{f"sqs:DeleteMessage {queue}": _QUEUE for queue in ("updates", "input")},
}
"""Permissions that a function needs on AWS and that the emulator does not ask for, each with the reason. Templates have
them (tests/infra/test_functions.py)."""


@dataclass
class Cloud:
    """The deployed stacks, whose functions are called by nobody but the test."""

    pipeline: Pipeline
    photo: bytes
    roles: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        connection = self.pipeline.connection
        self.iam, self.functions = connection.client("iam"), connection.client("lambda")
        self.photos = self.pipeline.bucket
        self.thumbnails = connection.outputs("ingest")["ThumbnailsBucketName"]
        self.steps = connection.outputs("steps")
        self.topics = Topics(self.pipeline.sqs)
        called: dict[str, str] = {}
        for function in self.functions.list_functions()["Functions"]:
            name = function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            self.names[name] = function["FunctionName"]
            self.roles[name] = function["Role"].rpartition("/")[2]
            called[function["FunctionArn"]] = name
        self.known = called | {
            f"arn:aws:s3:::{self.photos}": "photos",
            f"arn:aws:s3:::{self.thumbnails}": "thumbnails",
            self._arn(self.pipeline.ingest_queue): "events",
            self._arn(self.pipeline.catalog_queue): "updates",
            self._arn(self.topics.url(self.steps["InputTopicName"])): "input",
            self._arn(self.topics.url(self.steps["OutputTopicName"])): "output",
        }

    def _arn(self, queue: str) -> str:
        asked = self.pipeline.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])

    def close(self) -> None:
        for client in (self.iam, self.functions):
            client.close()

    def named(self, arn: str) -> str:
        """``photos/uploads/*`` for such objects of the bucket, ``updates`` for a queue, ``log`` for a log group."""
        if ":log-group:" in arn:
            return "log"
        resource, slash, rest = arn.partition("/")
        return self.known.get(resource, resource) + slash + rest

    def policies(self, function: str) -> dict[str, dict[str, Any]]:
        role = self.roles[function]
        assert self.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        return {
            name: self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        }

    def permissions(self, function: str) -> set[Permission]:
        return {
            (function, action, self.named(resource))
            for document in self.policies(function).values()
            for statement in document["Statement"]
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
        }

    @contextmanager
    def without(self, function: str, taken: Callable[[str, str], bool]) -> Iterator[None]:
        """The role of the function without the actions on the resources that ``taken`` says."""
        before = self.policies(function)
        try:
            for name, document in before.items():
                self._put(function, name, document | {"Statement": self._left(document, taken)})
            yield
        finally:
            for name, document in before.items():
                self._put(function, name, document)
        assert self.policies(function) == before

    def _left(self, document: dict[str, Any], taken: Callable[[str, str], bool]) -> list[dict[str, Any]]:
        left = [
            {"Effect": "Allow", "Action": action, "Resource": resource}
            for statement in document["Statement"]
            for action in _list(statement["Action"])
            for resource in _list(statement["Resource"])
            if not taken(action, self.named(resource))
        ]
        # A policy has at least one statement.
        return left or [{"Effect": "Allow", "Action": "none:None", "Resource": "*"}]

    def _put(self, function: str, name: str, document: dict[str, Any]) -> None:
        self.iam.put_role_policy(RoleName=self.roles[function], PolicyName=name, PolicyDocument=json.dumps(document))

    def invoke(self, function: str, event: Any) -> Any:
        """What it answers; None if it failed."""
        response = self.functions.invoke(FunctionName=self.names[function], Payload=json.dumps(event).encode())
        answer = json.loads(response["Payload"].read())
        return None if "FunctionError" in response else answer

    def put(self, prefix: str = "") -> tuple[str, str]:
        """A photo under a key of its own, and its version."""
        key = f"{prefix}{uuid.uuid4().hex}.jpg"
        return key, self.pipeline.put(key, self.photo)

    def cataloged(self, *, removed: bool = False) -> CatalogUpdate:
        """A photo with thumbnails that the catalog knows; removed, perhaps, from the bucket and the catalog."""
        key, _ = self.put("api/")
        update = CatalogUpdate("classified", self.photos, key, "0A", "created", "2026-01-01T00:00:00Z")
        names = key_of(update.document_id, "0A", "etag")
        for name in objects_of(names):
            self.pipeline.s3.put_object(Bucket=self.thumbnails, Key=name, Body=b"a picture")
        update = replace(
            update,
            tags=(Tag("cat", 0.9),),
            thumbnails={"key": names, "sizes": {"320": [320, 240], "1024": [1024, 768]}},
            processed_at="2026-01-01T00:00:01Z",
        )
        assert self.catalog(update)
        if removed:
            self.pipeline.s3.delete_object(Bucket=self.photos, Key=key)
            assert self.catalog(replace(update, kind="removed", sequencer="0B", thumbnails=None))
        client = OpenSearch(self.pipeline.connection.search_url)
        client.indices.refresh(index="imagerepository")
        client.close()
        return update

    def catalog(self, update: CatalogUpdate) -> bool:
        """Whether the catalog's function took it."""
        return self._worked(self.invoke("catalog", _event(update.to_json(), group=update.document_id)))

    def classify(self, name: str, key: str, *, version: str | None = None, **attributes: Any) -> bool:
        record = self.pipeline.record(quote(key), uuid.uuid4().hex.upper(), version=version)
        return self._worked(
            self.invoke("classify", _event(json.dumps({"Records": [record | {"eventName": name}]}), **attributes))
        )

    @staticmethod
    def _worked(answer: Any) -> bool:
        return answer is not None and answer["batchItemFailures"] == []

    def api(self, method: str, path: str) -> web.Answer:
        answer = self.invoke("api", web.event(method, path))
        assert answer is not None
        return web.answered(answer)

    def fetched(self, url: str) -> bool:
        with self.session() as session:
            return session.get(url, timeout=30).status_code == 200

    def session(self) -> requests.Session:
        made = requests.Session()
        made.verify = self.pipeline.connection.certificate
        made.trust_env = False
        return made

    def there(self, bucket: str, prefix: str) -> bool:
        return self.pipeline.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] > 0

    def stepped(self, line: str) -> str | None:
        """What the step function makes of a line; None if it failed."""
        if not self._worked(self.invoke("step", _event(line))):
            return None
        messages: list[Message] = self.topics.pull(self.steps["OutputTopicName"], timeout=5)
        self.topics.acknowledge(self.steps["OutputTopicName"], messages)
        (parcel,) = map(unpack, messages)
        assert parcel is not None
        return parcel.content.decode()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _event(body: str, *, group: str | None = None, receives: int = 1, receipt: str = "x") -> dict[str, Any]:
    """A message, as a queue's mapping hands it over."""
    attributes = {"ApproximateReceiveCount": str(receives), "SentTimestamp": "0"}
    record = {
        "messageId": uuid.uuid4().hex,
        "receiptHandle": receipt,
        "body": body,
        "attributes": attributes | ({"MessageGroupId": group} if group else {}),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue" + (".fifo" if group else ""),
        "awsRegion": "us-east-1",
    }
    return {"Records": [record]}


def classifies_a_version(cloud: Cloud) -> bool:
    key, version = cloud.put()
    return cloud.classify("ObjectCreated:Put", key, version=version)


def classifies_what_comes_up_again(cloud: Cloud) -> bool:
    key, _ = cloud.put()
    return cloud.classify("ObjectRemoved:Delete", key)


def knows_what_is_gone(cloud: Cloud) -> bool:
    return cloud.classify("ObjectRemoved:Delete", f"{uuid.uuid4().hex}.jpg")


def deletes_what_it_tries_for_the_last_time(cloud: Cloud) -> bool:
    key, _ = cloud.put()
    cloud.pipeline.sqs.send_message(QueueUrl=cloud.pipeline.ingest_queue, MessageBody="{}")
    (message,) = cloud.pipeline.sqs.receive_message(
        QueueUrl=cloud.pipeline.ingest_queue, VisibilityTimeout=600, WaitTimeSeconds=5
    )["Messages"]
    return cloud.classify("ObjectCreated:Put", key, receives=LAST_TRY, receipt=message["ReceiptHandle"])


def removes_thumbnails(cloud: Cloud) -> bool:
    update = cloud.cataloged()
    assert update.thumbnails is not None
    name = str(update.thumbnails["key"])
    assert cloud.there(cloud.thumbnails, name)
    done = cloud.catalog(replace(update, kind="removed", sequencer="0C", thumbnails=None))
    return done and not cloud.there(cloud.thumbnails, name)


def purges_thumbnails(cloud: Cloud) -> bool:
    update = cloud.cataloged()
    stray = key_of(update.document_id, "0F", "etag")
    cloud.pipeline.s3.put_object(Bucket=cloud.thumbnails, Key=next(iter(objects_of(stray))), Body=b"a picture")
    return cloud.invoke("purge", {"source": "aws.events"}) is not None and not cloud.there(cloud.thumbnails, stray)


def reconciles(cloud: Cloud) -> bool:
    """A slice that finds a photo whose notification nobody heard of, and calls the next one."""
    cloud.put()
    waiting = cloud.pipeline.waiting(cloud.pipeline.ingest_queue)
    answer = cloud.invoke("reconcile", {})
    return answer is not None and cloud.pipeline.waiting(cloud.pipeline.ingest_queue) > waiting


def shows_a_photo(cloud: Cloud) -> bool:
    return cloud.fetched(cloud.api("GET", f"/images/{cloud.cataloged().document_id}").body["picture_url"])


def shows_a_thumbnail(cloud: Cloud) -> bool:
    return cloud.fetched(cloud.api("GET", f"/images/{cloud.cataloged().document_id}").body["thumbnails"]["320"])


def lets_upload(cloud: Cloud) -> bool:
    form = cloud.api("POST", "/uploads").body
    fields = form["fields"] | {"key": f"{form['prefix']}a.jpg", "Content-Type": "image/jpeg"}
    with cloud.session() as session:
        sent = session.post(form["url"], data=fields, files={"file": ("x", cloud.photo)}, timeout=30)
    return sent.ok and cloud.there(cloud.photos, form["prefix"])


def removes_a_photo(cloud: Cloud) -> bool:
    update = cloud.cataloged()
    answer = cloud.api("DELETE", f"/images/{update.document_id}")
    return answer.status == 202 and not cloud.there(cloud.photos, update.key)


def restores_a_photo(cloud: Cloud) -> bool:
    update = cloud.cataloged(removed=True)
    answer = cloud.api("POST", f"/images/{update.document_id}/restore")
    return answer.status == 202 and cloud.there(cloud.photos, update.key)


def steps_over_a_photo(cloud: Cloud) -> bool:
    key, _ = cloud.put()
    made = cloud.stepped(f"s3://{cloud.photos}/{key}")
    return made is not None and "tags" in json.loads(made)


def says_what_is_not_there(cloud: Cloud) -> bool:
    made = cloud.stepped(f"s3://{cloud.photos}/{uuid.uuid4().hex}.jpg")
    return made is not None and "NoSuchKey" in made


EXERCISES: dict[Permission, Callable[[Cloud], bool]] = {
    ("classify", "s3:GetObject", "photos/*"): classifies_what_comes_up_again,
    ("classify", "s3:GetObjectVersion", "photos/*"): classifies_a_version,
    ("classify", "s3:PutObject", "thumbnails/*"): classifies_a_version,
    ("classify", "sqs:SendMessage", "updates"): knows_what_is_gone,
    ("classify", "sqs:DeleteMessage", "events"): deletes_what_it_tries_for_the_last_time,
    ("catalog", "s3:DeleteObject", "thumbnails/*"): removes_thumbnails,
    ("purge", "s3:DeleteObject", "thumbnails/*"): purges_thumbnails,
    ("purge", "s3:ListBucket", "thumbnails"): purges_thumbnails,
    ("reconcile", "s3:GetBucketNotification", "photos"): reconciles,
    ("reconcile", "sqs:SendMessage", "events"): reconciles,
    ("reconcile", "lambda:InvokeFunction", "classify"): reconciles,
    ("reconcile", "lambda:InvokeFunction", "search"): reconciles,
    # Of its own, for the next slice: that it is never done within the time is seen to below.
    ("reconcile", "lambda:InvokeFunction", "reconcile"): reconciles,
    ("api", "s3:GetObject", "photos/*"): shows_a_photo,
    ("api", "s3:GetObject", "thumbnails/*"): shows_a_thumbnail,
    ("api", "s3:PutObject", "photos/uploads/*"): lets_upload,
    ("api", "s3:DeleteObject", "photos/*"): removes_a_photo,
    ("api", "s3:DeleteObjectVersion", "photos/*"): restores_a_photo,
    ("api", "s3:ListBucketVersions", "photos"): restores_a_photo,
    ("step", "s3:GetObject", "photos/*"): steps_over_a_photo,
    ("step", "sqs:SendMessage", "output"): says_what_is_not_there,
}
"""What fails without each permission."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    photo = next(path for path in fetch(ROOT / "build" / "photos") if path.name == "strawberries.jpg")
    settings = {"reconcile_days": "365"}
    for pipeline in deployed(tmp_path_factory, "permissions", least_privilege=True, settings=settings):
        made = Cloud(pipeline, Path(photo).read_bytes())
        _feed(made, enabled=False)
        purge = made.functions.get_function_configuration(FunctionName=made.names["purge"])
        variables = purge["Environment"]["Variables"] | {"TOMBSTONE_DAYS": "0"}
        made.functions.update_function_configuration(
            FunctionName=made.names["purge"], Environment={"Variables": variables}
        )
        # Shorter than what it leaves for its end: each slice is over after a page.
        made.functions.update_function_configuration(FunctionName=made.names["reconcile"], Timeout=60)
        yield made
        made.close()


def _feed(cloud: Cloud, *, enabled: bool) -> None:
    """Switch on or off that queues call functions."""
    for mapping in cloud.functions.list_event_source_mappings()["EventSourceMappings"]:
        cloud.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)


def test_every_permission_of_every_function_is_taken_away_below(cloud: Cloud) -> None:
    """Or has a reason why it is not; and no reason stands there for nothing."""
    allowed = set().union(*(cloud.permissions(function) for function in cloud.names))
    not_checked = {(name, action, on) for name, action, on in allowed if f"{action} {on}" in NOT_CHECKED}
    assert allowed - not_checked == EXERCISES.keys()
    assert {f"{action} {on}" for _, action, on in not_checked} == NOT_CHECKED.keys()


@pytest.mark.parametrize("permission", EXERCISES, ids=" ".join)
def test_without_the_permission_it_fails(cloud: Cloud, permission: Permission) -> None:
    function, action, on = permission
    works = EXERCISES[permission]
    with cloud.without(function, lambda one, resource: (one, resource) == (action, on)):
        assert permission not in cloud.permissions(function)
        assert not works(cloud), f"{function} does not need {action} on {on}: take it out of its stack"
    assert works(cloud)


def test_what_is_said_not_to_be_checked_is_not(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the emulator asks for these, they belong among the exercises."""
    functions = sorted(cloud.names)

    def all_without(names: list[str]) -> None:
        if names:
            with cloud.without(names[0], lambda action, on: f"{action} {on}" in NOT_CHECKED):
                return all_without(names[1:])
        _feed(cloud, enabled=True)
        try:
            key, _ = cloud.put()
            cloud.pipeline.searchable(key)
        finally:
            _feed(cloud, enabled=False)

    all_without(functions)
