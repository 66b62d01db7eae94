"""The policies for people: who may do what, on what, and that nobody has them by themselves."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.infra.templates import Resource, Stage, synthesise

# None of them has a narrower resource, by AWS' own tables of actions.
EVERYWHERE = {
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricStatistics",
    "lambda:GetAccountSettings",
    "lambda:ListEventSourceMappings",
}


def policies(stage: Stage) -> dict[str, Resource]:
    return {policy.id.partition(".")[2][:-8]: policy for policy in stage.of_type("AWS::IAM::ManagedPolicy")}


def allowed(policy: Resource) -> set[tuple[str, str]]:
    def several(value: Any) -> list[Any]:
        return value if isinstance(value, list) else [value]

    return {
        (action, resource)
        for statement in policy.properties["PolicyDocument"]["Statement"]
        for action in several(statement["Action"])
        for resource in several(statement["Resource"])
    }


def test_there_are_three_and_outputs_say_where(stage: Stage) -> None:
    found = policies(stage)
    assert found.keys() == {"MayUpload", "MaySearch", "MayOperate"}
    outputs = stage.templates["people"]["Outputs"]
    for name, policy in found.items():
        assert stage.resolved("people", outputs[f"{name}PolicyArn"]["Value"]) == policy.ref
        # Whoever is to have it is given it by an administrator.
        assert not {"Users", "Roles", "Groups"} & policy.properties.keys()


def test_what_each_allows_is_named(stage: Stage) -> None:
    for policy in policies(stage).values():
        for action, resource in allowed(policy):
            assert "*" not in action
            assert resource != "*" or action in EVERYWHERE, action
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            assert statement.keys() == {"Action", "Effect", "Resource"}
            assert statement["Effect"] == "Allow"


def test_who_searches_may_call_one_function_and_who_uploads_may_put_besides(stage: Stage) -> None:
    found, photos = policies(stage), stage.bucket("Photos").arn
    stacks = {action for action in allowed(found["MaySearch"]) if action[0] == "cloudformation:DescribeStacks"}
    searching = stacks | {("lambda:InvokeFunction", stage.called_arn("search"))}
    assert allowed(found["MaySearch"]) == searching
    putting = {(action, f"{photos}/*") for action in ("s3:AbortMultipartUpload", "s3:PutObject")}
    assert allowed(found["MayUpload"]) == searching | putting


def test_who_operates_changes_no_queue_but_the_dead_letters(stage: Stage) -> None:
    dead = {queue.arn for queue in stage.of_type("AWS::SQS::Queue") if "DeadLetters" in queue.id}
    # What these two commands spread over the queues is in a topic of their own.
    topics = tuple(f":tagstream-{stage.name}-{command}*" for command in ("retag", "reconcile", "rebuild"))
    for action, resource in allowed(policies(stage)["MayOperate"]):
        if action in {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:PurgeQueue", "sqs:ChangeMessageVisibility"}:
            assert resource in dead or resource.endswith(topics)
        if action in {"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:TagQueue", "sqs:UntagQueue"}:
            assert resource.endswith(topics)


def test_uploads_stay_below_the_watched_prefix() -> None:
    stage = Stage("dev", synthesise({"stage": "dev", "prefix": "photos/"}))
    bucket = stage.bucket("Photos").arn
    objects = {
        resource
        for policy in policies(stage).values()
        for action, resource in allowed(policy)
        if action.startswith("s3:") and "/" in resource
    }
    assert objects == {f"{bucket}/photos/*", f"{bucket}/photos/tagstream-smoke-*"}


def test_the_longest_policy_fits_whatever_the_region_and_the_name_of_the_stage() -> None:
    """IAM takes 6,144 characters without spaces."""
    stage = Stage("dev", synthesise({"stage": "dev", "name": "abcdefghijklmn"}))

    where = "ap-southeast-1:123456789012"
    # As long as the names get that CloudFormation makes up.
    kinds = {
        "AWS::SQS::Queue": (f"arn:aws:sqs:{where}:", 80),
        "AWS::Lambda::Function": (f"arn:aws:lambda:{where}:function:", 64),
        "AWS::Lambda::Alias": (f"arn:aws:lambda:{where}:function:", 69),
        "AWS::Lambda::EventSourceMapping": (f"arn:aws:lambda:{where}:event-source-mapping:", 36),
        "AWS::S3::Bucket": ("arn:aws:s3:::", 63),
        "AWS::Logs::LogGroup": (f"arn:aws:logs:{where}:log-group:", 80),
    }
    types = {resource.id: resource.type for resource in stage.resources}

    def real(reference: re.Match[str]) -> str:
        prefix, longest = kinds[types[reference[1]]]
        name = f"tagstream-dev-abcdefghijklmn-{reference[1]}-ABCDEFGHIJKLM"
        return prefix + name[:longest]

    for policy in policies(stage).values():
        document = json.dumps(policy.properties["PolicyDocument"], separators=(",", ":"))
        document = re.sub(r"<(\w+\.\w+)(?:\.\w+)?>", real, document)
        document = document.replace("<AWS::Partition>", "aws-us-gov").replace("<AWS::Region>", "ap-southeast-1")
        assert len(document.replace("<AWS::AccountId>", "123456789012")) <= 6144
