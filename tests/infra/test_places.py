"""Where a stage goes, and copies of it side by side: accounts, regions, zones, names; what stays when it goes."""

from __future__ import annotations

import json

import pytest

from stacks.settings import settings_for
from tests.infra.templates import Stage, assembly, stacks_of

# Names that are chosen rather than made up by CloudFormation, each with the reason why it has to be.
NAMED = {
    # The domain's policy names the domain, and is part of it: it cannot refer to it.
    ("AWS::OpenSearchService::Domain", "DomainName"),
    # CloudFormation would call it Dashboard9E4231ED-1RANDOM, and people look for it in a list.
    ("AWS::CloudWatch::Dashboard", "DashboardName"),
    # Those of a new version: with another name it is another alarm, which does not begin in the state of the last one.
    ("AWS::CloudWatch::Alarm", "AlarmName"),
    # CloudWatch asks for a name, and makes up none.
    ("AWS::Logs::ResourcePolicy", "PolicyName"),
    # The address at which people sign in has no name that AWS would make up.
    ("AWS::Cognito::UserPoolDomain", "Domain"),
}
NAMES = (
    "AlarmName",
    "BucketName",
    "DashboardName",
    "Domain",
    "DomainName",
    "FunctionName",
    "GroupName",
    "LogGroupName",
    "PolicyName",
    "QueueName",
    "RoleName",
    "RuleName",
    "TableName",
    "TopicName",
)


def test_nothing_has_a_name_of_its_own_but_where_it_must(stage: Stage) -> None:
    named = {
        (resource.type, name): resource.properties[name]
        for resource in stage.resources
        for name in NAMES
        # A mapping names its function; an inline policy is named within its role.
        if name in resource.properties
        and (resource.type, name) not in {("AWS::IAM::Policy", "PolicyName")}
        and isinstance(resource.properties[name], str)
        and not resource.properties[name].startswith("<")
    }
    assert named.keys() <= NAMED
    for name in named.values():
        assert f"{name}-".startswith(f"tagstream-{stage.name}-")


def test_copies_of_a_stage_share_nothing() -> None:
    """In one account and region: neither a stack nor anything with a name."""
    texts = []
    for name in ("one", "two"):
        stacks = stacks_of({"stage": "dev", "name": name})
        assert {stack.name.startswith(f"tagstream-dev-{name}-") for stack in stacks} == {True}
        texts.append({stack.name: json.dumps(stack.template) for stack in stacks})
    for text in texts[0].values():
        assert "tagstream-dev-two" not in text
        # What is named is named after the copy.
        assert text.count("tagstream-dev-one") == text.count("tagstream-dev")
    assert not texts[0].keys() & texts[1].keys()


def test_a_stage_goes_to_its_account_and_region_and_asks_nobody_where_that_is() -> None:
    context = {"stage": "prod", "account": "123456789012", "region": "eu-west-1", "alarm_email": "a@example.com"}
    zones = {"domain.zone_names": "eu-west-1a,eu-west-1b,eu-west-1d"}
    stacks = stacks_of(context | zones)
    assert {stack.environment for stack in stacks} == {"aws://123456789012/eu-west-1"}
    # Zones of a region that is known would be looked up, with credentials.
    assert "missing" not in json.loads((assembly(context | zones) / "manifest.json").read_text())
    subnets = {
        resource["Properties"]["AvailabilityZone"]
        for stack in stacks
        for resource in stack.template["Resources"].values()
        if resource["Type"] == "AWS::EC2::Subnet"
    }
    assert subnets == {"eu-west-1a", "eu-west-1b", "eu-west-1d"}


def test_without_an_account_it_goes_where_the_credentials_lead(stage: Stage) -> None:
    assert {stack.environment for stack in stacks_of({"stage": stage.name})} == {"aws://unknown-account/unknown-region"}


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::EC2::VPC",
        "AWS::EC2::Subnet",
        "AWS::EC2::RouteTable",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::EC2::SecurityGroup",
        "AWS::EC2::SecurityGroupIngress",
    ],
)
def test_a_domain_that_stays_keeps_its_network(prod: Stage, kind: str) -> None:
    resources = prod.of_type(kind)
    assert resources
    for resource in resources:
        assert resource.raw["DeletionPolicy"] == "RetainExceptOnCreate", resource.id
        assert resource.raw["UpdateReplacePolicy"] == "Retain", resource.id


def test_what_the_domain_refers_to_stays_with_it(prod: Stage) -> None:
    domain = prod.one("AWS::OpenSearchService::Domain")
    options = domain.properties["VPCOptions"]
    stays = {r.ref for r in prod.resources if r.raw.get("DeletionPolicy", "").startswith("Retain")}
    stays |= {f"<{r.id}.GroupId>" for r in prod.of_type("AWS::EC2::SecurityGroup") if r.ref in stays}
    assert set(options["SubnetIds"]) <= stays
    assert set(options["SecurityGroupIds"]) <= stays


def test_stages_that_keep_nothing_leave_nothing(stage: Stage) -> None:
    """What stays by CloudFormation's own rules, such as log groups that nobody declared, is not to be seen here."""
    keeps = settings_for({"stage": stage.name}).retain_data
    retained = [r.id for r in stage.resources if r.raw.get("DeletionPolicy", "Delete") != "Delete"]
    assert bool(retained) is keeps
    # And only what keeps data is protected from being deleted by mistake.
    assert {stack.protected for stack in stacks_of({"stage": stage.name})} == {keeps}
