"""Fixtures that more than one tier uses."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gate import Gate


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    """Functions turn the garbage collector off until their first event; what follows a test that loads one needs it."""
    yield
    gc.enable()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.close()
