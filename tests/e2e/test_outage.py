"""OpenSearch goes away and comes back, in a cloud of this module's own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from osmem_server import resolve_binary

from tests.e2e.conftest import Pipeline, deployed, eventually

pytestmark = pytest.mark.long


@pytest.fixture
def pipeline(tmp_path_factory: pytest.TempPathFactory, least_privilege: bool) -> Iterator[Pipeline]:
    yield from deployed(tmp_path_factory, "outage", least_privilege=least_privilege)


def test_nothing_is_lost_while_opensearch_is_away(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    pipeline.retry_after(pipeline.catalog_queue, 1)
    pipeline.put("before.jpg", photos["cannon.jpg"])
    pipeline.shows("before.jpg", "cannon")
    search = psutil.Process(pipeline.pids["search"])
    search.kill()

    pipeline.put("meanwhile.jpg", photos["eagle.jpg"])
    eventually(lambda: pipeline.waiting(pipeline.catalog_dead_letters) == 1, "the update is a dead letter")
    assert pipeline.waiting(pipeline.catalog_queue) == 0
    assert pipeline.waiting(pipeline.ingest_dead_letters) == 0

    # An update that is still being retried when OpenSearch is back needs nobody's help.
    pipeline.retry_after(pipeline.catalog_queue, 5)
    pipeline.put("retried.jpg", photos["drum.jpg"])
    eventually(lambda: pipeline.waiting(pipeline.catalog_queue) == 1, "the second update is retried")
    address = f"127.0.0.1:{pipeline.connection.search_port}"
    with subprocess.Popen([resolve_binary(), "-addr", address, "-no-stdin-watch"], stdout=subprocess.PIPE) as again:
        try:
            assert again.stdout
            assert address in again.stdout.readline().decode()
            pipeline.shows("retried.jpg", "drum")

            letters = pipeline.sqs.receive_message(QueueUrl=pipeline.catalog_dead_letters, MaxNumberOfMessages=10)
            (letter,) = letters["Messages"]
            update = json.loads(letter["Body"])
            assert (update["key"], update["kind"]) == ("meanwhile.jpg", "classified")
            pipeline.sqs.send_message(
                QueueUrl=pipeline.catalog_queue,
                MessageBody=letter["Body"],
                MessageGroupId="redriven",
                MessageDeduplicationId="redriven",
            )
            pipeline.shows("meanwhile.jpg", "bald eagle")
        finally:
            again.terminate()
