"""``tagstream smoke``'s core: what it finds out about a pipeline, and that it leaves no photo behind."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from PIL import Image

from tagstream.errors import CatalogError
from tagstream.pipeline.smoke import Step, photo, questions_by, smoke

LOCATION = "s3://photos/try.png"


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class System:
    """A bucket and the catalog behind it. What has ``delays`` takes so many seconds; what never comes has none."""

    def __init__(self, **delays: float) -> None:
        self.clock = Clock()
        self.delays = {"classified": 0.0, "found": 0.0, "removed": 0.0} | delays
        self.put_at: float | None = None
        self.deleted_at: float | None = None
        self.deleted: list[dict[str, str]] = []
        self.image: dict[str, Any] = {"status": "classified", "tags": [{"tag": "quilt", "score": 0.4}]}

    def put_object(self, **given: Any) -> dict[str, str]:
        self.put_at = self.clock.now
        self.image |= {"s3_location": LOCATION, "etag": hashlib.md5(given["Body"], usedforsecurity=False).hexdigest()}
        return {"VersionId": "v1"}

    def delete_object(self, **given: str) -> None:
        self.deleted.append(given)
        self.deleted_at = self.clock.now

    def at(self, locations: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        assert list(locations) == [LOCATION]
        assert self.put_at is not None
        gone = self.deleted_at is not None and self.clock.now >= self.deleted_at + self.delays["removed"]
        return [self.image] if not gone and self.clock.now >= self.put_at + self.delays["classified"] else []

    def newest(self, tag: str, limit: int) -> Sequence[Mapping[str, Any]]:
        assert (tag, limit) == ("quilt", 100)
        assert self.put_at is not None
        return [self.image] if self.clock.now >= self.put_at + self.delays["found"] else [{"s3_location": "other"}]

    def run(self, timeout: float = 60) -> list[Step]:
        made = smoke(self, self, "photos", "try.png", timeout=timeout, clock=self.clock, sleep=self.clock.sleep)
        return list(made)


def test_every_step_is_timed_and_the_photo_is_gone_with_its_version() -> None:
    system = System(classified=3.0, found=5.0, removed=2.0)
    steps = system.run()
    assert [step.step for step in steps] == ["uploaded", "classified", "found", "removed"]
    assert [step.reason for step in steps] == [None] * 4
    assert [step.seconds >= least for step, least in zip(steps, (0.0, 3.0, 0.0, 2.0), strict=True)] == [True] * 4
    assert sum(step.seconds for step in steps) == pytest.approx(system.clock.now)
    assert system.deleted == [{"Bucket": "photos", "Key": "try.png", "VersionId": "v1"}]


@pytest.mark.parametrize(
    ("step", "told"), [("classified", "not in the catalog"), ("found", "not among what is 'quilt'")]
)
def test_what_never_comes_fails_in_time_and_leaves_no_photo(step: str, told: str) -> None:
    system = System(**{step: 1000.0})
    *_, last = system.run(timeout=30)
    assert last.step == step
    assert last.reason is not None
    assert told in last.reason
    assert "after 30 s" in last.reason
    assert system.clock.now <= 30
    assert len(system.deleted) == 1


def test_what_stays_in_the_catalog_is_told_and_removed_once() -> None:
    system = System(removed=1000.0)
    *_, last = system.run(timeout=30)
    assert last.step == "removed"
    assert last.reason is not None
    assert "still in the catalog" in last.reason
    assert len(system.deleted) == 1


def test_a_rejected_photo_says_why() -> None:
    system = System()
    system.image |= {"status": "rejected", "reason": "it is no image"}
    *_, last = system.run()
    assert (last.step, last.reason) == ("classified", f"{LOCATION} was rejected: it is no image")
    assert len(system.deleted) == 1


def test_a_photo_without_tags_cannot_be_found() -> None:
    system = System()
    system.image["tags"] = []
    *_, last = system.run()
    assert last.step == "found"
    assert last.reason is not None


def test_an_interruption_leaves_no_photo() -> None:
    system = System()
    steps = smoke(system, system, "photos", "try.png", timeout=60, clock=system.clock, sleep=system.clock.sleep)
    assert next(steps).step == "uploaded"
    with pytest.raises(KeyboardInterrupt):
        steps.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert len(system.deleted) == 1


def test_the_photo_is_one_and_no_two_are_alike() -> None:
    image = Image.open(io.BytesIO(photo()))
    image.load()
    assert (image.format, image.size, image.mode) == ("PNG", (64, 64), "RGB")
    assert len({photo() for _ in range(5)}) == 5


def test_the_search_function_is_asked_in_its_own_words() -> None:
    from tagstream.catalog.queries import parse_request

    asked: list[dict[str, Any]] = []

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return {"images": [{"key": "a"}], "total": 1}

    questions = questions_by(ask)
    assert questions.at([LOCATION]) == [{"key": "a"}]
    assert questions.newest("window screen", 100) == [{"key": "a"}]
    assert [parse_request(request).kind for request in asked] == ["locations", "search"]
    with pytest.raises(CatalogError, match="no such index"):
        questions_by(lambda _request: {"missing": "no such index"}).at([LOCATION])
