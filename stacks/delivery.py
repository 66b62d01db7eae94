"""What delivering from a CI system needs in an account: an app of its own, deployed once by an administrator.

``python -m stacks deploy --app ".venv/bin/python -m stacks.delivery" -c repository=owner/name``, or ``make delivery``.
No key is stored anywhere: the CI system shows a token that says which repository and environment a job is of
(OpenID Connect), and gets a role for an hour. The stack needs no bootstrap, since it comes before it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import (
    App,
    Aws,
    BootstraplessSynthesizer,
    CfnOutput,
    DefaultStackSynthesizer,
    Duration,
    Fn,
    RemovalPolicy,
    Stack,
    Tags,
)
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.bounds import BOUNDARY, boundary_name
from stacks.rules import accept
from stacks.settings import SettingsError

__all__ = ["DELIVERY_STACK", "Delivery", "DeliverySettings", "delivery", "delivery_settings"]

DELIVERY_STACK = "delivery-tagstream"
"""Not ``tagstream-…``: what the stages' own policies allow on those names must not reach what bounds them."""

_OURS = "tagstream-*"
"""The beginning of the name of everything that a stage's stacks make."""


@dataclass(frozen=True)
class Issuer:
    """A CI system that issues tokens: where, for whom, and what they say of deploying and of proposed changes.

    ``repository`` is what names of repositories match, and ``form`` the same in words.
    """

    host: str
    audience: str
    repository: str
    form: str
    deploying: str
    proposing: str


ISSUERS: Mapping[str, Issuer] = {
    # https://docs.github.com/en/actions/reference/security/oidc: a job that names an environment has that in its
    # subject, and nothing of the branch; which branches may use an environment is a rule of the environment. Since July
    # 2026 a repository that is new has the numbers of owner and repository in it, which nobody else gets with the name.
    "github": Issuer(
        host="token.actions.githubusercontent.com",
        audience="sts.amazonaws.com",
        repository=r"[\w.-]+/[\w.-]+|[\w.-]+@\d+/[\w.-]+@\d+",
        form="owner/name, or owner@number/name@number for one made, renamed or moved since July 2026",
        deploying="repo:{repository}:environment:{environment}",
        proposing="repo:{repository}:pull_request",
    ),
    # https://docs.gitlab.com/ci/cloud_services/aws/: the branch, and no environment.
    "gitlab": Issuer(
        host="gitlab.com",
        audience="https://gitlab.com",
        repository=r"[\w.-]+(/[\w.-]+)+",
        form="group/name",
        deploying="project_path:{repository}:ref_type:branch:ref:{branch}",
        proposing="project_path:{repository}:ref_type:branch:ref:*",
    ),
}


@dataclass(frozen=True)
class DeliverySettings:
    """Who may deliver into the account.

    ``ci`` is the kind of CI system, a key of :data:`ISSUERS`; ``repository`` is owner and name there, with their
    numbers where its tokens have them. ``environments`` are those of GitHub whose jobs may deploy here, ``branch`` is
    the one of GitLab.
    ``provider_exists``: the account knows the issuer already, which it can only once, so that none is made.
    """

    repository: str
    ci: str = "github"
    environments: tuple[str, ...] = ("staging", "production")
    branch: str = "main"
    provider_exists: bool = False

    @property
    def issuer(self) -> Issuer:
        return ISSUERS[self.ci]

    @property
    def deploying(self) -> list[str]:
        """What a token's subject says of a job that may deploy."""
        found = (
            self.issuer.deploying.format(repository=self.repository, environment=name, branch=self.branch)
            for name in self.environments
        )
        return sorted(set(found))

    @property
    def proposing(self) -> str:
        """The same of a job that looks at a proposed change."""
        return self.issuer.proposing.format(repository=self.repository)


def delivery_settings(context: Mapping[str, Any]) -> DeliverySettings:
    """The settings that the context gives; raises :class:`SettingsError` with every problem found."""
    given = {name: str(context[name]).strip() for name in DeliverySettings.__dataclass_fields__ if name in context}
    problems = list(_problems(given))
    if problems:
        raise SettingsError(problems)
    settings = DeliverySettings(repository=given["repository"], ci=given.get("ci", DeliverySettings.ci))
    names = tuple(filter(None, map(str.strip, given.get("environments", "").split(","))))
    return DeliverySettings(
        settings.repository,
        settings.ci,
        names or DeliverySettings.environments,
        given.get("branch", DeliverySettings.branch),
        provider_exists=given.get("provider_exists", "false").lower() == "true",
    )


def _problems(given: Mapping[str, str]) -> Iterator[str]:
    ci = given.get("ci", DeliverySettings.ci)
    if ci not in ISSUERS:
        yield f"ci {ci!r} is not known: use one of {', '.join(ISSUERS)}."
    elif "repository" not in given:
        yield "no repository is named: add repository=owner/name, whose jobs may deploy into this account."
    elif not re.fullmatch(ISSUERS[ci].repository, given["repository"]):
        yield f"repository {given['repository']!r} is none of {ci}: use {ISSUERS[ci].form}."
    for name in given.get("environments", "").split(","):
        # A wildcard would let in more than it says.
        if name.strip() and not re.fullmatch(r"[\w. -]+", name.strip()):
            yield f"environments has {name.strip()!r}: use names of letters, digits and hyphens, commas between them."
    if "branch" in given and ci != "gitlab":
        yield "branch is for ci=gitlab: on GitHub, the rules of an environment say which branches may use it."
    elif not re.fullmatch(r"[\w./-]+", given.get("branch", DeliverySettings.branch)):
        yield f"branch {given['branch']!r} is none: use letters, digits, slashes and hyphens, such as release/1."
    if given.get("provider_exists", "false").lower() not in ("true", "false"):
        yield f"provider_exists must be true or false, not {given['provider_exists']!r}."


class Delivery(Stack):
    """Two roles for jobs, the policy of what CloudFormation may do for them, and where a way back is kept.

    ``deploy_role`` may become the CDK's roles of this account and region, look ahead and try what was deployed;
    ``diff_role`` may read the stages' templates. ``execution`` is for ``cdk bootstrap
    --cloudformation-execution-policies``. ``boundary`` is as far as any role goes that it makes.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: DeliverySettings, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, synthesizer=BootstraplessSynthesizer(), **kwargs)
        self.assemblies = self._bucket()
        self.boundary = iam.ManagedPolicy(
            self,
            "Boundary",
            managed_policy_name=boundary_name(),
            description="As far as any role of a stage goes",
            statements=[self._on(*one) for one in BOUNDARY],
        )
        # Two, because one may have 6,144 characters.
        self.execution = [
            self._policy("Execution", "What CloudFormation may make and change of a stage", self._execution()),
            self._policy("ExecutionIam", "Roles and policies of a stage, within the boundary", self._execution_iam()),
        ]
        principal = self._principal(settings)
        self.deploy_role = self._role("Deploy", principal(settings.deploying), self._deploying())
        self.diff_role = self._role("Diff", principal([settings.proposing]), self._diffing())
        reason = (
            "Names begin with the system's, or are made by AWS; what has no resource of its own in IAM has the star."
        )
        for construct in (self.boundary, *self.execution, self.deploy_role, self.diff_role):
            accept(construct, reason, "AwsSolutions-IAM5")
        CfnOutput(self, "DeployRoleArn", value=self.deploy_role.role_arn)
        CfnOutput(self, "DiffRoleArn", value=self.diff_role.role_arn)
        CfnOutput(self, "ExecutionPolicyArns", value=Fn.join(",", [one.managed_policy_arn for one in self.execution]))
        CfnOutput(self, "AssembliesBucketName", value=self.assemblies.bucket_name)

    def _bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "Assemblies",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            enforce_ssl=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    noncurrent_version_expiration=Duration.days(90),
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                )
            ],
            removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
        )
        accept(bucket, "One object for each stage, which one role reads and writes.", "AwsSolutions-S1")
        return bucket

    def _principal(self, settings: DeliverySettings) -> Any:
        issuer = settings.issuer
        arn = self.format_arn(service="iam", region="", resource="oidc-provider", resource_name=issuer.host)
        if not settings.provider_exists:
            # Of these two AWS knows the certificates' authorities, and compares no thumbprints.
            provider = iam.OidcProviderNative(
                self, "Provider", url=f"https://{issuer.host}", client_ids=[issuer.audience]
            )
            arn = provider.oidc_provider_arn

        def principal(subjects: Sequence[str]) -> iam.IPrincipal:
            says = "StringLike" if any("*" in subject for subject in subjects) else "StringEquals"
            conditions: dict[str, dict[str, Any]] = {"StringEquals": {f"{issuer.host}:aud": issuer.audience}}
            conditions.setdefault(says, {})[f"{issuer.host}:sub"] = list(subjects)
            return iam.WebIdentityPrincipal(arn, conditions)

        return principal

    def _role(self, name: str, principal: iam.IPrincipal, statements: Iterable[iam.PolicyStatement]) -> iam.Role:
        return iam.Role(
            self,
            f"{name}Role",
            assumed_by=principal,
            max_session_duration=Duration.hours(2),
            inline_policies={name: iam.PolicyDocument(statements=list(statements))},
        )

    def _policy(self, name: str, description: str, statements: Iterable[iam.PolicyStatement]) -> iam.ManagedPolicy:
        return iam.ManagedPolicy(self, name, description=description, statements=list(statements))

    def _deploying(self) -> Iterator[iam.PolicyStatement]:
        qualifier = DefaultStackSynthesizer.DEFAULT_QUALIFIER
        yield self._allow(
            "sts:AssumeRole",
            on=[
                f"iam:role/cdk-{qualifier}-{kind}-role-{Aws.ACCOUNT_ID}-{Aws.REGION}"
                # Not for looking things up: that one may read nearly everything in an account.
                for kind in ("deploy", "file-publishing")
            ],
        )
        # Looking ahead (lifecycle.py).
        yield self._allow("ssm:GetParameter", on=[f"ssm:parameter/cdk-bootstrap/{qualifier}/version"])
        yield self._allow("es:DescribeDomain", on=[f"es:domain/{_OURS}"])
        yield self._allow("es:DescribeInstanceTypeLimits", "lambda:GetAccountSettings", on=["*"])
        linked = "opensearchservice.amazonaws.com/AWSServiceRoleForAmazonOpenSearchService"
        yield self._allow("iam:GetRole", on=[f"iam:role/aws-service-role/{linked}"])
        # Trying what was deployed, with a photo of its own.
        yield self._allow(
            "cloudformation:DescribeStacks", "cloudformation:GetTemplate", on=[f"cloudformation:stack/{_OURS}"]
        )
        yield self._allow("lambda:InvokeFunction", on=["lambda:function:tagstream-*-search-*"])
        yield self._allow("s3:GetBucketNotification", on=["s3:tagstream-*-ingest-*"])
        yield self._allow(
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:PutObject",
            on=["s3:tagstream-*-ingest-*/*tagstream-smoke-*"],
        )
        # The way back.
        yield self._allow("cloudformation:DescribeStacks", on=[f"cloudformation:stack/{DELIVERY_STACK}/*"])
        yield iam.PolicyStatement(
            actions=["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            resources=[self.assemblies.arn_for_objects("*.zip")],
        )
        # Without it S3 says "denied" of what is not there.
        yield iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self.assemblies.bucket_arn])

    def _diffing(self) -> Iterator[iam.PolicyStatement]:
        yield self._allow(
            "cloudformation:DescribeStacks", "cloudformation:GetTemplate", on=[f"cloudformation:stack/{_OURS}"]
        )

    def _execution(self) -> Iterator[iam.PolicyStatement]:
        """By service, on what has the system's name; a test holds it against what each type of resource needs."""
        named: Mapping[str, tuple[str, str]] = {
            "cloudformation:stack/": ("cloudformation", "DescribeStacks"),
            "cloudwatch:alarm:": ("cloudwatch", "DeleteAlarms DescribeAlarms PutMetricAlarm *Tag*"),
            "cloudwatch::dashboard/": ("cloudwatch", "DeleteDashboards GetDashboard PutDashboard *Tag*"),
            "codedeploy:application:": ("codedeploy", "*Application* RegisterApplicationRevision *Tag*"),
            "codedeploy:deploymentgroup:": ("codedeploy", "*Deployment* *Tag*"),
            "es:domain/": (
                "es",
                "AddTags CreateDomain DeleteDomain Describe* List* RemoveTags UpdateDomain* UpgradeDomain",
            ),
            "events:rule/": ("events", "DeleteRule Describe* List* PutRule PutTargets RemoveTargets *Tag*"),
            "lambda:function:": (
                "lambda",
                "Add* Create* Delete* Get* List* Publish* Put* Remove* *Tag* Update*",
            ),
            "logs:log-group:": ("logs", "*LogGroup* *RetentionPolicy *Tag*"),
            # The buckets, and not what is in them: the star would reach that as well.
            "s3:": (
                "s3",
                "CreateBucket DeleteBucket* GetBucket* Get*Configuration ListBucket ListTagsForResource PutBucket* "
                "Put*Configuration *TagResource",
            ),
            "sns:": ("sns", "CreateTopic DeleteTopic Get* List* Set* Subscribe *Tag* Unsubscribe"),
            "sqs:": ("sqs", "CreateQueue DeleteQueue Get* ListQueueTags SetQueueAttributes *Tag*"),
        }
        for prefix, (service, actions) in named.items():
            yield self._allow(*(f"{service}:{action}" for action in actions.split()), on=[f"{prefix}{_OURS}"])
        # Mappings of such functions, whose own names AWS makes.
        yield self._allow(
            "lambda:CreateEventSourceMapping",
            "lambda:DeleteEventSourceMapping",
            "lambda:UpdateEventSourceMapping",
            on=["*"],
            conditions={"ArnLike": {"lambda:FunctionArn": self._arn(f"lambda:function:{_OURS}")}},
        )
        yield self._allow("lambda:GetEventSourceMapping", "lambda:*Tag*", on=["lambda:event-source-mapping:*"])
        # How CodeDeploy shifts: AWS' own ways of it.
        yield self._allow("codedeploy:GetDeploymentConfig", on=["codedeploy:deploymentconfig:*"])
        # The code of functions, and the version of the bootstrap.
        assets = f"cdk-{DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-{Aws.ACCOUNT_ID}-{Aws.REGION}"
        yield self._allow("s3:GetObject", "s3:GetObjectVersion", on=[f"s3:{assets}/*"])
        yield self._allow("ssm:GetParameters", on=["ssm:parameter/cdk-bootstrap/*"])
        # Their names are made by AWS.
        yield self._allow("apigateway:*", on=["apigateway::/apis", "apigateway::/apis/*", "apigateway::/tags/*"])
        yield self._allow("cloudfront:*Distribution*", "cloudfront:*Tag*", on=["cloudfront:distribution/*"])
        yield self._allow("cloudfront:*ResponseHeadersPolic*", on=["cloudfront:response-headers-policy/*"])
        yield self._allow(
            "cognito-idp:*UserPool*", "cognito-idp:*ResourceServer*", "cognito-idp:*Tag*", on=["cognito-idp:userpool/*"]
        )
        yield self._allow(
            # Networks, and who may reach whom in them: nothing that runs in one.
            "ec2:*RouteTable*",
            "ec2:*SecurityGroup*",
            "ec2:*Subnet*",
            "ec2:*Tags",
            "ec2:*VpcAttribute",
            "ec2:CreateVpc",
            "ec2:DeleteVpc",
            "ec2:*VpcEndpoint*",
            "ec2:DescribeVpc*",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeNetwork*",
            "ec2:DescribePrefixLists",
            # What has no resource of its own.
            "cloudfront:List*",
            "cloudwatch:DescribeAlarms",
            "cloudwatch:ListDashboards",
            "cognito-idp:CreateUserPool",
            "cognito-idp:ListUserPools",
            "cognito-idp:DescribeUserPoolDomain",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "logs:*LogDeliver*",
            "logs:*ResourcePolic*",
            "logs:DescribeLogGroups",
            "s3:ListAllMyBuckets",
            "sns:List*",
            "sns:Unsubscribe",
            "sqs:ListQueues",
            "events:ListRules",
            on=["*"],
        )

    def _execution_iam(self) -> Iterator[iam.PolicyStatement]:
        within = {"StringEquals": {"iam:PermissionsBoundary": self.boundary.managed_policy_arn}}
        roles, policies = f"iam:role/{_OURS}", f"iam:policy/{_OURS}"
        yield self._allow(
            "iam:AttachRolePolicy",
            "iam:CreateRole",
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:PutRolePolicy",
            on=[roles],
            conditions=within,
        )
        yield self._allow(
            "iam:DeleteRole",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
            on=[roles],
        )
        yield self._allow(
            "iam:PassRole",
            on=[roles],
            conditions={"StringEquals": {"iam:PassedToService": ["codedeploy.amazonaws.com", "lambda.amazonaws.com"]}},
        )
        # Whom they are attached to is an administrator's matter.
        yield self._allow(
            "iam:CreatePolicy",
            "iam:CreatePolicyVersion",
            "iam:DeletePolicy",
            "iam:DeletePolicyVersion",
            "iam:GetPolicy",
            "iam:GetPolicyVersion",
            "iam:ListEntitiesForPolicy",
            "iam:ListPolicyVersions",
            on=[policies],
        )
        yield self._allow("iam:ListPolicies", "iam:ListRoles", on=["*"])

    def _on(self, actions: Sequence[str], resources: Sequence[str]) -> iam.PolicyStatement:
        return self._allow(*actions, on=resources)

    def _allow(
        self, *actions: str, on: Sequence[str], conditions: Mapping[str, Any] | None = None
    ) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            actions=list(actions), resources=[self._arn(one) for one in on], conditions=conditions
        )

    def _arn(self, resource: str) -> str:
        """``service:resource`` as an ARN, with account and region as the service has them."""
        if resource == "*":
            return resource
        service, _, rest = resource.partition(":")
        region = "" if service in ("iam", "s3", "cloudfront") or rest.startswith(":dashboard") else Aws.REGION
        account = "" if service in ("s3", "apigateway") else Aws.ACCOUNT_ID
        return f"arn:{Aws.PARTITION}:{service}:{region}:{account}:{rest.removeprefix(':')}"


def delivery(*, context: Mapping[str, Any] | None = None, outdir: str | None = None) -> App:
    """The app with that one stack; raises :class:`SettingsError`."""
    app = App(context=context, outdir=outdir)
    Delivery(app, DELIVERY_STACK, settings=delivery_settings(app.node.get_all_context()), termination_protection=True)
    Tags.of(app).add("project", "tagstream")
    return app


if __name__ == "__main__":
    try:
        delivery().synth()
    except SettingsError as error:
        sys.exit("\n".join(f"Error: {problem}" for problem in error.problems))
