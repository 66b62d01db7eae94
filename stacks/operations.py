"""Operations: alarms on what would go unnoticed, and a dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_cdk import Aws, CfnOutput, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.catalog import Catalog
from stacks.functions import PythonFunction
from stacks.queues import QueueWithDeadLetters
from stacks.rules import accept
from stacks.settings import Settings
from stacks.web import Web

__all__ = ["Operations"]

_MINUTE = Duration.minutes(1)
_FIVE_MINUTES = Duration.minutes(5)


class Operations(Stack):
    """Watches the queues and functions it is given, by name, the catalog's domain and the HTTP API.

    ``results`` are queues that people empty when they like: only their dead letters are watched.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        catalog: Catalog,
        web: Web,
        queues: Mapping[str, QueueWithDeadLetters],
        results: Mapping[str, QueueWithDeadLetters],
        functions: Mapping[str, PythonFunction],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        # CloudWatch may not publish to a topic under the AWS-managed key; alarms hold nothing secret.
        self.topic = sns.Topic(self, "Alarms", display_name=f"Tagstream {settings.system}", enforce_ssl=True)
        # A policy of one's own takes the place of SNS' usual one, which lets the account's alarms in.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if catalog.alarm_email is not None:
            self.topic.add_subscription(subscriptions.EmailSubscription(catalog.alarm_email))
            accept(
                self.topic,
                "SNS tries a mail for as long as it can be delivered, and the alarm itself stays in CloudWatch.",
                "Serverless-SNSRedrivePolicy",
            )
        for name, queue in queues.items():
            self._watch_dead_letters(name, queue)
            self._watch_age(name, queue, settings)
        for name, queue in results.items():
            self._watch_dead_letters(name, queue)
        for name, function in functions.items():
            self._watch_function(name, function)
        self._watch_domain(catalog.domain_name, settings)
        self._watch_api(web.api, settings)
        self._dashboard(settings, catalog, web.api, queues, functions)
        CfnOutput(self, "AlarmTopicArn", value=self.topic.topic_arn)

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        description: str,
        *,
        threshold: float = 0,
        periods: int = 1,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            alarm_description=description,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))

    def _watch_dead_letters(self, name: str, queue: QueueWithDeadLetters) -> None:
        self._alarm(
            f"{name}DeadLetters",
            _depth(queue.dead_letters),
            f"Messages of the {name} queue failed too often: find out why in the function's log, then redrive them.",
        )

    def _watch_age(self, name: str, queue: QueueWithDeadLetters, settings: Settings) -> None:
        self._alarm(
            f"{name}Age",
            queue.queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum"),
            f"The {name} queue is not worked off: its function is failing, throttled or too slow.",
            threshold=settings.queue_age_alarm_seconds,
            periods=5,
        )

    def _watch_function(self, name: str, function: PythonFunction) -> None:
        self._alarm(
            f"{name}Errors",
            function.function.metric_errors(period=_FIVE_MINUTES),
            f"The {name} function fails: see its log.",
        )
        self._alarm(
            f"{name}Throttles",
            function.function.metric_throttles(period=_FIVE_MINUTES),
            f"The {name} function is throttled: raise the account's concurrency or lower the mappings' maximum.",
            periods=3,
        )
        if function.mapping is not None:
            self._alarm(
                f"{name}PartialFailures",
                _failed_events(function.mapping),
                f"The {name} function gives messages back: they are tried again and at last dead-lettered.",
                periods=3,
            )

    def _watch_domain(self, domain_name: str, settings: Settings) -> None:
        for colour, periods, meaning in (
            ("red", 1, "part of the catalog is lost until a node returns or a snapshot is restored"),
            ("yellow", 15, "copies are missing: one more failure would lose data"),
        ):
            if colour == "yellow" and settings.domain.data_nodes == 1:
                continue  # A single node has nowhere to put copies.
            self._alarm(
                f"Domain{colour.title()}",
                _domain_metric(domain_name, f"ClusterStatus.{colour}", "Maximum"),
                f"The OpenSearch domain is {colour}: {meaning}.",
                periods=periods,
            )
        self._alarm(
            "DomainStorage",
            _domain_metric(domain_name, "FreeStorageSpace", "Minimum"),
            "The OpenSearch domain runs out of disk: raise domain.volume_gb.",
            threshold=settings.free_storage_alarm_mb,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
        )
        self._alarm(
            "DomainWritesBlocked",
            _domain_metric(domain_name, "ClusterIndexWritesBlocked", "Maximum"),
            "The OpenSearch domain refuses writes: its disk or memory is full.",
        )

    def _watch_api(self, api: apigatewayv2.HttpApi, settings: Settings) -> None:
        self._alarm(
            "ApiServerErrors",
            api.metric_server_error(period=_FIVE_MINUTES, statistic="Sum"),
            "The HTTP API answers with errors of its own: see the api function's log and the access log.",
        )
        self._alarm(
            "ApiClientErrors",
            api.metric_client_error(period=_FIVE_MINUTES, statistic="Sum"),
            "The HTTP API refuses very many requests: somebody tries doors, or a program of ours is wrong; the access "
            "log tells who.",
            threshold=settings.api.client_errors_alarm,
        )
        self._alarm(
            "ApiLatency",
            api.metric_latency(period=_FIVE_MINUTES, statistic="p95"),
            "The HTTP API is slow: compare with the api function's duration and the domain's load.",
            threshold=settings.api.latency_alarm_milliseconds,
            periods=3,
        )

    def _dashboard(
        self,
        settings: Settings,
        catalog: Catalog,
        api: apigatewayv2.HttpApi,
        queues: Mapping[str, QueueWithDeadLetters],
        functions: Mapping[str, PythonFunction],
    ) -> None:
        def graph(title: str, left: Sequence[cloudwatch.IMetric]) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(left), width=12)

        listed = [(name, function.function) for name, function in functions.items()]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"tagstream-{settings.system}",
            widgets=[
                [
                    graph("Messages waiting", [_depth(queue.queue, name) for name, queue in queues.items()]),
                    graph("Dead letters", [_depth(queue.dead_letters, name) for name, queue in queues.items()]),
                ],
                [
                    graph("Oldest message, seconds", [_age(queue.queue, name) for name, queue in queues.items()]),
                    graph(
                        "Messages given back",
                        [
                            _failed_events(function.mapping, name)
                            for name, function in functions.items()
                            if function.mapping is not None
                        ],
                    ),
                ],
                [
                    graph("Invocations", [_function_metric(f, "invocations", name) for name, f in listed]),
                    graph("Errors", [_function_metric(f, "errors", name) for name, f in listed]),
                ],
                [
                    graph("Duration p95, ms", [_function_metric(f, "duration", name) for name, f in listed]),
                    graph(
                        "OpenSearch",
                        [
                            _domain_metric(catalog.domain_name, "SearchableDocuments", "Maximum"),
                            _domain_metric(catalog.domain_name, "FreeStorageSpace", "Minimum"),
                        ],
                    ),
                ],
                [
                    graph(
                        "HTTP API: requests, and those refused or failed",
                        [
                            api.metric_count(period=_FIVE_MINUTES, label="requests"),
                            api.metric_client_error(period=_FIVE_MINUTES, label="4xx"),
                            api.metric_server_error(period=_FIVE_MINUTES, label="5xx"),
                        ],
                    ),
                    graph(
                        "HTTP API: latency, ms",
                        [
                            api.metric_latency(period=_FIVE_MINUTES, statistic=statistic, label=statistic)
                            for statistic in ("p50", "p95", "p99")
                        ],
                    ),
                ],
            ],
        )


def _depth(queue: sqs.Queue, label: str | None = None) -> cloudwatch.Metric:
    return queue.metric_approximate_number_of_messages_visible(period=_MINUTE, statistic="Maximum", label=label)


def _age(queue: sqs.Queue, label: str) -> cloudwatch.Metric:
    return queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum", label=label)


def _function_metric(function: lambda_.Function, name: str, label: str) -> cloudwatch.Metric:
    if name == "duration":
        return function.metric_duration(period=_FIVE_MINUTES, statistic="p95", label=label)
    if name == "errors":
        return function.metric_errors(period=_FIVE_MINUTES, label=label)
    return function.metric_invocations(period=_FIVE_MINUTES, label=label)


def _failed_events(mapping: lambda_.EventSourceMapping, label: str | None = None) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/Lambda",
        metric_name="FailedInvokeEventCount",
        dimensions_map={"EventSourceMappingUUID": mapping.event_source_mapping_id},
        statistic="Sum",
        period=_FIVE_MINUTES,
        label=label,
    )


def _domain_metric(domain_name: str, name: str, statistic: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/ES",
        metric_name=name,
        dimensions_map={"DomainName": domain_name, "ClientId": Aws.ACCOUNT_ID},
        statistic=statistic,
        period=_MINUTE,
    )
