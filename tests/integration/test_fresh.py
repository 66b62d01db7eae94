"""What times `make demo` on a fresh machine counts what comes over the network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from benchmarks.fresh import Counting

SENT = b"x" * 1_000_000


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Answers a line with a megabyte, and waits for the next one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(100):
                        connection.sendall(SENT)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def ask(counting: Counting, head: str) -> socket.socket:
    there = urlsplit(counting.url)
    asked = socket.create_connection((there.hostname, there.port), timeout=30)
    asked.sendall(head.encode())
    return asked


def everything(asked: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (chunk := asked.recv(1 << 16)):
        got += chunk
    return got


def test_what_comes_back_is_counted_and_nothing_else(server: tuple[str, int]) -> None:
    granted = b"HTTP/1.1 200 OK\r\n\r\n"
    with Counting() as counting:
        with ask(counting, "CONNECT {}:{} HTTP/1.1\r\n\r\n".format(*server)) as asked:
            assert everything(asked, len(granted)) == granted
            for _ in range(2):
                asked.sendall(b"more\n")
                assert everything(asked, len(SENT)) == SENT
        assert counting.received == 2 * len(SENT)


@pytest.mark.parametrize(
    "head", ["GET http://127.0.0.1/ HTTP/1.1\r\n\r\n", "CONNECT nonsense HTTP/1.1\r\n\r\n", "\r\n\r\n"]
)
def test_what_it_does_not_serve_ends_and_counts_nothing(head: str) -> None:
    with Counting() as counting:
        with ask(counting, head) as asked:
            assert b"200" not in everything(asked, 1000)
        assert counting.received == 0


def test_a_connection_that_is_open_does_not_keep_it(server: tuple[str, int]) -> None:
    with Counting() as counting:
        asked = ask(counting, "CONNECT {}:{} HTTP/1.1\r\n\r\n".format(*server))
        assert asked.recv(4) == b"HTTP"
    with asked:
        everything(asked, 1000)
