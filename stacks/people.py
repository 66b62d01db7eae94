"""People: managed policies for those who upload, who search and who operate a stage, to attach to users or roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import ArnFormat, CfnOutput, DefaultStackSynthesizer, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.catalog import Catalog
from stacks.functions import PythonFunction
from stacks.ingest import Ingest
from stacks.queues import QueueWithDeadLetters
from stacks.rules import accept
from stacks.search import Search
from stacks.settings import Settings
from stacks.steps import Steps

__all__ = ["People"]

_WILDCARDS = (
    "The objects of one bucket, below the watched prefix; stacks of the stage, whose ARNs end with an id of their own; "
    "the topics of 'images retag', 'rebuild' and 'reconcile', by the names that these give them; the logs of "
    "functions, with what IAM adds to their ARNs. Alarms, metrics, the list of mappings and the account's limits have "
    "no narrower resource."
)


class People(Stack):
    """Three policies, none of which includes another: whoever operates and searches has two of them attached."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        catalog: Catalog,
        ingest: Ingest,
        search: Search,
        steps: Steps,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        photos = ingest.bucket
        searching = _allow("lambda:InvokeFunction", on=[search.search.called.function_arn])
        self._policy(
            "MayUpload",
            "Put photos into the bucket, and wait until they can be searched",
            self._reading_outputs(ingest, search),
            # Not to look at them: what is there already is sent again, then.
            _allow("s3:AbortMultipartUpload", "s3:PutObject", on=[photos.arn_for_objects(f"{settings.prefix}*")]),
            searching,
        )
        self._policy(
            "MaySearch",
            "Ask the catalog, and change nothing",
            self._reading_outputs(ingest, search),
            searching,
        )
        self._policy(
            "MayOperate", "Keep the pipeline going", *self._operating(settings, catalog, ingest, search, steps)
        )

    def _operating(
        self, settings: Settings, catalog: Catalog, ingest: Ingest, search: Search, steps: Steps
    ) -> Sequence[iam.PolicyStatement]:
        queues = (ingest.queue, catalog.queue, steps.input, steps.output)
        fed = (ingest.classify, catalog.catalog, steps.step)
        photos, watched = ingest.bucket, ingest.bucket.arn_for_objects(f"{settings.prefix}*")
        bootstrap = self.format_arn(
            service="ssm",
            resource="parameter",
            resource_name=f"cdk-bootstrap/{DefaultStackSynthesizer.DEFAULT_QUALIFIER}/version",
        )
        own = [
            self.format_arn(service="sqs", resource=f"tagstream-{settings.system}-{topic}*")
            for topic in ("retag", "rebuild", "reconcile")
        ]
        return (
            # The doctor looks at all stacks, and holds what is there against what was deployed.
            _allow(
                "cloudformation:DescribeStacks",
                "cloudformation:GetTemplate",
                "cloudformation:ListStackResources",
                on=[self._stack(f"tagstream-{settings.system}-*")],
            ),
            _allow("ssm:GetParameter", on=[bootstrap]),
            _allow(
                "lambda:GetFunctionConfiguration",
                *(["lambda:GetAlias"] if settings.has_versions else []),
                on=[one.function.function_arn for one in (*fed, catalog.purge)],
            ),
            _allow("lambda:GetAccountSettings", on=["*"]),
            # Purging and reindexing; what photos are looked at with; which are in the catalog.
            _allow(
                "lambda:InvokeFunction",
                on=[one.called.function_arn for one in (catalog.purge, ingest.classify, search.search)],
            ),
            # Pausing and resuming.
            _allow("lambda:ListEventSourceMappings", on=["*"]),
            _allow(
                "lambda:GetEventSourceMapping",
                "lambda:UpdateEventSourceMapping",
                on=[one.mapping.event_source_mapping_arn for one in fed if one.mapping is not None],
            ),
            # Looking at all queues, and into the dead letters only; what is redriven goes to where it came from.
            _allow("sqs:GetQueueAttributes", "sqs:GetQueueUrl", on=_arns(queues) + _dead_letters(queues)),
            _allow("sqs:SendMessage", on=_arns(queues)),
            _allow(
                "sqs:ChangeMessageVisibility",
                "sqs:DeleteMessage",
                "sqs:PurgeQueue",
                "sqs:ReceiveMessage",
                on=_dead_letters(queues),
            ),
            # Why a message failed is in the log of its function.
            _allow("logs:FilterLogEvents", on=[self._log(one) for one in fed]),
            # 'images retag', 'images rebuild' and 'images reconcile' spread their work over topics of their own.
            _allow(
                "sqs:ChangeMessageVisibility",
                "sqs:CreateQueue",
                "sqs:DeleteMessage",
                "sqs:DeleteQueue",
                "sqs:GetQueueAttributes",
                "sqs:GetQueueUrl",
                "sqs:ListQueueTags",
                "sqs:ReceiveMessage",
                "sqs:SendMessage",
                "sqs:TagQueue",
                "sqs:UntagQueue",
                on=own,
            ),
            _allow("s3:GetBucketNotification", "s3:ListBucket", on=[photos.bucket_arn]),
            # 'images rm' looks first; 'smoke' takes away its own photo with all of its versions.
            _allow("s3:DeleteObject", "s3:GetObject", on=[watched]),
            _allow(
                "s3:DeleteObjectVersion",
                "s3:PutObject",
                on=[photos.arn_for_objects(f"{settings.prefix}tagstream-smoke-*")],
            ),
            _allow("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricStatistics", on=["*"]),
        )

    def _reading_outputs(self, *stacks: Stack) -> iam.PolicyStatement:
        """Where things are: what every command asks first."""
        return _allow("cloudformation:DescribeStacks", on=[self._stack(stack.stack_name) for stack in stacks])

    def _stack(self, name: str) -> str:
        """Its ARN ends with an id that each deploy from nothing makes anew."""
        return self.format_arn(service="cloudformation", resource="stack", resource_name=f"{name}/*")

    def _log(self, function: PythonFunction) -> str:
        """With and without the ":*" that the ARN of a log group ends with here and there."""
        name = function.function.log_group.log_group_name
        return self.format_arn(
            service="logs", resource="log-group", resource_name=f"{name}*", arn_format=ArnFormat.COLON_RESOURCE_NAME
        )

    def _policy(self, name: str, description: str, *statements: iam.PolicyStatement) -> None:
        policy = iam.ManagedPolicy(
            self,
            name,
            description=f"{self.stack_name.removesuffix('-people')}: {description}",
            statements=list(statements),
        )
        accept(policy, _WILDCARDS, "AwsSolutions-IAM5")
        CfnOutput(self, f"{name}PolicyArn", value=policy.managed_policy_arn)


def _allow(*actions: str, on: Sequence[str]) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=list(on))


def _arns(queues: Sequence[QueueWithDeadLetters]) -> list[str]:
    return [queue.queue.queue_arn for queue in queues]


def _dead_letters(queues: Sequence[QueueWithDeadLetters]) -> list[str]:
    return [queue.dead_letters.queue_arn for queue in queues]
