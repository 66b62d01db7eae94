"""The contract of topics on moto's SQS: another implementation than our own fake."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from tagstream.topics import Topics
from tests.topics_contract import TopicsContract


class TestMoto(TopicsContract):
    @pytest.fixture
    def topics(self) -> Iterator[Topics]:
        with mock_aws():
            yield Topics(
                boto3.client(
                    "sqs",
                    region_name="eu-west-1",
                    aws_access_key_id="test",
                    aws_secret_access_key="test",  # noqa: S106 - moto's
                )
            )
