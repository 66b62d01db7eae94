"""Alarms: what nobody would notice is watched, and a person is told."""

from __future__ import annotations

import ast
import re
from typing import Any

from stacks.settings import ROOT, settings_for
from tagstream.plan.money import ALARM_METRICS, CUSTOM_METRICS
from tests.infra.templates import Resource, Stage, synthesise, synthesised
from tests.infra.test_queues import dead_letters, mappings
from tests.runbook import NOT_TRIED, TRIED


def watched(stage: Stage, metric: str) -> dict[frozenset[str], Resource]:
    """The alarms on a metric, by the values of their dimensions."""
    return {
        frozenset(dimension["Value"] for dimension in alarm.properties["Dimensions"]): alarm
        for alarm in stage.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties.get("MetricName") == metric
    }


def shares(stage: Stage, metric: str) -> dict[frozenset[str], Resource]:
    """The alarms on a metric's share of another, or on the metric alone where there is no metric math."""
    found = watched(stage, metric)
    for alarm in stage.of_type("AWS::CloudWatch::Alarm"):
        for query in alarm.properties.get("Metrics", ()):
            about = query.get("MetricStat", {}).get("Metric", {})
            if about.get("MetricName") == metric:
                found[frozenset(dimension["Value"] for dimension in about["Dimensions"])] = alarm
    return found


def name_of(queue: Resource) -> frozenset[str]:
    return frozenset({f"<{queue.id}.QueueName>"})


def test_every_dead_letter_alarms_and_no_other_queue_does(stage: Stage) -> None:
    alarms = watched(stage, "ApproximateNumberOfMessagesVisible")
    assert alarms.keys() == {name_of(queue) for queue in dead_letters(stage).values()}
    for alarm in alarms.values():
        assert alarm.properties["Threshold"] == 0
        assert alarm.properties["ComparisonOperator"] == "GreaterThanThreshold"


def test_every_queue_alarms_when_it_is_not_worked_off(stage: Stage) -> None:
    alarms = watched(stage, "ApproximateAgeOfOldestMessage")
    queues = {name_of(queue): queue for _, queue, _ in mappings(stage)}
    assert alarms.keys() == queues.keys()
    for name, alarm in alarms.items():
        # A message that failed once, or twice, waits for its next try: that is no reason to wake anybody.
        visibility = queues[name].properties["VisibilityTimeout"]
        assert (
            alarm.properties["Threshold"]
            == 2 * visibility + settings_for({"stage": stage.name}).queue_age_alarm_seconds
        )
        # Before it is given up, though.
        receives = queues[name].properties["RedrivePolicy"]["maxReceiveCount"]
        assert alarm.properties["Threshold"] < receives * visibility + 900
        assert severity(alarm) == "page"


def test_every_function_alarms_on_errors_and_throttles(stage: Stage) -> None:
    functions = {frozenset({function.ref}) for function in stage.of_type("AWS::Lambda::Function")}
    # Those with more dimensions are of one version: tests/infra/test_shifts.py.
    assert {dimensions for dimensions in shares(stage, "Errors") if len(dimensions) == 1} == functions
    # What a schedule starts runs once in many periods: any failure of it counts, and not a share three times in a row.
    purge = watched(stage, "Errors")[frozenset({stage.function("purge").ref})]
    assert (purge.properties["Threshold"], purge.properties["EvaluationPeriods"]) == (0, 1)
    assert watched(stage, "Throttles").keys() == functions


def test_every_mapping_alarms_on_messages_given_back(stage: Stage) -> None:
    expected = {frozenset({mapping.ref}) for mapping, _, _ in mappings(stage)}
    assert watched(stage, "FailedInvokeEventCount").keys() == expected


def test_the_domain_alarms_before_it_is_full_and_when_it_is_broken(stage: Stage) -> None:
    domain = stage.one("AWS::OpenSearchService::Domain").properties["DomainName"]
    alone = {
        "ClusterStatus.red",
        "FreeStorageSpace",
        "ClusterIndexWritesBlocked",
        "JVMMemoryPressure",
        "OldGenJVMMemoryPressure",
        "CPUUtilization",
        "AutomatedSnapshotFailure",
        "KMSKeyError",
        "KMSKeyInaccessible",
    }
    nodes = settings_for({"stage": stage.name}).domain.data_nodes
    for metric in alone | ({"ClusterStatus.yellow", "Nodes"} if nodes > 1 else set()):
        assert watched(stage, metric).keys() == {frozenset({domain, "<AWS::AccountId>"})}, metric
    (space,) = watched(stage, "FreeStorageSpace").values()
    assert space.properties["ComparisonOperator"] == "LessThanOrEqualToThreshold"
    assert space.properties["Statistic"] == "Minimum"
    if nodes > 1:
        (missing,) = watched(stage, "Nodes").values()
        assert (missing.properties["Threshold"], missing.properties["ComparisonOperator"]) == (
            nodes,
            "LessThanThreshold",
        )


def test_the_disk_alarms_before_opensearch_refuses_writes(stage: Stage) -> None:
    """It does at a fifth of the volume, or 20 GiB if that is less."""
    volume = 1024 * stage.one("AWS::OpenSearchService::Domain").properties["EBSOptions"]["VolumeSize"]
    (space,) = watched(stage, "FreeStorageSpace").values()
    assert space.properties["Threshold"] == volume / 4
    assert space.properties["Threshold"] > min(volume / 5, 20 * 1024)


def test_what_the_functions_count_is_watched_by_stage(stage: Stage) -> None:
    ((dimensions, latency),) = watched(stage, "UploadToIndexed").items()
    assert dimensions == {"catalog", stage.name}
    assert latency.properties["ExtendedStatistic"] == "p95"
    assert latency.properties["Threshold"] == 60_000
    ((dimensions, purge),) = watched(stage, "Purges").items()
    assert dimensions == {"purge", stage.name}
    # That nothing is said is what it waits for.
    assert purge.properties["TreatMissingData"] == "breaching"
    assert (purge.properties["Threshold"], purge.properties["ComparisonOperator"]) == (1, "LessThanThreshold")
    assert shares(stage, "ImagesRejected").keys() == (
        set() if stage.name == "local" else {frozenset({"classify", stage.name})}
    )
    for function in stage.of_type("AWS::Lambda::Function"):
        assert function.properties["Environment"]["Variables"]["STAGE"] == stage.name


def severity(alarm: Resource) -> str:
    return str(alarm.properties["AlarmDescription"]).partition(":")[0]


def entries() -> list[str]:
    """The entries of the runbook: the kinds of alarms."""
    return re.findall(r"^### (\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)


def test_every_alarm_hurries_so_much_and_has_an_entry_in_the_runbook(stage: Stage) -> None:
    anchors = {entry.lower() for entry in entries()}
    assert len(anchors) == len(entries())
    for alarm in stage.of_type("AWS::CloudWatch::Alarm"):
        assert severity(alarm) in {"page", "ticket"}
        place, _, anchor = str(alarm.properties["AlarmDescription"]).rpartition(" ")[2].partition("#")
        assert place == "docs/runbook.md"
        assert anchor in anchors


def test_every_entry_of_the_runbook_is_tried_or_has_a_reason_why_not() -> None:
    assert set(entries()) == TRIED.keys() | NOT_TRIED.keys()
    assert not TRIED.keys() & NOT_TRIED.keys()
    for place in TRIED.values():
        file, _, test = place.partition("::")
        assert f"\ndef {test}(" in (ROOT / "tests" / "e2e" / file).read_text(), place


def test_the_runbook_has_no_entry_without_an_alarm_and_says_how_much_it_hurries() -> None:
    prod, of = Stage("prod", synthesise({"stage": "prod", "reconcile_days": "7"})), {}
    for alarm in prod.of_type("AWS::CloudWatch::Alarm"):
        of[alarm.properties["AlarmDescription"].rpartition("#")[2]] = severity(alarm)
    text = (ROOT / "docs" / "runbook.md").read_text()
    for entry in entries():
        body = text.partition(f"\n### {entry}\n")[2].partition("\n### ")[0]
        assert body.lstrip().startswith(f"*{of[entry.lower()]}.*"), entry
    assert {entry.lower() for entry in entries()} == of.keys()


def test_the_api_alarms_when_it_fails_refuses_very_many_or_is_slow(stage: Stage) -> None:
    api = stage.one("AWS::ApiGatewayV2::Api")
    for metric, statistic in (("4xx", "Sum"), ("Latency", "p95")):
        ((dimensions, alarm),) = watched(stage, metric).items()
        assert dimensions == {api.ref}
        assert alarm.properties["Namespace"] == "AWS/ApiGateway"
        assert alarm.properties.get("Statistic", alarm.properties.get("ExtendedStatistic")) == statistic
    (failures,) = shares(stage, "5xx").values()
    assert failures.properties["Threshold"] == (0 if stage.name == "local" else 5)


def test_every_alarm_is_simple_and_tells_the_topic(stage: Stage) -> None:
    topic = stage.one("AWS::SNS::Topic")
    assert not stage.of_type("AWS::CloudWatch::CompositeAlarm")
    for alarm in stage.of_type("AWS::CloudWatch::Alarm"):
        if "NewVersion" in alarm.id:
            # It tells CodeDeploy, and CodeDeploy whoever deploys.
            assert not {"AlarmActions", "OKActions"} & alarm.properties.keys()
        else:
            assert alarm.properties["AlarmActions"] == [topic.ref]
            assert alarm.properties["OKActions"] == [topic.ref]
        if alarm.properties.get("MetricName") != "Purges":
            assert alarm.properties["TreatMissingData"] == "notBreaching"
        assert alarm.properties["AlarmDescription"]
        assert stage.name != "local" or "Metrics" not in alarm.properties, "the local cloud has no metric math"


def subscriptions(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::SNS::Subscription"]


def test_prod_cannot_be_deployed_without_a_person_to_tell_and_says_so_before_anything_is_made(prod: Stage) -> None:
    (subscription,) = prod.of_type("AWS::SNS::Subscription")
    assert subscription.properties["Protocol"] == "email"
    assert subscription.properties["Endpoint"] == "<catalog.AlarmEmail>"
    parameter = prod.templates["catalog"]["Parameters"]["AlarmEmail"]
    assert "Default" not in parameter
    assert parameter["AllowedPattern"]
    # Every other stack waits for that one.
    assert next(iter(prod.templates)) == "catalog"
    for name, stack in prod.templates.items():
        assert set(stack.get("Parameters", {})) <= {"BootstrapVersion", *({"AlarmEmail"} if name == "catalog" else ())}


def test_an_address_in_the_settings_is_enough() -> None:
    for stage in ("dev", "prod"):
        templates = synthesise({"stage": stage, "alarm_email": "someone@example.com"})
        (subscription,) = subscriptions(templates["operations"])
        assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "someone@example.com")
        for template in templates.values():
            assert set(template.get("Parameters", {})) <= {"BootstrapVersion"}


def test_nobody_is_written_to_unasked() -> None:
    for stage in ("local", "dev"):
        assert not subscriptions(synthesised(stage).templates["operations"])


def test_the_topic_refuses_what_is_not_tls(stage: Stage) -> None:
    topic = stage.one("AWS::SNS::Topic")
    (policy,) = stage.of_type("AWS::SNS::TopicPolicy")
    assert policy.properties["Topics"] == [topic.ref]
    denied = [s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"]
    assert [statement["Condition"] for statement in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_alarms_may_publish_to_the_topic(stage: Stage) -> None:
    topic = stage.one("AWS::SNS::Topic")
    (policy,) = stage.of_type("AWS::SNS::TopicPolicy")
    (allowed,) = [s for s in policy.properties["PolicyDocument"]["Statement"] if s["Effect"] == "Allow"]
    assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert (allowed["Action"], allowed["Resource"]) == ("sns:Publish", topic.ref)
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": "<AWS::AccountId>"}}


def test_a_plan_reckons_with_as_many_alarms_as_there_are() -> None:
    """CloudWatch bills an alarm for each metric that it looks at."""
    alarms = synthesised("prod").of_type("AWS::CloudWatch::Alarm")
    metrics = [sum("MetricStat" in query for query in alarm.properties.get("Metrics", ())) or 1 for alarm in alarms]
    assert sum(metrics) == ALARM_METRICS


def test_a_plan_reckons_with_as_many_metrics_as_the_functions_write() -> None:
    """CloudWatch bills each name that each function uses."""
    stage = synthesised("prod")
    functions = {stage.service(function) for function in stage.of_type("AWS::Lambda::Function")}
    written: set[tuple[str, str | None]] = set()
    for path in (ROOT / "lambdas").rglob("*.py"):
        shared = path.parent.name == "lambdas"
        if not shared and path.parent.name not in functions:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "frame.count":
                written |= {(path.stem if shared else path.parent.name, keyword.arg) for keyword in node.keywords}
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "frame.took":
                written.add((path.parent.name, ast.literal_eval(node.args[0])))
    assert len(written) == CUSTOM_METRICS
