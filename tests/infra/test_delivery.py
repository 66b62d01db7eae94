"""What CI may do in an account: enough for everything that the stages' stacks are made of, and not all."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from stacks.bounds import BOUNDARY
from stacks.delivery import DELIVERY_STACK, DeliverySettings, delivery, delivery_settings
from stacks.settings import SettingsError
from tests.infra.templates import ROOT, Resource, Stage, synthesise

# With everything that settings switch on.
STAGES = (
    {
        "stage": "prod",
        "canary_minutes": "5",
        "reconcile_days": "7",
        "alarm_email": "someone@example.com",
        "bounded": "true",
    },
    {"stage": "dev", "api.cloudfront": "true"},
)
# What AWS says that these types of resources may need, and needs only for what is not in the templates.
UNUSED = {
    "keys of one's own": ("kms:*",),
    "code and files from elsewhere": (
        "elasticfilesystem:*",
        "s3files:*",
        "lambda:GetLayerVersion",
        "lambda:PassCapacityProvider",
    ),
    "buckets' tables, object-level rights, and what S3 calls requests": (
        "s3tables:*",
        "s3:DeleteObject",
        "s3:PutObjectAcl",
        "s3:REST.*",
        "s3:*Metadata*Table*",
    ),
    "networks of networks": ("vpc-lattice:*", "vpce:*", "ec2:*VpcEncryptionControl*", "ec2:ModifyVpcTenancy"),
    "machines": ("ec2:DescribeInstances",),
    "who is neither role nor function": ("iam:*User*", "iam:*Group*", "iam:DeleteRolePermissionsBoundary"),
    "roles of AWS' own": ("iam:CreateServiceLinkedRole",),
    "logs that go on to elsewhere": ("firehose:*", "logs:*DataProtectionPolicy", "logs:*IndexPolic*", "logs:*KmsKey"),
    "logs for others to write": ("logs:PutBearerTokenAuthentication",),
    "mails checked by a policy": ("sns:*DataProtectionPolicy",),
    "distributions' tenants and private origins": ("cloudfront:*ConnectionGroup", "cloudfront:GetVpcOrigin"),
    "machines that CodeDeploy deploys to": ("codedeploy:*OnPremises*",),
    "code that is signed": ("lambda:*CodeSigning*",),
    "no action of IAM": ("lambda:AssociateRuntimeAlias",),
    "users' own attributes and sign-in by telephone": ("cognito-idp:AddCustomAttributes",),
}


@functools.cache
def made(**more: str) -> Stage:
    """The delivery stack; references are resolved as those of a stage are."""
    flags = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = delivery(context={**flags, "repository": "acme/tagstream", **more})
    (stack,) = app.synth().stacks
    return Stage("delivery", {"tagstream": json.loads(json.dumps(stack.template))})


def policy(name: str) -> Resource:
    found = [one for one in made().of_type("AWS::IAM::ManagedPolicy") if one.id.startswith(f"tagstream.{name}")]
    return min(found, key=lambda one: len(one.id))


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(*policies: Resource) -> Iterator[dict[str, Any]]:
    for one in policies:
        for statement in one.properties["PolicyDocument"]["Statement"]:
            yield statement | {"Action": listed(statement["Action"]), "Resource": listed(statement["Resource"])}


def role(name: str, stage: Stage | None = None) -> Resource:
    (found,) = (one for one in (stage or made()).of_type("AWS::IAM::Role") if one.id.startswith(f"tagstream.{name}"))
    return found


def allowed(role: Resource) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for one in role.properties["Policies"]
        for statement in one["PolicyDocument"]["Statement"]
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    }


def is_like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def execution() -> list[dict[str, Any]]:
    return list(statements(policy("Execution"), policy("ExecutionIam")))


@functools.cache
def types() -> frozenset[str]:
    return frozenset(
        resource["Type"]
        for context in STAGES
        for template in synthesise(dict(context)).values()
        for resource in template["Resources"].values()
    )


@functools.cache
def needed(kind: str) -> set[str]:
    """What AWS says that CloudFormation calls for resources of a type, by the schema that AWS publishes of it."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    return {action for handler in schema["handlers"].values() for action in handler.get("permissions", ())}


def test_cloudformation_may_make_every_type_of_resource_that_the_stages_have() -> None:
    may = [action for statement in execution() for action in statement["Action"]]
    unused = [pattern for patterns in UNUSED.values() for pattern in patterns]
    missing = {
        f"{kind}: {action}"
        for kind in types()
        for action in needed(kind)
        if not is_like(action, may) and not is_like(action, unused)
    }
    assert len(types()) > 30
    assert missing == set()


def test_nothing_is_called_unused_that_nobody_asks_for() -> None:
    asked = {action for kind in types() for action in needed(kind)}
    patterns = [pattern for patterns in UNUSED.values() for pattern in patterns]
    assert [pattern for pattern in patterns if not any(is_like(action, [pattern]) for action in asked)] == []


def test_cloudformation_is_no_administrator() -> None:
    for statement in execution():
        assert "NotAction" not in statement
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            assert service in {
                *("apigateway", "cloudformation", "cloudfront", "cloudwatch", "codedeploy", "cognito-idp", "ec2", "es"),
                *("events", "iam", "lambda", "logs", "s3", "sns", "sqs", "ssm"),
            }
            assert name != "*" or service == "apigateway"
    reached = {(a, r) for s in execution() for a in s["Action"] for r in s["Resource"]}
    for forbidden in ("iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy", "iam:AttachGroupPolicy"):
        assert not is_like(forbidden, [action for action, _ in reached]), forbidden
    for forbidden in (
        "sts:AssumeRole",
        "s3:DeleteObject",
        "s3:PutObject",
        "sqs:ReceiveMessage",
        "lambda:InvokeFunction",
    ):
        assert not is_like(forbidden, [action for action, _ in reached]), forbidden
    # Objects are read of the CDK's own bucket only.
    assert {r for a, r in reached if is_like("s3:GetObject", [a])} == {
        "arn:<AWS::Partition>:s3:::cdk-hnb659fds-assets-<AWS::AccountId>-<AWS::Region>/*"
    }


def test_what_it_makes_has_the_systems_name_or_is_known_to_have_none() -> None:
    for statement in execution():
        for resource in statement["Resource"]:
            if resource == "*":
                assert {action.partition(":")[0] for action in statement["Action"]} <= {
                    *("cloudfront", "cloudwatch", "cognito-idp", "ec2", "events", "iam", "lambda", "logs", "s3", "sns"),
                    "sqs",
                }
            else:
                own = resource.endswith(
                    (
                        *(":tagstream-*", "/tagstream-*", ":::tagstream-*"),
                        *("event-source-mapping:*", "userpool/*", "deploymentconfig:*"),
                    )
                )
                cdk = "cdk-hnb659fds-assets-" in resource or resource.endswith("parameter/cdk-bootstrap/*")
                assert own or cdk or ":apigateway:" in resource or ":cloudfront:" in resource, resource


def test_nothing_of_its_own_is_within_its_reach() -> None:
    """Neither roles and policies of delivering, nor the bucket: their names do not begin as those of a stage do."""
    assert DELIVERY_STACK.startswith("delivery-")
    assert "delivery-tagstream-boundary" in policy("Boundary").properties["ManagedPolicyName"]
    (bucket,) = made().of_type("AWS::S3::Bucket")
    # CloudFormation makes the others' names of the stack's.
    assert "BucketName" not in bucket.properties
    for one in (*made().of_type("AWS::IAM::Role"), policy("Execution"), policy("ExecutionIam")):
        assert not {"RoleName", "ManagedPolicyName"} & one.properties.keys()


def test_no_role_is_made_or_changed_without_the_boundary() -> None:
    boundary = {"StringEquals": {"iam:PermissionsBoundary": policy("Boundary").ref}}
    for statement in execution():
        giving = [
            action
            for action in (
                "iam:CreateRole",
                "iam:PutRolePolicy",
                "iam:AttachRolePolicy",
                "iam:PutRolePermissionsBoundary",
            )
            if is_like(action, statement["Action"])
        ]
        if giving:
            assert statement["Condition"] == boundary
            assert statement["Resource"] == ["arn:<AWS::Partition>:iam::<AWS::AccountId>:role/tagstream-*"]
        if is_like("iam:PassRole", statement["Action"]):
            services = ["codedeploy.amazonaws.com", "lambda.amazonaws.com"]
            assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": services}}
        assert not is_like("iam:DeleteRolePermissionsBoundary", statement["Action"])


@pytest.mark.parametrize("context", STAGES, ids=lambda context: context["stage"])
def test_every_role_of_a_stage_has_the_boundary_if_it_is_bounded(context: dict[str, str]) -> None:
    stage = Stage(context["stage"], synthesise(context))
    arns = {role.properties.get("PermissionsBoundary") for role in stage.of_type("AWS::IAM::Role")}
    if "bounded" not in context:
        assert arns == {None}
        return
    (arn,) = arns
    assert (
        arn == f"arn:<AWS::Partition>:iam::<AWS::AccountId>:policy/{policy('Boundary').properties['ManagedPolicyName']}"
    )


def test_the_boundary_holds_no_function_back() -> None:
    """Whatever the roles' own policies allow is within it; who reaches the domain is said by the domain."""
    context = dict(STAGES[0])
    stage = Stage("prod", synthesise(context))
    kinds = {"AWS::S3::Bucket": "s3", "AWS::SQS::Queue": "sqs", "AWS::Lambda::Function": "lambda"}
    kinds |= {"AWS::Lambda::Alias": "lambda", "AWS::Logs::LogGroup": "logs", "AWS::OpenSearchService::Domain": "es"}
    of_type = {resource.id: resource.type for resource in stage.resources}
    roles = stage.of_type("AWS::IAM::Role")
    assert roles
    for one in roles:
        for action, resource in stage.allowed(one):
            service = action.partition(":")[0]
            within = [resources for actions, resources in BOUNDARY if is_like(action, actions)]
            assert within, f"{one.id} may {action}, which the boundary does not have"
            if resource == "*":
                assert ("*",) in [tuple(resources) for resources in within], action
            else:
                # What a stack makes and has no name gets one that begins with the stack's.
                made_of = resource[1:].partition(">")[0].removesuffix(".Arn")
                assert kinds[of_type[made_of]] == service, (action, resource)
    (domain,) = stage.of_type("AWS::OpenSearchService::Domain")
    for statement in domain.properties["AccessPolicies"]["Statement"]:
        for action in listed(statement["Action"]):
            assert any(is_like(action, actions) for actions, _ in BOUNDARY)


def test_policies_fit_whatever_the_region_is() -> None:
    """IAM takes 6,144 characters of a managed policy, and 10,240 of a role's own, without spaces."""

    def length(document: Any) -> int:
        text = json.dumps(document, separators=(",", ":"))
        for reference, real in (
            ("<AWS::Partition>", "aws-us-gov"),
            ("<AWS::Region>", "ap-southeast-1"),
            ("<AWS::AccountId>", "123456789012"),
        ):
            text = text.replace(reference, real)
        return len(text)

    for one in made().of_type("AWS::IAM::ManagedPolicy"):
        assert length(one.properties["PolicyDocument"]) <= 6_000, one.id
    for one in made().of_type("AWS::IAM::Role"):
        assert length([each["PolicyDocument"] for each in one.properties["Policies"]]) <= 10_000


def test_only_this_repositorys_jobs_get_a_role() -> None:
    host = "token.actions.githubusercontent.com"
    (provider,) = made().of_type("AWS::IAM::OIDCProvider")
    assert provider.properties["Url"] == f"https://{host}"
    assert provider.properties["ClientIdList"] == ["sts.amazonaws.com"]
    for name, subjects in (
        ("Deploy", ["repo:acme/tagstream:environment:production", "repo:acme/tagstream:environment:staging"]),
        ("Diff", ["repo:acme/tagstream:pull_request"]),
    ):
        (statement,) = role(name).properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert statement["Principal"]["Federated"] in (provider.ref, provider.arn)
        (operator,) = statement["Condition"]
        assert operator == "StringEquals"
        said = statement["Condition"][operator]
        assert said[f"{host}:aud"] == "sts.amazonaws.com"
        assert listed(said[f"{host}:sub"]) == subjects


def test_a_repository_may_be_named_with_the_numbers_that_its_tokens_have() -> None:
    """``repo:OWNER@OWNER-ID/REPO@REPO-ID:…`` is the subject of repositories that were made after July 15, 2026."""
    stage = made(repository="acme@123456/tagstream@456789")
    (statement,) = role("Deploy", stage).properties["AssumeRolePolicyDocument"]["Statement"]
    assert listed(statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]) == [
        "repo:acme@123456/tagstream@456789:environment:production",
        "repo:acme@123456/tagstream@456789:environment:staging",
    ]


@pytest.mark.parametrize(("given", "branch"), [({}, "main"), ({"branch": "release/1.x"}, "release/1.x")])
def test_gitlab_may_deploy_from_one_branch_only(given: dict[str, str], branch: str) -> None:
    stage = made(ci="gitlab", repository="acme/photos/tagstream", **given)
    (deploy,) = role("Deploy", stage).properties["AssumeRolePolicyDocument"]["Statement"]
    said = deploy["Condition"]["StringEquals"]
    assert listed(said["gitlab.com:sub"]) == [f"project_path:acme/photos/tagstream:ref_type:branch:ref:{branch}"]
    (diff,) = role("Diff", stage).properties["AssumeRolePolicyDocument"]["Statement"]
    assert listed(diff["Condition"]["StringLike"]["gitlab.com:sub"]) == [
        "project_path:acme/photos/tagstream:ref_type:branch:ref:*"
    ]
    assert diff["Condition"]["StringEquals"]["gitlab.com:aud"] == "https://gitlab.com"


def test_an_issuer_that_the_account_knows_is_not_made_again() -> None:
    stage = made(provider_exists="true")
    assert stage.of_type("AWS::IAM::OIDCProvider") == []
    (statement,) = role("Deploy", stage).properties["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"]["Federated"].endswith(":oidc-provider/token.actions.githubusercontent.com")


def test_looking_at_differences_changes_nothing() -> None:
    assert {action for action, _ in allowed(role("Diff"))} == {
        "cloudformation:DescribeStacks",
        "cloudformation:GetTemplate",
    }
    assert all(resource.endswith(":stack/tagstream-*") for _, resource in allowed(role("Diff")))


def test_deploying_goes_through_the_cdks_roles_and_tries_what_it_has_made() -> None:
    may = allowed(role("Deploy"))
    assert {resource.rpartition("/")[2] for action, resource in may if action == "sts:AssumeRole"} == {
        f"cdk-hnb659fds-{kind}-role-<AWS::AccountId>-<AWS::Region>" for kind in ("deploy", "file-publishing")
    }
    assert {action.partition(":")[0] for action, _ in may} == {
        *("cloudformation", "es", "iam", "lambda", "s3", "ssm", "sts"),
    }
    writing = {resource for action, resource in may if action.startswith(("s3:Put", "s3:Delete"))}
    assert all(one.endswith(("/*tagstream-smoke-*", "/*.zip")) for one in writing), writing


def test_the_settings_of_delivery_are_checked() -> None:
    assert delivery_settings({"repository": "a/b"}) == DeliverySettings("a/b")
    assert delivery_settings({"repository": "a/b", "environments": "one, two"}).environments == ("one", "two")
    for context, told in (
        ({}, "no repository is named"),
        ({"repository": "a"}, "use owner/name"),
        ({"repository": "a/b/c"}, "use owner/name"),
        ({"repository": "a/*"}, "use owner/name"),
        ({"repository": "a@1/b"}, "owner@number/name@number"),
        ({"repository": "a@*/b@*"}, "owner@number/name@number"),
        ({"repository": "a", "ci": "gitlab"}, "use group/name"),
        ({"ci": "jenkins", "repository": "a/b"}, "use one of github, gitlab"),
        ({"repository": "a/b", "environments": "*"}, "environments has"),
        ({"repository": "a/b", "branch": "main"}, "branch is for ci=gitlab"),
        ({"repository": "a/b", "ci": "gitlab", "branch": "*"}, "branch '\\*' is none"),
        ({"repository": "a/b", "ci": "gitlab", "branch": ""}, "branch '' is none"),
        ({"repository": "a/b", "provider_exists": "maybe"}, "must be true or false"),
    ):
        with pytest.raises(SettingsError, match=told):
            delivery_settings(context)


def test_staging_differs_from_production_in_its_name_and_in_nothing_else() -> None:
    settings = {"alarm_email": "someone@example.com", "bounded": "true"}
    production = synthesise({"stage": "prod", **settings})
    staging = synthesise({"stage": "prod-staging", **settings})

    def without_name(value: Any) -> Any:
        """Without the tag of which copy it is, and with names alike, also those that the CDK makes up with a hash."""
        if isinstance(value, dict):
            named = {without_name(key): without_name(item) for key, item in value.items()}
            return {key: item for key, item in named.items() if (key, item) != ("name", "staging")}
        if isinstance(value, list):
            return [without_name(item) for item in value if item != {"Key": "name", "Value": "staging"}]
        if isinstance(value, str):
            name = value.replace("prod-staging", "prod").replace("tagstreamprodstaging", "tagstreamprod")
            # A version is called by what its function is, and that has the name in its environment.
            name = re.sub(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}", r"\1#", name)
            made_up = re.sub(r"[0-9A-F]{8,}", "#", name)
            return made_up if "tagstreamprod" in name else name
        return value

    assert without_name(staging) == without_name(production)
