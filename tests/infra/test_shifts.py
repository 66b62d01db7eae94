"""Versions of functions: everybody calls the live one, and a new one takes over gradually where a setting says so."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from stacks.settings import SettingsError, settings_for
from tests.infra.templates import Resource, Stage, synthesise, synthesised

GRADUAL = {"canary_minutes": "5", "gradual_minutes": "10"}


@functools.cache
def shifting(stage: str, **more: str) -> Stage:
    return Stage(stage, synthesise({"stage": stage, **GRADUAL, **more}))


@pytest.fixture(params=["local", "dev", "prod"])
def gradual(request: pytest.FixtureRequest) -> Stage:
    return shifting(request.param)


def functions(stage: Stage) -> list[Resource]:
    found = stage.of_type("AWS::Lambda::Function")
    assert len(found) >= 8
    return found


def alias_of(stage: Stage, function: Resource) -> Resource:
    alias = stage.alias(function)
    assert alias is not None, function.id
    return alias


def groups(stage: Stage) -> list[Resource]:
    return stage.of_type("AWS::CodeDeploy::DeploymentGroup")


def referred(stack: str, value: Any) -> Iterator[str]:
    """The ids of what a value of a template refers to, in its own stack."""
    if isinstance(value, list):
        for item in value:
            yield from referred(stack, item)
    elif isinstance(value, dict):
        match value:
            case {"Ref": str(name)}:
                yield f"{stack}.{name}"
            case {"Fn::GetAtt": [name, _]}:
                yield f"{stack}.{name}"
            case _:
                for item in value.values():
                    yield from referred(stack, item)


def needs(resource: Resource) -> set[str]:
    """What CloudFormation makes before a resource."""
    stack = resource.id.partition(".")[0]
    after = resource.raw.get("DependsOn", [])
    parts = [resource.raw.get("Properties", {}), resource.raw.get("UpdatePolicy", {})]
    return {found for part in parts for found in referred(stack, part)} | {
        f"{stack}.{name}" for name in ([after] if isinstance(after, str) else after)
    }


def test_every_function_has_a_live_version_on_aws_whatever_the_setting() -> None:
    """So that switching it changes no name that others call."""
    for stage, shifts in ((synthesised("dev"), False), (synthesised("prod"), True), (shifting("dev"), True)):
        for function in stage.of_type("AWS::Lambda::Function"):
            assert alias_of(stage, function).properties["Name"] == "live"
        assert bool(groups(stage)) == shifts


def test_the_local_cloud_has_neither_versions_nor_shifts_unless_asked_for_versions() -> None:
    stage = synthesised("local")
    assert not stage.of_type("AWS::Lambda::Version") + stage.of_type("AWS::Lambda::Alias") + groups(stage)
    # The emulator has no CodeDeploy.
    tried = shifting("local")
    assert tried.of_type("AWS::Lambda::Alias")
    assert not [resource.id for resource in tried.resources if "CodeDeploy" in resource.type]


def test_an_alias_leads_to_a_version_of_its_own_function(gradual: Stage) -> None:
    versions = {version.id: version for version in gradual.of_type("AWS::Lambda::Version")}
    for function in functions(gradual):
        leads_to = alias_of(gradual, function).properties["FunctionVersion"].strip("<>").removesuffix(".Version")
        assert versions[leads_to].properties["FunctionName"] == function.ref
        assert "RoutingConfig" not in alias_of(gradual, function).properties, "weights are CodeDeploy's"


def test_nothing_calls_what_is_not_live(gradual: Stage) -> None:
    """Mappings, schedules, routes, permissions, people and functions: none of them has a function's own name."""
    arns = {function.arn for function in functions(gradual)}
    names = {function.ref for function in functions(gradual)}
    aliases = {alias_of(gradual, function).ref for function in functions(gradual)}
    called = {gradual.called_name(gradual.service(function)) for function in functions(gradual)}
    mappings = gradual.of_type("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 3
    assert {mapping.properties["FunctionName"] for mapping in mappings} < called
    targets = [target["Arn"] for rule in gradual.of_type("AWS::Events::Rule") for target in rule.properties["Targets"]]
    assert len(targets) == 2
    assert set(targets) < aliases
    assert {one.properties["FunctionName"] for one in gradual.of_type("AWS::Lambda::Permission")} < aliases
    integrations = gradual.of_type("AWS::ApiGatewayV2::Integration")
    assert len(integrations) == 2
    assert {one.properties["IntegrationUri"] for one in integrations} < aliases
    for tries in gradual.of_type("AWS::Lambda::EventInvokeConfig"):
        assert tries.properties["Qualifier"].endswith("[:7]"), "of the alias"
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for policy in gradual.of_type(kind):
            for statement in policy.properties["PolicyDocument"]["Statement"]:
                if "lambda:InvokeFunction" in json.dumps(statement["Action"]):
                    resources = statement["Resource"]
                    assert set(resources if isinstance(resources, list) else [resources]) < aliases
    told = [
        gradual.resolved(name, output["Value"])
        for name, template in gradual.templates.items()
        for key, output in template["Outputs"].items()
        if key.endswith("FunctionName")
    ]
    assert len(told) == 7
    assert set(told) < called
    for function in functions(gradual):
        values = set(function.properties["Environment"]["Variables"].values())
        assert not values & (names | arns)


def test_no_stack_has_a_circle(gradual: Stage) -> None:
    left = {resource.id: needs(resource) for resource in gradual.resources}
    known = set(left)
    left = {name: (of & known) - {name} for name, of in left.items()}
    while ready := {name for name, of in left.items() if not of}:
        left = {name: of - ready for name, of in left.items() if name not in ready}
    assert not left, f"these wait for one another: {sorted(left)}"


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_alarms_on_the_new_version_alone_turn_it_back(name: str) -> None:
    stage = shifting(name)
    alarms = {alarm.ref: alarm for alarm in stage.of_type("AWS::CloudWatch::Alarm")}
    shifted = set()
    for function in functions(stage):
        alias = alias_of(stage, function)
        policy = alias.raw["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        (group,) = (g for g in groups(stage) if g.id.endswith(f".{policy['DeploymentGroupName']['Ref']}"))
        shifted.add(group.id)
        assert group.properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent10Minutes"
        assert group.properties["AutoRollbackConfiguration"] == {
            "Enabled": True,
            "Events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST", "DEPLOYMENT_STOP_ON_ALARM"],
        }
        assert group.properties["AlarmConfiguration"]["Enabled"] is True
        watched = [alarms[alarm["Name"]] for alarm in group.properties["AlarmConfiguration"]["Alarms"]]
        version = alias.properties["FunctionVersion"]
        dimensions = {
            alarm.properties["MetricName"]: {one["Name"]: one["Value"] for one in alarm.properties["Dimensions"]}
            for alarm in watched
        }
        assert dimensions == {
            "Errors": {
                "FunctionName": function.ref,
                "Resource": f"{function.ref}:live",
                "ExecutedVersion": version,
            },
            "Failures": {"service": stage.service(function), "stage": name, "version": version},
        }
        for alarm in watched:
            # One that was only changed would still ring for the version before.
            assert f"-{version}-" in alarm.properties["AlarmName"]
            assert alarm.properties["TreatMissingData"] == "notBreaching", "a new version has said nothing yet"
            # Within the time that it has, and a failing minute for metrics that come late.
            minutes = alarm.properties["DatapointsToAlarm"] * alarm.properties["Period"] / 60
            assert minutes + 2 < 5
    assert shifted == {group.id for group in groups(stage)}


def test_what_the_first_deploy_needs_is_made_before_the_alias() -> None:
    """By its own references, and no alias is shifted when it is made: only an update goes through CodeDeploy."""
    stage = shifting("prod")
    by_id = {resource.id: resource for resource in stage.resources}
    for function in functions(stage):
        before, look = set(), [alias_of(stage, function).id]
        while look:
            for name in needs(by_id[look.pop()]) & by_id.keys() - before:
                before.add(name)
                look.append(name)
        kinds = [by_id[name].type for name in before]
        assert kinds.count("AWS::CloudWatch::Alarm") == 2
        assert {"AWS::CodeDeploy::DeploymentGroup", "AWS::CodeDeploy::Application", "AWS::Lambda::Version"} < set(kinds)


def test_a_version_is_made_of_whatever_changes_how_a_function_works_and_of_nothing_else() -> None:
    """CloudFormation refuses a version of a function that is as its last version."""

    def versions(stage: Stage) -> dict[str, str]:
        return {
            stage.service(function): alias_of(stage, function).properties["FunctionVersion"]
            for function in stage.of_type("AWS::Lambda::Function")
        }

    before = versions(synthesised("dev"))
    settings = {"max_tags": "5", "api.memory_mb": "2048", "log_days": "30", "catalog.max_receives": "7"}
    after = versions(Stage("dev", synthesise({"stage": "dev", **settings})))
    # An environment variable of the one, the memory of the other; how long logs are kept and what the queue does is
    # nothing that a function knows.
    assert {name for name in before if before[name] != after[name]} == {"classify", "api"}


def test_prod_shifts_and_the_others_do_not() -> None:
    minutes = {stage: settings_for({"stage": stage}).gradual_minutes for stage in ("local", "dev", "prod")}
    assert minutes == {"local": 0, "dev": 0, "prod": 5}


@pytest.mark.parametrize("minutes", ["-5", "1", "7", "60"])
def test_minutes_that_there_are_no_shifts_of_are_refused(minutes: str) -> None:
    with pytest.raises(SettingsError, match=r"gradual_minutes .* use one of 0, 5, 10, 15, 30"):
        settings_for({"stage": "dev", "gradual_minutes": minutes})
