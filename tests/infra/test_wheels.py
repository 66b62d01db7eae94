"""All that is pinned, or that an extra asks for, has wheels where developers work: pip is asked, but not to install."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stacks.locks import read_lock

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.14"
MACHINES = {
    ("linux", "x86_64"): [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)],
    ("linux", "aarch64"): [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 24, 17)],
    ("darwin", "arm64"): [f"macosx_{version}_arm64" for version in ("14_0", "13_0", "12_0", "11_0")],
}


def ask_pip(system: str, machine: str, python: str, *what: str) -> None:
    """Whether all of this could be installed there from wheels alone."""
    asked = f"pip install --dry-run --quiet --ignore-installed --only-binary=:all: --python-version={python}"
    done = subprocess.run(
        [sys.executable, "-m", *asked.split(), "--target=never-made"]
        + [f"--platform={tag}" for tag in MACHINES[system, machine]]
        + list(what),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    unreachable = [word for word in ("NewConnectionError", "NameResolutionError") if word in done.stderr]
    assert not unreachable, f"this test asks the package index, which cannot be reached from here: {unreachable}"
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize(("system", "machine"), MACHINES)
@pytest.mark.parametrize("lock", ["requirements.lock", "tagstream/local/requirements.lock"])
def test_all_that_is_locked_has_wheels_for_the_newest_python(lock: str, system: str, machine: str) -> None:
    there = {"sys_platform": system, "platform_machine": machine}
    there |= {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    # Without their hashes, which pip would download all of it for.
    pins = [f"{pin.name}=={pin.version}" for pin in read_lock((ROOT / lock).read_text()) if pin.holds(there)]
    ask_pip(system, machine, PYTHON, "--no-deps", *pins)


@pytest.mark.long
@pytest.mark.parametrize("python", ["3.11", "3.14"])
@pytest.mark.parametrize(("system", "machine"), MACHINES)
def test_what_the_extras_ask_for_has_wheels_for_the_oldest_and_the_newest_python(
    system: str, machine: str, python: str
) -> None:
    if (system, machine, python) == ("linux", "aarch64", "3.11"):
        pytest.skip("LiteRT has none there, as docs/python.md says")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {
        text
        for needed in project["optional-dependencies"].values()
        for text in needed
        # Our own: without a platform.
        if not text.startswith("tagstream")
    }
    ask_pip(system, machine, python, *sorted(asked))
