"""Every test of a stage's templates runs for every stage."""

from __future__ import annotations

import pytest

from tests.infra.templates import STAGES, Assemblies, Stage, synthesised


@pytest.fixture(scope="session", autouse=True)
def _assemblies(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    base = tmp_path_factory.getbasetemp()
    Assemblies.folder = (base if worker_id == "master" else base.parent) / "assemblies"
    Assemblies.folder.mkdir(exist_ok=True)


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> Stage:
    return synthesised(request.param)


@pytest.fixture
def prod() -> Stage:
    return synthesised("prod")
