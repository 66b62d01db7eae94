"""Files over topics, against one message a line; and what the worker adds to a step. On one local endpoint."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.measure import interleaved, say
from benchmarks.report import Results, compared, limited, median, noted

__all__ = ["topics"]

HERE = Path(__file__).parent
MILLION = 1_000_000
SINGLE_LINES, BATCHED_LINES, DEFAULT_LINES = 200, 2_000, 100_000  # about half a second each
THREADS = 8
TRANSFER_LINES = 20_000  # the default for a file of a million lines
# How fast, in multiples of batches of ten, and for how many billed requests each choice has to be.
CHOICES = {"fast": (150.0, 160), "small": (50.0, 105)}
PARCELS, PARCEL_LINES = 30, 1_000
# What molecules are made of. Numbers chosen so that random ones compress as those of the MOSES collection do: by bzip2,
# 1,000 lines to 1 / 5.7 of their size, and 20,000 lines, among which there are relatives, to 1 / 7.3.
_GROUPS = (
    *("C(=O)N", "c1ccccc1", "C(=O)O", "OC", "NC(=O)", "CCN", "S(=O)(=O)N", "c1ccncc1", "[C@@H]", "[C@H]", "C(F)(F)F"),
    *("N1CCOCC1", "N1CCN(C)CC1", "c1ccc(F)cc1", "C#N", "c1cc(OC)ccc1", "C1CCCC1", "c1c[nH]c2ccccc12", "[N+](=O)[O-]"),
)
_ATOMS = (*"CCCCCNNOOFSccccccno", "Cl", "Br", "(C)", "(O)", "(N)", "=C", "=O", "=N", "c1", "c2", "1", "2", "C1", "N1")
_GROUP_SHARE = 0.45
_SCAFFOLDS = 600


def molecules(lines: int) -> Iterator[bytes]:
    """Lines of about 50 bytes that look like SMILES, always the same ones: a scaffold, and something at both ends."""
    pick = random.Random(1)

    def part(least: int, most: int) -> str:
        length, text = pick.randint(least, most), ""
        while len(text) < length:
            text += pick.choice(_GROUPS) if pick.random() < _GROUP_SHARE else pick.choice(_ATOMS)
        return text

    scaffolds = [part(18, 30) for _ in range(_SCAFFOLDS)]
    for _ in range(lines):
        yield f"{part(2, 14)}{pick.choice(scaffolds)}{part(2, 10)}\n".encode()


def topics(rounds: int) -> Results:
    """All rows about topics; the local cloud is started for them, without any stack in it."""
    from tagstream.local.cloud import LocalCloud

    results = Results()
    with tempfile.TemporaryDirectory(prefix="tagstream-bench-") as scratch:
        folder = Path(scratch)
        large = folder / "large.txt"
        with large.open("wb") as file:
            file.writelines(molecules(MILLION))
        results.notes.append(f"Topics: lines of {large.stat().st_size / MILLION:.0f} bytes on average.")
        with LocalCloud(folder / "cloud", logs=Path("build/bench-logs")) as cloud:
            endpoint = cloud.connection.client_settings()
            sqs = cloud.connection.client("sqs", max_pool_connections=THREADS)
            _rates(results, sqs, large, rounds)
            _transfer(results, endpoint, large, folder)
            _worker(results, sqs, large, rounds)
    return results


def _rates(results: Results, sqs: Any, large: Path, rounds: int) -> None:
    from tagstream.topics import ParcelSettings, Topics, upload

    subject = Topics(sqs)
    lines = [line.decode().rstrip("\n") for line in _head(large, BATCHED_LINES)]
    some = large.with_name("some.txt")
    some.write_bytes(b"".join(_head(large, DEFAULT_LINES)))

    def entries(part: list[str]) -> list[list[dict[str, str]]]:
        numbered = [{"Id": str(number), "MessageBody": line} for number, line in enumerate(part)]
        return [numbered[first : first + 10] for first in range(0, len(numbered), 10)]

    batches = entries(lines[:BATCHED_LINES])

    def send(url: str, batch: list[dict[str, str]]) -> None:
        if sqs.send_message_batch(QueueUrl=url, Entries=batch).get("Failed"):
            raise RuntimeError("messages were not accepted")

    def one_each(url: str) -> None:
        for line in lines[:SINGLE_LINES]:
            sqs.send_message(QueueUrl=url, MessageBody=line)

    def batched(url: str) -> None:
        for batch in batches:
            send(url, batch)

    def threaded(url: str) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda batch: send(url, batch), batches))

    def rate(work: Callable[[str], None], lines: int) -> float:
        with _topics(subject, 1) as (name,):
            started = time.perf_counter()
            work(name)
            return lines / (time.perf_counter() - started)

    def by_url(work: Callable[[str], None]) -> Callable[[str], None]:
        return lambda name: work(subject.url(name))

    billed: dict[str, int] = {}

    def uploaded(file: Path, count: int, what: str, settings: ParcelSettings) -> Callable[[str], None]:
        def work(name: str) -> None:
            result = upload(subject, name, [file], settings=settings)
            if result.lines != count:
                raise RuntimeError("not all lines were uploaded")
            billed[what] = result.billed

        return work

    def million(choice: str) -> float:
        settings = ParcelSettings(max_lines=TRANSFER_LINES, compression=choice)  # type: ignore[arg-type]
        return rate(uploaded(large, MILLION, choice, settings), MILLION)

    say(f"  {rounds} rounds of publishing ...")
    rates = interleaved(
        {
            "fast": lambda _: million("fast"),
            "send_message_batch": lambda _: rate(by_url(batched), BATCHED_LINES),
            "small": lambda _: million("small"),
            "send_message a line": lambda _: rate(by_url(one_each), SINGLE_LINES),
            f"send_message_batch in {THREADS} threads": lambda _: rate(by_url(threaded), BATCHED_LINES),
            "default": lambda _: rate(uploaded(some, DEFAULT_LINES, "default", ParcelSettings()), DEFAULT_LINES),
        },
        rounds,
        warm_ups=1,
    )
    mine = {name: median(rates.pop(name)) for name in (*CHOICES, "default")}
    for choice, (times, requests) in CHOICES.items():
        what = f"1,000,000 lines uploaded {choice} in parcels of {TRANSFER_LINES:,}"
        for name, theirs in rates.items():
            target = times if name == "send_message_batch" else None
            row = compared(f"{what}, against {name}", mine[choice], median(theirs), unit="lines/s", at_least=target)
            results.rows.append(row)
        # Batches of ten lines are a request each, however short.
        name = f"billed requests for 1,000,000 lines, {choice} (at most {requests}), of those in tens"
        results.rows.append(limited(name, billed[choice], MILLION / 10, unit="requests", at_most=requests))
    name = f"{DEFAULT_LINES:,} lines uploaded as they are, by default, against send_message_batch"
    batched_rate = median(rates["send_message_batch"])
    results.rows.append(compared(name, mine["default"], batched_rate, unit="lines/s", at_least=None))
    name = f"billed requests for {DEFAULT_LINES:,} lines by default"
    results.rows.append(noted(name, billed["default"], unit="requests"))


def _transfer(results: Results, endpoint: dict[str, str], large: Path, folder: Path) -> None:
    """Upload, download and compare in a fresh process, for its peak memory."""
    small = folder / "small.txt"
    small.write_bytes(b"".join(_head(large, 10_000)))
    say("  a million lines up and down ...")
    few, many = (
        json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.topics", json.dumps(endpoint), str(path)],
                check=True,
                capture_output=True,
                text=True,
                timeout=600,
            ).stdout
        )
        for path in (small, large)
    )
    if not (few["same"] and many["same"]):
        raise RuntimeError("what was downloaded is not what was uploaded")
    results.rows += [
        limited(
            "peak memory of 1,000,000 lines up and down (at most 50 MB more), of that of 10,000",
            many["peak"],
            few["peak"],
            unit="MB",
            at_most=few["peak"] + 50,
        ),
        noted("1,000,000 lines uploaded", many["upload"], unit="s"),
        noted("1,000,000 lines downloaded and compared", many["download"], unit="s"),
    ]


def _worker(results: Results, sqs: Any, large: Path, rounds: int) -> None:
    """The worker over parcels with a step that copies, and that step alone, once for each parcel."""
    from tagstream.topics import ParcelSettings, Topics, upload
    from tagstream.topics.worker import WorkerSettings, process

    subject = Topics(sqs)
    step = HERE / "copy_step.py"
    file = large.with_name("parcels.txt")
    file.write_bytes(b"".join(_head(large, PARCELS * PARCEL_LINES)))
    parcel, copy = large.with_name("parcel.txt"), large.with_name("copy.txt")
    parcel.write_bytes(b"".join(_head(large, PARCEL_LINES)))

    def worker(_: int) -> float:
        with _topics(subject, 2) as (source, target):
            upload(subject, source, [file], settings=ParcelSettings(max_lines=PARCEL_LINES))
            started = time.perf_counter()
            done = process(subject, source, target, step, settings=WorkerSettings(idle_timeout=0))
            seconds = time.perf_counter() - started
        if done != (PARCELS, PARCELS):
            raise RuntimeError(f"the worker processed {done[0]} parcels and published {done[1]}, not {PARCELS}")
        return 1e3 * seconds / PARCELS

    def alone(_: int) -> float:
        started = time.perf_counter()
        for _parcel in range(PARCELS):
            subprocess.run([sys.executable, str(step), str(parcel), str(copy)], check=True, timeout=600)
        return 1e3 * (time.perf_counter() - started) / PARCELS

    say(f"  {rounds} rounds of the worker ...")
    times = interleaved({"worker": worker, "alone": alone}, rounds, warm_ups=1)
    results.rows.append(
        limited(
            "worker with a step that copies, a parcel (at most 1.5 times), of the step alone",
            median(times["worker"]),
            median(times["alone"]),
            unit="ms",
            at_most=1.5 * median(times["alone"]),
        )
    )


_numbers = count()


@contextmanager
def _topics(subject: Any, number: int) -> Iterator[list[str]]:
    """New topics, deleted afterwards: a backlog would slow the local endpoint down."""
    names = [f"bench-{next(_numbers)}" for _ in range(number)]
    for name in names:
        subject.create(name)
    try:
        yield names
    finally:
        for name in names:
            subject.delete(name)


def _head(path: Path, lines: int) -> list[bytes]:
    with path.open("rb") as file:
        return [next(file) for _ in range(lines)]


def _peak() -> float:
    """The most resident memory so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


def _up_and_down(endpoint: dict[str, str], path: Path) -> dict[str, Any]:
    import boto3
    from botocore.config import Config

    from tagstream.topics import Topics, download, upload

    subject = Topics(boto3.client("sqs", config=Config(max_pool_connections=THREADS), **endpoint))
    copy = path.with_suffix(".copy")
    with _topics(subject, 1) as (name,):
        started = time.perf_counter()
        upload(subject, name, [path])
        uploaded = time.perf_counter()
        download(subject, name, copy, idle=1.0)
        downloaded = time.perf_counter()
    digests = []
    for each in (path, copy):
        with each.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").digest())
    copy.unlink()
    return {
        "same": digests[0] == digests[1],
        "peak": _peak(),
        "upload": uploaded - started,
        "download": downloaded - uploaded,
    }


if __name__ == "__main__":
    print(json.dumps(_up_and_down(json.loads(sys.argv[1]), Path(sys.argv[2]))))
