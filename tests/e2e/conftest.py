"""The e2e tier: the real stacks, deployed once by the real CDK CLI into a local cloud of each worker's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tagstream.local.cloud import Connection, LocalCloud
from tagstream.local.photos import fetch
from tests.documents import ROOT

T = TypeVar("T")

TAGSTREAM = Path(sys.executable).with_name("tagstream")


_LEAST_PRIVILEGE = "--least-privilege"
_ONLY_ENFORCED = ("test_least_privilege.py", "test_people.py")
_NOT_ENFORCED = {
    "test_local_commands.py": "starts clouds of its own, to end them in every way",
    "test_lifecycle.py": "deploys another stage into a cloud of its own",
    "test_documents.py": "types what documents say, into the cloud that they start",
}
"""What ``make least-privilege`` leaves out, and why: what these do needs no permission that others do not need, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(_LEAST_PRIVILEGE, action="store_true", help="enforce IAM in the clouds of the e2e tier")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.parent != Path(__file__).parent:
        return None
    if config.getoption(_LEAST_PRIVILEGE, default=False):
        return True if collection_path.name in _NOT_ENFORCED else None
    return True if collection_path.name in _ONLY_ENFORCED else None


def eventually(probe: Callable[[], T], what: str, *, seconds: float = 60) -> T:
    """The first true answer of ``probe``; fails the test, saying ``what`` was waited for, if none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.1)


def clean_environment(**more: str) -> dict[str, str]:
    """What a user's shell has, without whatever points to an account or to a cloud; the default model stays fixed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "TAGSTREAM_")) or name == "TAGSTREAM_MODEL"
    }
    return kept | more


@dataclass
class Pipeline:
    """The deployed pipeline, from the outside: bucket, queues, search function, command line."""

    connection: Connection
    pids: dict[str, int]
    log: Path
    """What the emulator, and the functions in it, print."""
    private: Path
    """Where the emulator keeps what it holds."""
    bucket: str = field(init=False)

    def __post_init__(self) -> None:
        self.s3 = self.connection.client("s3")
        self.sqs = self.connection.client("sqs")
        self._lambda = self.connection.client("lambda")
        ingest, catalog = self.connection.outputs("ingest"), self.connection.outputs("catalog")
        self.bucket = ingest["BucketName"]
        self.ingest_queue = ingest["IngestQueueUrl"]
        self.catalog_queue = catalog["CatalogQueueUrl"]
        self.ingest_dead_letters = ingest["IngestDeadLetterQueueUrl"]
        self.catalog_dead_letters = catalog["CatalogDeadLetterQueueUrl"]
        self._search = self.connection.outputs("search")["SearchFunctionName"]

    def close(self) -> None:
        for client in (self.s3, self.sqs, self._lambda):
            client.close()

    def put(self, key: str, content: bytes | Path) -> str:
        """Upload, and the version that it became."""
        body = content.read_bytes() if isinstance(content, Path) else content
        return str(self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"])

    def ask(self, **request: Any) -> dict[str, Any]:
        """What the search function answers."""
        response = self._lambda.invoke(FunctionName=self._search, Payload=json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(response["Payload"].read())
        assert "FunctionError" not in response, answer
        return answer

    def image(self, key: str) -> dict[str, Any] | None:
        found = self.ask(query="title", title=key)["images"]
        return next((image for image in found if image["key"] == key), None)

    def searchable(self, key: str) -> dict[str, Any]:
        """The image's document, once it is there."""
        return eventually(lambda: self.image(key), f"{key[:50]!r} is searchable")

    def shows(self, key: str, tag: str) -> None:
        """Wait until the image's best tag is this."""

        def top() -> bool:
            image = self.image(key)
            return bool(image and image["tags"] and image["tags"][0]["tag"] == tag)

        eventually(top, f"{key!r} shows {tag}")

    def waiting(self, queue: str) -> int:
        """Messages in a queue: to be received, being worked on, or delayed."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        attributes = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in attributes.values())

    def settled(self) -> None:
        """Wait until nothing is under way. An update is in the second queue before its event leaves the first."""
        eventually(
            lambda: self.waiting(self.ingest_queue) == 0 and self.waiting(self.catalog_queue) == 0,
            "the queues are empty",
        )

    def dead_letters(self) -> int:
        return self.waiting(self.ingest_dead_letters) + self.waiting(self.catalog_dead_letters)

    def notify(self, *records: dict[str, Any]) -> None:
        """One message with these records, as S3 would send it."""
        self.sqs.send_message(QueueUrl=self.ingest_queue, MessageBody=json.dumps({"Records": list(records)}))

    def record(
        self, key: str, sequencer: str, *, bucket: str | None = None, version: str | None = None
    ) -> dict[str, Any]:
        """A record of an ``ObjectCreated`` event; ``key`` as S3 encodes it."""
        item: dict[str, Any] = {"key": key, "size": 1000, "eTag": "0" * 32, "sequencer": sequencer}
        if version is not None:
            item["versionId"] = version
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-01-01T00:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket or self.bucket}, "object": item},
        }

    def retry_after(self, queue: str, seconds: int) -> None:
        """Bring a failed message back after ``seconds``, and not after the six function timeouts of production."""
        self.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": str(seconds)})

    def run(
        self, *arguments: str, variables: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """The command line, as a user runs it who has done ``eval "$(tagstream local env)"``, and set ``variables``."""
        return subprocess.run(
            [TAGSTREAM, *arguments],
            env=clean_environment(**(self.connection.environment() | dict(variables or {}))),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )


@pytest.fixture(scope="session")
def photos() -> dict[str, Path]:
    """The demo's photos by name."""
    return {path.name: path for path in fetch(ROOT / "build" / "photos")}


@pytest.fixture(scope="session")
def least_privilege(request: pytest.FixtureRequest) -> bool:
    """Whether IAM is enforced, in the cloud of every test."""
    return bool(request.config.getoption(_LEAST_PRIVILEGE))


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory, least_privilege: bool, worker_id: str) -> Iterator[Pipeline]:
    """One cloud for the session; where workers share the files out among themselves, one for each of them."""
    name = "e2e" if worker_id == "master" else f"e2e-{worker_id}"
    yield from deployed(tmp_path_factory, name, least_privilege=least_privilege)


def deployed(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    *,
    least_privilege: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Pipeline]:
    """A cloud with the stacks in it, with these ``settings`` of the stage; what the functions say is kept in
    ``build/local/logs-<name>``."""
    logs = ROOT / "build" / "local" / f"logs-{name}{'-least-privilege' if least_privilege else ''}"
    directory = tmp_path_factory.mktemp(name)
    with LocalCloud(directory, logs=logs, least_privilege=least_privilege) as cloud:
        cloud.deploy(settings)
        pipeline = Pipeline(cloud.connection, cloud.pids, logs / "cloud.log", directory / "private")
        yield pipeline
        pipeline.close()
