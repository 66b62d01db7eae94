"""From upload to searchable, through the deployed pipeline in a local cloud of its own."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import say
from benchmarks.photos import enlarged, originals
from benchmarks.report import Results, noted

__all__ = ["pipeline"]

AT_ONCE = 40
TIMES = 5
PATIENCE = 120.0  # seconds without any news
INDEX = "imagerepository"


def pipeline(rounds: int) -> Results:
    """2-megapixel photos one at a time, for the latency, then many at once, for the throughput and what limits it."""
    from opensearchpy import OpenSearch

    from tagstream.local.cloud import LocalCloud
    from tagstream.pipeline.uploads import Upload, upload_all

    photos = enlarged(originals(), 2)
    with (
        tempfile.TemporaryDirectory(prefix="tagstream-bench-") as directory,
        LocalCloud(Path(directory), logs=Path("build/bench-logs"), report=lambda line: say(f"  {line}")) as cloud,
    ):
        cloud.deploy()
        bucket = cloud.connection.outputs("ingest")["BucketName"]
        s3 = cloud.connection.client("s3", max_pool_connections=8)
        search = OpenSearch(cloud.connection.search_url, timeout=30)

        def upload(keys: list[str]) -> dict[str, float]:
            """Seconds from now until each key is searchable."""
            started = time.perf_counter()
            sent = [Upload(photos[number % len(photos)], key) for number, key in enumerate(keys)]
            for outcome in upload_all(s3, bucket, sent):
                if outcome.error is not None:
                    raise RuntimeError(f"{outcome.upload.key} was not uploaded: {outcome.error}")
            return _searchable(search, keys, started)

        say("  the first photos start the functions ...")
        upload([f"warm-up-{number}.jpg" for number in range(AT_ONCE)])
        upload(["warm-up.jpg"])
        say(f"  {rounds} photos, one after the other ...")
        single = [seconds for turn in range(rounds) for seconds in upload([f"single-{turn}.jpg"]).values()]
        say(f"  {AT_ONCE} photos at once, {TIMES} times ...")
        before = _processor(cloud.pids)
        many = [
            AT_ONCE / max(upload([f"many-{turn}-{number}.jpg" for number in range(AT_ONCE)]).values())
            for turn in range(TIMES)
        ]
        spent = {
            part: 1e3 * (seconds - before[part]) / (TIMES * AT_ONCE) for part, seconds in _processor(cloud.pids).items()
        }
    # Of 20, the 95th percentile is the second largest.
    p95 = statistics.quantiles(single, n=20, method="inclusive")[-1] if len(single) > 1 else single[0]
    return Results(
        [
            noted("upload to searchable, one photo at a time, local cloud: p50", statistics.median(single), unit="s"),
            noted("upload to searchable, one photo at a time, local cloud: p95", p95, unit="s"),
            noted(
                f"{AT_ONCE} photos uploaded at once, local cloud",
                statistics.median(many),
                unit="photos/s",
                better="higher",
            ),
            noted(
                "the limit of that: as many as the cores can do",
                1e3 * len(os.sched_getaffinity(0)) / sum(spent.values()),
                unit="photos/s",
                better="higher",
            ),
            *(noted(f"CPU of one of them: {part}", milliseconds, unit="ms") for part, milliseconds in spent.items()),
        ]
    )


def _processor(pids: Mapping[str, int]) -> Counter[str]:
    """Seconds of the processor that each part of the local cloud has taken, and we, who upload and look."""
    taken = Counter({"who uploads and looks": time.process_time()})
    for name, pid in (("the emulator", pids["cloud"]), ("osmem", pids["search"])):
        for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                about, times = " ".join(process.cmdline()), process.cpu_times()
                part = next(
                    (f"the {one} function" for one in ("classify", "catalog") if f"{one.title()}Function" in about),
                    name,
                )
                taken[part] += times.user + times.system
    return taken


def _searchable(search: Any, keys: Iterable[str], started: float) -> dict[str, float]:
    """When each key was first found, in seconds since ``started``; raises RuntimeError if nothing comes any more.

    To look takes CPU that the photos need, more for many of them: they are looked for less often.
    """
    from opensearchpy.exceptions import NotFoundError

    missing, found = set(keys), dict[str, float]()
    while missing:
        body = {"size": len(missing), "query": {"terms": {"key": sorted(missing)}}, "_source": ["key", "status"]}
        try:
            hits = search.search(index=INDEX, body=body)["hits"]["hits"]
        except NotFoundError:  # the index is created by the first update
            hits = []
        now = time.perf_counter() - started
        for source in (hit["_source"] for hit in hits):
            if source["status"] != "classified":
                raise RuntimeError(f"{source['key']} is {source['status']}")
            found[source["key"]] = now
            missing.discard(source["key"])
        if missing and now - max(found.values(), default=0.0) > PATIENCE:
            raise RuntimeError(f"not searchable after {now:.0f} s: {', '.join(sorted(missing))}")
        time.sleep(0.02 if len(missing) == 1 else 0.05)
    return found
