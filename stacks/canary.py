"""The canary: a function that tries the pipeline with a photo of its own, every few minutes."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from constructs import Construct

from stacks.functions import PythonFunction
from stacks.ingest import Ingest
from stacks.search import Search
from stacks.settings import Function, Settings

__all__ = ["Canary"]

_LONGEST_SECONDS = 300


class Canary(Stack):
    """Public attributes: what the operations stack watches."""

    canary: PythonFunction

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
        # Always the same one, so that the catalog has one document of it and no more.
        key = f"{settings.prefix}tagstream-canary{settings.suffix or '.png'}"
        period = settings.canary_minutes * 60
        self.canary = PythonFunction(
            self,
            "Canary",
            name="canary",
            description="Tries the pipeline with a photo of its own",
            # Over before the next one begins.
            size=Function(memory_mb=256, timeout_seconds=min(period - 10, _LONGEST_SECONDS)),
            settings=settings,
            environment={
                "BUCKET": ingest.bucket.bucket_name,
                "OBJECT_KEY": key,
                "SEARCH_FUNCTION": search.search.called.function_arn,
            },
        )
        self.canary.allow(
            "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject", on=[ingest.bucket.arn_for_objects(key)]
        )
        self.canary.allow("lambda:InvokeFunction", on=[search.search.called.function_arn])
        self.canary.run_by(
            events.Schedule.rate(Duration.minutes(settings.canary_minutes)),
            "Often",
            description="Tries the pipeline every few minutes",
            # The next run is the second try.
            retries=0,
            max_age=Duration.minutes(1),
            reason="The next run follows in minutes, and an alarm is on the errors; the event says nothing but when.",
        )
        CfnOutput(self, "CanaryFunctionName", value=self.canary.called.function_name)
