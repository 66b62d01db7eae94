"""What every function has around its work, each time in a process of its own: it is about a function's first event."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import gc, json, sys
from types import SimpleNamespace

class Photo:
    pass

import lambdas.frame
seen = {"while importing": gc.isenabled()}
frame = lambdas.frame.Frame()

@frame.handler
def handler(event, context):
    seen["while answering"] = gc.isenabled()
    if event.get("leave"):
        photo = Photo()
        photo.itself = photo
    if event.get("raise"):
        raise ValueError("as asked")
    errors = {name: ValueError("broken") for name in event["broken"]}
    return frame.answer(event, context, errors, fifo=event["fifo"])

context = SimpleNamespace(
    function_name="f", memory_limit_in_mb=128, invoked_function_arn="arn", aws_request_id="id", tenant_id=None
)
try:
    seen["answer"] = handler(json.loads(sys.argv[1]), context)
except ValueError as error:
    seen["raised"] = str(error)
seen["afterwards"] = gc.isenabled()
seen["never looked through"] = gc.get_freeze_count() > 10_000
seen["batch"] = "aws_lambda_powertools.utilities.batch" in sys.modules
gc.collect()
seen["left of it"] = sum(isinstance(one, Photo) for one in gc.get_objects())
print("SEEN", json.dumps(seen))
"""


def seen(**event: object) -> dict[str, object]:
    records = [
        {"messageId": name, "attributes": {"MessageGroupId": name[0]}, "eventSource": "aws:sqs", "body": ""}
        for name in ("a1", "a2", "b1")
    ]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps({"Records": records, "fifo": False} | event)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"POWERTOOLS_SERVICE_NAME": "f", "POWERTOOLS_METRICS_NAMESPACE": "Tagstream"},
        timeout=120,
    )
    found: dict[str, object] = json.loads(done.stdout.rpartition("SEEN ")[2])
    return found


@pytest.mark.parametrize("fifo", [False, True])
def test_a_first_batch_without_failures_waits_for_no_garbage_and_no_import(fifo: bool) -> None:
    assert seen(broken=[], fifo=fifo) == {
        "while importing": False,
        "while answering": False,
        "answer": {"batchItemFailures": []},
        "afterwards": True,
        "never looked through": True,
        "batch": False,
        "left of it": 0,
    }


@pytest.mark.parametrize(("fifo", "again"), [(False, ["a1"]), (True, ["a1", "a2"])])
def test_a_first_batch_with_a_failure(fifo: bool, again: list[str]) -> None:
    found = seen(broken=["a1"], fifo=fifo)
    assert found["answer"] == {"batchItemFailures": [{"itemIdentifier": name} for name in again]}
    assert found["batch"]


def test_what_the_first_event_left_is_garbage_like_any_other() -> None:
    # An error holds the frames that it went through, and what was in them: a batch of photos.
    found = seen(broken=["a1"], leave=True)
    assert found["left of it"] == 0


def test_garbage_is_collected_again_after_a_first_event_that_failed() -> None:
    found = seen(**{"raise": True})
    assert found["raised"] == "as asked"
    assert not found["while answering"]
    assert found["afterwards"]
