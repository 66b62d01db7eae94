"""What uploading small photos takes of CPU: of who uploads them, and of the local cloud that gets them."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import interleaved, say
from benchmarks.report import Results, faster

__all__ = ["uploads"]

PHOTOS = 200
WORKERS = 8
SIZES = {"60 kB": 60_000, "600 kB": 600_000}


def uploads(rounds: int) -> Results:
    """200 photos into a bucket that has none of them, against a HEAD and boto3's ``upload_file`` for each."""
    from tagstream.local.cloud import LocalCloud
    from tagstream.pipeline.uploads import Upload, upload_all

    results = Results()
    with (
        tempfile.TemporaryDirectory(prefix="tagstream-bench-") as directory,
        LocalCloud(Path(directory, "cloud"), logs=Path("build/bench-logs")) as cloud,
    ):
        emulator = psutil.Process(cloud.pids["cloud"])
        plain, ours = (cloud.connection.client("s3", max_pool_connections=WORKERS) for _ in range(2))
        plain.create_bucket(Bucket="photos")

        def spent() -> float:
            there = emulator.cpu_times()
            return time.process_time() + float(there.user + there.system)

        def contestant(files: list[Path], folder: str, send: Callable[[list[Upload]], None]) -> Callable[[int], float]:
            turns = itertools.count()

            def turn(_: int) -> float:
                times, began = next(turns), spent()
                send([Upload(file, f"{folder}/{times}/{file.name}") for file in files])
                return 1e3 * (spent() - began) / len(files)

            return turn

        def one_by_one(sent: list[Upload]) -> None:
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(lambda upload: _as_boto3_does(plain, upload), sent))

        def all_of_them(sent: list[Upload]) -> None:
            failed = [outcome for outcome in upload_all(ours, "photos", sent, workers=WORKERS) if outcome.error]
            if failed:
                raise RuntimeError(f"{failed[0].upload.key} was not uploaded: {failed[0].error}")

        for name, size in SIZES.items():
            say(f"  {rounds} rounds of {PHOTOS} photos of {name} ...")
            files = [Path(directory, f"{name}-{number}.jpg") for number in range(PHOTOS)]
            for file in files:
                file.write_bytes(os.urandom(size))
            runs = {
                "ours": contestant(files, f"ours, {name}", all_of_them),
                "plain": contestant(files, f"plain, {name}", one_by_one),
            }
            taken = interleaved(runs, rounds)
            results.rows.append(
                faster(
                    f"CPU of a photo of {name} uploaded into the local cloud, both sides",
                    taken["ours"],
                    taken["plain"],
                    target=1.3,
                )
            )
    return results


def _as_boto3_does(client: Any, upload: Any) -> None:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket="photos", Key=upload.key)
    except ClientError:
        client.upload_file(str(upload.path), "photos", upload.key)
