"""Every test of a stage's templates runs for every stage."""

from __future__ import annotations

import pytest

from tests.infra.templates import STAGES, Stage, synthesised


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return synthesised(request.param)


@pytest.fixture
def prod() -> Stage:
    return synthesised("prod")
