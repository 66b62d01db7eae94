"""The worker over an SQS in memory: nothing lost, nothing doubled, failures set aside with their reason."""

from __future__ import annotations

import itertools
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError
from tagstream.topics import Message, Outgoing, Parcel, Place, Topics, TopicSettings, download, outgoing, parcels_of
from tagstream.topics.errors import Misuse, PublishFailed, TopicError, TopicNotFound
from tagstream.topics.functions import by_line
from tagstream.topics.step import Step
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tagstream.topics.worker import Totals, Worker, WorkerSettings, process
from tests.gate import Gate

Script = Callable[[str], Path]
UNTIL_EMPTY = WorkerSettings(idle_timeout=0, deadline=30)
QUICK = TopicSettings(pause=0.0001, longest_pause=0.001, attempts=40)


@pytest.fixture
def sh(tmp_path: Path) -> Script:
    def write(body: str) -> Path:
        path = tmp_path / f"step-{len(list(tmp_path.iterdir()))}"
        path.write_text("#!/bin/sh\n" + body + "\n")
        path.chmod(0o755)
        return path

    return write


def make(sqs: MemorySqs | None = None, *names: str, **options: Any) -> Topics:
    topics = Topics(sqs or MemorySqs(), settings=QUICK)
    for name in names or ("in", "out"):
        topics.create(name, **options)
    return topics


def put(topics: Topics, content: bytes, *, max_lines: int = 1000, topic: str = "in") -> int:
    """Upload ``content`` in parcels of at most ``max_lines``; returns how many."""
    lines = Parcel("", Place(()), content).lines()
    chunks = [b"".join(lines[start : start + max_lines]) for start in range(0, len(lines), max_lines)]
    return topics.publish_all(
        topic, [outgoing(parcel, fifo=topic.endswith(".fifo")) for parcel in parcels_of("u", chunks)]
    ).accepted


class AtOnce:
    """An SQS whose receives do not wait: for what comes after all have done their work."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def receive_message(self, **parameters: Any) -> Any:
        return self._sqs.receive_message(**parameters | {"WaitTimeSeconds": 0})


def take(topics: Topics, path: Path, topic: str = "out") -> bytes:
    """What a download makes of a topic that nobody sends into any more, without the second in which more could come."""
    clock = VirtualClock()
    now = Topics(AtOnce(topics._calls.sqs), settings=QUICK, clock=clock.now, sleep=clock.sleep)
    target = path / f"downloaded-{len(list(path.iterdir()))}"
    download(now, topic, target, idle=0)
    return target.read_bytes()


def rest(topics: Topics, topic: str) -> list[Message]:
    """What is visible in a topic now."""
    return topics.pull(topic, min_messages=0, max_messages=100, timeout=0)


def consume(topics: Topics, topic: str) -> list[Message]:
    """Everything in a topic, in the order in which it is received and acknowledged."""
    received: list[Message] = []
    while messages := rest(topics, topic):
        received += messages
        assert topics.acknowledge(topic, messages) == []
    return received


def run(topics: Topics, step: str | Path, **options: Any) -> Totals:
    names = {"settings": UNTIL_EMPTY} | options
    return Worker(topics, "in", "out", Step(step, timeout=20), **names).run()


def lines_of(count: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(count))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12).map(b"\n".join),
    max_lines=st.integers(1, 5),
    batch_size=st.none() | st.integers(1, 8),
    workers=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
def test_whatever_sqs_does_each_line_arrives_once_and_in_its_place(  # noqa: PLR0917 - what may vary
    tmp_path_factory: pytest.TempPathFactory,
    content: bytes,
    max_lines: int,
    batch_size: int | None,
    workers: int,
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("transfer")
    chaos = Chaos(duplicates=0.3, reorder=True, refusals=0.1, throttles=0.1, lost_answers=0.1, seed=seed)
    topics = make(MemorySqs(chaos=chaos))
    put(topics, content, max_lines=max_lines)

    run(topics, "cp", settings=WorkerSettings(workers=workers, batch_size=batch_size, idle_timeout=0))

    # In real time: an acknowledgement whose answer was lost is asked for again when its message has come back.
    download(topics, "out", folder / "downloaded", idle=0)
    assert (folder / "downloaded").read_bytes() == content
    assert topics.counts("in").total == 0
    assert topics.counts("in").dead_lettered == 0


def test_it_counts_what_it_did(tmp_path: Path) -> None:
    topics = make()
    put(topics, lines_of(2500))
    assert process(topics, "in", "out", "cp", settings=UNTIL_EMPTY) == (3, 3)
    put(topics, lines_of(2500))
    seen: list[Totals] = []
    totals = run(topics, "uppercase", on_progress=seen.append)
    assert (totals.messages_in, totals.lines_in, totals.messages_out, totals.lines_out) == (3, 2500, 3, 2500)
    assert seen[-1].lines_in == 2500
    assert "2,500 lines in" in str(totals)
    assert (totals.failed, totals.dead_lettered, totals.released, totals.lost) == (0, 0, 0, 0)


def test_several_workflows_over_the_same_input_are_told_apart_and_the_same_one_is_not(tmp_path: Path) -> None:
    topics = make()
    for workflow in ("a", "b", "a"):
        put(topics, b"x\n")
        process(topics, "in", "out", "uppercase", workflow_id=workflow, settings=UNTIL_EMPTY)
    assert take(topics, tmp_path) == b"X\nX\n"


def test_steps_can_follow_each_other(tmp_path: Path) -> None:
    topics = make(None, "in", "out", "end")
    put(topics, lines_of(50), max_lines=7)
    process(topics, "in", "out", "uppercase", settings=UNTIL_EMPTY)
    process(topics, "out", "end", "cp", settings=UNTIL_EMPTY)
    assert take(topics, tmp_path, "end") == lines_of(50).upper()


def test_messages_of_others_are_processed_too(tmp_path: Path) -> None:
    topics = make()
    ten = {f"their-{number}": number for number in range(10)}
    topics.publish_all("in", [Outgoing("plain"), Outgoing("with attributes", ten)])
    run(topics, "uppercase")
    assert sorted(take(topics, tmp_path).splitlines()) == [b"PLAIN", b"WITH ATTRIBUTES"]


def test_a_filter_may_leave_nothing_and_the_file_is_complete_nevertheless(tmp_path: Path, sh: Script) -> None:
    topics = make(None, "in", "out", "end")
    put(topics, b"keep 1\ndrop\ndrop\ndrop\nkeep 2\n", max_lines=2)
    run(topics, sh('grep keep "$1" > "$2"; true'))
    # And the empty parcels that it made are no work for the next step.
    process(topics, "out", "end", sh('test -s "$1" && cp "$1" "$2"'), settings=UNTIL_EMPTY)
    assert take(topics, tmp_path, "end") == b"keep 1\nkeep 2\n"


def test_output_without_a_last_newline_does_not_run_into_the_next(tmp_path: Path, sh: Script) -> None:
    topics = make()
    put(topics, b"a\nb\nc\n", max_lines=1)
    run(topics, sh('printf %s "$(cat "$1")" > "$2"'))
    assert take(topics, tmp_path) == b"a\nb\nc\n"


def test_large_output_is_parcelled(tmp_path: Path, sh: Script) -> None:
    topics = make()
    put(topics, b"3500\n1\n")
    totals = run(topics, sh('while read count; do seq "$count"; done < "$1" > "$2"'))
    assert totals.messages_out == 4
    assert take(topics, tmp_path).splitlines()[-2:] == [b"3500", b"1"]


# What fails


def test_a_failing_input_is_tried_twice_and_then_set_aside_with_the_reason(tmp_path: Path, sh: Script) -> None:
    topics = make()
    tries = tmp_path / "tries"
    put(topics, b"good 1\nbad\ngood 2\n", max_lines=1)
    step = sh(f'if grep bad "$1"; then echo >> {tries}; echo "no such\\007atom" >&2; exit 7; fi; cp "$@"')
    totals = run(topics, step)
    assert tries.read_text().count("\n") == 2
    assert (totals.messages_in, totals.failed, totals.dead_lettered) == (2, 2, 1)
    [letter] = rest(topics, "in-dead-letter")
    assert "exit code 7" in str(letter.attributes["failure"])
    assert letter.attributes["failure_output"] == "bad\nno such\ufffdatom"
    assert letter.body == "bad\n"
    assert topics.counts("in").total == 0
    # It can be sent through again once the step is mended, and the file is whole.
    topics.publish("in", Outgoing(letter.body, letter.attributes))
    step.write_text('#!/bin/sh\ncp "$@"\n')
    run(topics, step)
    assert take(topics, tmp_path) == b"good 1\nbad\ngood 2\n"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sleep 600", "past its limit"),
        ("true", "wrote no output"),
        ("kill -9 $$", "SIGKILL"),
        ('head -c 2000000 /dev/zero > "$2"', "2,000,001 bytes"),
    ],
)
def test_other_failures_say_their_reason_as_well(sh: Script, body: str, reason: str) -> None:
    topics = make()
    put(topics, b"x\n")
    step = Step(sh(body), timeout=0.2 if "sleep" in body else 20)
    totals = Worker(topics, "in", "out", step, settings=UNTIL_EMPTY).run()
    assert totals.dead_lettered == 1
    [letter] = rest(topics, "in-dead-letter")
    assert reason in str(letter.attributes["failure"])


def test_a_damaged_parcel_is_set_aside_untouched() -> None:
    topics = make()
    whole = outgoing(Parcel("u", Place.of(0, last=True), b"C\n"))
    topics.publish("in", Outgoing("O\n", whole.attributes))
    assert run(topics, "cp").dead_lettered == 1
    [letter] = rest(topics, "in-dead-letter")
    assert letter.body == "O\n"
    assert "damaged" in str(letter.attributes["failure"])
    assert rest(topics, "out") == []


@pytest.mark.parametrize("body", ["x" * 1_048_576, "x" * 1_048_200])
def test_a_message_without_room_for_the_reason_is_left_to_sqs(body: str, caplog: pytest.LogCaptureFixture) -> None:
    topics = make()
    topics.publish("in", Outgoing(body))
    run(topics, "false")
    [letter] = rest(topics, "in-dead-letter")
    assert letter.body == body
    assert "exit code 1" in caplog.text


def test_failures_of_a_kind_are_told_one_by_one_only_at_first(caplog: pytest.LogCaptureFixture) -> None:
    topics = make()
    topics.publish_all("in", [f"bad {number}" for number in range(20)])
    with caplog.at_level(logging.INFO, logger="tagstream.topics"):
        run(topics, "false")
    told = [record for record in caplog.records if record.levelno > logging.INFO]
    assert len([record for record in told if "Given back" in record.getMessage()]) == 5
    moved = [record.getMessage() for record in told if "Moved to in-dead-letter." in record.getMessage()]
    assert len(moved) == 5
    assert moved[-1].endswith("Moved to in-dead-letter. Further ones are logged at level INFO (-v).")
    assert caplog.text.count("Moved to in-dead-letter.") == 20


def test_a_step_that_cannot_run_stops_the_worker_and_costs_no_message(sh: Script) -> None:
    topics = make()
    put(topics, lines_of(30), max_lines=1)
    broken = sh("true")
    broken.write_text("#!/no/such/shell\n")
    with pytest.raises(ConfigurationError, match="first line"):
        run(topics, broken, settings=WorkerSettings(workers=3, idle_timeout=0))
    counts = topics.counts("in")
    assert (counts.visible, counts.in_flight, counts.dead_lettered) == (30, 0, 0)


def test_what_cannot_be_published_is_not_acknowledged() -> None:
    def deny(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "SendMessageBatch" and parameters["QueueUrl"].endswith("out"):
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    sqs = MemorySqs(intercept=deny)
    topics = make(sqs)
    topics.publish_all("in", [Outgoing("x")])
    with pytest.raises(PublishFailed, match="AccessDenied"):
        run(topics, "cp")
    assert "DeleteMessageBatch" not in sqs.calls
    assert topics.counts("in").visible == 1


def test_wrong_topics_are_said_before_anything_is_received() -> None:
    topics = make()
    for output in ("in", topics.url("in")):
        with pytest.raises(Misuse, match="both input and output"):
            Worker(topics, "in", output, Step("cp")).run()
    for names in (("in", "missing"), ("missing", "out")):
        with pytest.raises(TopicNotFound, match="missing"):
            Worker(topics, *names, Step("cp")).run()
    with pytest.raises(ConfigurationError, match=r"workers.*batch size.*deadline.*retry delay"):
        WorkerSettings(workers=0, batch_size=0, deadline=0, retry_delay=-1)


# As a library


def test_options_are_given_one_by_one_and_come_before_the_settings(tmp_path: Path, sh: Script) -> None:
    topics = make()
    put(topics, lines_of(10))
    step = sh('wc -l < "$1" > "$2"')
    settings = WorkerSettings(batch_size=3, idle_timeout=None)
    assert process(topics, "in", "out", step, settings=settings, batch_size=5, idle_timeout=0) == (2, 2)
    assert take(topics, tmp_path).split() == [b"5", b"5"]


def test_a_function_is_a_step(tmp_path: Path) -> None:
    topics = make()
    put(topics, b"a\n\xff\n\nb\n", max_lines=2)
    assert process(topics, "in", "out", bytes.upper, workers=2, idle_timeout=0) == (2, 2)
    assert take(topics, tmp_path) == b"A\n\xff\n\nB\n"


def test_a_function_of_lines_is_a_step(tmp_path: Path) -> None:
    topics = make()
    put(topics, b"a\n\xff\n\ndrop\nb\n", max_lines=2)
    process(topics, "in", "out", by_line(lambda line: None if line == "drop" else line.upper()), idle_timeout=0)
    assert take(topics, tmp_path) == b"A\n\xff\n\nB\n"


def test_what_a_function_raises_is_a_failure_of_its_input(tmp_path: Path) -> None:
    def root(line: str) -> str:
        return f"{float(line) ** 0.5:g}"

    topics = make()
    put(topics, b"4\nfour\n9\n", max_lines=1)
    process(topics, "in", "out", by_line(root), idle_timeout=0)
    [letter] = rest(topics, "in-dead-letter")
    assert "step root raised ValueError: could not convert string to float: 'four'" in str(letter.attributes["failure"])
    assert "ValueError" in str(letter.attributes["failure_output"])
    assert topics.counts("out").total == 2


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _: "text", "returned a value of type str where bytes were expected.*by_line"),
        (lambda _: None, "returned nothing where bytes"),
        (by_line(lambda _: 7), "type int where a line of text, or None"),
    ],
)
def test_a_function_that_returns_something_else_ends_the_worker_and_costs_no_message(
    function: Any, message: str
) -> None:
    topics = make()
    put(topics, lines_of(3), max_lines=1)
    with pytest.raises(TopicError, match=message):
        process(topics, "in", "out", function, idle_timeout=0)
    counts = topics.counts("in")
    assert (counts.visible, counts.in_flight, counts.dead_lettered) == (3, 0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchsize": 5}, "takes no batchsize: its options are workers, batch_size"),
        ({"batch_size": "50"}, "batch size is '50', and must be a whole number or None"),
        ({"workers": None}, "workers is None, and must be a whole number"),
        ({"idle_timeout": "1"}, "must be a number of seconds or None"),
        ({"idle_timeout": float("nan")}, "idle timeout is nan s, and must be 0 or more"),
        ({"idle_timeout": -1}, "idle timeout is -1 s, and must be 0 or more"),
        ({"workers": 0}, "workers is 0, and must be 1 or more"),
        ({"settings": "x"}, "settings are a WorkerSettings"),
        ({"settings_file": "x"}, "are for programs"),
        ({"step": "no-such-program"}, "there is no step no-such-program"),
        ({"output_topic": "in"}, "both input and output"),
        ({"step": 7}, "a step is"),
        ({"input_topic": None}, "the input topic is a name"),
        ({"topics": "in"}, "the topics come first"),
    ],
)
def test_misuse_says_what_was_expected(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"topics": make(), "input_topic": "in", "output_topic": "out", "step": bytes.upper}
    with pytest.raises(TopicError, match=message):
        process(**(given | options))


# Deadlines, draining, back-pressure


class Running:
    """A worker in a thread of its own."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.result: Totals | BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self.worker.run()
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.result = error

    def totals(self) -> Totals:
        self._thread.join(timeout=30)
        assert isinstance(self.result, Totals), self.result
        return self.result


def at_work(topics: Topics, gate: Gate) -> Running:
    """A worker with deadlines of a second, whose step has begun and waits to be let go on."""
    settings = WorkerSettings(deadline=1, idle_timeout=0)
    running = Running(Worker(topics, "in", "out", Step(gate.program), settings=settings))
    gate.await_start()
    return running


def test_deadlines_are_refreshed_while_a_step_runs(gate: Gate, tmp_path: Path) -> None:
    refreshed = threading.Semaphore(0)

    def count(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "ChangeMessageVisibilityBatch":
            refreshed.release()

    topics = make(MemorySqs(intercept=count))
    put(topics, b"x\n")
    running = at_work(topics, gate)
    started = time.monotonic()
    while time.monotonic() - started < 1.2:
        assert refreshed.acquire(timeout=10)
        assert rest(topics, "in") == []
    gate.let()
    assert running.totals().messages_in == 1
    assert running.totals().lost == 0
    assert take(topics, tmp_path) == b"x\n"


def test_a_message_that_could_not_be_refreshed_in_time_is_neither_published_nor_acknowledged(gate: Gate) -> None:
    def deny(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "ChangeMessageVisibilityBatch":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, operation)

    topics = make(MemorySqs(intercept=deny))
    put(topics, b"x\n")
    running = at_work(topics, gate)
    # Somebody else gets it when its deadline has passed, and keeps it.
    [theirs] = topics.pull("in", timeout=5, visibility_timeout=60)
    gate.let()
    running.worker.drain()
    totals = running.totals()
    assert (totals.messages_in, totals.messages_out, totals.lost) == (0, 0, 1)
    assert rest(topics, "out") == []
    assert topics.acknowledge("in", [theirs]) == []


def test_a_message_that_is_with_others_is_given_up_at_the_first_refusal(gate: Gate) -> None:
    asked = threading.Event()

    def note(operation: str, parameters: Mapping[str, Any]) -> None:
        if operation == "ChangeMessageVisibilityBatch":
            asked.set()

    topics = make(MemorySqs(intercept=note))
    put(topics, b"x\n")
    running = at_work(topics, gate)
    topics.purge("in")
    topics.delete("in-dead-letter")
    assert asked.wait(10)
    gate.let()
    # The purged message is not known any more to be in flight: acknowledging it is harmless either way.
    assert running.totals().messages_in + running.totals().lost == 1


def test_draining_finishes_what_runs_and_gives_the_rest_back_at_once(gate: Gate, tmp_path: Path) -> None:
    topics = make()
    put(topics, lines_of(1), max_lines=1)
    worker = Worker(topics, "in", "out", Step(gate.program), settings=WorkerSettings(idle_timeout=None, deadline=600))
    worker._step_seconds = 0.01  # as if steps were quick: receive ahead
    put(topics, lines_of(12), max_lines=1)
    running = Running(worker)
    gate.await_start()
    before = topics.counts("in").in_flight
    worker.drain()
    gate.let()
    totals = running.totals()
    assert totals.messages_in == 1
    assert totals.released == before - 1 > 0
    counts = topics.counts("in")
    assert (counts.visible, counts.in_flight) == (12, 0)
    assert len(rest(topics, "out")) == 1


def test_draining_finishes_what_has_no_receive_left(gate: Gate) -> None:
    topics = make(max_receives=1)
    put(topics, lines_of(2), max_lines=1)
    worker = Worker(topics, "in", "out", Step(gate.program), settings=WorkerSettings(idle_timeout=None))
    worker._step_seconds = 0.01
    running = Running(worker)
    gate.await_start()
    worker.drain()
    gate.let()
    gate.await_start()
    gate.let()
    assert running.totals().messages_in == 2
    assert running.totals().released == 0


def test_killing_gives_back_what_runs_as_if_nothing_had_been(gate: Gate) -> None:
    topics = make(max_receives=1)
    put(topics, lines_of(3), max_lines=1)
    running = Running(Worker(topics, "in", "out", Step(gate.program), settings=WorkerSettings(deadline=600, workers=3)))
    for _ in range(3):
        gate.await_start()
    running.worker.drain()
    running.worker.kill()
    totals = running.totals()
    assert (totals.messages_in, totals.failed, totals.released) == (0, 0, 3)
    assert topics.counts("in").visible == 3


def test_slow_steps_hold_no_more_than_they_work_on(gate: Gate) -> None:
    topics = make()
    put(topics, lines_of(20), max_lines=1)
    running = Running(Worker(topics, "in", "out", Step(gate.program), settings=WorkerSettings(workers=3)))
    for _ in range(3):
        gate.await_start()
    counts = topics.counts("in")
    assert (counts.in_flight, counts.visible) == (3, 17)
    running.worker.kill()
    running.totals()


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_slow_steps_leave_batches_to_others(gate: Gate, batch_size: int) -> None:
    topics = make()
    put(topics, lines_of(20), max_lines=1)
    settings = WorkerSettings(batch_size=batch_size)
    running = Running(Worker(topics, "in", "out", Step(gate.program), settings=settings))
    gate.await_start()
    in_flight = topics.counts("in").in_flight
    running.worker.kill()
    running.totals()
    assert in_flight == batch_size


def test_it_ends_only_when_what_others_hold_is_done_or_came_back(tmp_path: Path) -> None:
    topics = make()
    put(topics, b"x\n")
    assert len(topics.pull("in", visibility_timeout=1)) == 1
    assert run(topics, "cp").messages_in == 1


def test_without_an_idle_timeout_it_goes_on_until_it_is_drained() -> None:
    topics = make()
    published = threading.Event()
    worker = Worker(
        topics,
        "in",
        "out",
        Step("cp"),
        settings=WorkerSettings(idle_timeout=None),
        on_progress=lambda _: published.set(),
    )
    running = Running(worker)
    for number in range(2):
        published.clear()
        put(topics, b"%d\n" % number)
        assert published.wait(10)
    worker.drain()
    # The poll that is under way sees something at once.
    put(topics, b"last\n")
    assert running.totals().messages_in == 2
    assert topics.counts("in").visible == 1


# Repackaging


def test_a_smaller_batch_size_splits_parcels_through_the_input_topic(tmp_path: Path, sh: Script) -> None:
    topics = make()
    put(topics, lines_of(250), max_lines=100)
    totals = run(topics, sh('wc -l < "$1" > "$2"'), settings=WorkerSettings(batch_size=40, idle_timeout=0))
    assert totals.repackaged == 3
    assert (totals.messages_in, totals.lines_in) == (8, 250)
    assert take(topics, tmp_path).split() == [b"40", b"40", b"20", b"40", b"40", b"20", b"40", b"10"]


def test_a_larger_batch_size_gathers_parcels_and_tells_their_output_apart(tmp_path: Path, sh: Script) -> None:
    topics = make()
    sizes = tmp_path / "sizes"
    put(topics, lines_of(1000), max_lines=30)
    totals = run(
        topics, sh(f'wc -l < "$1" >> {sizes}; cp "$1" "$2"'), settings=WorkerSettings(batch_size=100, idle_timeout=0)
    )
    assert (totals.messages_in, totals.messages_out, totals.lines_in) == (34, 34, 1000)
    *full, last = map(int, sizes.read_text().split())
    assert all(100 <= size < 130 for size in full)
    assert sum(full) + last == 1000
    assert take(topics, tmp_path) == lines_of(1000)


def test_among_gathered_parcels_only_the_bad_one_fails(tmp_path: Path, sh: Script) -> None:
    topics = make()
    put(topics, b"a\nb\nbad\nc\nd\n", max_lines=1)
    totals = run(
        topics,
        sh('! grep bad "$1" && cp "$1" "$2"'),
        settings=WorkerSettings(batch_size=10, idle_timeout=0),
    )
    assert (totals.messages_in, totals.dead_lettered) == (4, 1)
    [letter] = rest(topics, "in-dead-letter")
    assert letter.body == "bad\n"


def test_a_step_whose_output_cannot_be_told_apart_gets_one_parcel_at_a_time(
    tmp_path: Path, sh: Script, caplog: pytest.LogCaptureFixture
) -> None:
    topics = make()
    put(topics, lines_of(95), max_lines=10)
    totals = run(topics, sh('wc -l < "$1" > "$2"'), settings=WorkerSettings(batch_size=30, idle_timeout=0))
    assert (totals.messages_in, totals.messages_out, totals.lines_in) == (10, 10, 95)
    assert take(topics, tmp_path).split() == [b"10"] * 9 + [b"5"]
    assert caplog.text.count("can't be told apart") == 1


# FIFO


def test_a_fifo_topic_is_processed_in_order_within_groups_and_side_by_side_across(sh: Script, tmp_path: Path) -> None:
    topics = make(None, "in.fifo", "out.fifo")
    topics.publish_all(
        "in.fifo",
        [
            Outgoing(f"{group} {number}", group_id=group, deduplication_id=f"{group}{number}")
            for number in range(6)
            for group in "ab"
        ],
    )
    meeting = tmp_path / "meeting"
    os.mkfifo(meeting)
    # The first of each group wait for each other: a FIFO opens when both a reader and a writer are there.
    step = sh(f'case "$(cat "$1")" in "a 0") echo > {meeting};; "b 0") read _ < {meeting};; esac; cp "$1" "$2"')
    totals = Worker(
        topics, "in.fifo", "out.fifo", Step(step, timeout=20), settings=WorkerSettings(workers=4, idle_timeout=0)
    ).run()
    assert totals.messages_in == 12
    assert totals.failed == 0
    received = consume(topics, "out.fifo")
    for group in "ab":
        mine = [message.body for message in received if message.group_id == group]
        assert mine == [f"{group} {number}\n" for number in range(6)]


def test_one_failing_message_of_a_fifo_group_costs_the_others_nothing(sh: Script) -> None:
    topics = make(None, "in.fifo", "out.fifo")
    topics.publish_all(
        "in.fifo",
        [Outgoing(text, group_id="g", deduplication_id=text) for text in ("a", "bad", "c", "d", "e")],
    )
    totals = Worker(
        topics, "in.fifo", "out.fifo", Step(sh('! grep bad "$1" && cp "$1" "$2"')), settings=UNTIL_EMPTY
    ).run()
    assert (totals.messages_in, totals.dead_lettered) == (4, 1)
    assert [message.body for message in rest(topics, "out.fifo")] == ["a\n", "c\n", "d\n", "e\n"]
    assert [message.body for message in rest(topics, "in-dead-letter.fifo")] == ["bad"]


def test_a_fifo_parcel_above_the_batch_size_is_run_batch_by_batch_in_its_place(tmp_path: Path, sh: Script) -> None:
    topics = make(None, "in.fifo", "out.fifo")
    put(topics, lines_of(25), max_lines=10, topic="in.fifo")
    step = Step(sh('wc -l < "$1" > "$2"'))
    totals = Worker(topics, "in.fifo", "out.fifo", step, settings=WorkerSettings(batch_size=4, idle_timeout=0)).run()
    assert totals.repackaged == 0
    assert take(topics, tmp_path, "out.fifo").split() == [b"4", b"4", b"2", b"4", b"4", b"2", b"4", b"1"]


def test_each_batch_is_logged_with_its_own_counts_and_all_so_far(caplog: pytest.LogCaptureFixture) -> None:
    topics = make()
    put(topics, lines_of(25), max_lines=10)
    with caplog.at_level(logging.INFO, logger="tagstream.topics"):
        run(topics, "cp")
    batches = [record.getMessage() for record in caplog.records if ": batch: " in record.getMessage()]
    own = [message.partition("So far:")[0] for message in batches]
    assert all("in -> out: batch: 1 messages in" in message for message in own)
    lines = [int(re.findall(r"([0-9]+) lines in", message)[0]) for message in own]
    so_far = [int(re.findall(r"So far:.* ([0-9]+) lines in", message)[0]) for message in batches]
    assert sorted(lines) == [5, 10, 10]
    assert so_far == list(itertools.accumulate(lines))
    assert "in -> out: done: 3 messages in" in caplog.text
