"""What the local cloud deploys where there is no checkout: made ready once, wholly or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

_READY = """
import signal

from tagstream.local.project import ready

# As from a terminal: what runs these tests in the background may have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
print(ready(lambda line: print(line, flush=True)))
"""
_NPM = """#!/bin/sh
echo "$@" >> "$HOME/npm-was-asked"
mkdir -p node_modules/.bin && touch node_modules/.bin/cdk
"""


class Package:
    """Tagstream as a wheel installs it, in a folder; Node and npm are small scripts, and the emulator needs nothing."""

    def __init__(self, folder: Path) -> None:
        self.site, self.programs, self.home = folder / "site", folder / "bin", folder / "home"
        self.cache = self.home / ".cache"
        for made in (self.site, self.programs, self.cache):
            made.mkdir(parents=True)
        ignored = shutil.ignore_patterns("__pycache__")
        package = shutil.copytree(ROOT / "tagstream", self.site / "tagstream", ignore=ignored)
        (package / "local" / "requirements.lock").write_text("# nothing\n")
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
        for name in settings["hooks"]["custom"]["files"]:
            to = package / "local" / "checkout" / name
            to.parent.mkdir(exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, to, ignore=ignored)
            else:
                shutil.copyfile(ROOT / name, to)
        model = self.cache / "tagstream" / "models" / "mine"
        model.mkdir(parents=True)
        (model / "model.json").write_text("{}")
        self.script("node", "#!/bin/sh\necho v22.1.0\n")
        self.script("npm", _NPM)

    def script(self, name: str, text: str) -> None:
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def start(self) -> subprocess.Popen[str]:
        variables = {
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONPATH": str(self.site),
            "TAGSTREAM_MODEL": "mine",
        }
        command = [sys.executable, "-c", _READY]
        return subprocess.Popen(
            command, env=variables, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ready(self) -> list[str]:
        """What it says; the last line is the folder."""
        with self.start() as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out.splitlines()

    def fails(self) -> str:
        with self.start() as process:
            _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        return err

    @property
    def asked(self) -> int:
        """How often npm was asked for the CDK CLI."""
        told = self.home / "npm-was-asked"
        return len(told.read_text().splitlines()) if told.exists() else 0


def test_the_extra_pins_what_a_checkout_has() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = {name for name in extras["local"] if "==" in name}
    lines = {line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert {name.partition("==")[0] for name in pinned} == {"aws-cdk-lib", "osmem-server"}
    assert pinned <= lines


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_it_is_made_once_and_is_what_a_checkout_has(package: Package) -> None:
    *said, folder = package.ready()
    project = Path(folder)
    assert [line.split()[0] for line in said] == ["Making", "Installing", "Installing"]
    for name in ("app.py", "cdk.json", "stacks/settings.py", "lambdas/api/requirements.lock", "gallery/index.html"):
        assert (project / name).read_bytes() == (ROOT / name).read_bytes(), name
    assert (project / "tagstream" / "local" / "supervisor.py").is_file()
    assert not (project / "tagstream" / "local" / "checkout").exists()
    assert (project / "build" / "models" / "mine" / "model.json").is_file()
    assert project.is_relative_to(package.cache / "tagstream" / "project")
    assert project.parent.stat().st_mode & 0o077 == 0
    # The emulator's environment has nothing that is not locked: a function finds no package of this one.
    inside = subprocess.run(
        [project / ".venv-local" / "bin" / "python", "-c", "import click"], capture_output=True, check=False
    )
    assert inside.returncode == 1
    assert package.ready() == [folder]
    assert package.asked == 1


def remove_a_file(project: Path) -> None:
    (project / "stacks" / "settings.py").unlink()


def change_a_file(project: Path) -> None:
    (project / "tagstream" / "tags.py").write_text("")


def lose_the_python(project: Path) -> None:
    (project / ".venv-local" / "bin" / "python").unlink()


def stop_in_npm(project: Path) -> None:
    (project / "node_modules" / ".installed").unlink()


@pytest.mark.parametrize("harm", [remove_a_file, change_a_file, lose_the_python, stop_in_npm])
def test_what_is_not_whole_is_made_anew(harm: Callable[[Path], None], package: Package) -> None:
    *_, folder = package.ready()
    harm(Path(folder))
    *said, again = package.ready()
    assert again == folder
    assert "Installing" in "".join(said)
    assert package.ready() == [folder]
    assert (Path(folder) / "stacks" / "settings.py").read_bytes() == (ROOT / "stacks" / "settings.py").read_bytes()


def test_another_version_is_another_folder(package: Package) -> None:
    *_, first = package.ready()
    with (package.site / "tagstream" / "local" / "checkout" / "app.py").open("a") as file:
        file.write("# changed\n")
    *_, second = package.ready()
    assert second != first
    assert Path(first, "app.py").is_file()


def test_what_fails_is_told_and_tried_again(package: Package) -> None:
    package.script("npm", "#!/bin/sh\necho npm error network ECONNREFUSED >&2\nexit 1\n")
    said = package.fails()
    assert "LocalCloudError: the CDK CLI could not be installed" in said
    assert "ECONNREFUSED" in said
    package.script("npm", _NPM)
    *said_then, _ = package.ready()
    assert "Installing the CDK CLI" in "".join(said_then)
    assert "Installing the AWS emulator" not in "".join(said_then)


def install_in_vain(package: Package, by: signal.Signals) -> int:
    """A run that is ended while npm is at work; returns npm's pid."""
    package.script("npm", '#!/bin/sh\nmkdir -p node_modules/.bin\necho $$ > "$HOME/.pid"\nexec sleep 600\n')
    pid = package.home / ".pid"
    with package.start() as process:
        deadline = time.monotonic() + 60
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert time.monotonic() < deadline, "npm was not started"
            time.sleep(0.05)
        process.send_signal(by)
        process.wait(60)
    package.script("npm", _NPM)
    return int(pid.read_text())


def test_interrupted_it_ends_what_it_has_started_and_leaves_nothing_that_is_trusted(package: Package) -> None:
    pid = install_in_vain(package, signal.SIGINT)
    assert not psutil.pid_exists(pid)
    *said, folder = package.ready()
    assert "Installing the CDK CLI" in "".join(said)
    assert package.ready() == [folder]


def test_what_outlives_who_was_killed_is_waited_for(package: Package) -> None:
    pid = install_in_vain(package, signal.SIGKILL)
    with package.start() as waiting:
        assert waiting.stdout is not None
        assert "waiting for it" in waiting.stdout.readline()
        os.kill(pid, signal.SIGKILL)
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, err
    assert "Installing the CDK CLI" in out
    assert package.ready() == out.splitlines()[-1:]


def test_two_at_once_wait_for_one_another(package: Package) -> None:
    (package.cache / "tagstream" / "project").mkdir(parents=True, mode=0o700)
    with (package.cache / "tagstream" / "project" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with package.start() as process:
            assert process.stdout is not None
            assert "waiting for it" in process.stdout.readline()
            fcntl.flock(lock, fcntl.LOCK_UN)
            process.communicate(timeout=60)
    assert process.returncode == 0


def test_without_node_it_says_what_to_install_and_makes_nothing(package: Package) -> None:
    package.script("node", "#!/bin/sh\necho v18.20.0\n")
    assert "Node 20 or newer is needed for the CDK CLI; this is v18.20.0." in package.fails()
    package.script("node", "#!/bin/sh\necho nonsense\n")
    assert "does not say its version" in package.fails()
    assert not (package.cache / "tagstream" / "project").exists()


def test_a_folder_that_everybody_may_write_into_is_refused(package: Package) -> None:
    (package.cache / "tagstream" / "project").mkdir(parents=True)
    (package.cache / "tagstream" / "project").chmod(0o777)
    assert "everybody may write into it" in package.fails()
