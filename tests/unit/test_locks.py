"""The locks hold all that the requirements ask for, in the versions that constraints.txt says, each with hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stacks.locks import LockError, Pin, read_lock

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    [
        *ROOT.glob("requirements*.txt"),
        *ROOT.glob("lambdas/*/requirements.txt"),
        ROOT / "tagstream/local/requirements.txt",
    ]
)
IDS = [str(path.relative_to(ROOT)) for path in FILES]


def requirements(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def locked(path: Path) -> dict[str, list[Pin]]:
    found: dict[str, list[Pin]] = {}
    for pin in read_lock(path.with_suffix(".lock").read_text()):
        found.setdefault(pin.name, []).append(pin)
    return found


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_lock_holds_what_is_asked_for_with_hashes(path: Path) -> None:
    pins = locked(path)
    for requirement in requirements(path):
        versions = [pin.version for pin in pins.get(canonicalize_name(requirement.name), [])]
        assert any(requirement.specifier.contains(version) for version in versions), f"{requirement}: run 'make lock'"
    for several in pins.values():
        assert all(pin.hashes and len(set(pin.hashes)) == len(pin.hashes) for pin in several)
        assert len({pin.version for pin in several}) == len(several)


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if "local" not in path.parts and path.stem != "requirements-vocabulary-model"],
    ids=str,
)
def test_one_version_of_a_package_in_all_of_them(path: Path) -> None:
    versions: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if text := line.partition("#")[0].strip():
            requirement = Requirement(text)
            versions.setdefault(canonicalize_name(requirement.name), set()).add(str(requirement.specifier))
    for name, pins in locked(path).items():
        assert {f"=={pin.version}" for pin in pins} <= versions[name]


def test_nothing_says_where_packages_come_from() -> None:
    for path in (*(path.with_suffix(".lock") for path in FILES), ROOT / "constraints.txt"):
        assert not re.search(r"://|--index|--find-links|\s/", path.read_text()), path


@pytest.mark.parametrize(
    "line",
    [
        "six",
        "six>=1.17",
        "six @ https://example.com/six.whl",
        "-e .",
        "--index-url https://example.com",
        "six==1.17.0 --hash=md5:" + "0" * 32,
        "six==1.17.0 --hash=sha256:" + "0" * 63,
        "six==1.17.0 --hash=sha256:" + "0" * 64 + " --hash=sha512:00",
        "\0" * 1000,
    ],
)
def test_what_is_no_pin_is_told(line: str) -> None:
    with pytest.raises(LockError, match="make lock"):
        read_lock(f"fine==1\n{line}\n")


def test_a_lock_is_read_as_it_is_written() -> None:
    text = (
        "# by uv\nA_b.C==1.0 ; python_version < '3' \\\n    --hash=sha256:{0} \\\n    --hash=sha256:{1}\n    # via d\n"
    )
    digests = "0" * 64, "1" * 64
    (pin,) = read_lock(text.format(*digests))
    assert pin == Pin("a-b-c", "1.0", "python_version < '3'", digests)
    assert not pin.holds({"python_version": "3.13"})
    assert pin.holds({"python_version": "2.7"})
    assert pin.requirement == f"a-b-c==1.0 --hash=sha256:{digests[0]} --hash=sha256:{digests[1]}"
