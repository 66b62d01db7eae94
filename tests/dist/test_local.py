"""``pip install 'tagstream[local]'`` far from any checkout, and the whole system runs on this machine."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.dist.conftest import Environment, Published, run

HERE = "{}.{}".format(*sys.version_info)

# Bundles are built from nothing, after some hundred megabytes have been installed.
pytestmark = [pytest.mark.dist, pytest.mark.timeout(1800)]


class Installed:
    """The program of an environment that has nothing but the wheels, for a user who has never run it."""

    def __init__(self, at: Environment) -> None:
        self._program = at.folder / "bin" / "tagstream"
        self._beside = at.folder.parent
        # aws-cdk-lib warns of what it will do differently one day.
        self.variables = at.variables(PYTHONWARNINGS="ignore")
        self.cache = Path(self.variables["HOME"], ".cache")
        self.cache.mkdir()

    def __call__(self, *arguments: str) -> str:
        return run(self._program, *arguments, cwd=self._beside, env=self.variables, timeout=900)

    def interrupted(self, *arguments: str, after: str, by: signal.Signals) -> int:
        """The exit code of a command that gets a signal as soon as it has said something."""
        with subprocess.Popen(
            [self._program, *arguments], cwd=self._beside, env=self.variables, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if after in line:
                    break
            else:
                raise AssertionError("".join(said))
            process.send_signal(by)
            process.stderr.read()
            return process.wait(60)


@pytest.fixture
def tagstream(environment: Callable[[str], Environment], published: Published) -> Iterator[Installed]:
    at = environment(HERE)
    at.install(f"{published.wheel}[local]", *map(str, published.models))
    installed = Installed(at)
    yield installed
    installed("local", "down")


def test_the_local_cloud_needs_no_checkout(tagstream: Installed, photo: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    # Ended in every step of getting ready, it leaves nothing that the next one takes for whole.
    up = ("local", "up", "--port", port)
    assert tagstream.interrupted(*up, after="Installing the AWS emulator", by=signal.SIGINT) == 130
    (project,) = (tagstream.cache / "tagstream" / "project").glob("[0-9]*")
    assert not (project / ".venv-local" / ".installed").exists()
    assert tagstream.interrupted(*up, after="Installing the CDK CLI", by=signal.SIGKILL) == -signal.SIGKILL
    assert (project / ".venv-local" / ".installed").exists()
    (project / "stacks" / "settings.py").write_text("damaged")

    said = tagstream(*up)
    assert "Installing the AWS emulator" in said
    assert "The local cloud is up" in said
    assert not list(project.parent.glob(".making-*"))
    tagstream("images", "upload", str(photo), "--wait")
    (found,) = map(json.loads, tagstream("images", "search", "drum", "--json").splitlines())
    assert found["key"].endswith(photo.name)

    lines = Path(tagstream.variables["HOME"], "lines")
    lines.write_text("".join(f"{number}\n" for number in range(5000)))
    tagstream("topics", "create", "numbers")
    tagstream("topics", "upload", str(lines), "numbers")
    tagstream("topics", "download", "numbers", f"{lines}.back", "--idle", "1")
    assert Path(f"{lines}.back").read_text() == lines.read_text()

    # What is there is used.
    again = tagstream("local", "up")
    assert "runs already" in again
    assert "Installing" not in again
    assert json.loads(tagstream("local", "status", "--json"))["status"] == "running"
    assert "stopped" in tagstream("local", "down")
