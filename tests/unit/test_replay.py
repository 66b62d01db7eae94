"""What the comparison with the local cloud makes of a function's log; the comparing itself is ``make long``."""

from __future__ import annotations

import doctest
import statistics
from random import Random
from types import ModuleType
from typing import Any

import pytest

from benchmarks import replay, simulation
from benchmarks.replay import Invocation, Measured, invocations


def call(messages: int, seconds: float) -> Invocation:
    return Invocation(0.0, seconds, messages, cold=False)


@pytest.mark.parametrize("module", [replay, simulation])
def test_the_examples_are_right(module: ModuleType) -> None:
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0


def test_the_line_through_what_was_measured_is_found_again() -> None:
    random = Random(3)
    calls = [call(size, (0.2 + 0.05 * size) * random.uniform(0.9, 1.1)) for size in range(1, 11) for _ in range(50)]
    found = Measured.of(calls)
    assert (found.wait, found.each) == (pytest.approx(0.2, rel=0.1), pytest.approx(0.05, rel=0.1))
    again = statistics.fmean(found(random, 4) for _ in range(2000))
    assert again == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize(
    "calls",
    [
        [call(10, 1.0)],
        [call(10, 1.0), call(10, 2.0)],
        # Less for more, and less than nothing for none: no line for a simulation.
        [call(1, 2.0), call(10, 1.0)],
        [call(1, 0.01), call(10, 1.0)],
    ],
)
def test_nothing_takes_less_than_no_time(calls: list[Invocation]) -> None:
    found = Measured.of(calls)
    assert min(found.wait, found.each) >= 0
    assert found(Random(1), 5) > 0


def test_without_a_call_there_is_nothing_to_simulate() -> None:
    with pytest.raises(ValueError, match="no invocation"):
        Measured.of([call(0, 1.0)])


def test_calls_in_one_log_are_told_apart_and_other_lines_passed_over() -> None:
    def event(stream: str, at: int, message: str) -> dict[str, Any]:
        return {"logStreamName": stream, "timestamp": at, "message": message}

    log = [
        event("a", 1, "START RequestId: 1 Version: $LATEST"),
        event("b", 1, "START RequestId: 2 Version: $LATEST"),
        event("b", 2, '{"_aws": {}, "UpdatesApplied": [3.0], "UpdatesStale": [1.0], "UploadToIndexed": [99.0]}'),
        event("a", 3, "what a library prints"),
        event("b", 3, "REPORT RequestId: 2\tDuration: 30.5 ms\tBilled Duration: 31 ms"),
        event("a", 4, '{"_aws": {}, "UpdatesApplied": 2.0, "Failures": 0}'),
        event("a", 5, "REPORT RequestId: 1\tDuration: 40 ms\tBilled Duration: 40 ms"),
        event("a", 6, "START RequestId: 3 Version: $LATEST"),
    ]
    assert list(invocations(log)) == [
        Invocation(0.003, 0.0305, 4, cold=False),
        Invocation(0.005, 0.04, 2, cold=False),
    ]
