"""Functions: their logs, their tracing, their environment, and exactly what their roles allow."""

from __future__ import annotations

import re

import pytest

from stacks.bundling import this_machine
from tests.infra.templates import ROOT, Stage, synthesise, synthesised

NETWORK_INTERFACES = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
TRACING = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}
WILDCARDS = {
    **dict.fromkeys(TRACING, "X-Ray has no resources to name"),
    **dict.fromkeys(NETWORK_INTERFACES, "the network interfaces of a function in a VPC are yet to be made"),
}


def own(stage: Stage, name: str) -> set[tuple[str, str]]:
    """What every function may do: write its own log, trace, and be in the network that it is put in."""
    function = stage.function(name)
    log_group = function.properties["LoggingConfig"]["LogGroup"].strip("<>")
    allowed = {(action, f"<{log_group}.Arn>") for action in ("logs:CreateLogStream", "logs:PutLogEvents")}
    allowed |= {(action, "*") for action in TRACING}
    if "VpcConfig" in function.properties:
        allowed |= {(action, "*") for action in NETWORK_INTERFACES}
    return allowed


def consuming(stage: Stage, name: str) -> set[tuple[str, str]]:
    queue = stage.mapping_of(name).properties["EventSourceArn"]
    return {(f"sqs:{action}", queue) for action in ("DeleteMessage", "GetQueueAttributes", "ReceiveMessage")}


def thumbnails(stage: Stage) -> str:
    return stage.bucket("Thumbnails").arn


def classifying(stage: Stage) -> set[tuple[str, str]]:
    bucket = stage.bucket("Photos").arn
    return consuming(stage, "classify") | {
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:GetObjectVersion", f"{bucket}/*"),
        ("s3:ListBucket", bucket),
        ("s3:PutObject", f"{thumbnails(stage)}/*"),
        ("sqs:SendMessage", stage.mapping_of("catalog").properties["EventSourceArn"]),
    }


def answering(stage: Stage) -> set[tuple[str, str]]:
    bucket = stage.bucket("Photos").arn
    return {
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:GetObject", f"{thumbnails(stage)}/*"),
        ("s3:PutObject", f"{bucket}/uploads/*"),
        ("s3:DeleteObject", f"{bucket}/*"),
        ("s3:DeleteObjectVersion", f"{bucket}/*"),
        ("s3:ListBucketVersions", bucket),
    }


# The domain admits the other functions itself: see test_storage.
ALLOWED = {
    "api": answering,
    "gallery": lambda _: set(),
    "classify": classifying,
    "catalog": lambda stage: consuming(stage, "catalog") | {("s3:DeleteObject", f"{thumbnails(stage)}/*")},
    "purge": lambda stage: {("s3:DeleteObject", f"{thumbnails(stage)}/*"), ("s3:ListBucket", thumbnails(stage))},
    "search": lambda _: set(),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_a_role_allows_exactly_what_its_function_does(stage: Stage, name: str) -> None:
    role = stage.by_arn(stage.function(name).properties["Role"])
    assert stage.allowed(role) == own(stage, name) | ALLOWED[name](stage)
    assert "ManagedPolicyArns" not in role.properties
    assert all(set(statement) <= {"Effect", "Action", "Resource"} for statement in stage.statements(role))


def test_no_function_shares_its_role_and_no_role_lacks_its_function(stage: Stage) -> None:
    roles = [function.properties["Role"] for function in stage.of_type("AWS::Lambda::Function")]
    assert len(roles) == len(set(roles))
    shifting = {group.properties["ServiceRoleArn"] for group in stage.of_type("AWS::CodeDeploy::DeploymentGroup")}
    assert set(roles) | shifting == {role.arn for role in stage.of_type("AWS::IAM::Role")}
    assert not shifting & set(roles)


def test_nothing_is_allowed_on_everything_without_a_reason(stage: Stage) -> None:
    for role in stage.of_type("AWS::IAM::Role"):
        for action, resource in stage.allowed(role):
            assert "*" not in action
            assert resource != "*" or action in WILDCARDS, f"{role.id} may {action} on everything"


def test_only_lambda_takes_on_the_roles_and_codedeploy_its_own(stage: Stage) -> None:
    shifting = {group.properties["ServiceRoleArn"] for group in stage.of_type("AWS::CodeDeploy::DeploymentGroup")}
    for role in stage.of_type("AWS::IAM::Role"):
        (statement,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        service = "codedeploy" if role.arn in shifting else "lambda"
        assert statement["Principal"] == {"Service": f"{service}.amazonaws.com"}
        assert statement["Action"] == "sts:AssumeRole"


def test_every_function_has_a_log_group_of_its_own_with_an_end(stage: Stage) -> None:
    functions = stage.of_type("AWS::Lambda::Function")
    groups = {group.ref: group for group in stage.of_type("AWS::Logs::LogGroup")}
    used = [function.properties["LoggingConfig"]["LogGroup"] for function in functions]
    assert len(used) == len(set(used))
    # Those that are left are the access log (see test_web), and on AWS the domain's three (see test_storage).
    assert len(groups.keys() - set(used)) == (1 if stage.name == "local" else 4)
    assert groups.keys() > set(used)
    assert all(group.properties["RetentionInDays"] > 0 for group in groups.values())


def test_every_function_is_traced_and_observable(stage: Stage) -> None:
    for function in stage.of_type("AWS::Lambda::Function"):
        assert function.properties["TracingConfig"] == {"Mode": "Active"}
        environment = function.properties["Environment"]["Variables"]
        assert environment["POWERTOOLS_METRICS_NAMESPACE"] == "Tagstream"
        assert environment["POWERTOOLS_LOG_LEVEL"] == "INFO"
        assert function.properties["Handler"] == "handler.handler"
        assert "ReservedConcurrentExecutions" not in function.properties


def test_functions_run_where_their_bundles_are_made_for(stage: Stage) -> None:
    for function in stage.of_type("AWS::Lambda::Function"):
        if stage.name == "local":
            assert function.properties["Runtime"] == f"python{this_machine().python}"
        else:
            assert function.properties["Runtime"] == "python3.13"
            assert function.properties["Architectures"] == ["arm64"]


def test_handlers_find_every_setting_that_they_read(stage: Stage) -> None:
    for function in stage.of_type("AWS::Lambda::Function"):
        source = (ROOT / "lambdas" / stage.service(function) / "handler.py").read_text()
        for shared in re.findall(r"from lambdas\.(\w+) import", source):
            source += (ROOT / "lambdas" / f"{shared}.py").read_text()
        needed = set(re.findall(r"environ(?:ment)?\[[\"']([A-Z_]+)[\"']\]", source))
        assert needed <= function.properties["Environment"]["Variables"].keys()


def test_sources_of_different_functions_are_different_assets(stage: Stage) -> None:
    keys = [function.properties["Code"]["S3Key"] for function in stage.of_type("AWS::Lambda::Function")]
    assert len(keys) == len(set(keys))


def test_every_function_of_a_stage_is_one_of_lambdas(stage: Stage) -> None:
    for function in stage.of_type("AWS::Lambda::Function"):
        assert (ROOT / "lambdas" / stage.service(function) / "handler.py").is_file()


def test_nothing_is_made_by_a_custom_resource(stage: Stage) -> None:
    assert not [r.type for r in stage.resources if r.type.startswith(("Custom::", "AWS::CloudFormation::Custom"))]


def test_the_purge_is_scheduled_and_gives_up_in_time(stage: Stage) -> None:
    function = stage.function("purge")
    rule = stage.one("AWS::Events::Rule")
    called = stage.called_arn("purge")
    assert [target["Arn"] for target in rule.properties["Targets"]] == [called]
    (permission,) = (p for p in stage.of_type("AWS::Lambda::Permission") if p.properties["FunctionName"] == called)
    assert permission.properties["Principal"] == "events.amazonaws.com"
    assert permission.properties["SourceArn"] == rule.arn
    (retries,) = stage.of_type("AWS::Lambda::EventInvokeConfig")
    assert retries.properties["FunctionName"] == function.ref
    assert retries.properties["MaximumEventAgeInSeconds"] < 86_400


def test_only_prod_is_in_a_network_of_its_own() -> None:
    assert not synthesised("dev").of_type("AWS::EC2::VPC")
    assert not synthesised("local").of_type("AWS::EC2::VPC")
    prod = synthesised("prod")
    inside = {prod.service(f) for f in prod.of_type("AWS::Lambda::Function") if "VpcConfig" in f.properties}
    assert inside == {"api", "catalog", "purge", "search"}


def test_nothing_leaves_the_network_but_to_the_buckets_of_the_stage(prod: Stage) -> None:
    for kind in ("NatGateway", "InternetGateway", "EgressOnlyInternetGateway"):
        assert not prod.of_type(f"AWS::EC2::{kind}")
    (clients,) = {
        group
        for name in ("api", "catalog", "purge", "search")
        for group in prod.function(name).properties["VpcConfig"]["SecurityGroupIds"]
    }
    (domain,) = prod.one("AWS::OpenSearchService::Domain").properties["VPCOptions"]["SecurityGroupIds"]
    (way_in,) = prod.of_type("AWS::EC2::SecurityGroupIngress")
    assert (way_in.properties["SourceSecurityGroupId"], way_in.properties["GroupId"]) == (clients, domain)
    assert way_in.properties["FromPort"] == way_in.properties["ToPort"] == 443
    (way_out,) = prod.of_type("AWS::EC2::SecurityGroupEgress")
    assert (way_out.properties["GroupId"], way_out.properties["DestinationSecurityGroupId"]) == (clients, domain)
    (group,) = (g for g in prod.of_type("AWS::EC2::SecurityGroup") if clients == f"<{g.id}.GroupId>")
    assert group.properties["SecurityGroupEgress"] == [
        {"CidrIp": "0.0.0.0/0", "Description": "HTTPS, to S3", "FromPort": 443, "IpProtocol": "tcp", "ToPort": 443}
    ]
    # What that rule lets out has one place to go to: S3, and there nobody else's buckets.
    assert not prod.of_type("AWS::EC2::Route")
    endpoint = prod.one("AWS::EC2::VPCEndpoint").properties
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"] == "com.amazonaws.<AWS::Region>.s3"
    (statement,) = endpoint["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceAccount": "<AWS::AccountId>"}}
    tables = {subnet.properties["RouteTableId"] for subnet in prod.of_type("AWS::EC2::SubnetRouteTableAssociation")}
    assert set(endpoint["RouteTableIds"]) == tables


def test_uploads_and_removals_stay_below_the_watched_prefix() -> None:
    stage = Stage("dev", synthesise({"stage": "dev", "prefix": "photos/"}))
    bucket = stage.bucket("Photos").arn
    allowed = stage.allowed(stage.by_arn(stage.function("api").properties["Role"]))
    assert {(action, resource) for action, resource in allowed if action in ("s3:PutObject", "s3:DeleteObject")} == {
        ("s3:PutObject", f"{bucket}/photos/uploads/*"),
        ("s3:DeleteObject", f"{bucket}/photos/*"),
    }


def test_logs_of_prod_tell_nothing_personal(stage: Stage) -> None:
    for function in stage.of_type("AWS::Lambda::Function"):
        variables = function.properties["Environment"]["Variables"]
        discreet = {name: variables.get(name) for name in ("LOG_PERSONAL", "LOG_KEY")}
        if stage.name == "prod":
            assert discreet["LOG_PERSONAL"] == "false"
            # As unguessable as the stack's own id.
            assert discreet["LOG_KEY"].startswith("<AWS::StackId")
        else:
            assert discreet == {"LOG_PERSONAL": None, "LOG_KEY": None}
