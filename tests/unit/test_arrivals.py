"""Waiting for what was uploaded, over a catalog and a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tagstream.pipeline.arrivals import PAGE, arrivals


class Catalog:
    """Knows so many more images with each second; every question takes 0.1 s."""

    def __init__(self, a_second: float, etag: str = "new") -> None:
        self.a_second, self.etag = a_second, etag
        self.now = 0.0
        self.asked: list[int] = []

    def ask(self, locations: Sequence[str]) -> list[dict[str, Any]]:
        self.asked.append(len(locations))
        self.now += 0.1
        known = self.now * self.a_second
        return [
            {"s3_location": location, "etag": self.etag}
            for location in locations
            if int(location.rpartition("/")[2]) < known
        ]

    def wait(self, expected: dict[str, str], timeout: float) -> list[str]:
        images = arrivals(self.ask, expected, timeout=timeout, clock=lambda: self.now, sleep=self.sleep)
        return [image["s3_location"] for image in images]

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


def uploaded(count: int) -> dict[str, str]:
    return {f"s3://photos/{number}": "new" for number in range(count)}


def test_all_come_and_are_asked_for_in_pages() -> None:
    catalog = Catalog(a_second=200)
    assert sorted(catalog.wait(uploaded(1000), timeout=60)) == sorted(uploaded(1000))
    assert max(catalog.asked) == PAGE
    assert len(catalog.asked) < 100


def test_the_wait_is_bounded() -> None:
    catalog = Catalog(a_second=0)
    assert catalog.wait(uploaded(1000), timeout=60) == []
    assert 60 <= catalog.now < 61
    assert len(catalog.asked) < 300


def test_some_that_never_come_do_not_keep_the_others() -> None:
    catalog = Catalog(a_second=200)
    never = {f"s3://photos/{10**9 + number}": "new" for number in range(3 * PAGE)}
    assert set(catalog.wait(never | uploaded(500), timeout=60)) == set(uploaded(500))


def test_an_older_image_under_the_same_key_is_not_the_one() -> None:
    catalog = Catalog(a_second=10**6, etag="old")
    assert catalog.wait(uploaded(3), timeout=5) == []


def test_without_time_everything_is_asked_for_once() -> None:
    catalog = Catalog(a_second=10**6)
    assert len(catalog.wait(uploaded(3), timeout=0)) == 3
