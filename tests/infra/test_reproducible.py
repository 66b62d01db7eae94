"""The same sources give the same bundle to the byte, whatever the directory, the time zone, the mask and the seed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stacks.bundling import ROOT

# In a process of its own: what it was started with must not show. The labels stand for all that is brought along.
BUILD = """
import os, sys
from pathlib import Path
from stacks.bundling import Bundle, aws
os.umask(int(sys.argv[3], 8))
bundle = Bundle(sys.argv[1], aws(), {"model/labels.txt": Path("labels.txt").resolve()}, Path.cwd())
print(bundle.digest, bundle.build())
"""


def build(name: str, root: Path, *, umask: str, environment: dict[str, str]) -> tuple[str, Path]:
    root.mkdir(parents=True)
    for top in ("lambdas", "tagstream"):
        shutil.copytree(ROOT / top, root / top, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy)
    (root / "labels.txt").write_text("cat\n")
    done = subprocess.run(
        [sys.executable, "-c", BUILD, name, "", umask],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    digest, _, path = done.stdout.strip().partition(" ")
    return digest, Path(path)


@pytest.mark.long
@pytest.mark.parametrize("name", ["api", "classify"])
def test_two_builds_in_two_directories_are_equal(name: str, tmp_path: Path) -> None:
    first, one = build(name, tmp_path / "a", umask="022", environment={"PYTHONHASHSEED": "1", "TZ": "UTC"})
    second, other = build(
        name,
        tmp_path / "quite another place" / "b",
        umask="077",
        environment={"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    )
    assert first == second
    assert one != other
    with zipfile.ZipFile(one) as here, zipfile.ZipFile(other) as there:
        assert len(here.namelist()) > 300
        assert here.namelist() == there.namelist()
        assert [place for place in here.namelist() if here.read(place) != there.read(place)] == []
    # Names, order, times and modes of the archive, too.
    assert one.read_bytes() == other.read_bytes()
