"""Steps: an input topic, the function that runs a step over it, and the topic of what it made."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stacks.functions import PythonFunction
from stacks.ingest import Ingest, model_files
from stacks.queues import QueueWithDeadLetters
from stacks.settings import Settings

__all__ = ["Steps"]

# What a download or the next worker needs at a time; nothing feeds a function from the output topic.
_OUTPUT_VISIBILITY_SECONDS = 300
_OUTPUT_RECEIVES = 2


class Steps(Stack):
    """Public attributes: what the operations stack watches."""

    input: QueueWithDeadLetters
    output: QueueWithDeadLetters
    step: PythonFunction

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, ingest: Ingest, **kwargs: Any
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.input = QueueWithDeadLetters(
            self,
            "Input",
            visibility_seconds=settings.steps.visibility,
            max_receives=settings.steps.max_receives,
            retention_days=settings.queue_days,
            retain=settings.retain_data,
        )
        self.output = QueueWithDeadLetters(
            self,
            "Output",
            visibility_seconds=_OUTPUT_VISIBILITY_SECONDS,
            max_receives=_OUTPUT_RECEIVES,
            retention_days=settings.queue_days,
            retain=settings.retain_data,
        )
        classifies = settings.step == "classify"
        self.step = PythonFunction(
            self,
            "Step",
            name="step",
            description="Runs a step over the parcels of the input topic",
            size=settings.steps,
            settings=settings,
            data=model_files(self, settings) if classifies else None,
            environment={"STEP": settings.step, "OUTPUT_QUEUE_URL": self.output.queue.queue_url},
        )
        self.step.allow("sqs:SendMessage", on=[self.output.queue.queue_arn])
        if classifies:
            self.step.allow("s3:GetObject", on=[ingest.bucket.arn_for_objects("*")])
            # Without it, S3 answers "forbidden" for an object that is gone.
            self.step.allow("s3:ListBucket", on=[ingest.bucket.bucket_arn])
        self.step.consume(self.input, settings.steps)

        CfnOutput(self, "InputTopicName", value=self.input.queue.queue_name)
        CfnOutput(self, "OutputTopicName", value=self.output.queue.queue_name)
        CfnOutput(self, "StepFunctionName", value=self.step.called.function_name)
