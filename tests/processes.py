"""Commands as processes of their own, whose output can be waited for: no wait without an end, nothing left behind.

And the server that they talk to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import IO

from moto.server import ThreadedMotoServer

__all__ = ["SECONDS", "TAGSTREAM", "Command", "aws_server", "running"]

TAGSTREAM = Path(sys.executable).with_name("tagstream")
SECONDS = 60.0
"""For what takes moments: an end for the test, not a measure."""


class Command:
    """A process, and all that it has printed so far, on both streams."""

    def __init__(self, arguments: list[str | Path], environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=None if environment is None else {**os.environ, **environment},
        )
        assert self.process.stdout is not None
        self._printed = ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            while content := os.read(output.fileno(), 65536):
                with self._changed:
                    self._printed += content.decode(errors="replace")
                    self._changed.notify_all()

    def await_output(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self._printed, SECONDS), (text, self._printed)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def finish(self) -> tuple[int, str]:
        """Its exit code and its output, once it has ended."""
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code, self._printed

    def close(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(SECONDS)
        self._reader.join(SECONDS)


@contextmanager
def running(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Command]:
    """``tagstream`` with these arguments, killed at the end of the block if it has not ended by then."""
    command = Command([TAGSTREAM, *arguments], environment)
    try:
        yield command
    finally:
        command.close()


@contextmanager
def aws_server() -> Iterator[str]:
    """The URL of an empty AWS, by moto, on a free port of this machine until the end of the block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        # What is in it is the process', and outlives a server.
        with closing(HTTPConnection(host, port, timeout=SECONDS)) as connection:
            connection.request("POST", "/moto-api/reset")
            assert connection.getresponse().status == 200
        yield f"http://{host}:{port}"
    finally:
        server.stop()
