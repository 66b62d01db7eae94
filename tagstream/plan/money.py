"""What a load costs in a month, line by line, and what Amazon Rekognition would take for the labels alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tagstream.plan.figures import instances, measured, price, tiered
from tagstream.plan.sizing import DAYS, Size, Workload, batch_seconds, catalog_batch_seconds, managers_for

__all__ = ["ALARM_METRICS", "CUSTOM_METRICS", "Cost", "costs", "rekognition"]

HOURS = 730
"""In a month, as AWS bills it."""
_SECONDS = DAYS * 86_400
GB = 1024**3
_SQS_BYTES = 64 * 1024

ALARM_METRICS = 63
"""Of stage prod: a test counts them in its template."""
CUSTOM_METRICS = 18
"""That the functions of stage prod write themselves: a test counts them in the code."""
_LOG_MONTHS = 3
"""That prod keeps logs."""
_POLLS = 5 * 3 * 60 * 24 * DAYS
"""Of an idle queue: five pollers that each wait for twenty seconds."""
_SEARCH_THUMBNAILS = 20
"""Images on a page of answers."""


@dataclass(frozen=True)
class Cost:
    """A line of the bill: ``quantity`` of ``unit``, and the ``dollars`` for all of them."""

    service: str
    what: str
    quantity: float
    unit: str
    dollars: float


def costs(load: Workload, planned: Size) -> list[Cost]:
    """The bill of a month, when the catalog holds as much as ``load.months`` bring.

    Each photo is an invocation of its own, and each update too: what a queue gives while nothing waits. Full batches
    take less.
    """
    return [
        *_photos(load),
        *_queues(load),
        *_functions(load, planned),
        *_domain(planned),
        *_watching(load),
        *_web(load),
    ]


def rekognition(load: Workload) -> float:
    """Dollars a month of DetectLabels for the same photos: labels only, no queues, catalog, search or thumbnails."""
    return tiered(load.images_per_month, price("rekognition_detect_labels"))


def _line(service: str, what: str, quantity: float, unit: str, dollars: float) -> Cost:
    return Cost(service, what, quantity, unit, quantity * dollars)


def _photos(load: Workload) -> Iterator[Cost]:
    month = load.images_per_month
    yield _line("S3", "photos put", month, "requests", price("s3_put"))
    yield _line("S3", "photos got by classify", month, "requests", price("s3_get"))
    yield _line("S3", "thumbnails put", 2 * month, "requests", price("s3_put"))
    photos = load.images * load.photo_mb / 1024
    thumbnails = load.images * measured("thumbnails_bytes") / GB
    both = tiered(photos + thumbnails, price("s3_storage"))
    share = thumbnails / (photos + thumbnails) if photos + thumbnails else 0.0
    yield Cost("S3", "photos kept", photos, "GB", both * (1 - share))
    yield Cost("S3", "thumbnails kept", thumbnails, "GB", both * share)


def _queues(load: Workload) -> Iterator[Cost]:
    month = load.images_per_month
    for service, size, queues in (("standard", "event_bytes", 2), ("fifo", "update_bytes", 1)):
        # Sent, received, deleted; and what pollers ask in vain.
        billed = month * (2 * math.ceil(measured(size) / _SQS_BYTES) + 1) + queues * _POLLS
        yield _line("SQS", f"{service} queues", billed, "requests", price(f"sqs_{service}"))


def _functions(load: Workload, planned: Size) -> Iterator[Cost]:
    month, searches = load.images_per_month, load.searches_per_day * DAYS
    one = batch_seconds(
        1,
        photo_mb=load.photo_mb,
        memory_mb=planned.classify_memory_mb,
        model=load.model,
        photo_milliseconds=load.photo_milliseconds,
    )
    gb_seconds = {
        "classify": month * one * planned.classify_memory_mb / 1024,
        "catalog": month
        * catalog_batch_seconds(1, memory_mb=planned.catalog_memory_mb)
        * planned.catalog_memory_mb
        / 1024,
        "api": searches * measured("search_ms") / 1000 * 1769 / 1024,
    }
    total = sum(gb_seconds.values())
    dollars = tiered(total, price("lambda_gb_second"))
    for name, amount in gb_seconds.items():
        if amount:
            yield Cost("Lambda", name, amount, "GB-seconds", dollars * amount / total)
    yield _line("Lambda", "invocations", 2 * month + searches, "requests", price("lambda_request"))


def _domain(planned: Size) -> Iterator[Cost]:
    kind = instances()[planned.instance_type]
    hours = planned.data_nodes * HOURS
    yield _line("OpenSearch", f"{planned.data_nodes} {kind.name}", hours, "hours", kind.dollars_an_hour)
    if planned.managers:
        _, manager = managers_for(planned.data_nodes)
        yield _line(
            "OpenSearch",
            f"{planned.managers} {manager.name}, managers",
            planned.managers * HOURS,
            "hours",
            manager.dollars_an_hour,
        )
    yield _line("OpenSearch", "disks", planned.data_nodes * planned.volume_gb, "GB", price("opensearch_gp3"))


def _watching(load: Workload) -> Iterator[Cost]:
    month, searches = load.images_per_month, load.searches_per_day * DAYS
    logged = (month * measured("log_bytes") + searches * measured("log_bytes") / 2) / GB
    yield _line("CloudWatch", "logs written", logged, "GB", price("logs_ingested"))
    yield _line("CloudWatch", "logs kept", logged * _LOG_MONTHS, "GB", price("logs_stored"))
    yield _line("CloudWatch", "alarms", ALARM_METRICS, "metrics", price("alarm_metric"))
    yield _line("CloudWatch", "dashboard", 1, "dashboard", price("dashboard"))
    yield _line("CloudWatch", "metrics of the functions", CUSTOM_METRICS, "metrics", price("custom_metric"))
    # Of each function's invocations, Lambda traces the first one of a second, and a twentieth of the others.
    traces = sum(
        min(calls, _SECONDS) + 0.05 * max(0.0, calls - _SECONDS) for calls in (month, month, searches) if calls
    )
    yield _line("X-Ray", "traces", traces, "traces", price("xray_trace"))


def _web(load: Workload) -> Iterator[Cost]:
    if load.zones > 1:
        moved = load.images_per_month * measured("update_bytes") * 2 / GB
        # To a node in another zone than the function's, two times of three.
        yield _line("Transfer", "between zones", moved * 2 / 3 * 2, "GB", price("transfer_zone_gb"))
    searches = load.searches_per_day * DAYS
    if not searches:
        return
    yield Cost("API Gateway", "requests", searches, "requests", tiered(searches, price("http_api_request")))
    answered = searches * measured("search_bytes") / GB
    yield _line("CloudFront", "requests", searches, "requests", price("cloudfront_request"))
    yield Cost("CloudFront", "answers", answered, "GB", tiered(answered, price("cloudfront_gb")))
    shown = searches * _SEARCH_THUMBNAILS
    yield _line("S3", "thumbnails got", shown, "requests", price("s3_get"))
    out = shown * measured("small_thumbnail_bytes") / GB
    yield Cost("Transfer", "thumbnails, to the internet", out, "GB", tiered(out, price("transfer_out_gb")))
