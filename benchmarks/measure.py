"""Timing that can be repeated: each contestant in a process of its own, on the same cores, taking turns."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Contestant", "cores", "interleaved", "pinned", "say"]

_END_SECONDS = 30.0
"""For a call that was under way."""


def say(text: str) -> None:
    """Tell whoever waits what is going on."""
    print(text, flush=True)


def cores(count: int) -> list[int]:
    """The last ``count`` of the cores granted to this process: the first ones serve more interrupts."""
    return sorted(os.sched_getaffinity(0))[-count:]


@contextmanager
def pinned(count: int) -> Iterator[None]:
    """Keep this thread, and the processes that it starts meanwhile, on ``count`` cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores(count))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Contestant:
    """A process that makes a function once, and then times calls of it.

    ``factory`` is ``module:name`` of a callable that takes ``arguments`` and returns the function to time. The
    process is pinned before it imports anything that counts cores to size its thread pools, TensorFlow above all.
    """

    def __init__(self, factory: str, *arguments: Any, on: Sequence[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, factory, arguments, list(on)), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def __call__(self, *arguments: Any) -> float:
        """Seconds that one call took."""
        return self.answer(*arguments)[0]

    def answer(self, *arguments: Any) -> tuple[float, Any]:
        """Seconds that one call took, and what it returned."""
        self._pipe.send(arguments)
        seconds, result = self._receive()
        return seconds, result

    def _receive(self) -> Any:
        try:
            failure, result = self._pipe.recv()
        except EOFError:
            self._process.join(_END_SECONDS)
            raise RuntimeError(f"a benchmark process ended with exit code {self._process.exitcode}") from None
        if failure is not None:
            raise RuntimeError(f"a benchmark process failed: {failure}")
        return result

    def close(self) -> None:
        self._pipe.close()
        self._process.join(_END_SECONDS)
        self._process.kill()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(pipe: Connection, factory: str, arguments: tuple[Any, ...], on: list[int]) -> None:
    os.sched_setaffinity(0, on)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    module, name = factory.split(":")
    try:
        function = getattr(importlib.import_module(module), name)(*arguments)
        pipe.send((None, None))
    except Exception as error:  # noqa: BLE001 - goes to the parent, which raises it
        pipe.send((repr(error), None))
        return
    while True:
        try:
            call = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            started = time.perf_counter()
            result = function(*call)
            seconds = time.perf_counter() - started
            pipe.send((None, (seconds, result)))
        except Exception as error:  # noqa: BLE001 - goes to the parent, which raises it
            pipe.send((repr(error), None))


def interleaved(
    contestants: Mapping[str, Callable[[int], float]], rounds: int, *, warm_ups: int = 2
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round; a contestant is called with the number of the round.

    All take their turn in every round, forwards and backwards by turns, so that a slow spell of the machine meets
    all of them and none always runs in the wake of the same other one. Rounds that warm up are not counted.

    >>> interleaved({"a": lambda round: 1.0, "b": lambda round: 2.0 + round}, 2, warm_ups=0)
    {'a': [1.0, 1.0], 'b': [2.0, 3.0]}
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(-warm_ups, rounds):
        order = list(contestants.items())
        for name, contestant in order if turn % 2 == 0 else reversed(order):
            seconds = contestant(turn % rounds)
            if turn >= 0:
                taken[name].append(seconds)
    return taken
