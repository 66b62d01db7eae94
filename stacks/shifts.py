"""How a new version of a function takes over: at once, or a tenth of the calls first, and back where alarms ring."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.rules import accept
from stacks.settings import Settings

__all__ = ["ALIAS", "shift"]

ALIAS = "live"
"""Of every function that has versions: what others call."""

_CANARIES = {
    5: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
    10: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_10_MINUTES,
    15: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_15_MINUTES,
    30: codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_30_MINUTES,
}
# A photo that ends its function comes again after the visibility timeout, which is longer than five minutes in every
# stage that shifts: alone it is seen in one minute of five, and turns nothing back.
_MINUTES = 5
_FAILING_MINUTES = 2


def shift(scope: Construct, *, name: str, alias: lambda_.Alias, version: lambda_.IVersion, settings: Settings) -> None:
    """Let a new ``version`` of the function ``name`` take over ``alias`` within ``settings.gradual_minutes``.

    The alarms are about the new version alone: that the old one fails is a reason to deploy, and not to stop it. They
    name the function and not its alias, which waits for them.
    """
    stack = Stack.of(scope)
    codedeploy.LambdaDeploymentGroup(
        scope,
        "Shift",
        alias=alias,
        application=_application(stack),
        role=_role(stack),
        deployment_config=_CANARIES[settings.gradual_minutes],
        alarms=_alarms(scope, name, alias.lambda_, version, settings),
        auto_rollback=codedeploy.AutoRollbackConfig(
            failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
        ),
    )


def _alarms(
    scope: Construct, name: str, function: lambda_.IFunction, version: lambda_.IVersion, settings: Settings
) -> Sequence[cloudwatch.Alarm]:
    """On calls that fail altogether, and on what the function says itself: messages that it gives back, requests that
    it answers with an error of its own."""
    minute, stack = Duration.minutes(1), Stack.of(scope).stack_name
    metrics = {
        "NewVersionErrors": cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name="Errors",
            dimensions_map={
                "FunctionName": function.function_name,
                "Resource": f"{function.function_name}:{ALIAS}",
                "ExecutedVersion": version.version,
            },
            statistic="Sum",
            period=minute,
        ),
        "NewVersionFailures": cloudwatch.Metric(
            namespace="Tagstream",
            metric_name="Failures",
            dimensions_map={"service": name, "stage": settings.system, "version": version.version},
            statistic="Sum",
            period=minute,
        ),
    }
    return [
        cloudwatch.Alarm(
            scope,
            construct_id,
            # Of its own for each version: an alarm that is changed keeps its state, and would stop its own remedy.
            alarm_name=f"{stack}-{name}-{version.version}-{construct_id}",
            metric=metric,
            alarm_description=f"ticket: The new version of the {name} function fails, and the old one comes back. "
            f"Runbook: {settings.runbook_url}#newversion",
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=_MINUTES,
            datapoints_to_alarm=_FAILING_MINUTES,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        for construct_id, metric in metrics.items()
    ]


def _application(stack: Stack) -> codedeploy.ILambdaApplication:
    """CodeDeploy's name for what is deployed together: one for each stack."""
    found = stack.node.try_find_child("Shifts")
    if isinstance(found, codedeploy.LambdaApplication):
        return found
    return codedeploy.LambdaApplication(stack, "Shifts")


def _role(stack: Stack) -> iam.Role:
    """What CodeDeploy takes on: it moves aliases, and reads alarms."""
    found = stack.node.try_find_child("ShiftsRole")
    if isinstance(found, iam.Role):
        return found
    role = iam.Role(
        stack,
        "ShiftsRole",
        assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
        description="Of CodeDeploy, which moves calls from one version to the next",
    )
    # The library adds AWS' own policy for it to whatever role it is given.
    accept(
        role,
        "The policy that AWS has made for CodeDeploy and Lambda and keeps in step with what CodeDeploy calls; it may "
        "move aliases and look at alarms, and changes no function's code.",
        "AwsSolutions-IAM4",
    )
    return role
