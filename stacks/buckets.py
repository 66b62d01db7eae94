"""The one way in which a bucket is made here: private, encrypted, over TLS only."""

from __future__ import annotations

from typing import Any

from aws_cdk import RemovalPolicy
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.rules import accept
from stacks.settings import Settings

__all__ = ["private_bucket"]

_NO_ACCESS_LOGS = (
    "An access log holds the keys of photos in clear, which are personal, and nobody but the functions' roles reads "
    "the objects; who has to know every access switches CloudTrail's data events on, at $0.10 for 100,000."
)
"""Why no bucket has one."""


def private_bucket(scope: Construct, construct_id: str, settings: Settings, **more: Any) -> s3.Bucket:
    """A bucket that a stage which retains its data keeps; ``more`` is what this one has besides."""
    bucket = s3.Bucket(
        scope,
        construct_id,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        enforce_ssl=True,
        encryption=s3.BucketEncryption.S3_MANAGED,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if settings.retain_data else RemovalPolicy.DESTROY,
        **more,
    )
    accept(bucket, _NO_ACCESS_LOGS, "AwsSolutions-S1")
    return bucket
