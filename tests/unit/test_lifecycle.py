"""``make deploy`` and ``make destroy``: what they look at before anything is made, and what they remove."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

import lifecycle
from lifecycle import (
    LifecycleError,
    Place,
    check,
    destroy,
    empty,
    fetch,
    find_stacks,
    keep,
    main,
    place_of,
    told,
    unwanted,
)
from stacks.assembly import made_with, record
from stacks.settings import Settings, SettingsError, settings_for


def refusal(code: str, operation: str = "Any") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{code}, said AWS"}}, operation)


class Pages:
    def __init__(self, pages: Callable[..., list[dict[str, Any]]]) -> None:
        self.paginate = pages


class Account:
    """AWS as far as it is asked: clients of every service in one object, and what they answer."""

    def __init__(self) -> None:
        self.region_name: str | None = "eu-west-1"
        self.number = "111122223333"
        self.prepared = True
        self.concurrency = 1000
        self.domain: dict[str, Any] | None = None
        self.largest: int | None = 100
        self.had_a_vpc_domain = True
        self.stacks: dict[str, dict[str, Any]] = {}
        self.objects: dict[str, list[dict[str, str]]] = {}
        self.refused: list[dict[str, str]] = []
        self.bucket_of_assemblies: Path | None = None

    def client(self, _service: str, region_name: str) -> Account:
        assert region_name
        return self

    def get_caller_identity(self) -> dict[str, str]:
        return {"Account": self.number}

    def get_parameter(self, **_given: str) -> dict[str, Any]:
        if not self.prepared:
            raise refusal("ParameterNotFound")
        return {}

    def get_account_settings(self) -> dict[str, Any]:
        return {"AccountLimit": {"ConcurrentExecutions": self.concurrency}}

    def describe_domain(self, **_given: str) -> dict[str, Any]:
        if self.domain is None:
            raise refusal("ResourceNotFoundException")
        return {"DomainStatus": self.domain}

    def describe_instance_type_limits(self, **_given: str) -> dict[str, Any]:
        if self.largest is None:
            raise refusal("InvalidTypeException")
        limits = [{"LimitName": "MaximumVolumeSize", "LimitValues": [str(self.largest)]}]
        kinds = [{"StorageTypeName": "ebs", "StorageSubTypeName": "gp3", "StorageTypeLimits": limits}]
        return {"LimitsByRole": {"data": {"StorageTypes": kinds}}}

    def get_role(self, **_given: str) -> dict[str, Any]:
        if not self.had_a_vpc_domain:
            raise refusal("NoSuchEntity")
        return {}

    def get_paginator(self, name: str) -> Pages:
        if name == "describe_stacks":
            return Pages(lambda: [{"Stacks": [{"StackName": n, **s["status"]} for n, s in self.stacks.items()]}])
        assert name == "list_stack_resources"
        return Pages(lambda StackName: [{"StackResourceSummaries": self.stacks[StackName]["resources"]}])

    def get_template(self, StackName: str) -> dict[str, Any]:
        return {"TemplateBody": json.dumps({"Resources": self.stacks[StackName]["template"]})}

    def list_object_versions(self, Bucket: str) -> dict[str, Any]:
        return {"Versions": self.objects[Bucket][:2], "DeleteMarkers": self.objects[Bucket][2:3]}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        assert Delete["Quiet"]
        if self.refused:
            return {"Errors": self.refused}
        gone = [(one["Key"], one["VersionId"]) for one in Delete["Objects"]]
        self.objects[Bucket] = [one for one in self.objects[Bucket] if (one["Key"], one["VersionId"]) not in gone]
        return {}

    def delete_stack(self, StackName: str) -> None:
        del self.stacks[StackName]

    def get_waiter(self, name: str) -> Account:
        assert name == "stack_delete_complete"
        return self

    def wait(self, StackName: str) -> None:
        assert StackName not in self.stacks

    def describe_stacks(self, StackName: str) -> dict[str, Any]:
        if StackName in self.stacks:
            return {"Stacks": [{}]}
        if StackName != "delivery-tagstream":
            raise refusal("ValidationError")
        if self.bucket_of_assemblies is None:
            raise refusal("ValidationError")
        output = {"OutputKey": "AssembliesBucketName", "OutputValue": str(self.bucket_of_assemblies)}
        return {"Stacks": [{"Outputs": [{"OutputKey": "Other", "OutputValue": "x"}, output]}]}

    def upload_file(self, file: str, bucket: str, key: str) -> None:
        shutil.copy(file, Path(bucket, key))

    def download_file(self, bucket: str, key: str, file: str) -> None:
        if not Path(bucket, key).exists():
            raise refusal("404")
        shutil.copy(Path(bucket, key), file)

    def add(
        self, name: str, *, buckets: Sequence[str] = (), keeps: Sequence[str] = (), protected: bool = False
    ) -> None:
        named = [*buckets, *keeps]
        self.stacks[name] = {
            "status": {"StackStatus": "CREATE_COMPLETE", "EnableTerminationProtection": protected},
            "template": {
                one: {"DeletionPolicy": "RetainExceptOnCreate" if one in keeps else "Delete"} for one in named
            },
            "resources": [
                {
                    "LogicalResourceId": one,
                    "PhysicalResourceId": one,
                    "ResourceType": "AWS::S3::Bucket",
                    "ResourceStatus": "CREATE_COMPLETE",
                }
                for one in named
            ],
        }
        self.objects |= {one: [{"Key": f"photo {n}", "VersionId": str(n)} for n in range(7)] for one in named}


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.delenv("AWS_REGION", raising=False)
    # For main() sets it.
    monkeypatch.setattr(lifecycle.os, "environ", dict(lifecycle.os.environ))
    return Account()


def at(account: Account) -> Place:
    return Place(account.number, "eu-west-1", account)


def dev(**context: str) -> Settings:
    return settings_for({"stage": "dev", **context})


def test_all_is_well(account: Account) -> None:
    assert list(check(dev(), at(account))) == []
    prod = settings_for({"stage": "prod", "alarm_email": "a@example.com"})
    assert list(check(prod, at(account))) == []


def test_everything_that_would_stop_a_deploy_is_told_at_once(account: Account) -> None:
    account.prepared, account.concurrency, account.largest, account.had_a_vpc_domain = False, 10, 19, False
    account.domain = {"DomainName": "tagstream-prod"}
    told = list(check(settings_for({"stage": "prod"}), at(account)))
    for said in (
        "add -c alarm_email=someone@example.com",
        "run 'make bootstrap STAGE=prod'",
        "runs 10 functions at a time in eu-west-1, and account_concurrency is 1000",
        "domain tagstream-prod is outside a VPC, and domain.in_vpc is true: AWS moves none",
        "domain.volume_gb 20 is more than a m7g.medium.search takes: use 19 or less",
        "aws iam create-service-linked-role",
    ):
        assert any(said in problem for problem in told), said
    assert len(told) == 6
    assert all(problem.endswith(".") for problem in told)


def test_a_domain_stays_where_it_is_on_either_side_of_a_vpc(account: Account) -> None:
    account.domain = {"VPCOptions": {"VPCId": "vpc-1"}}
    (told,) = check(dev(), at(account))
    assert "domain tagstream-dev is in a VPC, and domain.in_vpc is false" in told
    account.domain = {}
    assert list(check(dev(), at(account))) == []
    (told,) = check(dev(**{"domain.in_vpc": "true"}), at(account))
    assert "deploy a copy of the stage beside it" in told


def test_a_node_that_the_region_lacks_is_told(account: Account) -> None:
    account.largest = None
    (told,) = check(dev(), at(account))
    assert "no t3.small.search in eu-west-1" in told


def test_what_aws_says_besides_is_not_taken_for_an_answer(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(**_given: str) -> None:
        raise refusal("AccessDeniedException")

    monkeypatch.setattr(account, "describe_domain", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        list(check(dev(), at(account)))


def test_a_stage_goes_to_its_own_account_and_region(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle.boto3, "Session", lambda: account)
    assert place_of(dev()) == Place("111122223333", "eu-west-1", account)
    assert place_of(dev(region="us-west-2")).region == "us-west-2"
    with pytest.raises(LifecycleError, match="for account 111122223333, and stage dev goes to 444455556666 only"):
        place_of(dev(account="444455556666", region="eu-west-1"))
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert place_of(dev()).region == "eu-north-1"
    monkeypatch.delenv("AWS_REGION")
    account.region_name = None
    with pytest.raises(LifecycleError, match="no AWS region"):
        place_of(dev())


def test_the_stacks_of_a_stage_are_not_those_of_its_copies(account: Account) -> None:
    for name in ("tagstream-dev-catalog", "tagstream-dev-mine-catalog", "tagstream-prod-catalog", "other"):
        account.add(name)
    assert [stack.name for stack in find_stacks(dev(), at(account))] == ["tagstream-dev-catalog"]
    assert [stack.name for stack in find_stacks(dev(name="mine"), at(account))] == ["tagstream-dev-mine-catalog"]


def test_destroying_asks_empties_every_version_and_says_what_stays(account: Account) -> None:
    account.add("tagstream-dev-ingest", buckets=["photos"], keeps=["logs"])
    said: list[str] = []
    asked: list[str] = []
    ran: list[Sequence[str]] = []

    def agree(what: str) -> bool:
        asked.append(what)
        assert not ran
        assert len(account.objects["photos"]) == 7
        return True

    def cdk(arguments: Sequence[str]) -> int:
        assert account.objects["photos"] == []
        ran.append(arguments)
        del account.stacks["tagstream-dev-ingest"]
        return 0

    assert destroy(dev(), at(account), agree=agree, cdk=cdk, report=said.append) == 0
    assert ran == [["destroy", "--all", "--force"]]
    assert len(asked) == 1
    assert len(account.objects["logs"]) == 7, "what stays keeps what is in it"
    assert "Kept: AWS::S3::Bucket logs" in said
    assert any("photos, with every version" in line for line in said)


def test_what_a_setting_of_another_day_had_made_goes_first(account: Account) -> None:
    account.add("tagstream-dev-ingest", buckets=["photos"])
    account.add("tagstream-dev-canary")
    account.add("tagstream-dev-steps")
    said: list[str] = []

    def cdk(_arguments: Sequence[str]) -> int:
        assert list(account.stacks) == ["tagstream-dev-ingest", "tagstream-dev-steps"]
        del account.stacks["tagstream-dev-ingest"]
        return 0

    assert destroy(dev(), at(account), agree=lambda _: True, cdk=cdk, report=said.append) == 1
    assert said[-1] == (
        "Still there: tagstream-dev-steps. To delete it: aws cloudformation delete-stack --region eu-west-1 "
        "--stack-name tagstream-dev-steps"
    )


def test_a_stack_that_no_setting_asks_for_any_more_is_named(account: Account) -> None:
    account.add("tagstream-dev-canary")
    account.add("tagstream-dev-reconcile")
    (said,) = unwanted(dev(reconcile_days="7"), at(account))
    assert said.startswith("Stack tagstream-dev-canary is still there")
    assert list(unwanted(dev(reconcile_days="7", canary_minutes="5"), at(account))) == []


def test_without_agreement_nothing_is_done(account: Account) -> None:
    account.add("tagstream-dev-ingest", buckets=["photos"])

    def cdk(_arguments: Sequence[str]) -> int:
        raise AssertionError

    assert destroy(dev(), at(account), agree=lambda _: False, cdk=cdk, report=lambda _: None) == 1
    assert len(account.objects["photos"]) == 7


def test_protected_stacks_are_left_alone_with_what_lifts_that(account: Account) -> None:
    account.add("tagstream-prod-ingest", keeps=["photos"], protected=True)
    with pytest.raises(LifecycleError, match=r"update-termination-protection.*--stack-name tagstream-prod-ingest"):
        destroy(
            settings_for({"stage": "prod"}), at(account), agree=lambda _: True, cdk=lambda _: 0, report=lambda _: None
        )


def test_where_there_is_nothing_there_is_nothing_to_do(account: Account) -> None:
    said: list[str] = []
    assert destroy(dev(), at(account), agree=lambda _: False, cdk=lambda _: 1, report=said.append) == 0
    assert said == ["There is nothing of stage dev in eu-west-1 of account 111122223333."]


def test_an_object_that_stays_stops_it_with_the_reason(account: Account) -> None:
    account.add("tagstream-dev-ingest", buckets=["photos"])
    account.refused = [{"Key": "photo 1", "Code": "AccessDenied", "Message": "it is locked"}]
    with pytest.raises(LifecycleError, match="photos keeps photo 1, and maybe others: it is locked"):
        empty(at(account), "photos", lambda _: None)


def test_missing_credentials_and_wrong_settings_are_sentences(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody() -> None:
        raise NoCredentialsError

    monkeypatch.setattr(lifecycle.boto3, "Session", nobody)
    assert main(["deploy", "dev"]) == 1
    assert capsys.readouterr().err == "Error: no AWS credentials: run 'aws configure', or set AWS_PROFILE.\n"
    assert main(["deploy", "dev", "-c", "modle=x", "-c", "classify.max_concurrency"]) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["Error", "Error"]


def test_an_interruption_is_told_with_how_to_go_on(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_given: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle.boto3, "Session", lambda: account)
    monkeypatch.setattr(lifecycle, "_run", interrupted)
    assert main(["deploy", "dev"]) == 130
    assert "'make deploy STAGE=dev' goes on" in capsys.readouterr().err


def test_a_deploy_that_succeeded_is_tried(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def call(command: Sequence[str], _cwd: object) -> int:
        called.append(list(command))
        return 0

    monkeypatch.setattr(lifecycle.boto3, "Session", lambda: account)
    monkeypatch.setattr(lifecycle, "_call", call)
    assert main(["deploy", "dev", "-c", "name=mine", "--yes"]) == 0
    cdk, smoke = called
    assert cdk[3:] == [
        "deploy",
        "--all",
        "--force",
        "--require-approval",
        "never",
        "--no-notices",
        "-c",
        "stage=dev",
        "-c",
        "name=mine",
    ]
    assert smoke[1:] == ["smoke", "--stage", "dev-mine"]


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    """Of stage ``dev-mine``, as ``cdk synth`` leaves it."""
    folder = tmp_path / "assembly"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    (folder / "asset.zip").write_bytes(b"bundle")
    record(folder, {"stage": "dev-mine", "log_days": "14", "@aws-cdk/core:x": True, "cli-telemetry": False})
    return folder


@pytest.fixture
def kept(account: Account, tmp_path: Path) -> Path:
    """The bucket for the way back, which the account has then."""
    account.bucket_of_assemblies = tmp_path / "kept"
    account.bucket_of_assemblies.mkdir()
    return account.bucket_of_assemblies


def called_by(monkeypatch: pytest.MonkeyPatch, account: Account, *codes: int) -> list[list[str]]:
    """The commands that are run, each of which ends with the next code, and the last code from then on."""
    called: list[list[str]] = []

    def call(command: Sequence[str], _cwd: object) -> int:
        called.append(list(command))
        return codes[min(len(called), len(codes)) - 1]

    monkeypatch.setattr(lifecycle.boto3, "Session", lambda: account)
    monkeypatch.setattr(lifecycle, "_call", call)
    return called


def test_an_assembly_tells_what_it_was_made_with(assembly: Path, tmp_path: Path) -> None:
    assert made_with(assembly, "dev-mine") == {"stage": "dev-mine", "log_days": "14"}
    with pytest.raises(SettingsError, match="is for stage dev-mine, not prod: give STAGE=dev-mine"):
        made_with(assembly, "prod")
    for nothing in (tmp_path / "nothing", assembly / "asset.zip"):
        with pytest.raises(SettingsError, match="holds no assembly: make one with 'make synth STAGE=dev'"):
            made_with(nothing, "dev")
    (assembly / "tagstream.json").write_text("{")
    with pytest.raises(SettingsError, match="cannot be read: make it anew"):
        made_with(assembly, "dev-mine")


def test_an_assembly_is_deployed_as_it_is_and_kept_when_it_passed_its_trial(
    account: Account,
    assembly: Path,
    kept: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = called_by(monkeypatch, account, 0)
    assert main(["deploy", "dev-mine", "--assembly", str(assembly), "--yes"]) == 0
    cdk, smoke = called
    assert cdk[3:] == [
        *("deploy", "--all", "--force", "--require-approval", "never", "--app", str(assembly), "--no-notices"),
    ]
    assert smoke[1:] == ["smoke", "--stage", "dev-mine"]
    assert f"Kept as the way back: s3://{kept}/dev-mine.zip" in capsys.readouterr().out

    fetch(at(account), "dev-mine", kept.parent / "back")
    assert made_with(kept.parent / "back", "dev-mine") == made_with(assembly, "dev-mine")
    assert (kept.parent / "back" / "asset.zip").read_bytes() == b"bundle"


def test_what_failed_its_trial_is_not_kept(
    account: Account, assembly: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called_by(monkeypatch, account, 0, 3)
    assert main(["deploy", "dev-mine", "--assembly", str(assembly), "--yes"]) == 3
    called_by(monkeypatch, account, 1)
    assert main(["deploy", "dev-mine", "--assembly", str(assembly), "--yes"]) == 1
    assert list(kept.iterdir()) == []


def test_the_way_back_deploys_what_was_kept_and_tries_it(
    account: Account, assembly: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keep(at(account), assembly, "dev-mine") == f"s3://{kept}/dev-mine.zip"
    called = called_by(monkeypatch, account, 0)
    assert main(["rollback", "dev-mine", "--yes"]) == 0
    cdk, smoke = called
    assert cdk[3:8] == ["deploy", "--all", "--force", "--require-approval", "never"]
    assert cdk[8] == "--app"
    assert cdk[9] != str(assembly)
    assert smoke[1:] == ["smoke", "--stage", "dev-mine"]


def test_what_could_not_be_kept_is_no_failed_deploy(
    account: Account,
    assembly: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account.bucket_of_assemblies = tmp_path / "not there"
    called_by(monkeypatch, account, 0)
    assert main(["deploy", "dev-mine", "--yes", "--assembly", str(assembly)]) == 0
    assert "Not kept as the way back, which stays the one before: " in capsys.readouterr().out


def test_where_there_is_no_way_back_it_is_said(
    account: Account,
    assembly: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = called_by(monkeypatch, account, 0)
    assert main(["rollback", "dev"]) == 1
    assert "which has no stack delivery-tagstream: 'make delivery' makes one" in capsys.readouterr().err
    assert called == []
    assert main(["deploy", "dev-mine", "--assembly", str(assembly)]) == 0
    assert "Not kept as the way back" in capsys.readouterr().out
    account.bucket_of_assemblies = tmp_path
    assert main(["rollback", "dev"]) == 1
    assert "no assembly of stage dev has passed its trial yet" in capsys.readouterr().err


def test_the_settings_of_an_assembly_are_in_it(
    account: Account, assembly: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = called_by(monkeypatch, account, 0)
    assert main(["deploy", "dev-mine", "--assembly", str(assembly), "-c", "log_days=7"]) == 1
    assert "an assembly has its settings in it" in capsys.readouterr().err
    # Where it may go, too, and what is looked at before.
    record(assembly, {"stage": "dev-mine", "account": "444455556666", "region": "eu-west-1"})
    assert main(["deploy", "dev-mine", "--assembly", str(assembly)]) == 1
    assert "stage dev-mine goes to 444455556666 only" in capsys.readouterr().err
    assert called == []


def test_an_account_is_prepared_for_less_than_all(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    called = called_by(monkeypatch, account, 0)
    assert main(["bootstrap", "dev", "--policies", "arn:a,arn:b"]) == 0
    assert called[0][3:] == [
        *("bootstrap", "aws://111122223333/eu-west-1", "--cloudformation-execution-policies", "arn:a,arn:b"),
        "--no-notices",
    ]


def test_differences_fit_into_a_comment_and_do_not_break_out_of_it() -> None:
    few = told("prod", "Stack x\n[+] AWS::SQS::Queue ```evil```\n\u2728  Number of stacks with differences: 1\n")
    assert few.startswith("### What a deploy changes in stage `prod`\n")
    assert few.count("```") == 2
    assert "[+] AWS::SQS::Queue" in few
    assert told("prod", "\u2728  Number of stacks with differences: 0").endswith("\nNothing.\n")
    many = told("prod", "x" * 1_000_000)
    assert len(many) < 65_536
    assert "940,000 characters more: see the log" in many


def test_the_stack_with_the_bucket_is_called_as_it_is_made() -> None:
    source = (lifecycle.ROOT / "stacks" / "delivery.py").read_text()
    assert f'DELIVERY_STACK = "{lifecycle._DELIVERY}"' in source


def test_differences_do_not_tell_of_roles_that_are_not_needed(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    role = "arn:aws:iam::111122223333:role/cdk-hnb659fds-lookup-role-111122223333-eu-west-1"
    noise = (
        f"current credentials could not be used to assume '{role}', but are for the right account. Proceeding anyway.\n"
        f"Lookup role {role} was not assumed. Proceeding with default credentials.\n"
    )
    said = f"{noise}Stack tagstream-dev-api\n[+] AWS::SQS::Queue\n{noise}\nNumber of stacks with differences: 1\n"
    codes = iter((0, 1))

    def run(command: Sequence[str], **_given: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, next(codes), stdout=said)

    monkeypatch.setattr(lifecycle.boto3, "Session", lambda: account)
    monkeypatch.setattr(lifecycle.subprocess, "run", run)
    told_in = tmp_path / "build" / "diff.md"
    assert main(["diff", "dev", "--output", str(told_in)]) == 0
    text = told_in.read_text()
    assert "```diff\nStack tagstream-dev-api\n[+] AWS::SQS::Queue\n\nNumber" in text
    assert "role" not in text + capsys.readouterr().out
    # When it fails, they are what a person looks for; and there is nothing to comment.
    told_in.unlink()
    assert main(["diff", "dev", "--output", str(told_in)]) == 1
    assert role in capsys.readouterr().out
    assert not told_in.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137)])
def test_a_program_that_a_signal_ended_has_the_code_of_that(number: int, code: int) -> None:
    assert lifecycle._call([sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(number)})"], ".") == code


def test_a_program_that_was_interrupted_interrupts_this_one() -> None:
    ends = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); os.kill(os.getpid(), signal.SIGINT)"
    with pytest.raises(KeyboardInterrupt):
        lifecycle._call([sys.executable, "-c", ends], ".")
