"""What README and docs say to type for AWS, typed in without an account: it gets as far as the credentials."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, NEEDS_AN_ACCOUNT, ROOT, Typed, commands
from tests.infra.templates import assembly

TYPED = [typed for document in DOCUMENTS for typed in commands(document) if NEEDS_AN_ACCOUNT.match(typed.command)]

# The CDK CLI says it in its own words, in others for each command.
_NO_ACCOUNT = re.compile(r"resolve AWS account|no credentials have been configured|no AWS credentials", re.IGNORECASE)

# app.py for the CDK CLI, but with stacks that were synthesised before: they take ten seconds each time.
_APP = """
import json, os, shutil, sys
from stacks.settings import SettingsError, settings_for
try:
    stage = settings_for(json.loads(os.environ["CDK_CONTEXT_JSON"])).stage
except SettingsError as error:
    sys.exit("\\n".join(f"Error: {problem}" for problem in error.problems))
shutil.copytree(os.path.join(os.path.dirname(__file__), stage), os.environ["CDK_OUTDIR"], dirs_exist_ok=True)
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for stage in ("dev", "prod"):
        (folder / stage).symlink_to(assembly({"stage": stage}))
    path = folder / "app.py"
    path.write_text(_APP)
    return path


@pytest.mark.parametrize("typed", TYPED, ids=lambda typed: typed.where)
def test_what_is_typed_for_aws_gets_as_far_as_the_credentials(typed: Typed, app: Path, tmp_path: Path) -> None:
    program, *arguments = shlex.split(typed.command)
    if program == "npx":
        program, *arguments = [str(ROOT / "node_modules" / ".bin" / "cdk"), *arguments[1:], "--no-notices"]
        # Who types it answers yes.
        arguments += ["--force"] if "destroy" in arguments else []
        arguments += ["--app", shlex.join([sys.executable, str(app)]), "--output", str(tmp_path / "out")]
    elif program == "make":
        # What is installed is what these tests run on.
        installed = [f"--old-file={place}/.installed" for place in (".venv", ".venv-local", "node_modules")]
        arguments = ["--no-print-directory", *installed, *arguments]
    else:
        program = str(Path(sys.executable).with_name(Path(program).name))
    (tmp_path / "Pictures").mkdir()
    (tmp_path / "Pictures" / "cat.jpg").write_bytes(b"\xff\xd8\xff")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_", "TAGSTREAM_"))}
    # Where the library of the CDK lies unpacked, which takes ten seconds each time: not in a home of the test's own.
    kept.setdefault("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"))
    done = subprocess.run(
        [program, *(argument.replace("~", str(tmp_path), 1) for argument in arguments)],
        cwd=ROOT,
        env=kept
        | {
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "eu-west-1",
            "CI": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    if typed.printed:
        assert set(typed.printed) <= {line.rstrip() for line in said.splitlines()}, said
    elif " synth " in typed.command:
        assert done.returncode == 0, said
    else:
        assert done.returncode != 0, said
        assert _NO_ACCOUNT.search(said), said
        assert "Usage:" not in said


def test_there_is_something_to_try() -> None:
    assert {typed.command.split()[2] for typed in TYPED if typed.command.startswith("npx cdk")} == {"deploy", "synth"}
    assert {typed.command.split()[1] for typed in TYPED if typed.command.startswith("make")} == {
        "bootstrap",
        "delivery",
        "deploy",
        "destroy",
        "diff",
        "rollback",
    }
