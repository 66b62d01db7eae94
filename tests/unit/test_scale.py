"""The numbers of the million uploads in docs/scale.md are those that come out of the simulation."""

from __future__ import annotations

import doctest
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import PICTURE, SCENARIOS, Scenario, costs, draw, filled, inputs, pipeline, row, run
from stacks.settings import STAGES
from tagstream.plan.figures import price
from tests.documents import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text()


def test_the_examples_are_right() -> None:
    assert doctest.testmod(scale).attempted > 0
    assert doctest.testmod(scale).failed == 0


def test_a_stage_is_simulated_with_its_own_settings() -> None:
    settings = STAGES["prod"]
    found = pipeline(settings)
    for name in ("classify", "catalog"):
        deployed, simulated = settings.consumers[name], getattr(found, name)
        assert simulated.most == deployed.max_concurrency
        assert simulated.visibility_seconds == deployed.visibility == 6 * simulated.timeout_seconds
        assert (simulated.batch_size, simulated.max_receives) == (deployed.batch_size, deployed.max_receives)
    assert (found.catalog.fifo, found.classify.fifo) == (True, False)
    half = replace(settings, classify=replace(settings.classify, memory_mb=settings.classify.memory_mb // 2))
    assert pipeline(half).classify.seconds != found.classify.seconds
    two = replace(settings, classify=replace(settings.classify, memory_mb=settings.classify.memory_mb * 2))
    assert pipeline(two).classify.seconds == replace(found.classify.seconds, cores=2)


def test_what_a_simulated_photo_costs_is_what_a_plan_counts_for_it() -> None:
    scenario = SCENARIOS[0]
    outcome = run(scenario, 2000)
    assert outcome.uploads == outcome.ends.total() == 2000
    bill = costs(outcome, scenario.settings)
    assert bill["S3"] == pytest.approx(2000 * (3 * price("s3_put") + price("s3_get")), rel=0.01)
    # Sent, received and deleted in each queue, one by one at most.
    assert 0 < bill["SQS"] <= 2000 * 3 * (price("sqs_standard") + price("sqs_fifo")) * 1.01


def test_the_picture_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    outcomes = [(scenario, run(scenario, 1000)) for scenario in SCENARIOS[:1]]
    draw(outcomes, tmp_path / "one.svg")
    draw(outcomes, tmp_path / "other.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()
    assert "prod, within an hour" in (tmp_path / "one.svg").read_text()


def test_the_page_has_a_row_for_each_scenario_and_the_picture() -> None:
    rows = re.findall(r"^\| ((?:prod|dev)\W[^|]*within[^|]+) \|", PAGE, re.MULTILINE)
    assert rows == [scenario.name for scenario in SCENARIOS]
    assert f"(images/{PICTURE.name})" in PAGE
    assert PICTURE.exists()


def test_the_rows_were_simulated_with_the_figures_of_today() -> None:
    """Where this fails, `make scale` writes the page anew; whether the rows are right, a long test sees."""
    assert inputs() in PAGE.splitlines(), "the figures have changed: make scale"


def test_new_rows_take_the_place_of_old_ones() -> None:
    page = "| prod, within | old |\n| prod, within x | other |\nSimulated with nothing.\n"
    assert (
        filled(page, ["| prod, within | new |"]) == f"| prod, within | new |\n| prod, within x | other |\n{inputs()}\n"
    )


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_the_page_has_the_numbers_of_today(scenario: Scenario) -> None:
    assert row(scenario, run(scenario)) in PAGE.splitlines()
