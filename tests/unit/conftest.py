"""The unit tier touches no network: whoever opens a socket fails."""

from __future__ import annotations

from pytest_socket import disable_socket


def pytest_runtest_setup() -> None:
    disable_socket()
