"""The state of a stage at one moment, as a person wants to see it at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tagstream.deployed.aws import Aws
from tagstream.operations.mappings import mapping_of
from tagstream.operations.queues import QUEUES
from tagstream.topics import Topics

__all__ = ["QueueState", "State", "look"]

_LISTED_AT_MOST = 10_000
_MIB_A_GIB = 1024
_MILLISECONDS_A_SECOND = 1000
_OF_THE_DOMAIN = (
    ("red", "ClusterStatus.red", "Maximum"),
    ("yellow", "ClusterStatus.yellow", "Maximum"),
    ("nodes", "Nodes", "Minimum"),
    ("free_mb", "FreeStorageSpace", "Minimum"),
    ("memory_percent", "JVMMemoryPressure", "Maximum"),
    ("cpu_percent", "CPUUtilization", "Maximum"),
)


@dataclass(frozen=True)
class QueueState:
    """``oldest_seconds`` is CloudWatch's, on AWS: some minutes old. ``paused``: nothing takes messages from it."""

    queue: str
    waiting: int
    in_flight: int
    dead: int
    oldest_seconds: float | None
    paused: bool


@dataclass(frozen=True)
class State:
    """``objects`` in the bucket: counted here while they are few, otherwise CloudWatch's number of ``objects_at``.

    ``classified``, ``rejected`` and ``removed`` (tombstones) are counts of the catalog, None where it does not answer,
    which ``problems`` then says. ``alarms`` are the names of those that ring. ``domain`` is what CloudWatch has of
    OpenSearch, some minutes old, nothing in the local cloud: ``red`` and ``yellow`` (1 if it is), ``nodes``,
    ``free_mb``, ``memory_percent``, ``cpu_percent``. ``costs`` are the last day's ``invocations`` and
    ``gigabyte_seconds`` of the functions behind queues, where CloudWatch has them.
    """

    stage: str
    at: str
    objects: int | None
    objects_at: str | None
    classified: int | None
    rejected: int | None
    removed: int | None
    queues: tuple[QueueState, ...]
    alarms: tuple[str, ...]
    domain: Mapping[str, float]
    costs: Mapping[str, float]
    problems: tuple[str, ...]
    seconds: float
    """Of a clock that only goes forward: for rates between two states."""

    @property
    def indexed(self) -> int | None:
        return None if self.classified is None or self.rejected is None else self.classified + self.rejected

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "seconds"}


def look(aws: Aws, topics: Topics) -> State:
    """The state of the stage now. Some forty requests to AWS, none of which changes anything."""
    problems: list[str] = []
    objects, objects_at = _objects(aws)
    queues = tuple(_queues(aws, topics, problems))
    at_rest = not any(queue.waiting or queue.in_flight for queue in queues if queue.queue in ("ingest", "catalog"))
    images = _images(aws, problems, photos_expected=at_rest and bool(objects))
    domain = {} if aws.is_local else _domain(aws)
    if domain.get("red"):
        problems.append("the OpenSearch domain is red: part of the catalog is lost until a node or snapshot is back")
    return State(
        stage=aws.stage,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        objects=objects,
        objects_at=objects_at,
        classified=None if images is None else images.get("classified", 0),
        rejected=None if images is None else images.get("rejected", 0),
        removed=None if images is None else images.get("removed", 0),
        queues=queues,
        alarms=tuple(_alarms(aws)),
        domain=domain,
        costs=_costs(aws),
        problems=tuple(problems),
        seconds=time.monotonic(),
    )


def _objects(aws: Aws) -> tuple[int | None, str | None]:
    bucket = aws.output("ingest", "BucketName")
    counted, wanted = 0, {"Bucket": bucket}
    client = aws.client("s3")
    while counted < _LISTED_AT_MOST:
        page = client.list_objects_v2(**wanted)
        counted += page["KeyCount"]
        if not page.get("IsTruncated"):
            return counted, None
        wanted["ContinuationToken"] = page["NextContinuationToken"]
    found = _latest(
        aws,
        "AWS/S3",
        "NumberOfObjects",
        {"BucketName": bucket, "StorageType": "AllStorageTypes"},
        period=86_400,
        days=3,
    )
    return (int(found[0]), found[1]) if found else (None, None)


def _images(aws: Aws, problems: list[str], *, photos_expected: bool) -> Mapping[str, int] | None:
    from tagstream.errors import CatalogError

    try:
        state = aws.manage("inspect", "alias")
    except CatalogError as error:
        problems.append(f"the catalog does not answer: {error}")
        return None
    if state["index"] is None:
        if state["indexes"]:
            problems.append(f"the alias {state['alias']} leads to {len(state['behind_alias'])} indexes instead of one")
        elif photos_expected:
            problems.append("there are photos in the bucket, none on its way, and no index in OpenSearch: it was lost")
        return {}
    if state["blocked"]:
        problems.append(f"the index {state['index']} is blocked ({', '.join(state['blocked'])}): nothing is indexed")
    images: Mapping[str, int] = state["images"]
    return images


def _queues(aws: Aws, topics: Topics, problems: list[str]) -> list[QueueState]:
    states = []
    for queue in QUEUES:
        url = queue.url(aws, topics)
        counts = topics.counts(url)
        paused = False
        if queue.function is not None:
            mapping = mapping_of(aws, topics, queue)
            paused = mapping is None or not mapping.works
        oldest = None
        if not aws.is_local and counts.visible:
            name = url.rsplit("/", 1)[-1]
            found = _latest(
                aws, "AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": name}, period=60, days=1 / 24
            )
            oldest = found[0] if found else None
        if counts.dead_lettered is None:
            problems.append(f"the {queue.name} queue has no dead-letter queue any more")
        states.append(
            QueueState(
                queue.name, counts.visible + counts.delayed, counts.in_flight, counts.dead_lettered or 0, oldest, paused
            )
        )
    return states


def _alarms(aws: Aws) -> list[str]:
    names = []
    for page in (
        aws.client("cloudwatch")
        .get_paginator("describe_alarms")
        .paginate(StateValue="ALARM", AlarmNamePrefix=f"tagstream-{aws.stage}-operations-")
    ):
        names += [alarm["AlarmName"] for alarm in page.get("MetricAlarms", ())]
    return sorted(names)


def _domain(aws: Aws) -> dict[str, float]:
    dimensions = {
        "DomainName": f"tagstream-{aws.stage}",
        "ClientId": aws.client("sts").get_caller_identity()["Account"],
    }
    found = {
        name: _latest(aws, "AWS/ES", metric, dimensions, period=60, days=1 / 24, statistic=statistic)
        for name, metric, statistic in _OF_THE_DOMAIN
    }
    return {name: point[0] for name, point in found.items() if point is not None}


def _costs(aws: Aws) -> dict[str, float]:
    """The last day's sums of what is billed for: invocations, and the memory that functions held, times seconds."""
    costs: dict[str, float] = {}
    for queue in QUEUES:
        function = queue.function_name(aws)
        if function is None:
            continue
        memory = aws.client("lambda").get_function_configuration(FunctionName=function)["MemorySize"]
        for cost, metric, each in (
            ("invocations", "Invocations", 1.0),
            ("gigabyte_seconds", "Duration", memory / _MIB_A_GIB / _MILLISECONDS_A_SECOND),
        ):
            found = _latest(
                aws, "AWS/Lambda", metric, {"FunctionName": function}, period=86_400, days=1, statistic="Sum"
            )
            if found:
                costs[cost] = costs.get(cost, 0) + found[0] * each
    return costs


def _latest(
    aws: Aws,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    *,
    period: int,
    days: float,
    statistic: str = "Maximum",
) -> tuple[float, str] | None:
    """The last value of a metric and its time; None without one."""
    now = datetime.now(UTC)
    points = aws.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - timedelta(days=days),
        EndTime=now,
        Period=period,
        Statistics=[statistic],
    )["Datapoints"]
    if not points:
        return None
    last = max(points, key=lambda point: point["Timestamp"])
    return float(last[statistic]), last["Timestamp"].isoformat(timespec="minutes")
