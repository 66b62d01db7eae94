"""``tagstream local``: up, again, down; and every way to end that isn't the usual one."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.documents import undocumented
from tests.e2e.conftest import TAGSTREAM, clean_environment, eventually

pytestmark = pytest.mark.long


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tagstream(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TAGSTREAM, "local", *arguments],
        env=clean_environment(TAGSTREAM_LOCAL_HOME=str(home)),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    def is_running(process: psutil.Process) -> bool:
        try:
            return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    return [process for process in processes if is_running(process)]


def test_up_twice_and_down(tmp_path: Path) -> None:
    port = str(free_port())
    first = tagstream(tmp_path, "up", "--port", port)
    try:
        assert first.returncode == 0, first.stderr
        assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{port}" in first.stdout
        state = json.loads((tmp_path / "state.json").read_text())
        roots = [psutil.Process(state[name]["pid"]) for name in ("supervisor", "cloud", "search")]

        status = tagstream(tmp_path, "status", "--json")
        assert status.returncode == 0
        told = json.loads(status.stdout)
        assert undocumented([told]) == set()
        assert told["status"] == "running"
        assert "tagstream-local-ingest" in told["stacks"]
        assert f"{told['gallery_url']}  (sign in as demo@example.com, password " in first.stdout
        assert told["gallery_url"] in tagstream(tmp_path, "status").stdout
        token = tagstream(tmp_path, "token").stdout.strip()
        caller = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        path = told["api_url"].removeprefix(told["endpoint_url"])
        caller.request("GET", f"{path}/images", headers={"Authorization": f"Bearer {token}"})
        assert json.loads(caller.getresponse().read())["total"] == 0
        caller.close()
        # The command line finds the cloud without being told where it is.
        environment = clean_environment(TAGSTREAM_LOCAL_HOME=str(tmp_path))
        search = [TAGSTREAM, "images", "search", "cat"]
        nothing = subprocess.run(search, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert nothing.returncode == 1, nothing.stderr
        assert "no photo has been classified yet" in nothing.stderr

        other = tagstream(tmp_path, "up", "--port", str(free_port()))
        assert other.returncode == 1
        assert f"runs already, on port {port}" in other.stderr
        second = tagstream(tmp_path, "up")
        assert second.returncode == 0, second.stderr
        assert f"runs already, on port {port}" in second.stderr
        assert told["gallery_url"] in second.stdout
        assert json.loads((tmp_path / "state.json").read_text()) == state
        workers = [child for root in roots for child in root.children(recursive=True)]
        assert len(workers) > 3, "the emulator, its OpenSearch and a function are no children of the supervisor"
    finally:
        down = tagstream(tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert running(roots + workers) == []
    assert not (tmp_path / "private").exists()
    assert tagstream(tmp_path, "status").returncode == 1
    assert "no local cloud" in tagstream(tmp_path, "down").stderr


@contextmanager
def going_up(home: Path) -> Iterator[subprocess.Popen[str]]:
    command = [TAGSTREAM, "local", "up", "--port", str(free_port())]
    environment = clean_environment(TAGSTREAM_LOCAL_HOME=str(home))
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as up:
        try:
            yield up
        finally:
            up.kill()
            up.wait(60)
            # If it has come up against what the test is about.
            tagstream(home, "down")


def interrupt(up: subprocess.Popen[str]) -> None:
    up.send_signal(signal.SIGINT)


def terminate(up: subprocess.Popen[str]) -> None:
    up.terminate()


def kill(up: subprocess.Popen[str]) -> None:
    up.kill()


def let_the_deployment_fail(up: subprocess.Popen[str]) -> None:
    next(p for p in psutil.Process(up.pid).children() if "deploy" in p.cmdline()).kill()


@pytest.mark.parametrize(
    ("moment", "end", "code", "says"),
    [
        ("Synthesising", interrupt, 130, "Interrupted."),
        ("Synthesising", terminate, 143, "Interrupted."),
        ("Synthesising", kill, -signal.SIGKILL, ""),
        ("Deploying", interrupt, 130, "Interrupted."),
        ("Deploying", let_the_deployment_fail, 1, "cdk deploy failed"),
    ],
)
def test_nothing_is_left_of_an_up_that_did_not_end_well(
    tmp_path: Path, moment: str, end: Callable[[subprocess.Popen[str]], None], code: int, says: str
) -> None:
    with going_up(tmp_path) as up:
        assert up.stderr
        for line in up.stderr:
            if line.startswith(moment):
                break
        everything = eventually(
            lambda: len(found := psutil.Process(up.pid).children(recursive=True)) > 3 and found,
            "emulators and CDK are running",
        )
        assert isinstance(everything, list)
        end(up)
        _, rest = up.communicate(timeout=60)
        assert up.returncode == code, rest
        assert says in rest
        assert "Traceback" not in rest
    eventually(lambda: not running(everything), f"all is stopped: {everything}", seconds=15)
    eventually(lambda: not (tmp_path / "private").exists(), "the private directory is gone", seconds=15)
    assert not (tmp_path / "state.json").exists()


def test_a_crashed_cloud_is_noticed_and_replaced(tmp_path: Path) -> None:
    """SIGKILL to the supervisor itself: nothing of it runs on, and the next command knows."""
    assert tagstream(tmp_path, "up", "--port", str(free_port())).returncode == 0
    state = json.loads((tmp_path / "state.json").read_text())
    supervisor = psutil.Process(state["supervisor"]["pid"])
    everything = [supervisor, *supervisor.children(recursive=True)]
    os.kill(supervisor.pid, signal.SIGKILL)
    eventually(lambda: not running(everything), "all ended with the supervisor", seconds=15)
    status = tagstream(tmp_path, "status")
    assert status.returncode == 1
    assert "crashed" in status.stdout
    assert tagstream(tmp_path, "down").returncode == 0
    assert not (tmp_path / "private").exists()
    assert not (tmp_path / "state.json").exists()


def test_demo_with_a_folder_of_one_s_own(tmp_path: Path, photos: dict[str, Path]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "my cannon.jpg").write_bytes(photos["cannon.jpg"].read_bytes())
    (folder / "notes.jpg").write_text("no photo, whatever its name says")
    demo = tagstream(tmp_path / "home", "demo", "--photos", str(folder))
    assert demo.returncode == 0, demo.stderr
    assert re.search(r"^my cannon.jpg +cannon \d.\d\d", demo.stdout, re.MULTILINE)
    assert re.search(r"^notes.jpg +rejected: .*image", demo.stdout, re.MULTILINE)
    assert "$ tagstream images search cannon --min-score 0.9" in demo.stdout
    assert "1 of 2 photos found by what they show, 1 rejected" in demo.stderr
    what_next = demo.stderr.partition("What next:")[2]
    assert f"images upload {os.path.relpath(folder)} --wait" in what_next
    assert "images search cannon --min-score 0.9" in what_next
    assert {path.name for path in (tmp_path / "home").iterdir()} == {"logs-demo"}
