"""``tagstream topics`` as people run it, over HTTP, against moto's server."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from click.testing import CliRunner

from tagstream.cli import main
from tagstream.topics import Outgoing, ParcelSettings, Topics, upload
from tests.documents import undocumented
from tests.processes import aws_server

_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-west-1"}
_MAIN = "from tagstream.cli import main; main()"
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with aws_server() as url:
        yield url


@pytest.fixture
def topics(server: str) -> Iterator[Topics]:
    made = Topics(
        boto3.client(
            "sqs",
            endpoint_url=server,
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - moto's
        )
    )
    yield made
    made.clear("", everything=True)


def environment(server: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AWS_ENDPOINT_URL": server, **_KEYS}


@pytest.fixture
def run(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, run in this process: what has to do with processes and signals starts them itself."""
    monkeypatch.chdir(tmp_path)

    def run_(*arguments: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        typed = ["topics", *map(str, arguments)]
        result = CliRunner().invoke(main, typed, input=given, env=environment(server), catch_exceptions=False)
        done = subprocess.CompletedProcess(typed, result.exit_code, result.stdout_bytes, result.stderr_bytes)
        if "--json" in arguments:
            assert undocumented(map(json.loads, done.stdout.splitlines())) == set()
        return done

    return run_


def test_a_tour_of_the_commands(run: Run, topics: Topics, tmp_path: Path) -> None:
    assert run("list").returncode == 3
    assert run("create", "smiles").returncode == 0
    assert run("create", "updates.fifo").returncode == 0
    listed = run("list", "--json").stdout.splitlines()
    assert [json.loads(line)["topic"] for line in listed] == topics.list_topics()
    assert len(listed) == 4
    assert all(json.loads(line)["url"].endswith(json.loads(line)["topic"]) for line in listed)

    published = json.loads(run("publish", "smiles", "--json", given="CCO\nC\x07\ngrün\n".encode()).stdout)
    assert published["accepted"] == 2
    assert [failure["body"] for failure in published["failed"]] == ["C\x07"]
    assert len(published["ids"]) == 2
    assert json.loads(run("info", "smiles", "--json").stdout)["counts"]["visible"] == 2
    assert b"about 2" in run("info", "smiles").stdout

    held = run("pull", "smiles", "--json", "--min", "2").stdout
    assert {json.loads(line)["body"] for line in held.splitlines()} == {"CCO", "grün"}
    assert run("refresh", "smiles", "--seconds", "0", given=held).returncode == 0
    held = run("pull", "smiles", "--json", "--min", "2").stdout
    assert run("acknowledge", "smiles", given=held).stdout == b"2 acknowledged, 0 failed.\n"
    assert run("pull", "smiles", "--timeout", "0").returncode == 3
    assert run("acknowledge", "smiles", given=b"nonsense\n").returncode == 2

    assert run("publish", "updates.fifo", "one", "two", "--group", "g").returncode == 0
    assert run("pull", "updates.fifo", "--ack").stdout == b"one\ntwo\n"

    url = run("create-queue", "raw", "-a", "DelaySeconds=5").stdout.decode().strip()
    assert run("create-queue", "raw2", "-a", "DelaySeconds=x").returncode == 1
    assert run("delete", url, "--yes").returncode == 0
    assert run("purge", "smiles", "--yes", "--no-wait").returncode == 0
    (tmp_path / "in").write_bytes(b"a\r\n\xff")
    sent = json.loads(run("upload", "in", "-", "smiles", "--json", given=b"stdin\n").stdout)
    assert (sent["lines"], [uploaded["file"] for uploaded in sent["files"]]) == (3, ["in", "standard input"])
    got = json.loads(run("download", "smiles", "out", "--idle", "1", "--json").stdout)
    assert (tmp_path / "out").read_bytes() == b"a\r\n\xff\nstdin\n"
    assert (got["lines"], got["newlines_added"]) == (3, 1)


def test_what_cannot_be_undone_is_asked_first(run: Run, topics: Topics) -> None:
    topics.create("smiles")
    for command in (("create", "smiles"), ("delete", "smiles"), ("clear", "smi"), ("purge", "smiles")):
        asked = run(*command, given=b"n\n")
        assert asked.returncode == 1, command
        assert b"[y/N]" in asked.stderr
        assert len(topics.list_topics()) == 2
    assert run("clear").returncode == 2
    assert run("clear", "smi", given=b"y\n").returncode == 0
    assert topics.list_topics() == []
    for command in (("delete", "smiles"), ("info", "smiles"), ("pull", "smiles"), ("download", "smiles", "x")):
        missing = run(*command)
        assert missing.returncode == 1
        assert b"'smiles' does not exist" in missing.stderr
        assert b"Traceback" not in missing.stderr


def test_gaps_have_an_exit_code_and_a_list(run: Run, topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles")
    source = tmp_path / "in"
    source.write_bytes(b"0\n1\n2\n3\n")
    upload(topics, "smiles", [source], settings=ParcelSettings(max_lines=1), upload_id="u")
    stolen = topics.pull("smiles", max_messages=4, min_messages=4)
    topics.acknowledge("smiles", stolen[1:2])
    topics.refresh_deadline("smiles", stolen[:1] + stolen[2:], 0)
    result = run("download", "smiles", "out", "--idle", "1", "--json")
    assert result.returncode == 4
    (gap,) = json.loads(result.stdout)["gaps"]
    assert gap.startswith("upload u:")
    assert not (tmp_path / "out").exists()
    upload(topics, "smiles", [source], settings=ParcelSettings(max_lines=1), upload_id="u")
    assert run("download", "smiles", "out", "--idle", "1").returncode == 0
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    again = run("download", "smiles", "out")
    assert again.returncode == 1
    assert b"out exists" in again.stderr


def test_a_long_line_is_named(run: Run, topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles")
    (tmp_path / "in").write_bytes(b"CCO\n" + b"x" * 2_000_000)
    result = run("upload", "in", "smiles")
    assert result.returncode == 1
    assert b"in, line 2: longer than" in result.stderr
    assert topics.counts("smiles").total == 0


@pytest.mark.long
def test_killed_again_and_again_a_download_is_still_exact(
    server: str, run: Run, topics: Topics, tmp_path: Path
) -> None:
    """SIGKILL at any moment; what was in flight comes back, from the topic or from its dead-letter topic."""
    topics.create("smiles", visibility_timeout=5)
    rng = random.Random(11)
    source = tmp_path / "in"
    source.write_bytes(b"".join(rng.randbytes(rng.randrange(60)) + b"\n" for _ in range(6_000)))
    upload(topics, "smiles", [source], settings=ParcelSettings(max_lines=20))
    quick = ["--idle", "1", "--visibility-timeout", "2"]
    command = [sys.executable, "-c", _MAIN, "topics", "download", "smiles", "out", *quick]
    kills = 0
    for _ in range(6):
        process = subprocess.Popen(
            command, env=environment(server), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        spool = tmp_path / ".out.tagstream-spool"
        deadline = time.monotonic() + 30
        while not spool.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            process.wait(rng.uniform(0, 0.3))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
            kills += 1
        assert not (tmp_path / "out").exists() or process.returncode == 0
    assert kills >= 3
    result = run("download", "smiles", "out", *quick)
    if result.returncode == 4:
        result = run("download", "smiles-dead-letter", "out", *quick)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out").read_bytes() == source.read_bytes()


def test_the_upload_id_is_told_before_anything_is_sent(run: Run, topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles")
    (tmp_path / "in").write_bytes(b"CCO\n")
    done = run("upload", "in", "smiles", "--upload-id", "mine")
    assert b"Upload mine: if it is interrupted" in done.stderr
    topics.delete("smiles")
    # An endpoint that takes nothing: the id is there nevertheless, also for those who read the lines of a pipe.
    refused = run("upload", "in", topics.url("smiles-dead-letter").replace("dead-letter", "gone"))
    assert refused.returncode == 1
    assert b"--upload-id" in refused.stderr


def test_what_cannot_be_an_upload_is_told(run: Run, topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles")
    twice = run("upload", "-", "-", "smiles", given=b"CCO\n")
    assert (twice.returncode, topics.counts("smiles").total) == (2, 0)
    os.mkfifo(tmp_path / "pipe")
    pipe = run("upload", "pipe", "smiles")
    assert pipe.returncode == 1
    assert b"with - in the place of the name" in pipe.stderr


@pytest.mark.parametrize("address", ["", "nonsense", "http://", "ftp//x", "http://a b/"])
def test_an_endpoint_that_is_no_address_is_one_line(run: Run, address: str) -> None:
    done = run("list", "--endpoint-url", address)
    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: ")
    assert done.stderr.count(b"\n") == 1


def test_a_download_to_standard_output(run: Run, topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles")
    (tmp_path / "in").write_bytes(b"CCO\nC\n\xff")
    run("upload", "in", "smiles")
    done = run("download", "smiles", "-", "--idle", "0.5")
    assert (done.returncode, done.stdout) == (0, b"CCO\nC\n\xff")
    assert b"3 lines" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert run("download", "smiles", "-", "--json").returncode == 2


def test_two_downloads_of_a_topic_on_one_machine_do_not_split_it(
    run: Run, topics: Topics, server: str, tmp_path: Path
) -> None:
    topics.create("smiles")
    first = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "topics", "download", "smiles", "first", "--idle", "30"],
        env=environment(server),
        cwd=tmp_path,
    )
    try:
        end = time.monotonic() + 60
        while not (tmp_path / ".first.tagstream-spool").exists() and time.monotonic() < end:
            time.sleep(0.05)
        upload(topics, "smiles", [__file__])
        second = run("download", "smiles", "second", "--idle", "0.5")
        assert second.returncode == 1
        assert b"first (process %d)" % first.pid in second.stderr
        assert run("download", "smiles", "second", "--idle", "0.5", "--shared").returncode in (0, 4)
    finally:
        first.kill()
        first.wait(timeout=30)
    # A claim ends with its process.
    assert run("download", "smiles", "third", "--idle", "0.5").returncode in (0, 4)


def test_the_stacks_own_queues_are_neither_shown_nor_cleared(run: Run, topics: Topics) -> None:
    owned = "tagstream-dev-ingest-QueueA1B2"
    topics.create_queue(owned)
    topics.create_queue("tagstream-mine")
    shown = run("list")
    assert b"tagstream-mine" in shown.stdout
    assert owned.encode() not in shown.stdout
    assert b"--all" in shown.stderr
    assert owned.encode() in run("list", "--all").stdout
    for arguments in (("tagstream-",), ("--all",)):
        assert run("clear", *arguments, "--yes").returncode in (0, 3)
    assert topics.list_topics() == [owned]
    assert b"'topics purge' empties it" in run("create", owned, "--yes").stderr
    assert b"name the queue that they come from" in run("redrive", owned).stderr
    assert topics.list_topics() == [owned]
    topics.delete(owned)


def test_dead_letters_are_looked_at_and_sent_again(run: Run, topics: Topics) -> None:
    topics.create("smiles", max_receives=1)
    for body in ("one", "two"):
        topics.publish("smiles-dead-letter", Outgoing(body, {"failure": f"{body} is no molecule"}))
    refused = run("peek", "smiles")
    assert refused.returncode == 1
    assert b"--count" in refused.stderr
    for _ in range(3):
        seen = run("peek", "smiles-dead-letter")
        assert (seen.returncode, sorted(seen.stdout.split())) == (0, [b"one", b"two"])
    assert b"is a dead letter: two is no molecule" in seen.stderr
    rows = [json.loads(line) for line in run("peek", "smiles-dead-letter", "--json").stdout.splitlines()]
    assert {row["failure"] for row in rows} == {"one is no molecule", "two is no molecule"}
    done = run("redrive", "smiles", "--idle", "0", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["moved"], told["left"], told["dead_letter_topic"]) == (2, 0, "smiles-dead-letter")
    again = run("redrive", "smiles", "--idle", "0")
    assert (again.returncode, again.stderr) == (3, b"No dead letters in smiles-dead-letter.\n")
    assert sorted(run("pull", "smiles", "--min", "2", "--ack").stdout.split()) == [b"one", b"two"]
    topics.publish("smiles-dead-letter", "held")
    topics.pull("smiles-dead-letter", visibility_timeout=1_000)
    assert run("redrive", "nowhere").returncode == 1


def test_an_interrupted_redrive_gives_the_rest_back(server: str, topics: Topics) -> None:
    topics.create("smiles")
    topics.publish_all("smiles-dead-letter", [f"{n}" for n in range(40)])
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "topics", "redrive", "smiles", "--rate", "1"],
        env=environment(server),
        stderr=subprocess.PIPE,
    )
    try:
        end = time.monotonic() + 60
        while not topics.counts("smiles").visible and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait(timeout=30)
    assert process.returncode == 130
    assert b"the same command goes on" in said
    assert topics.counts("smiles").visible + topics.counts("smiles-dead-letter").visible == 40


def test_attributes_are_changed_and_words_of_other_tools_work(run: Run, topics: Topics) -> None:
    topics.create_queue("raw")
    assert run("update", "raw").returncode == 2
    assert run("update", "raw", "-a", "Colour=red").returncode == 1
    assert run("create", "raw", "--exist-ok").returncode == 0
    assert run("update", "raw", "--visibility-timeout", "77", "--max-receives", "9").returncode == 0
    attributes = json.loads(run("describe", "raw", "--json").stdout)["attributes"]
    assert attributes["VisibilityTimeout"] == "77"
    assert json.loads(attributes["RedrivePolicy"])["maxReceiveCount"] == 9
    sent = run("publish", "raw", "CCO")
    (row,) = (json.loads(line) for line in run("pull", "raw", "--json").stdout.splitlines())
    assert sent.stdout.decode().split() == [row["id"]]
    assert run("modify-ack-deadline", "raw", row["receipt"], "--ack-deadline", "600").returncode == 0
    assert run("ack", "raw", row["receipt"]).returncode == 0
    assert run("list-queues", "ra").returncode == 0


def test_what_is_no_utf8_keeps_nothing_else_from_being_published(run: Run, topics: Topics) -> None:
    topics.create("smiles")
    done = run("publish", "smiles", "--json", given=b"good\n\xff\n")
    assert done.returncode == 4
    assert [failure["body"] for failure in json.loads(done.stdout)["failed"]] == ["\\xff"]
    assert b"no valid UTF-8: " in run("publish", "smiles", given=b"\xff\n").stderr.replace(b", as SQS wants it", b"")
