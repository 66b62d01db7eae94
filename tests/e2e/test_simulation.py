"""The simulation of the pipeline is one of this pipeline: it comes to the rate that the local cloud has."""

from __future__ import annotations

import pytest

from benchmarks.replay import SIZES, Cloud, compare
from benchmarks.report import table
from tests.e2e.conftest import Pipeline


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_the_simulation_comes_to_the_rate_of_the_local_cloud(pipeline: Pipeline) -> None:
    """Medians of three rounds, each simulated with the times of its own invocations: a busy machine meets both."""
    with Cloud(pipeline.connection) as cloud:
        results = compare(cloud, 3)
    held = [row for row in results.rows if row.target is not None]
    assert len(held) == len(SIZES)
    assert [row.name for row in held if not row.met] == [], table(results)
