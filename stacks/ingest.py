"""Ingest: the bucket of photos, the queue of its events, the function that classifies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.buckets import private_bucket
from stacks.bundling import BundlingError
from stacks.catalog import Catalog
from stacks.functions import PythonFunction
from stacks.queues import QueueWithDeadLetters
from stacks.settings import Settings, model_folder

__all__ = ["Ingest", "model_files"]

# Put, post, copy and multipart uploads; removals of every kind. Of what lifecycle rules do, only the hiding of a
# current version changes what can be seen: expired older versions are no news.
_EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectRemoved:*",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:ReducedRedundancyLostObject",
)
_MODEL_FILES = ("model.tflite", "labels.txt", "model.json")
_OPTIONAL_MODEL_FILES = ("wordnet-ids.txt",)


class Ingest(Stack):
    """Public attributes: what the operations stack watches."""

    bucket: s3.Bucket
    queue: QueueWithDeadLetters
    classify: PythonFunction

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        catalog: Catalog,
        gallery_address: str | None,
        **kwargs: Any,
    ) -> None:
        """``gallery_address``: the origin of the page that may upload and show photos, if there is one."""
        super().__init__(scope, construct_id, **kwargs)
        self.queue = QueueWithDeadLetters(
            self,
            "Events",
            visibility_seconds=settings.classify.visibility,
            max_receives=settings.classify.max_receives,
            retention_days=settings.queue_days,
            retain=settings.retain_data,
        )
        self.bucket = self._bucket(settings, gallery_address)
        self.classify = PythonFunction(
            self,
            "Classify",
            name="classify",
            description="Classifies new photos and tells the catalog",
            size=settings.classify,
            settings=settings,
            data=model_files(self, settings),
            environment={
                "INGEST_QUEUE_URL": self.queue.queue.queue_url,
                "CATALOG_QUEUE_URL": catalog.queue.queue.queue_url,
                "MAX_PIXELS": str(settings.max_pixels),
                "MAX_BYTES": str(settings.max_bytes),
                "MAX_SCANS": str(settings.max_scans),
                "MAX_TAGS": str(settings.max_tags),
                "MIN_SCORE": str(settings.min_score),
                "MIN_ANCESTOR_SCORE": str(settings.min_ancestor_score),
                "STORE_LOCATION": str(settings.store_location).lower(),
                "THUMBNAILS_BUCKET": catalog.thumbnails.bucket_name,
            },
        )
        self.classify.allow("s3:GetObject", "s3:GetObjectVersion", on=[self.bucket.arn_for_objects("*")])
        # Without it, S3 answers "forbidden" for an object that is gone.
        self.classify.allow("s3:ListBucket", on=[self.bucket.bucket_arn])
        self.classify.allow("s3:PutObject", on=[catalog.thumbnails.arn_for_objects("*")])
        self.classify.allow("sqs:SendMessage", on=[catalog.queue.queue.queue_arn])
        self.classify.consume(self.queue, settings.classify)

        CfnOutput(self, "BucketName", value=self.bucket.bucket_name)
        # Of the keys that are classified, for who puts photos there to try it.
        for output, value in (("KeyPrefix", settings.prefix), ("KeySuffix", settings.suffix)):
            if value:
                CfnOutput(self, output, value=value)
        CfnOutput(self, "ThumbnailsBucketName", value=catalog.thumbnails.bucket_name)
        CfnOutput(self, "IngestQueueUrl", value=self.queue.queue.queue_url)
        CfnOutput(self, "IngestDeadLetterQueueUrl", value=self.queue.dead_letters.queue_url)
        CfnOutput(self, "ClassifyFunctionName", value=self.classify.called.function_name)

    def _bucket(self, settings: Settings, gallery_address: str | None) -> s3.Bucket:
        """Private, encrypted, versioned, over TLS only; it tells the queue of what comes and goes.

        The notifications are part of the bucket: the library's own way sets them later, through a custom
        resource. S3 tries the queue when they are set, so the queue must admit the bucket before that, by what
        its name will begin with.
        """
        bucket = private_bucket(
            self,
            "Photos",
            settings,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="old-versions",
                    noncurrent_version_expiration=Duration.days(settings.noncurrent_version_days),
                    expired_object_delete_marker=True,
                    abort_incomplete_multipart_upload_after=Duration.days(7),
                )
            ],
            # By presigned addresses only, which the API gives; uploads are forms.
            cors=[
                s3.CorsRule(
                    allowed_origins=[gallery_address],
                    allowed_methods=[s3.HttpMethods.GET, s3.HttpMethods.HEAD, s3.HttpMethods.POST],
                    allowed_headers=["content-type"],
                    exposed_headers=["ETag"],
                    max_age=3600,
                )
            ]
            if gallery_address
            else None,
        )
        self.queue.queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue.queue_arn],
                conditions={
                    "ArnLike": {"aws:SourceArn": f"arn:{Aws.PARTITION}:s3:::{self.stack_name}-*"},
                    "StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID},
                },
            )
        )
        rules = [
            s3.CfnBucket.FilterRuleProperty(name=name, value=value)
            for name, value in (("prefix", settings.prefix), ("suffix", settings.suffix))
            if value
        ]
        only = s3.CfnBucket.NotificationFilterProperty(s3_key=s3.CfnBucket.S3KeyFilterProperty(rules=rules))
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)  # noqa: S101
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            queue_configurations=[
                s3.CfnBucket.QueueConfigurationProperty(
                    event=event, queue=self.queue.queue.queue_arn, filter=only if rules else None
                )
                for event in _EVENTS
            ]
        )
        policy = self.queue.queue.node.find_child("Policy").node.default_child
        assert policy is not None  # noqa: S101
        resource.node.add_dependency(policy)
        return bucket


def model_files(stack: Stack, settings: Settings) -> dict[str, Path]:
    """The files of the stage's model: their place in a bundle → where they are now."""
    model = model_folder(settings.model)
    missing = [name for name in _MODEL_FILES if not (model / name).is_file()]
    if missing and stack.bundling_required:
        if settings.is_own_model:
            raise BundlingError(f"the model {settings.model} lacks {', '.join(missing)}: put that there.")
        raise BundlingError(
            f"the model {settings.model} is not built: run '.venv/bin/tagstream models build {settings.model}'."
        )
    given = [name for name in _OPTIONAL_MODEL_FILES if (model / name).is_file()]
    return {f"model/{name}": model / name for name in (*_MODEL_FILES, *given)}
