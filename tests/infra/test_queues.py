"""Queues, their dead letters, and what feeds functions from them: in every stage, both ways."""

from __future__ import annotations

import json
from typing import Any

from tests.infra.templates import Resource, Stage

DAY = 86_400


def redrive(queue: Resource) -> dict[str, Any]:
    policy = queue.properties.get("RedrivePolicy", {})
    return json.loads(policy) if isinstance(policy, str) else policy


def queues(stage: Stage) -> list[Resource]:
    return stage.of_type("AWS::SQS::Queue")


def dead_letters(stage: Stage) -> dict[str, Resource]:
    """The dead-letter queue of each queue that has one, by the queue's id."""
    return {queue.id: stage.by_arn(redrive(queue)["deadLetterTargetArn"]) for queue in queues(stage) if redrive(queue)}


def mappings(stage: Stage) -> list[tuple[Resource, Resource, Resource]]:
    """Every event-source mapping with its queue and its function."""
    found = []
    for mapping in stage.of_type("AWS::Lambda::EventSourceMapping"):
        (function,) = (
            function
            for function in stage.of_type("AWS::Lambda::Function")
            if stage.called_name(stage.service(function)) == mapping.properties["FunctionName"]
        )
        found.append((mapping, stage.by_arn(mapping.properties["EventSourceArn"]), function))
    assert found
    return found


def test_every_queue_has_dead_letters_or_is_for_them(stage: Stage) -> None:
    pairs = dead_letters(stage)
    targets = {target.id for target in pairs.values()}
    assert {queue.id for queue in queues(stage)} == pairs.keys() | targets
    assert not pairs.keys() & targets
    assert len(targets) == len(pairs), "two queues share their dead letters"


def test_dead_letters_are_of_the_same_kind_and_kept_longest(stage: Stage) -> None:
    by_id = {queue.id: queue for queue in queues(stage)}
    for queue_id, target in dead_letters(stage).items():
        queue = by_id[queue_id]
        assert target.properties.get("FifoQueue", False) == queue.properties.get("FifoQueue", False)
        assert target.properties["MessageRetentionPeriod"] == 14 * DAY
        assert queue.properties["MessageRetentionPeriod"] < 14 * DAY


def test_every_queue_is_encrypted_so_that_s3_can_still_notify_it(stage: Stage) -> None:
    for queue in queues(stage):
        assert queue.properties["SqsManagedSseEnabled"] is True
        assert "KmsMasterKeyId" not in queue.properties


def test_every_queue_refuses_what_is_not_tls(stage: Stage) -> None:
    refusing = {
        address
        for policy in stage.of_type("AWS::SQS::QueuePolicy")
        for address in policy.properties["Queues"]
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Action"] == "sqs:*"
        and statement["Principal"] == {"AWS": "*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusing == {queue.ref for queue in queues(stage)}


def test_fifo_queues_are_in_high_throughput_mode(stage: Stage) -> None:
    for queue in queues(stage):
        fifo = queue.properties.get("FifoQueue", False)
        assert queue.properties.get("DeduplicationScope") == ("messageGroup" if fifo else None)
        assert queue.properties.get("FifoThroughputLimit") == ("perMessageGroupId" if fifo else None)


def test_visibility_is_six_timeouts_of_the_function_and_ends_before_the_message_does(stage: Stage) -> None:
    for _, queue, function in mappings(stage):
        visibility = queue.properties["VisibilityTimeout"]
        assert visibility >= 6 * function.properties["Timeout"]
        assert visibility * redrive(queue)["maxReceiveCount"] < queue.properties["MessageRetentionPeriod"]


def test_throttled_calls_do_not_dead_letter(stage: Stage) -> None:
    for _, queue, _ in mappings(stage):
        assert redrive(queue)["maxReceiveCount"] >= 5


def test_every_mapping_has_partial_responses_a_limit_and_metrics(stage: Stage) -> None:
    for mapping, queue, _ in mappings(stage):
        assert mapping.properties["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 2 <= mapping.properties["ScalingConfig"]["MaximumConcurrency"] <= 1000
        assert mapping.properties["MetricsConfig"] == {"Metrics": ["EventCount"]}
        if queue.properties.get("FifoQueue"):
            assert mapping.properties["BatchSize"] <= 10
            assert not mapping.properties.get("MaximumBatchingWindowInSeconds")
        elif mapping.properties["BatchSize"] > 10:
            assert mapping.properties["MaximumBatchingWindowInSeconds"] >= 1


def test_no_dead_letter_queue_feeds_a_function(stage: Stage) -> None:
    targets = {target.id for target in dead_letters(stage).values()}
    assert not targets & {queue.id for _, queue, _ in mappings(stage)}


def test_a_mapping_waits_for_its_permission(stage: Stage) -> None:
    for mapping, queue, function in mappings(stage):
        stack = mapping.id.partition(".")[0]
        granting = {
            policy.id
            for policy in stage.of_type("AWS::IAM::Policy")
            for statement in policy.properties["PolicyDocument"]["Statement"]
            if "sqs:ReceiveMessage" in statement["Action"] and statement["Resource"] == queue.arn
        }
        awaited = {f"{stack}.{name}" for name in mapping.raw.get("DependsOn", [])}
        assert granting & awaited, function.id


def test_updates_of_the_catalog_are_kept_in_order(stage: Stage) -> None:
    queue = stage.by_arn(stage.mapping_of("catalog").properties["EventSourceArn"])
    assert queue.properties["FifoQueue"] is True
    assert stage.function("classify").properties["Environment"]["Variables"]["CATALOG_QUEUE_URL"] == queue.ref


def test_the_classify_function_deletes_from_the_queue_that_feeds_it(stage: Stage) -> None:
    queue = stage.by_arn(stage.mapping_of("classify").properties["EventSourceArn"])
    assert stage.function("classify").properties["Environment"]["Variables"]["INGEST_QUEUE_URL"] == queue.ref
