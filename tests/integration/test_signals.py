"""Signals: whenever they come, and however many, a command ends, and says how to go on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import boto3
import pytest

from tagstream.topics import Topics
from tests.processes import running
from tests.soak import Soak


@pytest.fixture
def topics(endpoint: str) -> Topics:
    return Topics(boto3.client("sqs", endpoint_url=endpoint, region_name="eu-west-1"))


BOTH = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@BOTH
def test_an_upload_ends_with_how_to_go_on(
    number: int, code: int, endpoint: str, topics: Topics, tmp_path: Path
) -> None:
    topics.create("in")
    lines = tmp_path / "lines"
    lines.write_bytes(b"".join(b"%d\n" % number for number in range(20_000)))
    with running("topics", "upload", lines, "in", "--lines", "1", "--endpoint-url", endpoint) as command:
        command.await_output("--upload-id")
        command.signal(number)
        returned, output = command.finish()
    assert returned == code, output
    first, last = output.splitlines()
    upload_id = first.removeprefix("Upload ").partition(":")[0]
    assert last == f"Interrupted. Repeat the command with --upload-id {upload_id} to go on."


@BOTH
def test_a_download_ends_with_how_to_go_on(
    number: int, code: int, endpoint: str, topics: Topics, tmp_path: Path
) -> None:
    topics.create("in")
    file = tmp_path / "file"
    with running("topics", "-v", "download", "in", file, "--endpoint-url", endpoint) as command:
        while not (tmp_path / ".file.tagstream-spool").exists():
            assert command.process.poll() is None
            time.sleep(0.01)
        command.signal(number)
        returned, output = command.finish()
    assert returned == code, output
    assert output.splitlines()[-1] == (
        f"Interrupted. What came is kept beside {file}: the same command goes on from there."
    )


def test_signals_in_quick_succession_end_every_command_right() -> None:
    soak = Soak(count=8, seconds=60, seed=random.randrange(10**6))
    soak.run()
    assert soak.failures == [], soak.seed
    assert soak.rounds > 0
