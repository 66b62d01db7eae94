"""The gallery in a browser: when the largest thing is seen, how much moves by itself, how much script there is."""

from __future__ import annotations

import importlib
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import say
from benchmarks.report import Results, Skipped, limited, noted

__all__ = ["gallery"]

SCRIPT = 150.0  # kB, compressed, at most
GOOD_SHIFT = 0.1
"""What browsers' makers call good; a tenth of it is ours at most."""
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}
"""A phone's line as Lighthouse has it, slow 4G; its processor takes four times as long."""
_ROUNDS = 5
_LARGEST = """() => new Promise((resolve) => new PerformanceObserver((list) =>
  resolve(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true }))"""
_SCRIPT = """() => performance.getEntriesByType("resource")
  .filter(({ name }) => /\\.m?js$/.test(new URL(name).pathname))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""


def gallery(rounds: int) -> Results:
    """All photos of the demo, a few times anew, on a desktop and on a phone over a slow line."""
    try:
        chrome = importlib.import_module("tests.browser.chrome")
        with chrome.browser() as running:
            return _measured(running, min(rounds, _ROUNDS))
    except ImportError:
        return Results(skipped=[Skipped("gallery", "Playwright is not installed: 'make bench' does that")])
    except chrome.NoBrowser as error:
        return Results(skipped=[Skipped("gallery", str(error))])


def _measured(running: Any, rounds: int) -> Results:
    from tagstream.local.gallery import Gallery
    from tagstream.local.photos import fetch

    visitors = importlib.import_module("tests.browser.visitor")
    photos = {path.name: path for path in fetch(Path("build") / "photos")}
    rows, shifts = [], []
    with (
        tempfile.TemporaryDirectory(prefix="tagstream-bench-") as directory,
        importlib.import_module("tests.browser.cloud").cloud(Path(directory)) as pipeline,
    ):
        shelf = importlib.import_module("tests.browser.shelf").Shelf(pipeline)
        shelf.demo(photos)
        shelf.close()
        url = Gallery.of(pipeline.connection).url
        first = visitors.Visitor.of(running, url, [])
        first.open()
        first.sign_in()
        session = first.session
        first.context.close()
        for name, device in (("desktop", visitors.DESKTOP), ("phone, slow 4G", visitors.PHONE)):
            say(f"  {name}, {rounds} times ...")
            times = []
            for _ in range(rounds):
                me = visitors.Visitor.of(running, url, [], **device)
                me.resume(session)
                if device is visitors.PHONE:
                    me.devtools.send("Network.enable")
                    me.devtools.send("Network.emulateNetworkConditions", SLOW)
                    me.devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
                me.open()
                me.shows(*photos)
                me.at_rest()
                times.append(me.page.evaluate(_LARGEST))
                shifts.append(me.shift()[0])
                me.tile("chelsea.png").click()
                me.photo.get_by_role("button", name="Close", exact=True).wait_for()
                me.page.wait_for_function("() => document.querySelector('.pswp__img')")
                script = me.page.evaluate(_SCRIPT) / 1000
                me.context.close()
            rows.append(noted(f"gallery, {name}: largest contentful paint, p50", statistics.median(times), unit="ms"))
    rows.append(
        limited("gallery: layout shift, the worst", max(shifts), GOOD_SHIFT, unit="score", at_most=GOOD_SHIFT / 10)
    )
    rows.append(limited("gallery: script, compressed", script, SCRIPT, unit="kB", at_most=SCRIPT))
    return Results(rows)
