"""README and docs, typed in as they stand: every command of theirs, in order, against the deployed stacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagstream.local.gallery import Gallery
from tests.documents import DOCUMENTS, NEEDS_AN_ACCOUNT, ROOT, Typed, alike, blocks, commands
from tests.e2e.conftest import Pipeline, clean_environment

# What would change the machine that the tests run on, or take minutes: only that there is such a thing is checked.
_MAKE = re.compile(r"make ([a-z0-9 ]+(?:[A-Z_]+=\S+)?)")
_ONLY_ITS_HELP = re.compile(
    r"(?:\S*/)?(?:tagstream local (?:up|demo|down)|tagstream models (?:build|calibrate)|python -m benchmarks)\b"
)
_NOT_HERE = (
    (re.compile(r"git clone"), "the clone is the one that the tests are in"),
    (re.compile(r"\. \.venv/bin/activate"), "the tests' shell finds it without"),
    (re.compile(r"docker "), "needs a container engine"),
    (re.compile(r".* --model efficientnet-lite2"), "needs a model that takes a minute to build"),
    (re.compile(r"export API="), "the tests' shell has them: its cloud is not the one of 'tagstream local up'"),
    (NEEDS_AN_ACCOUNT, "needs an account: tests/infra/test_documents.py"),
)


@pytest.fixture
def home(tmp_path: Path, photos: dict[str, Path]) -> Path:
    """A user's folder as the documents take it for granted: some pictures, a few lines, and the clone's programs."""
    pictures = tmp_path / "Pictures"
    pictures.mkdir()
    for name, photo in photos.items():
        (pictures / name).write_bytes(photo.read_bytes())
    (pictures / "IMG_0012.jpg").write_bytes(photos["drum.jpg"].read_bytes())
    (pictures / "notes.jpg").write_text("no photo, whatever its name says")
    (tmp_path / "cat.jpg").write_bytes(photos["chelsea.png"].read_bytes())
    (tmp_path / "inputs.txt").write_text("".join(f"line {number}\n" for number in range(500)))
    subprocess.run(["gzip", "--keep", "inputs.txt"], cwd=tmp_path, check=True, timeout=30)
    shutil.copy(ROOT / "tagstream" / "steps" / "uppercase.py", tmp_path / "score.py")
    for name in (".venv", "build"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def environment(pipeline: Pipeline, home: Path) -> Iterator[dict[str, str]]:
    """A shell in which the local cloud is found, and after which no topic is left."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    more = {"PATH": path, "HOME": str(home), "COLUMNS": "120", "TAGSTREAM_IDLE_TIMEOUT": "3"}
    gallery = Gallery.of(pipeline.connection)
    more |= {"API": gallery.api_url, "TOKEN": gallery.token()}
    yield clean_environment(**pipeline.connection.environment()) | more
    for url in pipeline.sqs.list_queues().get("QueueUrls", []):
        if not url.rsplit("/", 1)[1].startswith("tagstream-"):
            pipeline.sqs.delete_queue(QueueUrl=url)


def shell(command: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def lacks(command: str) -> str | None:
    """A program that a command needs and this machine has not; those of the clone are always there."""
    for program in ("aws", "curl", "jq"):
        works = shutil.which(program) and subprocess.run(
            [program, "--version"], capture_output=True, check=False, timeout=60
        )
        if re.search(rf"(?:^|\| |\$\(){program} ", command) and not (works and works.returncode == 0):
            return program
    return None


def run(typed: Typed, environment: dict[str, str], folder: Path) -> str | None:
    """Run a command and compare what it prints; returns why it was not run, if it wasn't."""
    for pattern, reason in _NOT_HERE:
        if pattern.match(typed.command):
            return reason
    if found := _MAKE.fullmatch(typed.command):
        done = shell(f"make -n {found[1]}", environment, ROOT)
    elif found := _ONLY_ITS_HELP.match(typed.command):
        done = shell(f"{found[0]} --help", environment, ROOT)
    elif program := lacks(typed.command):
        return f"{program} is not installed"
    else:
        done = shell(typed.command, environment, folder)
        said = (done.stdout + done.stderr).splitlines()
        printed = {alike(line) for line in said}
        missing = [line for line in typed.printed if alike(line) not in printed]
        assert not missing, f"{typed.where}: {typed.command}\nshould print {missing}\nprints {said}"
    assert done.returncode == 0, f"{typed.where}: {typed.command}\n{done.stdout}{done.stderr}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_says_to_type_works(
    document: Path,
    environment: dict[str, str],
    pipeline: Pipeline,
    home: Path,
    record_property: Callable[[str, object], None],
) -> None:
    typed = commands(document)
    left_out = {}
    for one in typed:
        reason = run(one, environment, home)
        if reason:
            left_out[one.where] = reason
        elif "images upload" in one.command:
            pipeline.settled()
    if left_out:
        record_property("not run here", left_out)
    if typed and len(left_out) == len(typed):
        pytest.skip(f"{document.name}: {'; '.join(sorted(set(left_out.values())))}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_in_a_document_runs(document: Path, environment: dict[str, str], home: Path) -> None:
    for line, text in blocks(document, "python"):
        done = subprocess.run(
            [sys.executable, "-c", text],
            cwd=home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{document.name}:{line}\n{done.stderr}"
