"""``make bootstrap``, ``make deploy`` and ``make destroy``, from an empty account to an empty account."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagstream.local.cloud import ROOT, LocalCloud
from tests.e2e.conftest import clean_environment, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path / "cloud", logs=ROOT / "build" / "local" / "logs-lifecycle") as started:
        yield started


def start(cloud: LocalCloud, action: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "lifecycle.py", action, "local", *options],
        cwd=ROOT,
        env=clean_environment(**cloud.connection.environment(), NO_COLOR="1", PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Its own group, as a shell gives it to a job: Ctrl-C reaches all of it.
        start_new_session=True,
    )


def run(cloud: LocalCloud, action: str, *options: str) -> tuple[int, str]:
    process = start(cloud, action, *options)
    said, _ = process.communicate(timeout=1000)
    return process.returncode, said


def stacks(cloud: LocalCloud) -> set[str]:
    listed = cloud.connection.client("cloudformation").describe_stacks()["Stacks"]
    return {stack["StackName"] for stack in listed if stack["StackStatus"] != "DELETE_COMPLETE"}


def test_an_account_is_prepared_a_stage_deployed_tried_and_removed(cloud: LocalCloud) -> None:
    code, said = run(cloud, "deploy", "--yes")
    assert code == 1
    assert "run 'make bootstrap STAGE=local' once" in said
    assert stacks(cloud) == set()

    code, said = run(cloud, "bootstrap")
    assert code == 0, said
    assert stacks(cloud) == {"CDKToolkit"}

    # Ctrl-C while it deploys, and the same command goes on.
    process = start(cloud, "deploy", "--yes")
    eventually(lambda: len(stacks(cloud)) > 1, "the first stack is there", seconds=900)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "'make deploy STAGE=local' goes on" in said

    code, said = run(cloud, "deploy", "--yes")
    assert code == 0, said
    assert [line.split()[0] for line in said.splitlines()[-4:]] == ["uploaded", "classified", "found", "removed"]
    bucket = cloud.connection.outputs("ingest")["BucketName"]
    s3 = cloud.connection.client("s3")
    for content in (b"one", b"another"):
        s3.put_object(Bucket=bucket, Key="a.jpg", Body=content)

    code, said = run(cloud, "destroy")
    assert code == 1
    assert "there is nobody to answer: give YES=1" in said
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1

    code, said = run(cloud, "destroy", "--yes")
    assert code == 0, said
    assert f"{bucket}: 2 deleted" in said
    assert stacks(cloud) == {"CDKToolkit"}
    assert "Kept: CDKToolkit" in said

    code, said = run(cloud, "destroy", "--yes")
    assert code == 0
    assert "There is nothing of stage local" in said
