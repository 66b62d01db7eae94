"""What is not as it should be: on this machine, in the account, and between the stacks and what they became.

Each check asks and changes nothing. A check that can't be made is a finding as well: who may not look can't say that
all is well.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagstream.deployed.aws import Aws, told
from tagstream.machine import DEFAULT_MODELS, default_model
from tagstream.operations.mappings import mapping_of
from tagstream.operations.queues import QUEUES
from tagstream.places import CHECKOUT
from tagstream.topics import Topics

__all__ = ["CHECKS", "Finding", "Stage", "examine"]

_FREE_BYTES = 2 * 1024**3
_LEFT_FOR_OTHERS = 2
_WELL = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
_STACKS = ("catalog", "web", "ingest", "search", "api", "steps", "operations")
_EVENTS = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")
_OLDEST_NODE = 20
_ON_AWS = DEFAULT_MODELS[0]
"""The model of the stages on AWS that have no other setting."""
_NODE_SECONDS = 10.0


@dataclass(frozen=True)
class Finding:
    """``what`` is wrong, in a sentence; ``then`` is what to type or do."""

    check: str
    what: str
    then: str


@dataclass(frozen=True)
class Stage:
    """What checks ask."""

    aws: Aws

    @functools.cached_property
    def topics(self) -> Topics:
        """Its queues."""
        return Topics(self.aws.client("sqs"))

    @functools.cached_property
    def catalog(self) -> Mapping[str, Any]:
        """What the purge function says of the index: :func:`tagstream.catalog.condition.condition`."""
        return self.aws.manage("inspect", "alias")


Check = Callable[[Stage], Iterator[tuple[str, str]]]


def examine(aws: Aws, *, on_check: Callable[[str], object] = str) -> list[Finding]:
    """Everything that is not as it should be; nothing where all is well. ``on_check`` hears of each check's begin."""
    findings, stage = [], Stage(aws)
    for name, check in CHECKS.items():
        on_check(name)
        try:
            # One by one: what was found before a check breaks off stays found.
            for what, then in check(stage):
                findings.append(Finding(name, what, then))
        except Exception as error:
            said = told(error)
            if said is None:
                raise
            findings.append(
                Finding(name, f"could not be looked at: {said.rstrip('.')}", "See to that, and look again.")
            )
            if name == "credentials":
                break
    return findings


def _machine(stage: Stage) -> Iterator[tuple[str, str]]:
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        version = ".".join(map(str, sys.version_info[:2]))
        yield f"this is Python {version}, and 3.11 to 3.14 are tried", "make setup PYTHON=/path/to/python3.13"
    free = shutil.disk_usage(Path.cwd()).free
    if free < _FREE_BYTES:
        yield f"{free / 1e9:.1f} GB of disk are free here, and bundles and models take 2", "Make room."
    root = CHECKOUT
    if root is None:
        return  # installed, not checked out: 'tagstream local up' says itself what it lacks
    if shutil.which("node") is None or shutil.which("npm") is None:
        yield "there is no Node with npm on the PATH, which the CDK CLI needs", "Install Node 22 or newer."
    elif (major := _node()) < _OLDEST_NODE:
        yield (
            f"this is Node {major or 'of no version that it says'}, too old for the CDK CLI",
            "Install Node 22 or newer.",
        )
    elif not (root / "node_modules" / ".bin" / "cdk").exists():
        yield "the CDK CLI is not installed", "make setup"

    def built(model: str) -> bool:
        return (root / "build" / "models" / model / "model.json").exists()

    model = default_model(built) if stage.aws.stage == "local" else _ON_AWS
    # TAGSTREAM_MODEL may lead to a folder elsewhere.
    if "/" not in model and not built(model):
        yield f"the model {model} is not built", f"tagstream models build {model}"


def _node() -> int:
    """The major version of the Node on the PATH; 0 if it doesn't say."""
    try:
        said = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, timeout=_NODE_SECONDS, check=True
        ).stdout
        return int(said.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _credentials(stage: Stage) -> Iterator[tuple[str, str]]:
    stage.aws.client("sts").get_caller_identity()
    yield from ()


def _bootstrap(stage: Stage) -> Iterator[tuple[str, str]]:
    client = stage.aws.client("ssm")
    try:
        client.get_parameter(Name="/cdk-bootstrap/hnb659fds/version")
    except client.exceptions.ParameterNotFound:
        yield "the account was never prepared for the CDK in this region", f"make bootstrap STAGE={stage.aws.stage}"


def _stacks(stage: Stage) -> Iterator[tuple[str, str]]:
    aws = stage.aws
    client = aws.client("cloudformation")
    for capability in _STACKS:
        aws.outputs(capability)  # says what to do where the stack is missing
        name = f"tagstream-{aws.stage}-{capability}"
        status = client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if status not in _WELL:
            yield f"stack {name} is in {status}", _deploy(aws)


def _queues(stage: Stage) -> Iterator[tuple[str, str]]:
    """Queues and functions, against the template that they were made from."""
    aws, topics = stage.aws, stage.topics
    for capability in ("ingest", "catalog", "steps"):
        resources, physical = _template(aws, capability)
        for logical, resource in resources.items():
            properties = resource.get("Properties", {})
            if logical not in physical:
                continue
            if resource["Type"] == "AWS::SQS::Queue":
                yield from _queue(aws, topics, physical[logical], properties)
            elif resource["Type"] == "AWS::Lambda::Function":
                yield from _function(aws, physical[logical], properties)
            elif resource["Type"] == "AWS::Lambda::Alias":
                yield from _alias(aws, physical[logical], physical[properties["FunctionVersion"]["Fn::GetAtt"][0]])


def _queue(aws: Aws, topics: Topics, url: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    there = topics.attributes(url)
    wanted = {name: properties[name] for name in ("VisibilityTimeout", "MessageRetentionPeriod") if name in properties}
    name = url.rsplit("/", 1)[-1]
    for attribute, value in wanted.items():
        if str(there.get(attribute)) != str(value):
            yield (
                f"queue {name} has {attribute} {there.get(attribute)}, and its stack {value}",
                _typed(aws, f"topics update {name} -a {attribute}={value}"),
            )
    policy = properties.get("RedrivePolicy")
    if policy is not None:
        actual = json.loads(there.get("RedrivePolicy") or "{}")
        if not actual:
            yield f"queue {name} has no dead-letter queue any more", _deploy_again(aws)
        elif str(actual.get("maxReceiveCount")) != str(policy["maxReceiveCount"]):
            yield (
                f"queue {name} gives up after {actual.get('maxReceiveCount')} receives, "
                f"and its stack says {policy['maxReceiveCount']}",
                _typed(aws, f"topics update {name} --max-receives {policy['maxReceiveCount']}"),
            )


def _function(aws: Aws, name: str, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    there = aws.client("lambda").get_function_configuration(FunctionName=name)
    for attribute, option in (("MemorySize", "memory-size"), ("Timeout", "timeout")):
        if attribute in properties and there[attribute] != properties[attribute]:
            yield (
                f"function {name} has {attribute} {there[attribute]}, and its stack {properties[attribute]}",
                f"aws lambda update-function-configuration --function-name {name} --{option} {properties[attribute]}",
            )
    yield from _code(there, properties.get("Code", {}))
    wanted = properties.get("Environment", {}).get("Variables", {})
    actual = there.get("Environment", {}).get("Variables", {})
    lacking = set(wanted) - set(actual)
    if lacking:
        yield f"function {name} lacks {', '.join(sorted(lacking))} in its environment", _deploy_again(aws)
    # What CloudFormation works out (a reference to another resource) can't be read from the template.
    others = [one for one, value in wanted.items() if isinstance(value, str) and actual.get(one, value) != value]
    if others:
        yield (
            f"function {name} has other values than its stack's in its environment: {', '.join(sorted(others))}",
            _deploy_again(aws),
        )


def _code(there: Mapping[str, Any], code: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a function runs: the key of its bundle in the stack comes of the SHA-256 that Lambda tells."""
    key, bucket = code.get("S3Key"), code.get("S3Bucket")
    # The CDK makes a hash of each hash that it is given.
    runs = hashlib.sha256(base64.b64decode(there["CodeSha256"]).hex().encode()).hexdigest() if key else ""
    if not isinstance(key, str) or key == f"{runs}.zip":
        return
    _, _, _, region, account, *_ = there["FunctionArn"].split(":")
    where = bucket["Fn::Sub"] if isinstance(bucket, Mapping) else str(bucket)
    where = where.replace("${AWS::AccountId}", account).replace("${AWS::Region}", region)
    name = there["FunctionName"]
    yield (
        f"function {name} has other code than its stack gave it: somebody changed it by hand, the last time at "
        f"{there['LastModified']}",
        f"aws lambda update-function-code --function-name {name} --s3-bucket {where} --s3-key {key} brings it back. "
        "Who it was: aws cloudtrail lookup-events --lookup-attributes "
        f"AttributeKey=ResourceName,AttributeValue={name}. "
        "Where an older version has deployed it, which named bundles otherwise: deploy the stage again.",
    )


def _alias(aws: Aws, alias: str, version: str) -> Iterator[tuple[str, str]]:
    """Where calls go: ``alias`` and ``version`` are ARNs, the version the one that the stack made last."""
    _, function, name = alias.rsplit(":", 2)
    wanted = version.rpartition(":")[2]
    there = aws.client("lambda").get_alias(FunctionName=function, Name=name)
    shares = (there.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if there["FunctionVersion"] == wanted and not shares:
        return
    parts = [f"version {there['FunctionVersion']}", *(f"{share:.0%} to version {one}" for one, share in shares.items())]
    yield (
        f"calls of function {function} go to {', '.join(parts)}, and its stack made version {wanted}",
        f"aws lambda update-alias --function-name {function} --name {name} --function-version {wanted} "
        "--routing-config AdditionalVersionWeights={} brings it back, unless somebody wants it so.",
    )


def _template(aws: Aws, capability: str) -> tuple[Mapping[str, Any], Mapping[str, str]]:
    """The resources of a stack's template, and the names that they got, by their logical ids."""
    client, name = aws.client("cloudformation"), f"tagstream-{aws.stage}-{capability}"
    template = client.get_template(StackName=name)["TemplateBody"]
    resources: Mapping[str, Any] = (json.loads(template) if isinstance(template, str) else template)["Resources"]
    physical = {}
    for page in client.get_paginator("list_stack_resources").paginate(StackName=name):
        for resource in page["StackResourceSummaries"]:
            physical[resource["LogicalResourceId"]] = resource.get("PhysicalResourceId", "")
    return resources, {logical: found for logical, found in physical.items() if found}


def _mappings(stage: Stage) -> Iterator[tuple[str, str]]:
    aws, topics = stage.aws, stage.topics
    reserved = 0
    for queue in QUEUES:
        if queue.function is None:
            continue
        mapping = mapping_of(aws, topics, queue)
        if mapping is None:
            yield f"nothing takes messages from the {queue.name} queue: its mapping is gone", _deploy_again(aws)
            continue
        reserved += mapping.max_concurrency or 0
        if not mapping.works:
            yield (
                f"nothing takes messages from the {queue.name} queue: its mapping is {mapping.state}",
                _typed(aws, f"resume {queue.name}"),
            )
    limits = aws.client("lambda").get_account_settings().get("AccountLimit", {})
    allowed = limits.get("ConcurrentExecutions")
    if allowed is not None and reserved + _LEFT_FOR_OTHERS > allowed:
        yield (
            f"the queues' functions may run {reserved} times at once, and the account lets {allowed} run in all",
            "Ask AWS for more (quota L-B99A9384 of Lambda), or lower max_concurrency and deploy.",
        )


def _notifications(stage: Stage) -> Iterator[tuple[str, str]]:
    aws, topics = stage.aws, stage.topics
    bucket = aws.output("ingest", "BucketName")
    arn = topics.attributes(aws.output("ingest", "IngestQueueUrl"))["QueueArn"]
    told = aws.client("s3").get_bucket_notification_configuration(Bucket=bucket).get("QueueConfigurations", ())
    events = [event for one in told if one["QueueArn"] == arn for event in one["Events"]]
    for wanted in _EVENTS:
        if wanted not in events:
            yield (
                f"bucket {bucket} does not tell its queue of every {wanted}: such photos are missed",
                f"{_deploy(aws)}, then {_typed(aws, 'images reconcile --repair')}",
            )


def _catalog(stage: Stage) -> Iterator[tuple[str, str]]:
    aws, state = stage.aws, stage.catalog
    if not state["indexes"]:
        if aws.client("s3").list_objects_v2(Bucket=aws.output("ingest", "BucketName"), MaxKeys=1).get("KeyCount"):
            yield (
                "there are photos in the bucket and no index in OpenSearch: none was classified yet, or it was lost",
                _typed(aws, "images reconcile --repair"),
            )
        return
    if state["index"] is None:
        count = len(state["behind_alias"])
        yield (
            f"the alias {state['alias']} leads to {count} indexes instead of one",
            "See docs/catalog.md." if count else _typed(aws, "images rebuild"),
        )
        return
    if state["blocked"]:
        yield (
            f"the index {state['index']} is blocked ({', '.join(state['blocked'])}), most likely for want of disk",
            "Raise domain.volume_gb and deploy.",
        )
    if state["index"] != state["wanted"]:
        yield (
            f"the index is {state['index']}, and the functions want {state['wanted']}",
            _typed(aws, "images reindex"),
        )
    if state["differs"]:
        yield (
            f"the index {state['index']} is mapped otherwise than the functions want: {', '.join(state['differs'])}",
            _typed(aws, "images rebuild"),
        )


def _versions(stage: Stage) -> Iterator[tuple[str, str]]:
    """The model that classifies, and that of the photos which were classified."""
    aws = stage.aws
    now = aws.invoke("ingest", "ClassifyFunctionName", {"action": "describe"})
    others = {
        name: count
        for name, count in stage.catalog.get("seen_by", {}).items()
        if name != f"{now['model']} {now['vocabulary'] or ''}".strip()
    }
    if others:
        yield (
            f"{sum(others.values()):,} photos were classified by another model or vocabulary than {now['model']} "
            f"({', '.join(sorted(others))})",
            _typed(aws, "images retag"),
        )


def _deploy(aws: Aws) -> str:
    return "tagstream local up" if aws.is_local else f"make deploy STAGE={aws.stage}"


def _deploy_again(aws: Aws) -> str:
    return (
        f"{_deploy(aws)}. CloudFormation leaves alone what its template has not changed: where that does not help, "
        "change the setting there and back."
    )


def _typed(aws: Aws, command: str) -> str:
    return f"tagstream {command}" + ("" if aws.is_local else f" --stage {aws.stage}")


CHECKS: Mapping[str, Check] = {
    "machine": _machine,
    "credentials": _credentials,
    "bootstrap": _bootstrap,
    "stacks": _stacks,
    "queues and functions": _queues,
    "mappings": _mappings,
    "notifications": _notifications,
    "catalog": _catalog,
    "versions": _versions,
}
"""By their names, in the order in which they build on each other."""
