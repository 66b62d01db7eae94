"""Running a step: what it is given, what counts as failure, and that nothing of it stays behind."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError
from tagstream.topics.errors import StepFailed
from tagstream.topics.guard import Guard, sweep
from tagstream.topics.step import Step

Script = Callable[[str], Path]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    for name in [name for name in os.environ if name.startswith("TAGSTREAM_")]:
        monkeypatch.delenv(name)

    def write(body: str, name: str = "step") -> Path:
        path = tmp_path / name
        path.write_text(body)
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def sh(script: Script) -> Script:
    return lambda body: script("#!/bin/sh\n" + body)


REPORT = f"""#!{sys.executable}
import json, os, sys
environment = {{name: os.environ[name] for name in os.environ if name.startswith("TAGSTREAM_")}}
report = {{"arguments": sys.argv[1:], "environment": environment, "tmp": os.environ["TMPDIR"]}}
open(sys.argv[2], "w").write(json.dumps(report))
"""


def test_a_step_is_given_the_documented_arguments_and_environment(script: Script, tmp_path: Path) -> None:
    # A name that a shell would take apart.
    (tmp_path / "my settings; rm $HOME").write_text("a: 1")
    step = Step(
        script(REPORT), settings_file=tmp_path / "my settings; rm $HOME", workflow_id="`id` && run-7", timeout=20
    )

    report = json.loads(step.run(b"one\n"))

    source, target, settings_file, workflow_id = report["arguments"]
    assert settings_file == str(tmp_path / "my settings; rm $HOME")
    assert workflow_id == "`id` && run-7"
    assert report["environment"] == {
        "TAGSTREAM_INPUT": source,
        "TAGSTREAM_OUTPUT": target,
        "TAGSTREAM_SETTINGS": settings_file,
        "TAGSTREAM_WORKFLOW_ID": workflow_id,
    }
    assert Path(source).is_absolute()
    assert Path(source).parent == Path(report["tmp"])


@pytest.mark.parametrize(("workflow_id", "more"), [("", []), ("run-7", ["", "run-7"])])
def test_arguments_that_were_not_given_are_left_out_from_the_end(
    script: Script, workflow_id: str, more: list[str]
) -> None:
    report = json.loads(Step(script(REPORT), workflow_id=workflow_id).run(b""))
    assert report["arguments"][2:] == more
    assert report["environment"]["TAGSTREAM_WORKFLOW_ID"] == workflow_id


@settings(max_examples=20, deadline=None)
@given(st.binary())
def test_bytes_reach_the_step_and_come_back_unchanged(data: bytes) -> None:
    assert Step("cp").run(data) == data


def test_a_failing_step_says_its_exit_code_and_its_last_words(sh: Script, caplog: pytest.LogCaptureFixture) -> None:
    step = Step(sh('echo "reading $1" >&2; echo half > "$2"; printf "no such \\377 molecule" >&2; exit 3'))
    with caplog.at_level(logging.INFO), pytest.raises(StepFailed) as failure:
        step.run(b"x\n")
    assert failure.value.returncode == 3
    assert failure.value.stderr.splitlines()[-1] == "no such \\xff molecule"
    assert "exit code 3" in str(failure.value)
    assert any(record.getMessage() == "step: no such \\xff molecule" for record in caplog.records)


def test_only_the_end_of_a_talkative_step_is_kept(sh: Script) -> None:
    step = Step(sh("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done >&2; exit 1"))
    with pytest.raises(StepFailed) as failure:
        step.run(b"")
    assert failure.value.stderr.splitlines() == [f"line {number}" for number in range(2980, 3000)]


def test_a_step_without_output_has_failed_although_it_exits_with_0() -> None:
    with pytest.raises(StepFailed, match="wrote no output file") as failure:
        Step("true").run(b"x\n")
    assert failure.value.returncode == 0


@pytest.mark.parametrize("body", ['mkfifo "$2"', 'mkdir "$2"', 'ln -s "$2" "$2"', 'ln -s /nowhere "$2"'])
def test_an_output_that_is_no_file_is_a_failure_and_is_not_waited_for(sh: Script, body: str) -> None:
    with pytest.raises(StepFailed, match="wrote no output file"):
        Step(sh(body)).run(b"x\n")


def test_an_empty_output_is_an_answer(sh: Script) -> None:
    assert Step(sh(': > "$2"')).run(b"x\n") == b""


def test_a_step_that_dies_by_a_signal_says_which(sh: Script) -> None:
    with pytest.raises(StepFailed, match="SIGSEGV"):
        Step(sh("kill -SEGV $$")).run(b"")


def _await_end(fifo: Path, writer: threading.Thread) -> None:
    writer.join(timeout=20)
    assert not writer.is_alive(), f"a process still holds {fifo}"


def _watch(path: Path) -> threading.Thread:
    """A thread that ends when every process that has the FIFO open for writing is gone."""
    os.mkfifo(path)
    thread = threading.Thread(target=path.read_bytes, daemon=True)
    thread.start()
    return thread


def test_a_step_past_its_limit_is_killed_with_its_children(sh: Script, tmp_path: Path) -> None:
    held = tmp_path / "held"
    watcher = _watch(held)
    # The child ignores what can be ignored, and holds the FIFO and the step's output.
    step = Step(sh(f"(trap '' TERM INT HUP; sleep 600) > {held} & wait"), timeout=0.3)
    with pytest.raises(StepFailed, match=r"past its limit of 0\.3 s"):
        step.run(b"x\n")
    _await_end(held, watcher)


def test_children_that_a_step_leaves_behind_end_with_it(sh: Script, tmp_path: Path) -> None:
    held = tmp_path / "held"
    watcher = _watch(held)
    assert Step(sh(f'exec 3> {held}; sleep 600 & cp "$1" "$2"')).run(b"x\n") == b"x\n"
    _await_end(held, watcher)


def test_killing_ends_what_runs_and_refuses_what_comes(sh: Script, tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    step = Step(sh(f"echo > {started}; sleep 600"))
    failures: list[StepFailed] = []

    def run() -> None:
        try:
            step.run(b"")
        except StepFailed as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    started.read_bytes()
    step.kill()
    thread.join(timeout=20)
    assert [failure.returncode for failure in failures] == [-signal.SIGKILL]
    with pytest.raises(StepFailed, match="not started"):
        step.run(b"")


def test_a_step_reads_no_terminal(sh: Script) -> None:
    assert Step(sh('cat > "$2"')).run(b"x\n") == b""


def test_nothing_of_a_run_stays_on_disk(sh: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert Step(sh('mktemp >&2; cp "$1" "$2"')).run(b"x\n") == b"x\n"
    with pytest.raises(StepFailed):
        Step(sh("mktemp >&2; exit 1")).run(b"x\n")
    assert list(folder.iterdir()) == []


KILLED = """
import sys, tempfile
from tagstream.topics.step import Step
tempfile.tempdir = sys.argv[1]
Step(sys.argv[2]).run(b"x")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds sessions in /proc")
def test_a_hung_step_does_not_outlive_a_worker_that_is_killed(sh: Script, tmp_path: Path) -> None:
    held, temporary = tmp_path / "held", tmp_path / "tmp"
    temporary.mkdir()
    watcher = _watch(held)
    # With a child in its group, and one in a session of its own.
    step = sh(f"trap '' TERM INT HUP; exec 3> {held}; sleep 600 & setsid sleep 600 & : > \"$TMPDIR/running\"; wait")
    worker = subprocess.Popen([sys.executable, "-c", KILLED, temporary, step])
    try:
        deadline = time.monotonic() + 60
        while not list(temporary.glob("*/running")):
            assert time.monotonic() < deadline, "the step has not started"
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait(20)
    _await_end(held, watcher)
    while list(temporary.iterdir()):
        assert time.monotonic() < deadline, "its folder is still there"
        time.sleep(0.01)


def test_folders_of_killed_workers_are_swept_and_those_of_living_ones_are_not(tmp_path: Path) -> None:
    living = Guard()
    try:
        dead, fresh, other = (tmp_path / name for name in ("tagstream-step-1-a", "tagstream-step-1-b", "elsewhere"))
        for folder in (dead, fresh, other):
            folder.mkdir()
            (folder / "input").write_text("x")
        tempfile_before, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
        try:
            with living.folder() as held:
                for path in (dead, other, Path(held)):
                    os.utime(path, (0, 0))
                sweep(tmp_path)
                assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
                    [fresh.name, other.name, Path(held).name]
                )
        finally:
            tempfile.tempdir = tempfile_before
    finally:
        living.close()


def test_the_example_runs_as_a_built_in_and_as_a_file() -> None:
    import tagstream.steps

    path = Path(tagstream.steps.__file__).with_name("uppercase.py")
    assert Step("uppercase").run(b"c\r\n\xffo") == b"C\r\n\xffO"
    assert Step(path).run(b"c\n") == b"C\n"


def test_a_python_file_needs_no_executable_bit(script: Script) -> None:
    path = script("import shutil, sys\nshutil.copy(*sys.argv[1:3])\n", "copy.py")
    path.chmod(0o644)
    assert Step(path).run(b"x\n") == b"x\n"


def test_a_file_in_the_working_directory_does_not_shadow_a_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pathlib.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert Step("uppercase").run(b"x\n") == b"X\n"


@pytest.mark.parametrize(
    ("program", "message"),
    [("no-such-step", "there is no step"), ("/no/such/step", "there is no step"), ("_private", "there is no step")],
)
def test_a_step_that_is_not_there_is_a_configuration_error(program: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Step(program)


def test_what_no_input_can_mend_is_a_configuration_error(script: Script, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    with pytest.raises(ConfigurationError, match="chmod"):
        Step(plain)
    with pytest.raises(ConfigurationError, match="first line"):
        Step(script("#!/no/such/interpreter\n")).run(b"")
    with pytest.raises(ConfigurationError, match="settings file"):
        Step("cp", settings_file=tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match="time limit"):
        Step("cp", timeout=0)
