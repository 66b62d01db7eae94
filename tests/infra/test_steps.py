"""The stack of steps: what the function may read and write, and how the settings choose the step."""

from __future__ import annotations

import json

import pytest

from stacks.settings import SettingsError, settings_for
from tests.infra.templates import Stage, synthesise
from tests.infra.test_functions import consuming, own


def sent_to(stage: Stage) -> str:
    (resource,) = {
        resource
        for action, resource in stage.allowed(stage.by_arn(stage.function("step").properties["Role"]))
        if action == "sqs:SendMessage"
    }
    return resource


def test_the_step_function_reads_its_input_and_writes_its_output_and_nothing_else(stage: Stage) -> None:
    function = stage.function("step")
    bucket = stage.bucket("Photos").arn
    output = sent_to(stage)
    assert stage.allowed(stage.by_arn(function.properties["Role"])) == own(stage, "step") | consuming(stage, "step") | {
        ("sqs:SendMessage", output),
        ("s3:GetObject", f"{bucket}/*"),
        ("s3:ListBucket", bucket),
    }
    assert output != stage.mapping_of("step").properties["EventSourceArn"], "its own output would be its input"
    assert function.properties["Environment"]["Variables"]["OUTPUT_QUEUE_URL"] == stage.by_arn(output).ref
    assert function.properties["Environment"]["Variables"]["STEP"] == "classify"


def test_each_input_has_the_functions_whole_time(stage: Stage) -> None:
    assert stage.mapping_of("step").properties["BatchSize"] == 1


def test_the_output_topic_works_as_a_topic_of_the_library_does(stage: Stage) -> None:
    policy = stage.by_arn(sent_to(stage)).properties["RedrivePolicy"]
    assert (json.loads(policy) if isinstance(policy, str) else policy)["maxReceiveCount"] == 2


def test_a_step_that_reads_no_photos_may_not() -> None:
    stage = Stage("dev", synthesise({"stage": "dev", "step": "uppercase"}))
    allowed = stage.allowed(stage.by_arn(stage.function("step").properties["Role"]))
    assert not [action for action, _ in allowed if action.startswith("s3:")]
    assert stage.function("step").properties["Environment"]["Variables"]["STEP"] == "uppercase"


@pytest.mark.parametrize("step", ["nonsense", "../step/handler.py", ""])
def test_a_step_that_is_not_there_is_said_at_synth(step: str) -> None:
    with pytest.raises(SettingsError, match="put a program into lambdas/step"):
        settings_for({"stage": "dev", "step": step})
