"""Every pinned package has wheels for the machines that developers use: pip is asked, and nothing is installed."""

from __future__ import annotations

import subprocess
import sys
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


@pytest.mark.long
@pytest.mark.parametrize(("system", "machine"), MACHINES)
@pytest.mark.parametrize("lock", ["requirements.lock", "tagstream/local/requirements.lock"])
def test_all_that_is_locked_has_wheels_for_the_newest_python(
    lock: str, system: str, machine: str, tmp_path: Path
) -> None:
    there = {"sys_platform": system, "platform_machine": machine}
    there |= {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    # Without their hashes, which pip would download all of it for.
    pins = [f"{pin.name}=={pin.version}" for pin in read_lock((ROOT / lock).read_text()) if pin.holds(there)]
    asked = f"pip install --dry-run --quiet --ignore-installed --no-deps --only-binary=:all: --python-version={PYTHON}"
    done = subprocess.run(
        [sys.executable, "-m", *asked.split(), f"--target={tmp_path}/packages"]
        + [f"--platform={tag}" for tag in MACHINES[system, machine]]
        + pins,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
