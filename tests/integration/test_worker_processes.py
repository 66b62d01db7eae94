"""``tagstream topics process`` and ``order-check`` as processes, against a server: killed, drained, interrupted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tagstream.topics import Message, ParcelSettings, Topics, TopicSettings, download, upload
from tests.gate import Gate

TAGSTREAM = Path(sys.executable).with_name("tagstream")


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def topics(endpoint: str) -> Topics:
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="eu-west-1")
    return Topics(sqs, settings=TopicSettings(pause=0.01))


def start(endpoint: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TAGSTREAM, "topics", *arguments, "--endpoint-url", endpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def numbered(path: Path, count: int) -> Path:
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(count)))
    return path


def everything_in(topics: Topics, topic: str) -> list[Message]:
    return topics.pull(topic, min_messages=0, max_messages=1000, timeout=0)


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_workers_killed_again_and_again_leave_nothing_undone_and_nothing_doubled(
    suffix: str, endpoint: str, topics: Topics, tmp_path: Path
) -> None:
    chance = random.Random()
    lines = numbered(tmp_path / "lines", 1200)
    source, target = f"in{suffix}", f"out{suffix}"
    for topic in (source, target):
        # Each kill costs what was held a receive.
        topics.create(topic, max_receives=1000)
    # Of two uploads, since the messages of a FIFO topic's group come one after the other.
    upload(topics, source, [lines, lines], settings=ParcelSettings(max_lines=30))
    arguments = ("process", source, target, "--step", "uppercase", "--deadline", "2", "--workers", "2")

    for _ in range(3):
        workers = [start(endpoint, *arguments, "--forever") for _ in range(2)]
        for worker in workers:
            with pytest.raises(subprocess.TimeoutExpired):
                # A random moment: before the first message, in the middle of steps, of publishing, of acknowledging.
                worker.wait(chance.uniform(0.7, 2.0))
            os.kill(worker.pid, signal.SIGKILL)
            finish(worker)
    code, output = finish(start(endpoint, *arguments, "--idle-timeout", "0"))

    assert code == 0, output
    counts = topics.counts(source)
    assert (counts.total, counts.dead_lettered) == (0, 0)
    result = download(topics, target, tmp_path / "result", idle=0)
    assert (tmp_path / "result").read_bytes() == lines.read_bytes().upper() * 2
    assert result.gaps == ()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_step_finish_and_gives_the_rest_back(  # noqa: PLR0917 - fixtures
    number: int, code: int, endpoint: str, topics: Topics, gate: Gate, tmp_path: Path
) -> None:
    for topic in ("in", "out"):
        topics.create(topic)
    upload(topics, "in", [numbered(tmp_path / "lines", 5)], settings=ParcelSettings(max_lines=1))
    worker = start(endpoint, "process", "in", "out", "--step", gate.program, "--deadline", "600")
    gate.await_start()
    worker.send_signal(number)
    assert worker.stdout is not None
    assert "Draining" in worker.stdout.readline()
    gate.let()
    returned, output = finish(worker)
    assert returned == code
    assert "1 messages in" in output
    assert "finished or given back" in output
    assert (topics.counts("in").visible, topics.counts("in").in_flight) == (4, 0)
    assert len(everything_in(topics, "out")) == 1


def test_the_second_signal_kills_the_step_and_gives_its_input_back_as_well(
    endpoint: str, topics: Topics, gate: Gate, tmp_path: Path
) -> None:
    for topic in ("in", "out"):
        topics.create(topic)
    upload(topics, "in", [numbered(tmp_path / "lines", 1)])
    worker = start(endpoint, "process", "in", "out", "--step", gate.program, "--deadline", "600")
    gate.await_start()
    assert worker.stdout is not None
    for _ in range(2):
        worker.send_signal(signal.SIGINT)
        worker.stdout.readline()
    assert finish(worker)[0] == 130
    assert (topics.counts("in").visible, topics.counts("in").in_flight) == (1, 0)
    assert everything_in(topics, "out") == []


def test_what_was_dead_lettered_shows_in_the_exit_code_and_the_totals(
    endpoint: str, topics: Topics, tmp_path: Path
) -> None:
    for topic in ("in", "out"):
        topics.create(topic)
    upload(topics, "in", [numbered(tmp_path / "lines", 1)])
    arguments = ["-v", "process", "in", "out", "--step", "false", "--idle-timeout", "0", "--json"]
    process = subprocess.run(
        [TAGSTREAM, "topics", *arguments, "--endpoint-url", endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 4, process.stderr
    assert json.loads(process.stdout)["dead_lettered"] == 1
    assert "exit code 1" in process.stderr
    [letter] = everything_in(topics, "in-dead-letter")
    assert "exit code 1" in str(letter.attributes["failure"])


def test_order_check_shows_the_difference_and_cleans_up(endpoint: str, topics: Topics) -> None:
    # One consumer: moto gives the same message to two that ask at the same moment now and then, FIFO or not.
    arguments = ("order-check", "--messages", "60", "--groups", "3", "--consumers", "1", "--json")
    code, output = finish(start(endpoint, *arguments))
    standard, fifo = (json.loads(line) for line in output.splitlines())
    assert code == 0
    assert (standard["kind"], standard["duplicates"], standard["lost"]) == ("standard", 6, 0)
    assert (fifo["out_of_order"], fifo["duplicates"], fifo["lost"], fifo["received"]) == (0, 0, 0, 60)
    assert topics.list_topics("tagstream-order-check-") == []


def test_an_interrupted_order_check_leaves_no_topic_behind(endpoint: str, topics: Topics) -> None:
    process = start(endpoint, "order-check", "--messages", "100000")
    while not topics.list_topics("tagstream-order-check-"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    assert code == 130, output
    assert topics.list_topics("tagstream-order-check-") == []
