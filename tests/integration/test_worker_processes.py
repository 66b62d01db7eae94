"""``tagstream topics process`` and ``order-check`` as processes, against a server: killed, drained, interrupted."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import pytest

from tagstream.topics import Message, ParcelSettings, Topics, TopicSettings, download, upload
from tests.gate import Gate
from tests.processes import SECONDS, TAGSTREAM, Command, running

Start = Callable[..., Command]


@pytest.fixture
def topics(endpoint: str) -> Topics:
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="eu-west-1")
    return Topics(sqs, settings=TopicSettings(pause=0.01))


@pytest.fixture
def start(endpoint: str) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running("topics", *arguments, "--endpoint-url", endpoint))


def numbered(path: Path, count: int) -> Path:
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(count)))
    return path


def everything_in(topics: Topics, topic: str) -> list[Message]:
    return topics.pull(topic, min_messages=0, max_messages=1000, timeout=0)


@pytest.mark.long
@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_workers_killed_again_and_again_leave_nothing_undone_and_nothing_doubled(
    suffix: str, start: Start, topics: Topics, tmp_path: Path
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
        workers = [start(*arguments, "--forever") for _ in range(2)]
        for worker in workers:
            with pytest.raises(subprocess.TimeoutExpired):
                # A random moment: before the first message, in the middle of steps, of publishing, of acknowledging.
                worker.process.wait(chance.uniform(0.7, 2.0))
            worker.signal(signal.SIGKILL)
            worker.finish()
    code, output = start(*arguments, "--idle-timeout", "0").finish()

    assert code == 0, output
    counts = topics.counts(source)
    assert (counts.total, counts.dead_lettered) == (0, 0)
    result = download(topics, target, tmp_path / "result", idle=0)
    assert (tmp_path / "result").read_bytes() == lines.read_bytes().upper() * 2
    assert result.gaps == ()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_step_finish_and_gives_the_rest_back(  # noqa: PLR0917 - fixtures
    number: int, code: int, start: Start, topics: Topics, gate: Gate, tmp_path: Path
) -> None:
    for topic in ("in", "out"):
        topics.create(topic)
    upload(topics, "in", [numbered(tmp_path / "lines", 5)], settings=ParcelSettings(max_lines=1))
    worker = start("process", "in", "out", "--step", gate.program, "--deadline", "600", "--forever")
    gate.await_start()
    worker.signal(number)
    # At once, although the step still runs.
    worker.await_output("Stopping")
    gate.let()
    returned, output = worker.finish()
    assert returned == code
    assert "1 messages in" in output
    assert output.splitlines()[-1].startswith("Interrupted. What was held is finished or given back")
    assert (topics.counts("in").visible, topics.counts("in").in_flight) == (4, 0)
    assert len(everything_in(topics, "out")) == 1


def test_the_second_signal_kills_the_step_and_gives_its_input_back_as_well(
    start: Start, topics: Topics, gate: Gate, tmp_path: Path
) -> None:
    for topic in ("in", "out"):
        topics.create(topic)
    upload(topics, "in", [numbered(tmp_path / "lines", 1)])
    worker = start("process", "in", "out", "--step", gate.program, "--deadline", "600")
    gate.await_start()
    for words in ("Stopping", "Killing"):
        worker.signal(signal.SIGINT)
        worker.await_output(words)
    assert worker.finish()[0] == 130
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
        timeout=SECONDS,
        check=False,
    )
    assert process.returncode == 4, process.stderr
    assert json.loads(process.stdout)["dead_lettered"] == 1
    assert "exit code 1" in process.stderr
    [letter] = everything_in(topics, "in-dead-letter")
    assert "exit code 1" in str(letter.attributes["failure"])


def test_what_was_dead_lettered_before_shows_as_well(start: Start, topics: Topics, tmp_path: Path) -> None:
    for topic in ("in", "out"):
        topics.create(topic, max_receives=1)
    upload(topics, "in", [numbered(tmp_path / "lines", 3)], settings=ParcelSettings(max_lines=1))
    # As by workers that were killed: on the last receive, so that SQS moves them when they are asked for again.
    assert len(topics.pull("in", max_messages=2, visibility_timeout=1)) == 2
    code, output = start("process", "in", "out", "--step", "cp", "--idle-timeout", "1").finish()
    assert code == 4, output
    assert output.splitlines()[0].startswith("1 messages in")
    assert output.splitlines()[-1].startswith("2 inputs are in the dead-letter topic of in, 0 of them since this run")
    assert "'tagstream topics redrive in'" in output


def test_order_check_shows_the_difference_and_cleans_up(start: Start, topics: Topics) -> None:
    # One consumer: moto gives the same message to two that ask at the same moment now and then, FIFO or not.
    arguments = ("order-check", "--messages", "60", "--groups", "3", "--consumers", "1", "--json")
    code, output = start(*arguments).finish()
    standard, fifo = (json.loads(line) for line in output.splitlines())
    assert code == 0
    assert (standard["kind"], standard["duplicates"], standard["lost"]) == ("standard", 6, 0)
    assert (fifo["out_of_order"], fifo["duplicates"], fifo["lost"], fifo["received"]) == (0, 0, 0, 60)
    assert topics.list_topics("tagstream-order-check-") == []


def test_an_interrupted_order_check_leaves_no_topic_behind(start: Start, topics: Topics) -> None:
    check = start("order-check", "--messages", "100000")
    while not topics.list_topics("tagstream-order-check-"):
        assert check.process.poll() is None
    check.signal(signal.SIGINT)
    code, output = check.finish()
    assert code == 130, output
    assert topics.list_topics("tagstream-order-check-") == []
