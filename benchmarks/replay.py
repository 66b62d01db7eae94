"""The simulation against the local cloud: the same uploads through both, and the rates of both beside each other.

Nothing is assumed of the cloud. How many batches it runs at a time is asked of its emulator's own code, batch sizes and
timeouts of its mappings, queues and functions; when photos came and when they were found is in the catalog, and what
each invocation took in the functions' logs. The simulation gets these and has to come to the rate by itself.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Self

from benchmarks.measure import say
from benchmarks.photos import enlarged, originals
from benchmarks.report import Results, Row
from benchmarks.simulation import Consumer, Pipeline, simulate

__all__ = ["Cloud", "Invocation", "Measured", "Round", "compare", "invocations", "simulation"]

SIZES = (40, 160)
TARGET = 0.8
"""Of the larger rate, the smaller one."""
_SEEDS = range(15)
_PATIENCE = 180.0  # seconds for a round
_INDEX = "imagerepository"
_HANDLED = re.compile(r"(?:Images(?:Classified|Rejected|Removed)|Updates(?:Applied|Stale)|Failures)$")
_REPORT = re.compile(r"REPORT RequestId: (\S+)\s+Duration: ([\d.]+) ms")

# The emulator says it in no answer: it is asked of its code, with the mapping and the kind of queue.
_ASK = """
import json, sys
from ministack.services import lambda_svc
mapping, fifo = json.loads(sys.argv[1])
print(lambda_svc._sqs_esm_concurrency(mapping, {}, {}, {"is_fifo": fifo}))
"""


@dataclass(frozen=True)
class Invocation:
    """What a function's log tells of a call: when it ended (seconds since 1970), and how long so many messages took."""

    ended: float
    seconds: float
    messages: int
    cold: bool


@dataclass(frozen=True)
class Measured:
    """What invocations took, as a line over the messages in them and the factors by which they strayed from it.

    >>> found = Measured.of([Invocation(0, 1.5, 1, False), Invocation(0, 6.0, 10, False)])
    >>> round(found.wait, 6), round(found.each, 6), round(found(Random(1), 5), 6)
    (1.0, 0.5, 3.5)
    """

    wait: float
    each: float
    factors: tuple[float, ...]

    @classmethod
    def of(cls, calls: Iterable[Invocation]) -> Measured:
        """The line of least squares, but nothing of it negative; raises ValueError where no call did anything."""
        points = [(call.messages, call.seconds) for call in calls if call.messages]
        if not points:
            raise ValueError("no invocation was measured")
        messages, seconds = ([float(point[axis]) for point in points] for axis in (0, 1))
        wait, each = 0.0, sum(seconds) / sum(messages)
        if len(set(messages)) > 1:
            line = statistics.linear_regression(messages, seconds)
            if line.slope < 0:
                wait, each = statistics.fmean(seconds), 0.0
            elif line.intercept > 0:
                wait, each = line.intercept, line.slope
        return cls(wait, each, tuple(took / (wait + each * number) for number, took in points))

    def __call__(self, random: Random, messages: int) -> float:
        return (self.wait + messages * self.each) * random.choice(self.factors)


@dataclass(frozen=True)
class Round:
    """Photos that were sent at once: the seconds at which they came, when the last one was found, what calls took."""

    uploads: tuple[float, ...]
    seconds: float
    classify: tuple[Invocation, ...]
    catalog: tuple[Invocation, ...]

    @property
    def rate(self) -> float:
        return len(self.uploads) / self.seconds


def simulated(cloud: Cloud, uploads: Sequence[float], classify: Measured, catalog: Measured) -> float:
    """Photos a second, the median of some seeds."""
    pipeline = Pipeline(cloud.consumer("classify", classify), cloud.consumer("catalog", catalog))
    arrivals = [(second, index) for index, second in enumerate(uploads)]
    ends = [simulate(pipeline, arrivals, seed=seed).last_end for seed in _SEEDS]
    return len(uploads) / statistics.median(ends)


def compare(cloud: Cloud, rounds: int) -> Results:
    """The rows for each number of photos: medians over ``rounds`` of the simulated and the measured rate.

    A round is simulated with the times of its own invocations, so that a slow spell of the machine meets both. The
    last row, without a target, is a prediction: the most photos, with the times of those rounds that had the fewest.
    """
    say("  the first photos start the functions ...")
    cloud.round(SIZES[0], "warm-up")
    found: dict[int, list[Round]] = {size: [] for size in SIZES}
    ratios: dict[int, list[float]] = {size: [] for size in SIZES}
    models: dict[int, list[float]] = {size: [] for size in SIZES}
    for turn in range(rounds):
        for size in SIZES:
            one = cloud.round(size, f"round-{turn}-{size}")
            model = simulated(cloud, one.uploads, Measured.of(one.classify), Measured.of(one.catalog))
            say(f"  {size} photos: {one.rate:.1f}/s measured, {model:.1f}/s simulated")
            found[size].append(one)
            models[size].append(model)
            ratios[size].append(model / one.rate)
    rows = []
    for size in SIZES:
        rates = [one.rate for one in found[size]]
        name = f"simulation of {size} photos at once through the local cloud, against what it does"
        ratio = statistics.median(ratios[size])
        rows.append(_row(name, statistics.median(models[size]), statistics.median(rates), ratio, TARGET))
    few, many = SIZES[0], SIZES[-1]
    times = [Measured.of(call for one in found[few] for call in getattr(one, name)) for name in ("classify", "catalog")]
    guess = statistics.median(simulated(cloud, one.uploads, *times) for one in found[many])
    rate = statistics.median(one.rate for one in found[many])
    rows.append(_row(f"the same for {many}, with the times of {few}", guess, rate, guess / rate, None))
    return Results(rows)


def _row(name: str, ours: float, reference: float, ratio: float, target: float | None) -> Row:
    """However they differ, the ratio is of the smaller one to the larger."""
    return Row(name, ours, reference, "photos/s", min(ratio, 1 / ratio), target, "higher")


def invocations(events: Iterable[dict[str, Any]]) -> Iterator[Invocation]:
    """The calls in the events of a function's log group, in the order in which they ended.

    Messages are what the function itself has counted in its metrics; a message with nothing to count (a test event of
    S3) is none.

    >>> log = ['START RequestId: 1 Version: $LATEST', '{"level": "INFO", "cold_start": true}',
    ...        '{"_aws": {}, "ImagesClassified": [2.0], "Failures": [1.0]}', 'REPORT RequestId: 1\\tDuration: 250 ms']
    >>> list(invocations({"logStreamName": "a", "timestamp": 5000, "message": line} for line in log))
    [Invocation(ended=5.0, seconds=0.25, messages=3, cold=True)]
    """
    found: list[Invocation] = []
    open_calls: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        lines = open_calls.setdefault(event["logStreamName"], [])
        message = event["message"]
        if message.startswith("START "):
            lines.clear()
        elif report := _REPORT.match(message):
            handled = sum(_total(value) for line in lines for name, value in line.items() if _HANDLED.match(name))
            cold = any(line.get("cold_start") is True for line in lines)
            found.append(Invocation(event["timestamp"] / 1000, float(report[2]) / 1000, int(handled), cold))
            lines.clear()
        elif message.startswith("{"):
            lines.append(json.loads(message))
    yield from sorted(found, key=lambda call: call.ended)


def _total(value: Any) -> float:
    return sum(value) if isinstance(value, list) else float(value)


class Cloud:
    """A local cloud with the pipeline in it, as the simulation needs to know it; to be closed (or a ``with`` block)."""

    def __init__(self, connection: Any) -> None:
        from opensearchpy import OpenSearch

        self._connection = connection
        self._s3 = connection.client("s3", max_pool_connections=8)
        self._logs = connection.client("logs")
        self._search = OpenSearch(connection.search_url, timeout=30)
        self._bucket = connection.outputs("ingest")["BucketName"]
        self._photos = enlarged(originals(), 2)
        self._about: dict[str, dict[str, Any]] = {}
        functions, sqs = connection.client("lambda"), connection.client("sqs")
        self._clients = (self._s3, self._logs, self._search, functions, sqs)
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            function = functions.get_function_configuration(FunctionName=mapping["FunctionArn"])
            name = function["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"]
            url = sqs.get_queue_url(QueueName=mapping["EventSourceArn"].rsplit(":", 1)[1])["QueueUrl"]
            queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            fifo = queue.get("FifoQueue") == "true"
            self._about[name] = {
                "log": function["LoggingConfig"]["LogGroup"],
                "at_once": _at_once(mapping, fifo),
                "batch_size": mapping["BatchSize"],
                "window_seconds": float(mapping.get("MaximumBatchingWindowInSeconds", 0)),
                "visibility_seconds": int(queue["VisibilityTimeout"]),
                "max_receives": int(json.loads(queue["RedrivePolicy"])["maxReceiveCount"]),
                "timeout_seconds": function["Timeout"],
                "fifo": fifo,
            }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def consumer(self, name: str, seconds: Measured) -> Consumer:
        """The consumer as it is deployed: all its batches from the beginning, and as many functions that are warm."""
        about = dict(self._about[name])
        del about["log"]
        at_once = about.pop("at_once")
        return Consumer(seconds, most=at_once, first=at_once, warm=at_once, **about)

    def round(self, number: int, prefix: str) -> Round:
        """Send so many photos, and wait until all are found; raises RuntimeError if that takes too long."""
        from tagstream.pipeline.uploads import Upload, upload_all

        since = time.time()
        sent = [Upload(self._photos[index % len(self._photos)], f"{prefix}/{index}.jpg") for index in range(number)]
        for outcome in upload_all(self._s3, self._bucket, sent):
            if outcome.error is not None:
                raise RuntimeError(f"{outcome.upload.key} was not uploaded: {outcome.error}")
        found = self._found(prefix, number, since + _PATIENCE)
        came = sorted(_second(document["uploaded_at"]) for document in found)
        classify, catalog = (self._calls(name, since, number) for name in ("classify", "catalog"))
        return Round(
            tuple(second - came[0] for second in came),
            max(_second(document["indexed_at"]) for document in found) - came[0],
            classify,
            catalog,
        )

    def _found(self, prefix: str, number: int, until: float) -> list[dict[str, Any]]:
        from opensearchpy.exceptions import NotFoundError

        keys = [f"{prefix}/{index}.jpg" for index in range(number)]
        body = {"size": number, "query": {"terms": {"key": keys}}, "_source": ["uploaded_at", "indexed_at", "status"]}
        while True:
            # Asked seldom: whoever waits takes of the two cores, too.
            time.sleep(0.5)
            try:
                hits = self._search.search(index=_INDEX, body=body)["hits"]["hits"]
            except NotFoundError:  # the index is created by the first update
                hits = []
            if len(hits) == number:
                return [hit["_source"] for hit in hits]
            if time.time() > until:
                raise RuntimeError(f"{number - len(hits)} of {number} photos were not found in time")

    def _calls(self, name: str, since: float, number: int) -> tuple[Invocation, ...]:
        """The round's invocations that were warm; all of them are in the log a moment after the last photo is found."""
        until = time.time() + 30
        while True:
            request = {"logGroupName": self._about[name]["log"], "startTime": int(since * 1000)}
            pages = self._logs.get_paginator("filter_log_events").paginate(**request)
            calls = list(invocations(event for page in pages for event in page["events"]))
            if sum(call.messages for call in calls) >= number:
                return tuple(call for call in calls if not call.cold)
            if time.time() > until:
                raise RuntimeError(f"the log of {name} does not have all of {number} photos")
            time.sleep(0.2)


def _second(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _at_once(mapping: dict[str, Any], fifo: bool) -> int:
    known = {name: mapping[name] for name in ("UUID", "ScalingConfig") if name in mapping}
    asked = subprocess.run(
        [Path(__file__).resolve().parents[1] / ".venv-local" / "bin" / "python", "-c", _ASK, json.dumps([known, fifo])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if asked.returncode:
        raise RuntimeError(f"the emulator's code does not say how many batches run at a time: {asked.stderr[-500:]}")
    return int(asked.stdout)


def simulation(rounds: int) -> Results:
    """A local cloud of its own; a fifth of ``rounds``, but at least three, since each sends two hundred photos."""
    from tagstream.local.cloud import LocalCloud

    with (
        tempfile.TemporaryDirectory(prefix="tagstream-bench-") as directory,
        LocalCloud(Path(directory), logs=Path("build/bench-logs"), report=lambda line: say(f"  {line}")) as cloud,
    ):
        cloud.deploy()
        with Cloud(cloud.connection) as deployed:
            return compare(deployed, max(3, rounds // 5))
