"""A stage's way to AWS and back: ``python lifecycle.py bootstrap | deploy | destroy STAGE -c name=value``.

The CDK CLI does the work. Before it makes anything, what would stop it half an hour later is looked at, and said in a
sentence: no credentials, those of another account, nobody who gets the alarms, a domain that would have to be replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from stacks.settings import ROOT, Settings, SettingsError, settings_for

__all__ = ["LifecycleError", "Place", "check", "destroy", "empty", "find_stacks", "main"]

ENGINE = "OpenSearch_3.7"
"""The domain's engine, as OpenSearch Service calls it."""

_INTERRUPTED = 128 + signal.SIGINT
_PARAMETER = "/cdk-bootstrap/hnb659fds/version"
_GONE = ("DELETE_COMPLETE",)


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
    for bucket in buckets:
        empty(place, bucket, report)
    code = cdk(["destroy", "--all", "--force"])
    if code == 0:
        for thing in stays:
            report(f"Kept: {thing}")
        report("Kept: CDKToolkit, the CDK's own stack, which other stages may use.")
    return code


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
    command = [sys.executable, "-m", "stacks", *arguments, "--no-notices"]
    for given in context:
        command += ["-c", given]
    return _call(command, cwd)


def _call(command: Sequence[str], cwd: str | os.PathLike[str]) -> int:
    process = subprocess.Popen(command, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)})
    try:
        return process.wait()
    except KeyboardInterrupt:
        # It was interrupted as well, and removes what it was writing.
        process.wait()
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 failed or not agreed to, 2 wrong usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="lifecycle.py", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=("bootstrap", "deploy", "destroy"))
    parser.add_argument("stage", help="local, dev, prod, or a copy such as dev-mine")
    parser.add_argument("-c", dest="context", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--yes", action="store_true", help="ask nothing")
    given = parser.parse_args(arguments)
    context = [f"stage={given.stage}", *given.context]
    try:
        return _act(given.action, context, given.yes)
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


def _act(action: str, context: Sequence[str], yes: bool) -> int:
    standing = json.loads((ROOT / "cdk.json").read_text())["context"]
    settings = settings_for(standing | {name: value for name, _, value in (item.partition("=") for item in context)})
    place = place_of(settings)
    os.environ |= {"AWS_REGION": place.region, "AWS_DEFAULT_REGION": place.region}
    if action == "bootstrap":
        # From a folder without a cdk.json, for it to need no app: nothing has to be bundled for this.
        with tempfile.TemporaryDirectory() as folder:
            return _run(["bootstrap", f"aws://{place.account}/{place.region}"], (), folder)
    if action == "destroy":
        return destroy(
            settings,
            place,
            agree=_agree(settings, yes),
            cdk=lambda arguments: _run(arguments, context),
            report=lambda line: print(line, flush=True),  # noqa: T201
        )
    problems = list(check(settings, place))
    if problems:
        raise LifecycleError(*problems)
    # The CLI passes over a stack whose template is as before, also if what it reads of another one has been replaced.
    code = _run(["deploy", "--all", "--force", *(["--require-approval", "never"] if yes else [])], context)
    if code == 0:
        print(f"\nA photo in, found, and out again, in stage {settings.system}:", flush=True)  # noqa: T201
        code = _call([str(ROOT / ".venv" / "bin" / "tagstream"), "smoke", "--stage", settings.system], ROOT)
    return code


if __name__ == "__main__":
    sys.exit(main())
