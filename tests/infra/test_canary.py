"""The canary, which runs by a setting only."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from tests.infra.templates import Stage, synthesise, synthesised
from tests.infra.test_operations import watched


@functools.cache
def with_canary(**more: Any) -> Stage:
    return Stage("dev", synthesise({"stage": "dev", "canary_minutes": "5", **more}))


@pytest.mark.parametrize("stage_name", ["local", "dev", "prod"])
def test_it_is_off_unless_it_is_asked_for(stage_name: str) -> None:
    assert "canary" not in synthesised(stage_name).templates


def test_it_runs_every_few_minutes_one_at_a_time() -> None:
    stage = with_canary()
    function = stage.function("canary")
    (rule,) = (r for r in stage.of_type("AWS::Events::Rule") if r.id.startswith("canary."))
    assert rule.properties["ScheduleExpression"] == "rate(5 minutes)"
    (target,) = rule.properties["Targets"]
    assert target["Arn"] == stage.called_arn("canary")
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 0}
    assert function.properties["Timeout"] < 5 * 60
    (tries,) = (
        c for c in stage.of_type("AWS::Lambda::EventInvokeConfig") if c.properties["FunctionName"] == function.ref
    )
    assert tries.properties["MaximumRetryAttempts"] == 0


def test_a_failure_alarms() -> None:
    stage = with_canary()
    assert frozenset({stage.function("canary").ref}) in watched(stage, "Errors")


def test_it_touches_its_own_photo_only_and_asks_the_search_function() -> None:
    stage = with_canary(prefix="photos/", suffix=".jpg")
    function = stage.function("canary")
    environment = function.properties["Environment"]["Variables"]
    assert environment["OBJECT_KEY"] == "photos/tagstream-canary.jpg"
    role = stage.by_arn(function.properties["Role"])
    bucket = stage.by_arn(f"{environment['BUCKET'][:-1]}.Arn>")
    assert environment["SEARCH_FUNCTION"] == stage.called_arn("search")
    logs = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTelemetryRecords", "xray:PutTraceSegments"}
    assert {pair for pair in stage.allowed(role) if pair[0] not in logs} == {
        ("s3:PutObject", f"{bucket.arn}/photos/tagstream-canary.jpg"),
        ("s3:DeleteObject", f"{bucket.arn}/photos/tagstream-canary.jpg"),
        ("s3:DeleteObjectVersion", f"{bucket.arn}/photos/tagstream-canary.jpg"),
        ("lambda:InvokeFunction", stage.called_arn("search")),
    }


def test_who_tries_it_by_hand_is_told_which_keys_are_classified() -> None:
    outputs = with_canary(prefix="photos/", suffix=".jpg").templates["ingest"]["Outputs"]
    assert outputs["KeyPrefix"]["Value"] == "photos/"
    assert outputs["KeySuffix"]["Value"] == ".jpg"
    assert not {"KeyPrefix", "KeySuffix"} & synthesised("dev").templates["ingest"]["Outputs"].keys()
