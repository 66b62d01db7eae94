"""Time for tests."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock", "VirtualClock"]


class Clock(Protocol):
    """Seconds that pass: really, or when a test says so."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class VirtualClock:
    """Time that passes only in :meth:`sleep`, at once. For tests with a single thread.

    >>> clock = VirtualClock()
    >>> clock.sleep(60)
    >>> clock.now()
    60.0
    """

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += max(seconds, 0.0)
