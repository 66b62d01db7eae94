"""Alarms: what nobody would notice is watched, and a person is told."""

from __future__ import annotations

from typing import Any

from tests.infra.templates import Resource, Stage, synthesise, synthesised
from tests.infra.test_queues import dead_letters, mappings


def watched(stage: Stage, metric: str) -> dict[frozenset[str], Resource]:
    """The alarms on a metric, by the values of their dimensions."""
    return {
        frozenset(dimension["Value"] for dimension in alarm.properties["Dimensions"]): alarm
        for alarm in stage.of_type("AWS::CloudWatch::Alarm")
        if alarm.properties["MetricName"] == metric
    }


def name_of(queue: Resource) -> frozenset[str]:
    return frozenset({f"<{queue.id}.QueueName>"})


def test_every_dead_letter_alarms_and_no_other_queue_does(stage: Stage) -> None:
    alarms = watched(stage, "ApproximateNumberOfMessagesVisible")
    assert alarms.keys() == {name_of(queue) for queue in dead_letters(stage).values()}
    for alarm in alarms.values():
        assert alarm.properties["Threshold"] == 0
        assert alarm.properties["ComparisonOperator"] == "GreaterThanThreshold"


def test_every_queue_alarms_when_it_is_not_worked_off(stage: Stage) -> None:
    expected = {name_of(queue) for _, queue, _ in mappings(stage)}
    assert watched(stage, "ApproximateAgeOfOldestMessage").keys() == expected


def test_every_function_alarms_on_errors_and_throttles(stage: Stage) -> None:
    functions = {frozenset({function.ref}) for function in stage.of_type("AWS::Lambda::Function")}
    assert watched(stage, "Errors").keys() == functions
    assert watched(stage, "Throttles").keys() == functions


def test_every_mapping_alarms_on_messages_given_back(stage: Stage) -> None:
    expected = {frozenset({mapping.ref}) for mapping, _, _ in mappings(stage)}
    assert watched(stage, "FailedInvokeEventCount").keys() == expected


def test_the_domain_alarms_before_it_is_full_and_when_it_is_broken(stage: Stage) -> None:
    domain = stage.one("AWS::OpenSearchService::Domain").properties["DomainName"]
    for metric in ("ClusterStatus.red", "FreeStorageSpace", "ClusterIndexWritesBlocked"):
        assert watched(stage, metric).keys() == {frozenset({domain, "<AWS::AccountId>"})}
    (space,) = watched(stage, "FreeStorageSpace").values()
    assert space.properties["ComparisonOperator"] == "LessThanOrEqualToThreshold"
    assert space.properties["Statistic"] == "Minimum"


def test_the_api_alarms_when_it_fails_refuses_very_many_or_is_slow(stage: Stage) -> None:
    api = stage.one("AWS::ApiGatewayV2::Api")
    for metric, statistic in (("5xx", "Sum"), ("4xx", "Sum"), ("Latency", "p95")):
        ((dimensions, alarm),) = watched(stage, metric).items()
        assert dimensions == {api.ref}
        assert alarm.properties["Namespace"] == "AWS/ApiGateway"
        assert alarm.properties.get("Statistic", alarm.properties.get("ExtendedStatistic")) == statistic
    (failures,) = watched(stage, "5xx").values()
    assert failures.properties["Threshold"] == 0


def test_every_alarm_is_simple_and_tells_the_topic(stage: Stage) -> None:
    topic = stage.one("AWS::SNS::Topic")
    assert not stage.of_type("AWS::CloudWatch::CompositeAlarm")
    for alarm in stage.of_type("AWS::CloudWatch::Alarm"):
        assert alarm.properties["AlarmActions"] == [topic.ref]
        assert alarm.properties["TreatMissingData"] == "notBreaching"
        assert alarm.properties["AlarmDescription"]
        assert "Metrics" not in alarm.properties, "the local cloud has no metric math"


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
