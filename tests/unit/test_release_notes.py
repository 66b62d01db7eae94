"""What a release says of itself: the changelog's section of that version, or nothing is released."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from release import __main__ as packages
from release.notes import ROOT, NotesError, main, notes

CHANGELOG = """# Changelog

## Unreleased

- Not yet.

## 1.2.0 (2026-11-01)

### Added

- One thing.

## [1.1.0]

## 1.1.0rc1

- A try.
"""


def test_a_version_has_its_own_section() -> None:
    assert notes("v1.2.0", "1.2.0", CHANGELOG) == "### Added\n\n- One thing.\n"
    assert notes("v1.1.0rc1", "1.1.0rc1", CHANGELOG) == "- A try.\n"


@pytest.mark.parametrize("tag", ["1.2.0", "v1.2", "v1.2.0-rc1", "", "v1.2.0; true"])
def test_a_tag_of_another_version_releases_nothing(tag: str) -> None:
    with pytest.raises(NotesError, match=r"is not of version 1\.2\.0 in pyproject\.toml: use v1\.2\.0"):
        notes(tag, "1.2.0", CHANGELOG)


@pytest.mark.parametrize("version", ["1.1.0", "1.2", "1x2.0", "3.0.0"])
def test_a_version_of_which_nothing_is_said_is_not_released(version: str) -> None:
    with pytest.raises(NotesError, match="says nothing of"):
        notes(f"v{version}", version, CHANGELOG)


def test_this_version_has_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert main([f"v{version}"]) == 0
    assert f"lines on {version}" in capsys.readouterr().out
    assert Path(ROOT, "build", "notes.md").read_text().strip()
    assert main(["v0"]) == 1
    assert capsys.readouterr().err.startswith("Error: tag 'v0' is not of version")


def test_what_is_not_committed_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "--message", "first")
    Path(tmp_path, "added.py").touch()
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make dist", "--into", str(tmp_path / "dist")])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    monkeypatch.setenv("TAG", "v1.2.0")
    with pytest.raises(SystemExit, match=r"Release v1\.2\.0 is not built: not all is committed, added\.py for one"):
        packages.main()
    assert not (tmp_path / "dist").exists()
    # Without a tag it only says so at the end; with one, what is committed is built: here there is nothing to build.
    for tag, committed in (("", False), ("v1.2.0", True)):
        if committed:
            git("add", ".")
            git("commit", "--message", "second")
        monkeypatch.setenv("TAG", tag)
        with pytest.raises(FileNotFoundError, match=r"pyproject\.toml"):
            packages.main()
