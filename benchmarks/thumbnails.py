"""What thumbnails cost: a photo's whole way through the classify function's code, with them and without."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.classification import DEFAULT, TIMED_PHOTOS, build
from benchmarks.measure import Contestant, cores, interleaved, say
from benchmarks.photos import enlarged, originals
from benchmarks.report import Results, Skipped, faster, median, noted
from benchmarks.storage import storage

__all__ = ["ingest", "thumbnails"]

BATCH = 8
AT_MOST = 1.25
"""Times the time of a photo without."""


def ingest(model: str, endpoint: str, with_thumbnails: bool) -> Callable[[list[str]], float]:
    """The work on a batch of messages, each of which names a photo; gives the seconds of CPU that it took."""
    import botocore.session

    from tagstream.classifier import Classifier
    from tagstream.pipeline.ingest import Ingest
    from tagstream.thumbnails.bucket import Thumbnails

    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    session = botocore.session.get_session()
    s3, sqs = (session.create_client(name, endpoint_url=endpoint) for name in ("s3", "sqs"))
    classifier = Classifier(Path(model))
    shelf = Thumbnails(lambda: s3, "thumbnails") if with_thumbnails else None
    subject = Ingest(s3, sqs, f"{endpoint}/queue", lambda: classifier, thumbnails=shelf)
    sequencers = itertools.count(1)

    def message(key: str) -> str:
        about = {"bucket": {"name": "photos"}, "object": {"key": key, "sequencer": f"{next(sequencers):08X}"}}
        record = {"eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00Z", "s3": about}
        return json.dumps({"Records": [record]})

    def run(keys: list[str]) -> float:
        began = time.process_time()
        for outcome in subject.process({str(i): message(key) for i, key in enumerate(keys)}).values():
            if outcome.error or [update.kind for update in outcome.updates] != ["classified"]:
                raise RuntimeError(f"a photo was not classified: {outcome}")
        return time.process_time() - began

    return run


def thumbnails(rounds: int) -> Results:
    """A photo alone, and a batch of eight: fetched, decoded, classified, analysed, its thumbnails written, told."""
    results = Results()
    if len(os.sched_getaffinity(0)) < 2:
        return Results(skipped=[Skipped("thumbnails", "only one core is granted to this process")])
    model = build(DEFAULT, "fp16")
    photos = originals()
    for megapixels in (2, 12):
        paths = enlarged(photos[: max(TIMED_PHOTOS, BATCH)], megapixels)
        by_key = {path.name: path for path in paths}
        keys = list(by_key)
        spent: dict[str, list[float]] = {"with": [], "without": []}
        say(f"  {rounds} rounds on {megapixels}-megapixel photos ...")
        with ExitStack() as stack:
            endpoint = stack.enter_context(storage(by_key))
            runs: dict[str, Callable[[int], float]] = {}
            for name, shown in (("with", True), ("without", False)):
                run = stack.enter_context(
                    Contestant("benchmarks.thumbnails:ingest", model, endpoint, shown, on=cores(2))
                )

                runs[name] = _timed(run, lambda turn, keys=keys: [keys[turn % TIMED_PHOTOS]], spent[name])  # type: ignore[misc]
                runs[f"{name}, batch"] = _timed(run, lambda _, keys=keys: keys[:BATCH], [])  # type: ignore[misc]
            taken = interleaved(runs, rounds)
        what = f"{megapixels}-megapixel JPEG through the classify function"
        results.rows.append(
            faster(
                f"{what}, 2 cores, with thumbnails against without",
                taken["with"],
                taken["without"],
                target=1 / AT_MOST,
            )
        )
        results.rows.append(
            faster(
                f"the same, {BATCH} in a batch",
                taken["with, batch"],
                taken["without, batch"],
                target=None,
            )
        )
        for name in ("with", "without"):
            results.rows.append(noted(f"the same, CPU of a photo {name}", median(spent[name]), unit="ms"))
    return results


def _timed(run: Contestant, batch: Callable[[int], list[str]], cpu: list[float]) -> Callable[[int], float]:
    """Milliseconds of a batch; those of CPU are added to ``cpu``."""

    def turn(number: int) -> float:
        seconds, spent = run.answer(batch(number))
        cpu.append(1e3 * spent)
        return 1e3 * seconds

    return turn
