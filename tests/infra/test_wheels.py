"""Every pinned package has wheels for the machines that developers use: pip is asked, and nothing is installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PYTHON = "3.14"
MACHINES = {
    ("linux", "x86_64"): [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 24, 17, 12, 5)],
    ("linux", "aarch64"): [f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 24, 17)],
    ("darwin", "arm64"): [f"macosx_{version}_arm64" for version in ("14_0", "13_0", "12_0", "11_0")],
}


def wanted(file: str, there: dict[str, str]) -> Iterator[str]:
    """The requirements of a file that hold there; pip itself asks the Python that it runs on."""
    for line in (ROOT / file).read_text().splitlines():
        text = line.partition("#")[0].strip()
        if text and not text.startswith("-"):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate(dict(there)):
                requirement.marker = None
                yield str(requirement)


@pytest.mark.long
@pytest.mark.parametrize(("system", "machine"), MACHINES)
def test_all_that_is_pinned_has_wheels_for_the_newest_python(system: str, machine: str, tmp_path: Path) -> None:
    there = {"sys_platform": system, "platform_machine": machine, "python_version": PYTHON}
    for file in ("requirements.txt", "constraints.txt"):
        (tmp_path / file).write_text("\n".join(wanted(file, there)))
    asked = f"pip install --dry-run --quiet --ignore-installed --only-binary=:all: --python-version={PYTHON}"
    done = subprocess.run(
        [sys.executable, "-m", *asked.split(), f"--target={tmp_path}/packages"]
        + [f"--platform={tag}" for tag in MACHINES[system, machine]]
        + [f"--requirement={tmp_path}/requirements.txt", f"--constraint={tmp_path}/constraints.txt"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
