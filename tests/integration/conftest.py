"""Fixtures of the integration tier: moto for AWS, osmem for OpenSearch, both real servers or clients, no account.

osmem's own pytest plugin gives ``osmem_clone``, an empty server of the test's own.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from opensearchpy import OpenSearch
from osmem_server import OsmemServer

from tagstream.catalog.client import Client, connect
from tests.domain import DomainPolicy
from tests.processes import aws_server

INDEX = "imagerepository"
REAL = os.environ.get("OPENSEARCH_URL")


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in here may reach AWS, or a local cloud that happens to run."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "TAGSTREAM_")) and name != "TAGSTREAM_MODEL":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def osmem_server() -> Iterator[OsmemServer]:
    """One osmem for the session; the plugin's own fixture leaves the process' output open."""
    server = OsmemServer.start(freeze=True, japanese=False)
    yield server
    server.close()
    if server.process.stdout is not None:
        server.process.stdout.close()


@dataclass(frozen=True)
class Endpoint:
    """A real OpenSearch, in the place of an osmem of the test's own."""

    url: str

    def close(self) -> None:
        pytest.skip("this OpenSearch is not the test's own, and stays")

    def emptied(self) -> Endpoint:
        client = OpenSearch(self.url, timeout=60)
        client.indices.delete(index=f"{INDEX}*", params={"ignore_unavailable": "true"})
        client.close()
        return self


if REAL:

    @pytest.fixture(scope="session")
    def real_opensearch() -> Endpoint:
        """The OpenSearch that ``OPENSEARCH_URL`` names, refused if it holds anything: the tests delete a catalog."""
        client = OpenSearch(REAL, timeout=60)
        held = [name for name in client.indices.get_alias(index="*") if not name.startswith(".")]
        client.close()
        if held:
            pytest.exit(f"the OpenSearch at {REAL} holds {', '.join(held)}: give one that is empty", returncode=2)
        return Endpoint(REAL)

    @pytest.fixture
    def osmem_clone(real_opensearch: Endpoint) -> Iterator[Endpoint]:
        yield real_opensearch.emptied()
        real_opensearch.emptied()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What OpenSearch must do for the catalog is the contract: every test over an OpenSearch of its own."""
    for item in items:
        if "osmem_clone" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.contract)


@pytest.fixture
def client(osmem_clone: Any) -> Iterator[Client]:
    """The catalog's connection to an empty OpenSearch of the test's own."""
    made = connect(osmem_clone.url)
    yield made
    made.close()


@pytest.fixture
def opensearch(osmem_clone: Any) -> Iterator[OpenSearch]:
    """The official client of the same one: what a test itself does there, and looks at."""
    made = OpenSearch(osmem_clone.url, timeout=3, max_retries=0)
    yield made
    made.close()


@pytest.fixture
def endpoint() -> Iterator[str]:
    """The URL of an empty AWS of the test's own: for commands in processes of theirs."""
    with aws_server() as url:
        yield url


@pytest.fixture
def aws() -> Iterator[boto3.Session]:
    """A boto3 session in an empty AWS account of the test's own."""
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")


@dataclass
class Context:
    """What Lambda hands to a function beside the event."""

    function_name: str
    memory_limit_in_mb: int = 256
    invoked_function_arn: str = "arn:aws:lambda:eu-west-1:123456789012:function:it"
    aws_request_id: str = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def domain_policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[DomainPolicy]:
    """The domain's access policy, enforced on what functions ask of OpenSearch; a test in which it refused fails."""
    policy = DomainPolicy()
    policy.install(monkeypatch)
    yield policy
    assert policy.refused == [], "stacks/access.py does not admit these requests"


@pytest.fixture
def function(
    monkeypatch: pytest.MonkeyPatch, domain_policy: DomainPolicy
) -> Iterator[Callable[[str, str], Callable[[Any], Any]]]:
    """``function(name, endpoint)`` is a cold start of the function over the OpenSearch there; call it with events.

    There is a bucket ``thumbnails``, in an AWS account of the test's own. What the function asks of OpenSearch is held
    against the domain's policy.
    """

    def load(name: str, endpoint: str) -> Callable[[Any], Any]:
        for variable, value in {
            "OPENSEARCH_ENDPOINT": endpoint,
            "OPENSEARCH_INDEX": "imagerepository",
            "TOMBSTONE_DAYS": "60",
            "THUMBNAILS_BUCKET": "thumbnails",
            "POWERTOOLS_SERVICE_NAME": name,
            "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
        }.items():
            monkeypatch.setenv(variable, value)
        path = Path(__file__).parents[2] / "lambdas" / name / "handler.py"
        spec = importlib.util.spec_from_file_location(f"function_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)

        def call(event: Any) -> Any:
            with domain_policy.acting(name):
                return module.handler(event, Context(name))

        return call

    with mock_aws():
        where = {"LocationConstraint": "eu-west-1"}
        boto3.client("s3").create_bucket(Bucket="thumbnails", CreateBucketConfiguration=where)
        yield load
