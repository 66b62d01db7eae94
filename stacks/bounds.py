"""As far as any role of a stage goes, where a stage is delivered with limited rights (``bounded``).

Whoever may make roles and give them policies could give them everything, and use them. With a *permissions boundary*
a role can do what both it and its own policies allow; ``stacks/delivery.py`` makes the boundary, and lets nobody make a
role without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from constructs import Construct

__all__ = ["BOUNDARY", "bound", "boundary_name"]

BOUNDARY: Sequence[tuple[Sequence[str], Sequence[str]]] = (
    # What functions do with the queues, photos and documents of stages, and with one another.
    (
        (
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        ),
        ("sqs:tagstream-*",),
    ),
    (
        ("s3:DeleteObject*", "s3:GetBucketNotification", "s3:GetObject*", "s3:ListBucket*", "s3:PutObject"),
        ("s3:tagstream-*",),
    ),
    (("es:ESHttp*",), ("es:domain/tagstream-*",)),
    (("lambda:InvokeFunction",), ("lambda:function:tagstream-*",)),
    # How CodeDeploy moves an alias, and what makes it stop.
    (
        ("lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"),
        ("lambda:function:tagstream-*",),
    ),
    (("cloudwatch:DescribeAlarms",), ("*",)),
    (("logs:CreateLogStream", "logs:PutLogEvents"), ("logs:log-group:tagstream-*",)),
    # What Lambda does in their name: traces, and addresses in the network.
    (
        (
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ),
        ("*",),
    ),
)
"""Actions, and the resources that they are allowed on, each as ``service:resource``."""


def boundary_name() -> str:
    """The policy's name in the account, of which there is one for each region that stages are delivered to."""
    return f"delivery-tagstream-boundary-{Aws.REGION}"


def bound(scope: Construct) -> None:
    """Give every role in ``scope`` the boundary, which has to be there when it is deployed."""
    policy = iam.ManagedPolicy.from_managed_policy_arn(
        scope, "Boundary", f"arn:{Aws.PARTITION}:iam::{Aws.ACCOUNT_ID}:policy/{boundary_name()}"
    )
    iam.PermissionsBoundary.of(scope).apply(policy)
