"""The schedule on which catalog and bucket are brought together, which is there by a setting only."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.infra.templates import Stage, synthesise, synthesised
from tests.infra.test_operations import watched


@functools.cache
def with_schedule(**more: Any) -> Stage:
    return Stage("dev", synthesise({"stage": "dev", "reconcile_days": "7", **more}))


@pytest.mark.parametrize("stage_name", ["local", "dev", "prod"])
def test_it_is_off_unless_it_is_asked_for(stage_name: str) -> None:
    assert "reconcile" not in synthesised(stage_name).templates


def test_it_runs_every_some_days_for_as_long_as_a_function_may() -> None:
    stage = with_schedule()
    function = stage.function("reconcile")
    (rule,) = (r for r in stage.of_type("AWS::Events::Rule") if r.id.startswith("reconcile."))
    assert rule.properties["ScheduleExpression"] == "rate(7 days)"
    (target,) = rule.properties["Targets"]
    assert target["Arn"] == stage.called_arn("reconcile")
    assert function.properties["Timeout"] == 900
    (one,) = (
        r
        for r in Stage("dev", synthesise({"stage": "dev", "reconcile_days": "1"})).of_type("AWS::Events::Rule")
        if r.id.startswith("reconcile.")
    )
    assert one.properties["ScheduleExpression"] == "rate(1 day)"


def test_failures_and_many_differences_alarm() -> None:
    stage = with_schedule()
    assert frozenset({stage.function("reconcile").ref}) in watched(stage, "Errors")
    ((dimensions, alarm),) = watched(stage, "DifferencesFound").items()
    assert dimensions == {"reconcile", "dev"}
    assert (alarm.properties["Threshold"], alarm.properties["ComparisonOperator"]) == (10, "GreaterThanThreshold")
    assert not watched(synthesised("dev"), "DifferencesFound")


def test_it_lists_the_bucket_fills_its_queue_and_asks_three_functions() -> None:
    stage = with_schedule()
    function = stage.function("reconcile")
    environment = function.properties["Environment"]["Variables"]
    assert (environment["SEQUENCERS_DATED"], environment["UNDER_WAY_SECONDS"]) == ("true", "3600")
    bucket, queue = stage.bucket("Photos").arn, stage.mapping_of("classify").properties["EventSourceArn"]
    logs = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
    role = stage.by_arn(function.properties["Role"])
    assert {pair for pair in stage.allowed(role) if pair[0] not in logs} == {
        ("s3:GetBucketNotification", bucket),
        ("s3:ListBucket", bucket),
        ("sqs:GetQueueAttributes", queue),
        ("sqs:SendMessage", queue),
        *(("lambda:InvokeFunction", stage.called_arn(name)) for name in ("classify", "search", "reconcile")),
    }
