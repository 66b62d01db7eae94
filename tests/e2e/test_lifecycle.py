"""``make bootstrap``, ``make deploy`` and ``make destroy``, from an empty account to an empty account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagstream.local.cloud import LocalCloud
from tests.documents import ROOT
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


def test_jobs_with_their_roles_hand_on_an_assembly_and_go_back_to_it(tmp_path: Path) -> None:
    """As the workflows do it: IAM is enforced, and each job may what its role may."""
    with LocalCloud(tmp_path / "cloud", logs=ROOT / "build" / "local" / "logs-delivery", least_privilege=True) as cloud:
        administrator = clean_environment(**cloud.connection.environment(), NO_COLOR="1")
        iam = cloud.connection.client("iam")

        def make(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
            installed = [f"--old-file={place}/.installed" for place in (".venv", ".venv-local", "node_modules")]
            done = subprocess.run(
                ["make", *installed, *arguments],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=900,
            )
            return done.returncode, done.stdout + done.stderr

        def job(name: str, role: str) -> dict[str, str]:
            """Whoever has what a role has; the emulator does not look at tokens of other issuers."""
            role = role.rpartition("/")[2]
            iam.create_user(UserName=name)
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
                text = document if isinstance(document, str) else json.dumps(document)
                iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=text)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
            return administrator | keys

        # The emulator does not know AWS::IAM::OIDCProvider.
        code, said = make(administrator, "delivery", "SET=repository=acme/tagstream provider_exists=true", "YES=1")
        assert code == 0, said
        (stack,) = cloud.connection.client("cloudformation").describe_stacks(StackName="delivery-tagstream")["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        code, said = make(administrator, "bootstrap", "STAGE=local", f"POLICIES={outputs['ExecutionPolicyArns']}")
        assert code == 0, said
        code, said = make(administrator, "synth", "STAGE=local", "SET=bounded=true log_days=3")
        assert code == 0, said
        deploying, looking = job("deploying", outputs["DeployRoleArn"]), job("looking", outputs["DiffRoleArn"])

        code, said = make(deploying, "rollback", "STAGE=local", "YES=1")
        assert code != 0
        assert "there is nothing to go back to" in said
        assembly, told = "ASSEMBLY=build/synth/local", tmp_path / "diff.md"
        code, said = make(looking, "diff", "STAGE=local", assembly, f"OUTPUT={told}")
        assert code == 0, said
        assert "[+] AWS::SQS::Queue" in told.read_text()
        assert "Lookup role" not in told.read_text()
        code, said = make(looking, "deploy", "STAGE=local", assembly, "YES=1")
        assert code != 0
        assert "is not authorized" in said
        code, said = make(deploying, "deploy", "STAGE=local", assembly, "YES=1")
        assert code == 0, said
        assert f"Kept as the way back: s3://{outputs['AssembliesBucketName']}/local.zip" in said
        code, said = make(looking, "diff", "STAGE=local", assembly, f"OUTPUT={told}")
        assert code == 0, said
        assert told.read_text().endswith("\nNothing.\n")
        # The emulator enforces a boundary, but its CloudFormation gives none to a role.
        account = cloud.connection.client("sts").get_caller_identity()["Account"]
        roles = [role["RoleName"] for role in iam.list_roles()["Roles"]]
        bounded = [name for name in roles if name.startswith("tagstream-local-")]
        assert bounded
        for name in bounded:
            boundary = f"arn:aws:iam::{account}:policy/delivery-tagstream-boundary-us-east-1"
            iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)

        # Something else is deployed, which is not kept; the way back undoes it.
        def log_days() -> set[int]:
            groups = cloud.connection.client("logs").describe_log_groups()["logGroups"]
            return {group["retentionInDays"] for group in groups if "tagstream-local-search" in group["logGroupName"]}

        assert log_days() == {3}
        code, said = make(administrator, "deploy", "STAGE=local", "SET=bounded=true", "YES=1")
        assert code == 0, said
        assert log_days() == {1}
        code, said = make(deploying, "rollback", "STAGE=local", "YES=1")
        assert code == 0, said
        assert "Back to the last assembly of stage local that passed its trial" in said
        steps = {"uploaded", "classified", "found", "removed"}
        assert steps <= {line.split()[0] for line in said.splitlines() if line.strip()}
        assert log_days() == {3}
