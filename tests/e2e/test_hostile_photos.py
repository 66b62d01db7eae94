"""Photos that did harm to those beside them once, each among 29 good ones, through the deployed pipeline."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Pipeline, eventually
from tests.unit.test_decode import fax, float_tiff, palette_png

PATIENCE = 200
MEMORY = 200_000_000


def upload(pipeline: Pipeline, photos: dict[str, Path], folder: str, others: dict[str, bytes]) -> list[str]:
    """29 good photos and the others in their midst; the keys of the good ones."""
    contents = [path.read_bytes() for path in photos.values() if path.suffix == ".jpg"]
    good = {f"{folder}/{number:02}.jpg": content for number, content in zip(range(29), itertools.cycle(contents))}
    middle = {f"{folder}/{name}": content for name, content in others.items()}
    for key, content in itertools.chain(list(good.items())[:10], middle.items(), list(good.items())[10:]):
        pipeline.put(key, content)
    return list(good)


def settle(pipeline: Pipeline, good: list[str]) -> None:
    """Wait until nothing is under way any more: all the good ones are classified, and nothing is a dead letter."""
    queues = (pipeline.ingest_queue, pipeline.catalog_queue)
    eventually(lambda: not any(map(pipeline.waiting, queues)), "the queues are empty", seconds=PATIENCE)
    states = {key: (pipeline.image(key) or {}).get("status") for key in good}
    assert states == dict.fromkeys(good, "classified")
    assert pipeline.dead_letters() == 0


def test_files_that_took_minutes_or_gigabytes(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    # Smaller than they may be, and fewer, so that the test takes seconds: 8000 x 8000 takes 2 s.
    slow = {f"slow{number}.tiff": float_tiff(4000, 4000) for number in range(6)}
    long = {"fax.tiff": fax(1, 64_000_000), "palette.png": palette_png(1, 64_000_000)}
    noisy = {"noisy.tiff": fax(1000, 60_000)}
    log = pipeline.log.stat().st_size
    good = upload(pipeline, photos, "hostile", slow | long | noisy)
    settle(pipeline, good)
    for name in long:
        image = pipeline.searchable(f"hostile/{name}")
        assert image["status"] == "rejected"
        assert "64,000,000 pixels on a side" in image["reason"]
    for name in slow:
        image = pipeline.searchable(f"hostile/{name}")
        assert (image["status"], image["width"], image["height"]) == ("classified", 4000, 4000)
    # libtiff would have printed a line for each of its rows.
    assert pipeline.searchable("hostile/noisy.tiff")["status"] in ("classified", "rejected")
    assert "Fax" not in pipeline.log.read_bytes()[log:].decode(errors="replace")


@contextlib.contextmanager
def little_memory(pipeline: Pipeline) -> Iterator[list[int]]:
    """Ends every function whose decoder takes more than ``MEMORY``, as the system does with one that takes too much."""
    ended: list[int] = []
    over = threading.Event()

    def watch() -> None:
        cloud = psutil.Process(pipeline.pids["cloud"])
        while not over.wait(0.02):
            for process in cloud.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.memory_info().rss > MEMORY and "import confined" in " ".join(process.cmdline()):
                        function = process.parent()
                        if function is not None and function.pid not in ended:
                            function.kill()
                            ended.append(function.pid)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield ended
    finally:
        over.set()
        watcher.join(60)


@pytest.mark.timeout(400)
@pytest.mark.long
def test_a_photo_that_ends_its_function_takes_nobody_with_it(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    # Longer than a batch takes one by one on a busy machine, or it would be delivered twice.
    pipeline.retry_after(pipeline.ingest_queue, 30)
    try:
        with little_memory(pipeline) as ended:
            good = upload(pipeline, photos, "poison", {"poison.tiff": float_tiff(8000, 8000)})
            # Its message is gone before the last try.
            eventually(lambda: len(ended) == 3, "three functions were ended", seconds=PATIENCE)
            settle(pipeline, good)
    finally:
        pipeline.retry_after(pipeline.ingest_queue, 360)
    image = pipeline.searchable("poison/poison.tiff")
    assert image["status"] == "rejected"
    assert "each of 3 tries to look at it ended the function" in image["reason"]
    assert len(ended) == 3
