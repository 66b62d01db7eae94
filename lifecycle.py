"""A stage's way to AWS and back: ``python lifecycle.py bootstrap | deploy | diff | rollback | destroy STAGE``.

The CDK CLI does the work. Before it makes anything, what would stop it half an hour later is looked at, and said in a
sentence: no credentials, those of another account, nobody who gets the alarms, a domain that would have to be replaced.
What was synthesised before is deployed as it is (``--assembly``), and kept as the way back once it passed its trial.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from stacks.assembly import made_with
from stacks.settings import ROOT, Settings, SettingsError, settings_for

__all__ = ["LifecycleError", "Place", "check", "destroy", "empty", "fetch", "find_stacks", "keep", "main", "told"]

ENGINE = "OpenSearch_3.7"
"""The domain's engine, as OpenSearch Service calls it."""

_INTERRUPTED = 128 + signal.SIGINT
_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
_GONE = ("DELETE_COMPLETE",)
_DELIVERY = "delivery-tagstream"
"""The stack of ``stacks/delivery.py``, which has a bucket for the way back."""
# What the CDK CLI says of a role that may read templates by itself, and so needs not become another one for it.
_OF_ROLES = re.compile(
    r"^(Lookup role arn:.* was not assumed\.|current credentials could not be used to assume ).*\n", re.M
)
_MOST_TOLD = 60_000
"""Characters of differences: GitHub takes 65,536 in a comment."""


class LifecycleError(Exception):
    """It cannot go on; ``problems`` has a sentence for each reason, which says what to do."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Place:
    """An account and region, and AWS' clients there."""

    account: str
    region: str
    session: Any

    def client(self, service: str) -> Any:
        return self.session.client(service, region_name=self.region)


def place_of(settings: Settings) -> Place:
    """Where the credentials lead; raises :class:`LifecycleError` if that is not where the stage may go."""
    session = boto3.Session()
    # The variable of the CDK CLI and of most SDKs; boto3 has another.
    region = settings.region or os.environ.get("AWS_REGION") or session.region_name
    if region is None:
        raise LifecycleError("no AWS region: set AWS_REGION, or give the stage one with -c region=eu-west-1.")
    account = session.client("sts", region_name=region).get_caller_identity()["Account"]
    if settings.account not in (None, account):
        raise LifecycleError(
            f"the credentials are for account {account}, and stage {settings.system} goes to {settings.account} only: "
            "use others (AWS_PROFILE=…), or change account."
        )
    return Place(account, region, session)


def check(settings: Settings, place: Place) -> Iterator[str]:
    """What would stop a deploy to AWS, each in a sentence. ``place`` is asked, and nothing is changed there."""
    if settings.alarms_reach_a_person and settings.alarm_email is None:
        yield f"stage {settings.stage} must tell somebody of its alarms: add -c alarm_email=someone@example.com."
    try:
        place.client("ssm").get_parameter(Name=_PARAMETER)
    except ClientError as error:
        _only(error, "ParameterNotFound")
        yield (
            f"account {place.account} is not prepared for the CDK in {place.region}: run 'make bootstrap "
            f"STAGE={settings.system}' once."
        )
    if settings.local:
        return
    allowed = place.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if allowed < settings.account_concurrency:
        yield (
            f"account {place.account} runs {allowed} functions at a time in {place.region}, and account_concurrency is "
            f"{settings.account_concurrency}: ask AWS for more (quota L-B99A9384 of Lambda), or lower it to {allowed}, "
            "and the max_concurrency of the queues' functions with it."
        )
    yield from _check_domain(settings, place)


def _check_domain(settings: Settings, place: Place) -> Iterator[str]:
    domain, name = settings.domain, f"tagstream-{settings.system}"
    client = place.client("opensearch")
    try:
        there = client.describe_domain(DomainName=name)["DomainStatus"]
    except ClientError as error:
        _only(error, "ResourceNotFoundException")
    else:
        if bool(there.get("VPCOptions", {}).get("VPCId")) is not domain.in_vpc:
            now = "outside a VPC" if domain.in_vpc else "in a VPC"
            yield (
                f"domain {name} is {now}, and domain.in_vpc is {str(domain.in_vpc).lower()}: AWS moves none. Leave it "
                "as it is, or deploy a copy of the stage beside it (-c name=…), bring the photos there and remove this."
            )
    try:
        limits = client.describe_instance_type_limits(EngineVersion=ENGINE, InstanceType=domain.instance_type)
    except ClientError as error:
        # Of which instance types there are, its words are for each of them.
        _only(error, "InvalidTypeException", "ValidationException")
        yield f"OpenSearch has no {domain.instance_type} in {place.region}: choose another domain.instance_type."
        return
    most = _largest_volume(limits["LimitsByRole"])
    if most is not None and domain.volume_gb > most:
        yield f"domain.volume_gb {domain.volume_gb} is more than a {domain.instance_type} takes: use {most:,} or less."
    if domain.in_vpc:
        try:
            place.client("iam").get_role(RoleName="AWSServiceRoleForAmazonOpenSearchService")
        except ClientError as error:
            _only(error, "NoSuchEntity", "NoSuchEntityException")
            yield (
                "the account never had an OpenSearch domain in a VPC: run 'aws iam create-service-linked-role "
                "--aws-service-name opensearchservice.amazonaws.com' once."
            )


def _largest_volume(roles: Mapping[str, Any]) -> int | None:
    """GiB of gp3 that a data node takes at most, where AWS says so."""
    for storage in roles.get("data", {}).get("StorageTypes", ()):
        if storage.get("StorageTypeName") == "ebs" and storage.get("StorageSubTypeName") == "gp3":
            for limit in storage.get("StorageTypeLimits", ()):
                if limit["LimitName"] == "MaximumVolumeSize":
                    return int(limit["LimitValues"][0])
    return None


def _only(error: ClientError, *codes: str) -> None:
    if error.response["Error"]["Code"] not in codes:
        raise error


@dataclass(frozen=True)
class Deployed:
    """A stack that is there: whether it is protected, its buckets, and what stays when it goes."""

    name: str
    protected: bool
    buckets: tuple[str, ...]
    stays: tuple[str, ...]


def find_stacks(settings: Settings, place: Place) -> list[Deployed]:
    """The stage's stacks. Those of a copy have a further hyphen in their names."""
    client, prefix = place.client("cloudformation"), f"tagstream-{settings.system}-"
    found = []
    for page in client.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            name = stack["StackName"]
            if name.startswith(prefix) and "-" not in name[len(prefix) :] and stack["StackStatus"] not in _GONE:
                found.append(_look_into(client, name, bool(stack.get("EnableTerminationProtection"))))
    return found


def _look_into(client: Any, name: str, protected: bool) -> Deployed:
    template = client.get_template(StackName=name)["TemplateBody"]
    resources = (json.loads(template) if isinstance(template, str) else template)["Resources"]
    kept = {key for key, value in resources.items() if value.get("DeletionPolicy", "").startswith("Retain")}
    buckets, stays = [], []
    for page in client.get_paginator("list_stack_resources").paginate(StackName=name):
        for resource in page["StackResourceSummaries"]:
            if resource["ResourceStatus"] in _GONE:
                continue
            if resource["LogicalResourceId"] in kept:
                stays.append(f"{resource['ResourceType']} {resource['PhysicalResourceId']}")
            elif resource["ResourceType"] == "AWS::S3::Bucket":
                buckets.append(resource["PhysicalResourceId"])
    return Deployed(name, protected, tuple(buckets), tuple(stays))


def empty(place: Place, bucket: str, report: Callable[[str], None]) -> int:
    """Delete every version of every object, and what else is in the way of deleting the bucket; returns how many."""
    client, deleted = place.client("s3"), 0
    while True:
        try:
            page = client.list_object_versions(Bucket=bucket)
        except ClientError as error:
            _only(error, "NoSuchBucket")
            return deleted
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not found:
            return deleted
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        failed = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors")
        if failed:
            raise LifecycleError(
                f"{bucket} keeps {failed[0]['Key']}, and maybe others: {failed[0]['Message']} ({failed[0]['Code']})."
            )
        deleted += len(objects)
        report(f"  {bucket}: {deleted:,} deleted")


def destroy(
    settings: Settings,
    place: Place,
    *,
    agree: Callable[[str], bool],
    cdk: Callable[[Sequence[str]], int],
    report: Callable[[str], None],
) -> int:
    """Remove the stage's stacks, and what is in their buckets, if ``agree`` says so to what it will cost."""
    stacks = find_stacks(settings, place)
    if not stacks:
        report(f"There is nothing of stage {settings.system} in {place.region} of account {place.account}.")
        return 0
    protected = [stack.name for stack in stacks if stack.protected]
    if protected:
        lines = "".join(
            "\n  aws cloudformation update-termination-protection --no-enable-termination-protection "
            f"--region {place.region} --stack-name {name}"
            for name in protected
        )
        raise LifecycleError(f"the stacks of stage {settings.system} are protected from deletion. To lift that:{lines}")
    buckets = [bucket for stack in stacks for bucket in stack.buckets]
    stays = [thing for stack in stacks for thing in stack.stays]
    report(f"Stage {settings.system} in {place.region} of account {place.account}:")
    for stack in stacks:
        report(f"  stack {stack.name}")
    for bucket in buckets:
        report(f"  bucket {bucket}, with every version of every object in it")
    if not agree("all of this is deleted, and cannot be brought back"):
        report("Nothing was done.")
        return 1
    # The CLI knows the stacks of today's settings only. These are the ones that a setting takes away; the canary would
    # also go on to put photos into a bucket that is emptied.
    for stack in stacks:
        if stack.name.rpartition("-")[2] in settings.optional_stacks:
            _delete(place, stack.name, report)
    for bucket in buckets:
        empty(place, bucket, report)
    code = cdk(["destroy", "--all", "--force"])
    left = find_stacks(settings, place) if code == 0 else []
    for stack in left:
        report(f"Still there: {stack.name}. {_to_delete(place, stack.name)}")
    if left:
        return 1
    if code == 0:
        for thing in stays:
            report(f"Kept: {thing}")
        report("Kept: CDKToolkit, the CDK's own stack, which other stages may use.")
    return code


def unwanted(settings: Settings, place: Place) -> Iterator[str]:
    """Stacks of the stage that its settings have no more, each with what removes it, in words."""
    client = place.client("cloudformation")
    for kind, wanted in settings.optional_stacks.items():
        if wanted:
            continue
        name = f"tagstream-{settings.system}-{kind}"
        try:
            client.describe_stacks(StackName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                yield f"Whether there is a stack {name}, which no setting asks for, could not be seen: {error}"
        else:
            yield f"Stack {name} is still there, and no setting asks for it. {_to_delete(place, name)}"


def _delete(place: Place, name: str, report: Callable[[str], None]) -> None:
    client = place.client("cloudformation")
    report(f"  deleting {name} ...")
    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name)


def _to_delete(place: Place, name: str) -> str:
    return f"To delete it: aws cloudformation delete-stack --region {place.region} --stack-name {name}"


def keep(place: Place, assembly: Path, system: str) -> str | None:
    """Keep an assembly for :func:`fetch`; where it is, or None where the account has no place for it."""
    bucket = _bucket_of_assemblies(place)
    if bucket is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        archive = shutil.make_archive(str(Path(folder, system)), "zip", assembly)
        place.client("s3").upload_file(archive, bucket, f"{system}.zip")
    return f"s3://{bucket}/{system}.zip"


def fetch(place: Place, system: str, into: Path) -> None:
    """Unpack the assembly of a stage that was kept last; raises :class:`LifecycleError` if there is none."""
    bucket = _bucket_of_assemblies(place)
    if bucket is None:
        raise LifecycleError(
            f"nothing is kept in {place.region} of account {place.account}, which has no stack {_DELIVERY}: 'make "
            f"delivery' makes one. Deploy an earlier commit with 'make deploy STAGE={system}'."
        )
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, f"{system}.zip")
        try:
            place.client("s3").download_file(bucket, archive.name, str(archive))
        except ClientError as error:
            _only(error, "404", "NoSuchKey")
            raise LifecycleError(
                f"no assembly of stage {system} has passed its trial yet: there is nothing to go back to."
            ) from None
        shutil.unpack_archive(archive, into)


def _bucket_of_assemblies(place: Place) -> str | None:
    try:
        (stack,) = place.client("cloudformation").describe_stacks(StackName=_DELIVERY)["Stacks"]
    except ClientError as error:
        _only(error, "ValidationError")
        return None
    outputs = {output["OutputKey"]: str(output["OutputValue"]) for output in stack.get("Outputs", ())}
    return outputs.get("AssembliesBucketName")


def _agree(settings: Settings, yes: bool) -> Callable[[str], bool]:
    def agree(what: str) -> bool:
        if yes:
            return True
        try:
            answer = input(f"If {what}, type the name of the stage: ")
        except EOFError:
            raise LifecycleError("there is nobody to answer: give YES=1 to go ahead.") from None
        return answer.strip() == settings.system

    return agree


def _run(arguments: Sequence[str], context: Sequence[str], cwd: str | os.PathLike[str] = ROOT) -> int:
    """The CDK CLI, which gets the terminal and Ctrl-C as this program does; its exit code."""
    return _call(_cdk(arguments, context), cwd)


def _cdk(arguments: Sequence[str], context: Sequence[str]) -> list[str]:
    command = [sys.executable, "-m", "stacks", *arguments, "--no-notices"]
    for given in context:
        command += ["-c", given]
    return command


def _call(command: Sequence[str], cwd: str | os.PathLike[str]) -> int:
    process = subprocess.Popen(command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        code = process.wait()
    except KeyboardInterrupt:
        # It was interrupted as well, and removes what it was writing.
        process.wait()
        raise
    if code == -signal.SIGINT:
        # Ctrl-C is for both, and this program may hear of it by the other's end alone.
        raise KeyboardInterrupt
    return code if code >= 0 else 128 - code


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed or not agreed to, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="lifecycle.py", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("bootstrap", "deploy", "diff", "rollback", "destroy"))
    parser.add_argument("stage", help="local, dev, prod, or a copy such as dev-mine")
    parser.add_argument("-c", dest="context", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--assembly", type=Path, metavar="DIR", help="deploy, diff: what was synthesised before")
    parser.add_argument("--policies", metavar="ARN,ARN", help="bootstrap: what CloudFormation may do, instead of all")
    parser.add_argument("--output", type=Path, metavar="FILE", help="diff: write it there as Markdown, too")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    given = parser.parse_args(arguments)
    try:
        return _act(given)
    except (LifecycleError, SettingsError) as error:
        problems: Sequence[str] = error.problems
    except NoCredentialsError:
        problems = ["no AWS credentials: run 'aws configure', or set AWS_PROFILE."]
    except NoRegionError:
        problems = ["no AWS region: set AWS_REGION."]
    except ProfileNotFound as error:
        problems = [f"{error}."]
    except EndpointConnectionError as error:
        problems = [f"{error} Is there a network, and is the region the name of one?"]
    except (BotoCoreError, ClientError) as error:
        problems = [str(error)]
    except KeyboardInterrupt:
        print(  # noqa: T201
            f"\nInterrupted. CloudFormation ends what it has begun; 'make {given.action} STAGE={given.stage}' goes on.",
            file=sys.stderr,
        )
        return _INTERRUPTED
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)  # noqa: T201
    return 1


def _act(given: argparse.Namespace) -> int:
    context = [f"stage={given.stage}", *given.context]
    named = {name: value for name, _, value in (item.partition("=") for item in context)}
    if given.assembly is not None:
        if given.context:
            raise LifecycleError("an assembly has its settings in it: leave SET out, or synthesise it with others.")
        named = made_with(given.assembly, given.stage)
    standing = json.loads((ROOT / "cdk.json").read_text())["context"]
    settings = settings_for(standing | named)
    place = place_of(settings)
    os.environ |= {"AWS_REGION": place.region, "AWS_DEFAULT_REGION": place.region}
    if given.action == "bootstrap":
        limited = ["--cloudformation-execution-policies", given.policies] if given.policies else []
        # From a folder without a cdk.json, for it to need no app: nothing has to be bundled for this.
        with tempfile.TemporaryDirectory() as folder:
            return _run(["bootstrap", f"aws://{place.account}/{place.region}", *limited], (), folder)
    if given.action == "diff":
        return _diff(given.stage, _source(given.assembly, context), given.output)
    if given.action == "rollback":
        return _roll_back(settings, place, given.yes)
    if given.action == "destroy":
        return destroy(
            settings,
            place,
            agree=_agree(settings, given.yes),
            cdk=lambda arguments: _run(arguments, context),
            report=_say,
        )
    code = _deploy(settings, place, _source(given.assembly, context), given.yes)
    if code == 0 and given.assembly is not None:
        _say(_kept(place, given.assembly, settings.system))
    return code


def _kept(place: Place, assembly: Path, system: str) -> str:
    """In words, whether the assembly is kept. That it could not be is no reason to take back what is good."""
    try:
        where = keep(place, assembly, system)
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        return f"Not kept as the way back, which stays the one before: {error}"
    if where is None:
        return f"Not kept as the way back: the account has no stack {_DELIVERY} here ('make delivery' makes one)."
    return f"Kept as the way back: {where}"


@dataclass(frozen=True)
class Source:
    """Where the CDK CLI has the stacks from: an assembly, or the app with its context."""

    options: tuple[str, ...]
    context: tuple[str, ...]


def _source(assembly: Path | None, context: Sequence[str]) -> Source:
    return Source((), tuple(context)) if assembly is None else Source(("--app", str(assembly.resolve())), ())


def _deploy(settings: Settings, place: Place, source: Source, yes: bool) -> int:
    problems = list(check(settings, place))
    if problems:
        raise LifecycleError(*problems)
    approval = ["--require-approval", "never"] if yes else []
    # The CLI passes over a stack whose template is as before, also if what it reads of another one has been replaced.
    code = _run(["deploy", "--all", "--force", *approval, *source.options], source.context)
    if code == 0:
        _say(f"\nA photo in, found, and out again, in stage {settings.system}:")
        code = _call([str(ROOT / ".venv" / "bin" / "tagstream"), "smoke", "--stage", settings.system], ROOT)
        for line in unwanted(settings, place):
            _say(line)
    return code


def _roll_back(settings: Settings, place: Place, yes: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        assembly = Path(folder)
        fetch(place, settings.system, assembly)
        _say(f"Back to the last assembly of stage {settings.system} that passed its trial:")
        return _deploy(settings_for(made_with(assembly, settings.system)), place, _source(assembly, ()), yes)


def _diff(system: str, source: Source, output: Path | None) -> int:
    """What a deploy would change; from the templates alone, so that it takes no right to change anything."""
    command = _cdk(["diff", "--method", "template", "--no-color", *source.options], source.context)
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NODE_NO_WARNINGS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = _OF_ROLES.sub("", done.stdout) if done.returncode == 0 else done.stdout
    _say(said.rstrip())
    if done.returncode == 0 and output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(told(system, said))
    return done.returncode


def told(system: str, differences: str) -> str:
    """Differences as the CDK CLI prints them, as Markdown for a comment, no longer than GitHub takes."""
    # Nothing in it ends the block.
    text = re.sub(r"`{3,}", "'''", differences.strip())
    if len(text) > _MOST_TOLD:
        text = f"{text[:_MOST_TOLD]}\n… and {len(text) - _MOST_TOLD:,} characters more: see the log of the job."
    found = re.search(r"Number of stacks with differences: (\d+)", text)
    heading = f"### What a deploy changes in stage `{system}`\n\n"
    if found and found[1] == "0":
        return f"{heading}Nothing.\n"
    return f"{heading}<details><summary>Differences</summary>\n\n```diff\n{text}\n```\n\n</details>\n"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
