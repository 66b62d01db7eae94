"""The classify function as it is deployed: the size of its bundle, its cold start, its memory."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.classification import DEFAULT, ON_AWS, build
from benchmarks.measure import interleaved, pinned, say
from benchmarks.photos import enlarged, originals
from benchmarks.report import Results, Skipped, faster, limited, median, noted
from benchmarks.storage import storage

__all__ = ["bundle", "first_answer"]

HERE = Path(__file__).parent
# Lambda's limit for a function's unzipped code; AWS writes MB and means 262,144,000 bytes.
LAMBDA_LIMIT = 262_144_000
MIB = 1_048_576


def bundle(rounds: int) -> Results:
    """Builds the bundle for AWS and the one for this machine; measures both sizes, and runs the latter."""
    from stacks import bundling

    results = Results()
    say("  building the bundles that are missing ...")
    here, as_there = (
        bundling.Bundle("classify", bundling.this_machine(), _with(build(*model))).build()
        for model in ((DEFAULT, "fp16"), (ON_AWS, "int8"))
    )
    try:
        aws = bundling.Bundle("classify", bundling.aws(), _with(build(ON_AWS, "int8"))).build()
    except bundling.BundlingError as error:
        results.skipped.append(Skipped("classify bundle for AWS", str(error)))
    else:
        _sizes(results, aws)
    with tempfile.TemporaryDirectory(prefix="tagstream-bench-") as scratch:
        # Not the virtual environment's: the bundle has to bring all that it needs.
        python = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
        programs = {}
        for model, archive in ((DEFAULT, here), (f"{ON_AWS} in int8", as_there)):
            place = Path(scratch, archive.stem)
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(place)
            programs[model] = [python, "-I", "-S", str(HERE / "deployed.py"), str(place)]
        _cold_start(results, programs, rounds)
        _memory(results, programs[DEFAULT])
    return results


def _with(model: str) -> dict[str, Path]:
    return {f"model/{path.name}": path.resolve() for path in Path(model).iterdir()}


def _sizes(results: Results, archive: Path, mib: float = 90.0, mb: float = 35.0) -> None:
    with zipfile.ZipFile(archive) as zipped:
        unzipped = sum(entry.file_size for entry in zipped.infolist())
    size = archive.stat().st_size
    results.rows.append(
        limited(
            f"classify bundle for AWS (arm64), unzipped (at most {mib:g} MiB), of Lambda's 250 MB",
            unzipped / MIB,
            LAMBDA_LIMIT / MIB,
            unit="MiB",
            at_most=mib,
        )
    )
    results.rows.append(
        limited(
            f"classify bundle for AWS (arm64), zipped (at most {mb:g} MB), of Lambda's 250 MB",
            size / 1e6,
            LAMBDA_LIMIT / 1e6,
            unit="MB",
            at_most=mb,
        )
    )


def _cold_start(results: Results, programs: Mapping[str, list[str]], rounds: int) -> None:
    """A row for each of the bundles, which are given with the model that is in them."""
    photo = enlarged(originals()[:1], 2)[0]
    classic = [sys.executable, str(HERE / "classic.py"), str(photo)]
    with storage({"photo.jpg": photo}) as endpoint:
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "INGEST_QUEUE_URL": f"{endpoint}/000000000000/ingest",
            "CATALOG_QUEUE_URL": f"{endpoint}/000000000000/catalog.fifo",
            "THUMBNAILS_BUCKET": "thumbnails",
            "POWERTOOLS_SERVICE_NAME": "classify",
            "POWERTOOLS_METRICS_NAMESPACE": "Tagstream",
        }
        about = {"bucket": {"name": "photos"}, "object": {"key": "photo.jpg", "sequencer": "0A"}}
        record = {"eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00Z", "s3": about}
        message = {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}
        event = json.dumps({"Records": [message]})

        def start_ours(program: list[str], _: int) -> float:
            seconds, answer = first_answer([*program, "answer", event], environment)
            if answer != {"batchItemFailures": []}:
                raise RuntimeError(f"the function answered {answer}")
            return 1e3 * seconds

        def start_classic(_: int) -> float:
            return 1e3 * first_answer(classic, {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})[0]

        say(f"  {rounds} rounds of cold starts ...")
        # One core, about what Lambda grants the function. The first start reads from the disk.
        with pinned(1):
            ours = {model: functools.partial(start_ours, program) for model, program in programs.items()}
            times = interleaved({**ours, "classic": start_classic}, rounds, warm_ups=1)
    results.rows += (
        faster(
            f"cold start to first answer, 1 core, from the deployed bundle with {model}, against 2016's way",
            times[model],
            times["classic"],
            target=20.0,
        )
        for model in programs
    )


def first_answer(program: list[str], environment: Mapping[str, str]) -> tuple[float, Any]:
    """Seconds from the start of a process to the line with its answer, and the answer."""
    started = time.perf_counter()
    with subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = []
        for line in process.stdout or ():
            if line.startswith("ANSWER "):
                seconds = time.perf_counter() - started
                process.communicate(timeout=60)
                return seconds, json.loads(line.removeprefix("ANSWER "))
            said.append(line)
        errors = process.stderr.read() if process.stderr else ""
    raise RuntimeError(f"{program[:5]} gave no answer: {''.join(said)}{errors}")


def _memory(results: Results, program: list[str]) -> None:
    """Medians of three fresh processes: they hardly differ."""
    photo = enlarged(originals()[:1], 50)[0]
    places = dict.fromkeys(("INGEST_QUEUE_URL", "CATALOG_QUEUE_URL", "THUMBNAILS_BUCKET"), "http://127.0.0.1/q")
    environment = {"PATH": os.defpath, **places, "AWS_REGION": "us-east-1"}
    environment |= {"AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_METRICS_NAMESPACE": "Tagstream"}
    answers = [first_answer([*program, "memory", str(photo)], environment)[1] for _ in range(3)]
    for name, what in (("rest", "memory at rest, model loaded"), ("peak", "peak memory with a 50-megapixel JPEG")):
        results.rows.append(noted(what, median(answer[name] for answer in answers), unit="MB"))
