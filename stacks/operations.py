"""Operations: alarms on what would go unnoticed, and a dashboard.

Each alarm says how much it hurries (``page``: now, whatever the hour; ``ticket``: on a working day) and where the
runbook tells what to do; its anchor there is the alarm's kind. ``docs/runbook.md`` has an entry for each, which a test
sees to.
"""

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
_A_DAY = Duration.days(1)
_SCHEDULED = ("Canary", "Purge", "Reconcile")
_AN_HOUR = Duration.hours(1)
_MOST_DIFFERENCES = 10
"""Some are of removals that are under way while both lists are read."""
_MIB_A_GIB = 1024
_GREATER_OR_EQUAL = cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
_LESS = cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
# https://docs.aws.amazon.com/opensearch-service/latest/developerguide/cloudwatch-alarms.html
_MOST_MEMORY_PERCENT = 95
_MOST_OLD_GENERATION_PERCENT = 80
_MOST_CPU_PERCENT = 80


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
        self._settings = settings
        self._alarms: list[cloudwatch.Alarm] = []
        for name, queue in queues.items():
            self._watch_dead_letters(name, queue)
            self._watch_age(name, queue)
        for name, queue in results.items():
            self._watch_dead_letters(name, queue)
        for name, function in functions.items():
            self._watch_function(name, function)
        self._watch_work()
        self._watch_domain(catalog.domain_name)
        self._watch_api(web.api)
        self._dashboard(catalog, web.api, queues, functions)
        CfnOutput(self, "AlarmTopicArn", value=self.topic.topic_arn)

    def _alarm(
        self,
        kind: str,
        metric: cloudwatch.IMetric,
        description: str,
        *,
        of: str = "",
        severity: str = "ticket",
        threshold: float = 0,
        periods: int = 1,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            of + kind,
            metric=metric,
            alarm_description=f"{severity}: {description} Runbook: {self._settings.runbook_url}#{kind.lower()}",
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))
        self._alarms.append(alarm)

    def _share(
        self,
        kind: str,
        part: cloudwatch.IMetric,
        whole: cloudwatch.IMetric,
        description: str,
        *,
        percent: float,
        of: str = "",
    ) -> None:
        """An alarm on a part that is too large a share of the whole, three times; the emulator can't divide."""
        if self._settings.local:
            self._alarm(kind, part, description, of=of)
            return
        share = cloudwatch.MathExpression(
            expression="IF(whole > 0, 100 * part / whole, 0)",
            using_metrics={"part": part, "whole": whole},
            period=_FIVE_MINUTES,
        )
        self._alarm(kind, share, description, of=of, threshold=percent, periods=3)

    def _watch_dead_letters(self, name: str, queue: QueueWithDeadLetters) -> None:
        self._alarm(
            "DeadLetters",
            _depth(queue.dead_letters),
            f"Messages of the {name} queue failed too often and were given up.",
            of=name,
        )

    def _watch_age(self, name: str, queue: QueueWithDeadLetters) -> None:
        # A message that failed twice comes again after two visibility timeouts: that alone wakes nobody.
        self._alarm(
            "QueueAge",
            queue.queue.metric_approximate_age_of_oldest_message(period=_MINUTE, statistic="Maximum"),
            f"The {name} queue is not worked off: its function is failing, paused, throttled or too slow.",
            of=name,
            severity="page",
            threshold=2 * queue.visibility_seconds + self._settings.queue_age_alarm_seconds,
            periods=5,
        )

    def _watch_function(self, name: str, function: PythonFunction) -> None:
        errors = function.function.metric_errors(period=_FIVE_MINUTES)
        if name in _SCHEDULED:
            # It runs too seldom for a share three times in a row: one failure is enough.
            self._alarm("FunctionErrors", errors, f"The {name} function fails.", of=name)
        else:
            self._share(
                "FunctionErrors",
                errors,
                function.function.metric_invocations(period=_FIVE_MINUTES),
                f"The {name} function fails.",
                percent=self._settings.failures_alarm_percent,
                of=name,
            )
        self._alarm(
            "FunctionThrottles",
            function.function.metric_throttles(period=_FIVE_MINUTES),
            f"The {name} function is throttled: the account runs no more functions at a time.",
            of=name,
            periods=3,
        )
        if function.mapping is not None:
            self._alarm(
                "GivenBack",
                _failed_events(function.mapping),
                f"The {name} function gives messages back: they are tried again and at last dead-lettered.",
                of=name,
                periods=3,
            )

    def _watch_work(self) -> None:
        """What the functions count themselves."""
        classified, rejected = self._own("classify", "ImagesClassified"), self._own("classify", "ImagesRejected")
        if not self._settings.local:
            share = cloudwatch.MathExpression(
                expression="IF(classified + rejected > 0, 100 * rejected / (classified + rejected), 0)",
                using_metrics={"classified": classified, "rejected": rejected},
                period=_FIVE_MINUTES,
            )
            self._alarm(
                "Rejections",
                share,
                "A large share of all photos is rejected: somebody uploads what is none, or the limits are too narrow.",
                threshold=self._settings.rejections_alarm_percent,
                periods=3,
            )
        self._alarm(
            "Latency",
            self._own("catalog", "UploadToIndexed", statistic="p95"),
            "Photos are searchable later than they should be: of twenty, one takes longer than the objective.",
            threshold=1000 * self._settings.latency_objective_seconds,
            periods=3,
        )
        if self._settings.reconcile_days:
            self._alarm(
                "Differences",
                self._own("reconcile", "DifferencesFound", period=_AN_HOUR),
                "Catalog and bucket differed in many photos, which were repaired: notifications get lost.",
                threshold=_MOST_DIFFERENCES,
            )
        self._alarm(
            "PurgeMissing",
            self._own("purge", "Purges", period=_A_DAY),
            "The daily purge did not run: tombstones and thumbnails of removed photos stay.",
            threshold=1,
            periods=2,
            comparison=_LESS,
            missing=cloudwatch.TreatMissingData.BREACHING,
        )

    def _own(
        self,
        service: str,
        name: str,
        *,
        statistic: str = "Sum",
        period: Duration = _FIVE_MINUTES,
        label: str | None = None,
    ) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="Tagstream",
            metric_name=name,
            dimensions_map={"service": service, "stage": self._settings.system},
            statistic=statistic,
            period=period,
            label=label,
        )

    def _watch_domain(self, domain_name: str) -> None:
        domain = self._settings.domain

        def watch(
            kind: str,
            metric: str,
            statistic: str,
            description: str,
            *,
            threshold: float,
            severity: str = "page",
            periods: int = 1,
            comparison: cloudwatch.ComparisonOperator = _GREATER_OR_EQUAL,
            period: Duration = _MINUTE,
        ) -> None:
            self._alarm(
                kind,
                _domain_metric(domain_name, metric, statistic, period),
                description,
                severity=severity,
                threshold=threshold,
                periods=periods,
                comparison=comparison,
            )

        watch(
            "DomainRed",
            "ClusterStatus.red",
            "Maximum",
            "Part of the catalog is lost until a node returns or a snapshot is restored.",
            threshold=1,
        )
        if domain.data_nodes > 1:
            # A single node has nowhere to put copies, and without it everything is gone, which other alarms say.
            watch(
                "DomainYellow",
                "ClusterStatus.yellow",
                "Maximum",
                "Copies are missing: one more failure would lose part of the catalog.",
                threshold=1,
                severity="ticket",
                periods=15,
            )
            watch(
                "DomainNodes",
                "Nodes",
                "Minimum",
                "Nodes of the OpenSearch domain are missing.",
                threshold=domain.data_nodes,
                periods=30,
                comparison=_LESS,
            )
        watch(
            "DomainStorage",
            "FreeStorageSpace",
            "Minimum",
            "The OpenSearch domain runs out of disk. It refuses all writes when a fifth of it is free, or 20 GiB.",
            threshold=domain.volume_gb * _MIB_A_GIB * self._settings.free_storage_alarm_percent / 100,
            comparison=cloudwatch.ComparisonOperator.LESS_THAN_OR_EQUAL_TO_THRESHOLD,
        )
        watch(
            "DomainWritesBlocked",
            "ClusterIndexWritesBlocked",
            "Maximum",
            "The OpenSearch domain refuses writes: its disk or memory is full.",
            threshold=1,
        )
        watch(
            "DomainMemory",
            "JVMMemoryPressure",
            "Maximum",
            "The OpenSearch domain runs out of memory, and will refuse writes, then searches.",
            threshold=_MOST_MEMORY_PERCENT,
            periods=3,
        )
        watch(
            "DomainOldMemory",
            "OldGenJVMMemoryPressure",
            "Maximum",
            "The OpenSearch domain frees too little memory each time.",
            threshold=_MOST_OLD_GENERATION_PERCENT,
            severity="ticket",
            periods=3,
        )
        watch(
            "DomainCpu",
            "CPUUtilization",
            "Maximum",
            "The OpenSearch domain has no processor time left.",
            threshold=_MOST_CPU_PERCENT,
            severity="ticket",
            periods=9,
            period=_FIVE_MINUTES,
        )
        watch(
            "DomainSnapshots",
            "AutomatedSnapshotFailure",
            "Maximum",
            "OpenSearch could not take its snapshot: there is nothing recent to restore.",
            threshold=1,
            severity="ticket",
        )
        for kind, metric in (("DomainKey", "KMSKeyError"), ("DomainKeyGone", "KMSKeyInaccessible")):
            watch(
                kind,
                metric,
                "Maximum",
                "The OpenSearch domain cannot use the key that it is encrypted with.",
                threshold=1,
            )

    def _watch_api(self, api: apigatewayv2.HttpApi) -> None:
        settings = self._settings.api
        self._share(
            "ApiServerErrors",
            api.metric_server_error(period=_FIVE_MINUTES, statistic="Sum"),
            api.metric_count(period=_FIVE_MINUTES, statistic="Sum"),
            "The HTTP API answers with errors of its own.",
            percent=self._settings.failures_alarm_percent,
        )
        self._alarm(
            "ApiClientErrors",
            api.metric_client_error(period=_FIVE_MINUTES, statistic="Sum"),
            "The HTTP API refuses very many requests: somebody tries doors, or a program of ours is wrong.",
            threshold=settings.client_errors_alarm,
        )
        self._alarm(
            "ApiLatency",
            api.metric_latency(period=_FIVE_MINUTES, statistic="p95"),
            "The HTTP API is slow.",
            threshold=settings.latency_alarm_milliseconds,
            periods=3,
        )

    def _dashboard(
        self,
        catalog: Catalog,
        api: apigatewayv2.HttpApi,
        queues: Mapping[str, QueueWithDeadLetters],
        functions: Mapping[str, PythonFunction],
    ) -> None:
        """A page from top to bottom: what rings, a photo's way, what is behind it, what it costs."""
        settings, domain = self._settings, catalog.domain_name

        def graph(title: str, left: Sequence[cloudwatch.IMetric], width: int = 8) -> cloudwatch.GraphWidget:
            return cloudwatch.GraphWidget(title=title, left=list(left), width=width)

        listed = [(name, function.function) for name, function in functions.items()]
        head = cloudwatch.TextWidget(
            markdown=(
                f"# Tagstream, stage {settings.system}\n"
                f"What to do about each alarm: `{settings.runbook_url}`. The same on a terminal: "
                f"`tagstream status --stage {settings.system} --watch`. What is wrong: "
                f"`tagstream doctor --stage {settings.system}`."
            ),
            width=24,
            height=3,
        )
        rings = cloudwatch.AlarmStatusWidget(title="Alarms", alarms=list(self._alarms), width=24, height=6)
        photos = [
            self._own("classify", name, label=label)
            for name, label in (
                ("ImagesClassified", "classified"),
                ("ImagesRejected", "rejected"),
                ("ImagesRemoved", "removed"),
            )
        ]
        latency = [
            self._own("catalog", "UploadToIndexed", statistic=statistic, label=statistic)
            for statistic in ("p50", "p95", "p99")
        ]
        given_back = [
            _failed_events(function.mapping, name)
            for name, function in functions.items()
            if function.mapping is not None
        ]
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"tagstream-{settings.system}",
            widgets=[
                [head],
                [rings],
                [
                    graph("Photos", photos),
                    graph("Upload to searchable, ms", latency),
                    graph("Updates", [self._own("catalog", name) for name in ("UpdatesApplied", "UpdatesStale")]),
                ],
                [
                    graph("Messages waiting", [_depth(queue.queue, name) for name, queue in queues.items()]),
                    graph("Oldest message, seconds", [_age(queue.queue, name) for name, queue in queues.items()]),
                    graph("Dead letters", [_depth(queue.dead_letters, name) for name, queue in queues.items()]),
                ],
                [
                    graph("Functions: errors", [_function_metric(f, "errors", name) for name, f in listed]),
                    graph("Functions: messages given back", given_back),
                    graph("Functions: duration p95, ms", [_function_metric(f, "duration", name) for name, f in listed]),
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
                    graph(
                        "OpenSearch: processor, memory, %",
                        [
                            _domain_metric(domain, "CPUUtilization", "Maximum"),
                            _domain_metric(domain, "JVMMemoryPressure", "Maximum"),
                        ],
                    ),
                ],
                [
                    graph(
                        "OpenSearch: documents, free MB",
                        [
                            _domain_metric(domain, "SearchableDocuments", "Maximum"),
                            _domain_metric(domain, "FreeStorageSpace", "Minimum"),
                        ],
                    ),
                    graph("Cost: invocations", [_function_metric(f, "invocations", name) for name, f in listed]),
                    graph(
                        "Cost: messages sent",
                        [
                            queue.queue.metric_number_of_messages_sent(period=_FIVE_MINUTES, label=name)
                            for name, queue in queues.items()
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


def _domain_metric(domain_name: str, name: str, statistic: str, period: Duration = _MINUTE) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="AWS/ES",
        metric_name=name,
        dimensions_map={"DomainName": domain_name, "ClientId": Aws.ACCOUNT_ID},
        statistic=statistic,
        period=period,
    )
