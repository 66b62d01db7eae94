"""Fixtures of the integration tier: moto for AWS, osmem for OpenSearch, both real servers or clients, no account.

osmem's own pytest plugin gives ``osmem_clone``, an empty server of the test's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws
from opensearchpy import OpenSearch
from osmem_server import OsmemServer

from tagstream.catalog.client import connect


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in here may reach AWS, or a local cloud that happens to run."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "TAGSTREAM_")):
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


@pytest.fixture
def opensearch(osmem_clone: Any) -> Iterator[OpenSearch]:
    """A client of an empty OpenSearch of the test's own."""
    client = connect(osmem_clone.url)
    yield client
    client.close()


@pytest.fixture
def aws() -> Iterator[boto3.Session]:
    """A boto3 session in an empty AWS account of the test's own."""
    with mock_aws():
        yield boto3.Session(region_name="eu-west-1")
