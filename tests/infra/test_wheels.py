"""Every pinned package has wheels for the machines that developers use: pip is asked, and nothing is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINES = {
    "linux-x86-64": [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)],
    "linux-arm64": [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 24, 17)],
    "macos-arm64": [f"macosx_{version}_arm64" for version in ("14_0", "13_0", "12_0", "11_0")],
}


@pytest.mark.long
@pytest.mark.parametrize("machine", MACHINES)
def test_all_that_is_pinned_has_wheels_for_the_newest_python(machine: str, tmp_path: Path) -> None:
    platforms = [f"--platform={tag}" for tag in MACHINES[machine]]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed", "--no-input"]
        + ["--only-binary=:all:", "--implementation=cp", "--python-version=3.14", f"--target={tmp_path}"]
        + [*platforms, "-r", str(ROOT / "requirements.txt")],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
