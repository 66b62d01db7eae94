"""The one way in which a Python function is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Annotations, AssetHashType, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks import bundling
from stacks.queues import QueueWithDeadLetters
from stacks.rules import accept
from stacks.settings import Consumer, Function, Settings
from stacks.shifts import ALIAS, shift

__all__ = ["PythonFunction", "asset_of", "function_role", "log_group"]

# What AWSLambdaVPCAccessExecutionRole allows, without its logging on every log group.
_NETWORK_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
# tests/infra/test_functions.py compares each role with what its function does.
_WILDCARDS = "X-Ray and network interfaces have no narrower resource, and all others are objects of one bucket."


def function_role(scope: Construct, construct_id: str, *, description: str) -> iam.Role:
    """A role that Lambda may take on, and that allows nothing yet."""
    role = iam.Role(
        scope, construct_id, assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"), description=description
    )
    accept(role, _WILDCARDS, "AwsSolutions-IAM5")
    return role


def log_group(scope: Construct, construct_id: str, settings: Settings) -> logs.LogGroup:
    """A log group that keeps what is said in it for as long as the settings say."""
    group = logs.LogGroup(
        scope,
        construct_id,
        removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain_data else RemovalPolicy.DESTROY,
    )
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)  # noqa: S101
    resource.retention_in_days = settings.log_days
    return group


class PythonFunction(Construct):
    """The function ``lambdas/<name>`` with its bundle, its log group and a role that allows only what is said.

    ``role`` may come from another stack; what this function needs is attached to it from here.
    ``called`` is what everybody calls and is given the right to call: the alias of the version that is live, where the
    stage has versions, and otherwise the function.
    """

    function: lambda_.Function
    bundle: bundling.Bundle
    called: lambda_.IFunction
    role: iam.IRole
    mapping: lambda_.EventSourceMapping | None

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        description: str,
        size: Function,
        settings: Settings,
        environment: Mapping[str, str],
        role: iam.Role | None = None,
        data: Mapping[str, Path] | None = None,
        vpc: ec2.IVpc | None = None,
        security_group: ec2.ISecurityGroup | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.mapping = None
        self.role = role or function_role(self, "Role", description=description)
        log = log_group(self, "Logs", settings)
        self._policy = iam.Policy(self, "Policy", roles=[self.role])
        self.allow("logs:CreateLogStream", "logs:PutLogEvents", on=[log.log_group_arn])
        if vpc is not None:
            # EC2 knows no narrower resource for a network interface that is yet to be made.
            self.allow(*_NETWORK_INTERFACES, on=["*"])

        target = bundling.this_machine() if settings.local else bundling.aws()
        self.bundle = bundling.Bundle(name, target, data or {})
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            runtime=lambda_.Runtime(f"python{target.python}", lambda_.RuntimeFamily.PYTHON),
            architecture=_architecture(target),
            handler="handler.handler",
            code=self._code(self.bundle),
            memory_size=size.memory_mb,
            timeout=Duration.seconds(size.timeout_seconds),
            role=self.role,
            log_group=log,
            tracing=lambda_.Tracing.ACTIVE,
            vpc=vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED) if vpc else None,
            security_groups=[security_group] if security_group else None,
            environment={
                "POWERTOOLS_SERVICE_NAME": name,
                "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
                "POWERTOOLS_LOG_LEVEL": settings.log_level,
                "STAGE": settings.system,
                # No secret to who may look at the function, but to who has its log alone.
                **({} if settings.log_personal else {"LOG_PERSONAL": "false", "LOG_KEY": Stack.of(self).stack_id}),
                **environment,
            },
        )
        self.function.node.add_dependency(self._policy)
        accept(self._policy, _WILDCARDS, "AwsSolutions-IAM5")
        accept(
            self.function,
            f"The bundles' packages are for Python {target.python}, and not all of them are there for a newer one.",
            "AwsSolutions-L1",
            "Serverless-LambdaLatestVersion",
        )
        accept(
            self.function,
            "What fails comes back to the queue that feeds it or is told to whoever asked, and what a schedule starts "
            "is made good by its next run: there is no event that only a further queue would keep.",
            "Serverless-LambdaDLQ",
        )
        self.called = self._alias(name, settings) if settings.has_versions else self.function

    def allow(self, *actions: str, on: Sequence[str]) -> None:
        """Let the function do ``actions`` on the resources with these ARNs."""
        self._policy.add_statements(iam.PolicyStatement(actions=list(actions), resources=list(on)))

    def consume(self, source: QueueWithDeadLetters, consumer: Consumer) -> None:
        """Feed the function from a queue: partial batch responses, bounded concurrency, failures counted."""
        queue = source.queue
        self.allow("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", on=[queue.queue_arn])
        window = consumer.batch_window_seconds
        self.mapping = lambda_.EventSourceMapping(
            self,
            "Mapping",
            target=self.called,
            event_source_arn=queue.queue_arn,
            batch_size=consumer.batch_size,
            max_batching_window=Duration.seconds(window) if window else None,
            max_concurrency=consumer.max_concurrency,
            report_batch_item_failures=True,
            # A partial failure is no error of the function: only this metric counts it.
            metrics_config=lambda_.MetricsConfig(metrics=[lambda_.MetricType.EVENT_COUNT]),
        )
        accept(
            self.mapping,
            "Messages that fail too often go to the dead letters of their own queue; destinations are for streams.",
            "Serverless-LambdaEventSourceMappingDestination",
        )
        # Lambda refuses a mapping whose function may not read the queue yet.
        self.mapping.node.add_dependency(self._policy)

    def run_by(
        self,
        schedule: events.Schedule,
        construct_id: str,
        *,
        description: str,
        retries: int,
        max_age: Duration,
        reason: str,
    ) -> None:
        """Run the function by a schedule, for which ``reason`` says why an event that failed need not be kept.

        An event is tried again so often, as long as it is not older than ``max_age``.
        """
        self.called.configure_async_invoke(retry_attempts=retries, max_event_age=max_age)
        again = max_age if retries else None
        rule = events.Rule(
            Stack.of(self),
            construct_id,
            description=description,
            schedule=schedule,
            targets=[targets.LambdaFunction(self.called, retry_attempts=retries, max_event_age=again)],
        )
        for construct in (self, rule):
            accept(construct, reason, "Serverless-LambdaAsyncFailureDestination", "Serverless-EventBusDLQ")

    def _alias(self, name: str, settings: Settings) -> lambda_.Alias:
        """A name for the version that is made of the function whenever its code or its configuration changes."""
        version = self.function.current_version
        alias = lambda_.Alias(self, "Live", alias_name=ALIAS, version=version)
        if settings.gradual_minutes and not settings.local:
            shift(self, name=name, alias=alias, version=version, settings=settings)
        return alias

    def _code(self, bundle: bundling.Bundle) -> lambda_.Code:
        if Stack.of(self).bundling_required:
            if bundle.target.compiler is None:
                Annotations.of(self).add_warning_v2(
                    "tagstream:no-compiler",
                    f"no Python {bundle.target.python} was found to compile the {bundle.name} bundle with: it works, "
                    "but cold starts compile its modules each time, 1.5 s more for classify. Install that version.",
                )
            path = bundle.build()
            # Of the bytes, not of what they are made from: Lambda refuses a version whose code is that of the last.
            key = bundling.checksum(path)
        else:
            path, key = bundle.source, bundle.digest
        return asset_of(path, key)


def asset_of(path: Path, key: str) -> lambda_.Code:
    """The code in a file or folder, under the hash of ``key``."""
    return lambda_.Code.from_asset(str(path), asset_hash=key, asset_hash_type=AssetHashType.CUSTOM)


def _architecture(target: bundling.Target) -> lambda_.Architecture:
    return lambda_.Architecture.ARM_64 if target.name in ("arm64", "aarch64") else lambda_.Architecture.X86_64
