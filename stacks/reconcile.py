"""Reconciliation: a function that holds the catalog against the bucket every some days, and repairs what differs."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from stacks.functions import PythonFunction
from stacks.ingest import Ingest
from stacks.search import Search
from stacks.settings import Function, Settings

__all__ = ["Reconciliation"]

_LONGEST_SECONDS = 900
_UNDER_WAY_SECONDS = 3600
"""Photos that are younger have not had the time to be missing; on one's own machine nothing takes that long."""


class Reconciliation(Stack):
    """Public attributes: what the operations stack watches.

    Outside the network of the domain: it asks the search function, and needs SQS and Lambda.
    """

    reconcile: PythonFunction

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        ingest: Ingest,
        search: Search,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        queue, asked = ingest.queue.queue, (ingest.classify.called, search.search.called)
        self.reconcile = PythonFunction(
            self,
            "Reconcile",
            name="reconcile",
            description="Holds the catalog against the bucket, and repairs what differs",
            size=Function(memory_mb=512, timeout_seconds=_LONGEST_SECONDS),
            settings=settings,
            environment={
                "BUCKET": ingest.bucket.bucket_name,
                "INGEST_QUEUE_URL": queue.queue_url,
                "CLASSIFY_FUNCTION": ingest.classify.called.function_arn,
                "SEARCH_FUNCTION": search.search.called.function_arn,
                "UNDER_WAY_SECONDS": str(0 if settings.local else _UNDER_WAY_SECONDS),
                # S3's sequencers begin with the time; the emulator's count on from its start.
                "SEQUENCERS_DATED": str(not settings.local).lower(),
            },
        )
        self.reconcile.allow("s3:GetBucketNotification", "s3:ListBucket", on=[ingest.bucket.bucket_arn])
        self.reconcile.allow("sqs:GetQueueAttributes", "sqs:SendMessage", on=[queue.queue_arn])
        self.reconcile.allow("lambda:InvokeFunction", on=[function.function_arn for function in asked])
        # Of its own: the function comes after its other policy.
        goes_on = iam.Policy(self, "GoesOn", roles=[self.reconcile.role])
        goes_on.add_statements(
            iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[self.reconcile.called.function_arn])
        )
        self.reconcile.run_by(
            events.Schedule.rate(Duration.days(settings.reconcile_days)),
            "Days",
            description="Holds the catalog against the bucket every some days",
            retries=2,
            max_age=Duration.hours(6),
            reason="What one run leaves the next one finds, and an alarm is on the errors; the event says nothing but "
            "where to go on.",
        )
        CfnOutput(self, "ReconcileFunctionName", value=self.reconcile.called.function_name)
