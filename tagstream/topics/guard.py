"""What a worker that is killed leaves behind: running steps, and their temporary folders.

A worker can clean up after everything but its own SIGKILL. So with its first step it starts a small process, the
*guard*, which does nothing but wait at a pipe for the worker's end: :func:`main`, with this file as a program. It then
kills the groups of the steps that ran, on Linux also what they started in sessions of their own, and removes their
folders. ``PR_SET_PDEATHSIG`` would be for the step alone, without its children, and is not safe to set in a process
with threads; and the guard costs a step two short writes to a pipe.

Where the guard was killed as well, the folders are removed by the next worker's: they are locked while their worker
lives. Only the standard library is imported in here, so that the guard is there in a moment.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["Guard", "guard", "sweep"]

_PREFIX = "tagstream-step-"
_FRESH_SECONDS = 60.0
"""A folder is made before it is locked."""
_END_SECONDS = 5.0
_ENDED = b"ended\n"


class Guard:
    """The worker's side: where steps run, and which."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._prefix = f"{_PREFIX}{self.pid}-{secrets.token_hex(4)}-"
        self._process: subprocess.Popen[bytes] | None = None
        # Without a guard everything works, but for what this module is about.
        with suppress(OSError):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, tempfile.gettempdir(), self._prefix],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                # Ctrl-C is for the worker.
                start_new_session=True,
                cwd="/",
            )

    @contextmanager
    def folder(self) -> Iterator[str]:
        """A temporary folder for one run, removed afterwards."""
        with tempfile.TemporaryDirectory(prefix=self._prefix, ignore_cleanup_errors=True) as folder:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with suppress(OSError):  # a file system without locks is one without sweeping
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
            finally:
                os.close(lock)

    def started(self, pid: int) -> None:
        """``pid`` leads the group of a step."""
        self._tell(b"+%d\n" % pid)

    def ended(self, pid: int) -> None:
        self._tell(b"-%d\n" % pid)

    def close(self) -> None:
        """The worker ends in good order, and has nothing left to be cleaned up."""
        if self._process is None or self._process.stdin is None or self.pid != os.getpid():
            return
        self._tell(_ENDED)
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)

    def _tell(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.write(line)


_guard: Guard | None = None
_lock = threading.Lock()


def guard() -> Guard:
    """The guard of this process, started when it is asked for first."""
    global _guard  # noqa: PLW0603 - it is the process that it is about
    with _lock:
        if _guard is None or _guard.pid != os.getpid():
            _guard = Guard()
            atexit.register(_guard.close)
        return _guard


def sweep(directory: Path) -> None:
    """Remove the folders of workers that have died."""
    for folder in directory.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                about = os.fstat(lock)
                if about.st_uid == os.geteuid() and time.time() - about.st_mtime > _FRESH_SECONDS:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


# The guard's side


def main(directory: Path, prefix: str, messages: Iterable[bytes]) -> None:
    """Sweep, wait for the worker's end, and clean up unless it says that it ended well."""
    sweep(directory)
    running: set[int] = set()
    for line in messages:
        if line == _ENDED:
            return
        number = int(line[1:])
        (running.add if line.startswith(b"+") else running.discard)(number)
    for leader in running:
        with suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
    # Twice at least: a step may just have been starting, with the worker's own environment.
    found, again = _processes_in(str(directory / prefix)), 20
    while again:
        for pid in found:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        found = _processes_in(str(directory / prefix))
        again = again - 1 if found else 0
    for folder in directory.glob(f"{prefix}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _processes_in(folders: str) -> list[int]:
    """On Linux: who has one of these as its temporary folder."""
    sign = f"TMPDIR={folders}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(entry.startswith(sign) for entry in (process / "environ").read_bytes().split(b"\0")):
                found.append(int(process.name))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.stdin.buffer)
