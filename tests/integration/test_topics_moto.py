"""The contract of topics on moto's SQS: another implementation than our own fake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tagstream.topics import Topics
from tagstream.topics.testing import VirtualClock
from tests.topics_contract import TopicsContract


def at_once(params: Mapping[str, Any], **_: Any) -> dict[str, Any]:
    """Receives do not wait: nobody else sends, and a second for the end of each file would be half a minute."""
    assert 0 <= params["WaitTimeSeconds"] <= 20
    return {**params, "WaitTimeSeconds": 0}


class TestMoto(TopicsContract):
    @pytest.fixture
    def topics(self) -> Iterator[Topics]:
        with mock_aws():
            sqs = boto3.client(
                "sqs",
                region_name="eu-west-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - moto's
            )
            sqs.meta.events.register("provide-client-params.sqs.ReceiveMessage", at_once)
            clock = VirtualClock()
            yield Topics(sqs, clock=clock.now, sleep=clock.sleep)
