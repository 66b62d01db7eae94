"""Steps: any program that turns a file of lines into a file of lines.

What a step is given
--------------------
Arguments, in this order, never through a shell; those that were not given are left out from the end::

    STEP INPUT OUTPUT [SETTINGS [WORKFLOW_ID]]

so that ``cp`` is a step, and ``tr`` is none. SETTINGS is an empty string if there is a workflow id but no
settings file. The same as environment variables, always set, empty if not given: ``TAGSTREAM_INPUT``,
``TAGSTREAM_OUTPUT``, ``TAGSTREAM_SETTINGS``, ``TAGSTREAM_WORKFLOW_ID``. All files are absolute paths.
``TMPDIR`` is a directory of this run alone, removed after it; the working directory is the caller's.

What a step must do
-------------------
Write OUTPUT (an empty file says "no lines for this input"; no file is a failure) and exit with 0. What it
prints on standard output and standard error is logged line by line. It may be run more than once on the
same input, on several machines at once. It is killed, with all its children, when it runs past its limit, and when
the worker is killed.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from tagstream.topics.errors import Misuse, StepFailed
from tagstream.topics.guard import guard

__all__ = ["Step"]

_log = logging.getLogger(__name__)

# The step itself can't be run, whatever the input: its file, its interpreter, its format.
_NOT_RUNNABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP}
_TAIL_LINES = 20
_LONGEST_LINE = 64 * 1024


class Step:
    """One step, ready to be run over any number of inputs, by several threads at once.

    ``program`` is the name of a step that comes with Tagstream, a path to an executable file or to a
    ``.py`` file (which then runs on this interpreter), or the name of a program on the ``PATH``, in this
    order. ``timeout`` is in seconds; ``environment`` is added to the caller's. Raises
    :class:`Misuse` where there is no such program.

    >>> Step("cp").run(b"C1CCCCC1\\nCCO\\n")
    b'C1CCCCC1\\nCCO\\n'
    >>> Step("uppercase").run(b"cco\\n")
    b'CCO\\n'
    """

    def __init__(
        self,
        program: str | os.PathLike[str],
        *,
        settings_file: str | os.PathLike[str] | None = None,
        workflow_id: str = "",
        timeout: float = 900.0,
        cwd: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if timeout <= 0:
            raise Misuse(f"a step's time limit of {timeout} s leaves it no time; give more.")
        self.command = _command(os.fspath(program))
        self.name = Path(program).stem
        self.workflow_id = workflow_id
        self.timeout = timeout
        self._settings = "" if settings_file is None else str(_existing(Path(settings_file)))
        self._cwd = cwd
        self._environment = dict(environment or {})
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._killed = False

    def run(self, data: bytes, *, timeout: float | None = None) -> bytes:
        """What the step makes of ``data``; ``timeout`` in seconds shortens the step's own limit.

        Raises :class:`StepFailed` when this run went wrong (exit code, time limit, no output file), and
        :class:`Misuse` when no run can go right (the program can't be executed).
        """
        with guard().folder() as folder:
            source, target = Path(folder, "input"), Path(folder, "output")
            source.write_bytes(data)
            printed = self._execute(folder, str(source), str(target), min(self.timeout, timeout or self.timeout))
            try:
                # Anything else, such as a pipe, might never end.
                if target.is_file():
                    return target.read_bytes()
                reason = "wrote no output file"
            except OSError as error:
                reason = f"wrote an output file that cannot be read ({error.strerror})"
            raise StepFailed(
                f"step {self.name} ended well but {reason}: it must create the file that its second "
                "argument names, empty if there is nothing to say.",
                returncode=0,
                stderr=printed,
            )

    def kill(self) -> None:
        """Kill all that runs now, children included; later runs fail at once."""
        with self._lock:
            self._killed = True
            for process in self._running:
                _kill_group(process)

    def _execute(self, folder: str, source: str, target: str, limit: float) -> str:
        """Run the program to its end; returns the last lines that it printed."""
        arguments = [source, target, self._settings, self.workflow_id]
        while not arguments[-1]:
            arguments.pop()
        environment = {
            **os.environ,
            **self._environment,
            "TAGSTREAM_INPUT": source,
            "TAGSTREAM_OUTPUT": target,
            "TAGSTREAM_SETTINGS": self._settings,
            "TAGSTREAM_WORKFLOW_ID": self.workflow_id,
            "TMPDIR": folder,
        }
        if self.command[0] == sys.executable:
            # A function's bundle is on this interpreter's path but not on a child's.
            environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        process = self._start([*self.command, *arguments], environment)
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        reader = threading.Thread(target=self._log_lines, args=(process.stdout, tail), daemon=True)
        reader.start()
        late = threading.Event()

        def too_late() -> None:
            late.set()
            _kill_group(process)

        timer = threading.Timer(limit, too_late)
        timer.daemon = True
        timer.start()
        try:
            # Blocking, since a wait with a timeout polls, and steps may take a millisecond.
            returncode = process.wait()
        finally:
            timer.cancel()
            with self._lock:
                self._running.discard(process)
            # Children that it left behind would hold the pipe and the machine.
            _kill_group(process)
            guard().ended(process.pid)
        reader.join(timeout=1.0)
        if reader.is_alive():
            _log.warning("step %s left a process of another session behind, which holds its output", self.name)
        printed = "\n".join(tail)
        if late.is_set():
            reason = f"ran past its limit of {limit:g} s and was killed"
        elif self._killed and returncode < 0:
            reason = "was killed since the worker is stopping"
        elif returncode < 0:
            reason = f"was ended by {_signal_name(-returncode)}"
        elif returncode > 0:
            reason = f"failed with exit code {returncode}"
        else:
            return printed
        raise StepFailed(f"step {self.name} {reason}.", returncode=returncode, stderr=printed)

    def _start(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._killed:
                raise StepFailed(f"step {self.name} was not started: the worker is stopping.", returncode=None)
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=self._cwd,
                    # A group of its own: a Ctrl-C in the terminal drains the worker and not the step,
                    # and the step dies together with its children.
                    start_new_session=True,
                )
            except OSError as error:
                if error.errno in _NOT_RUNNABLE:
                    raise Misuse(
                        f"step {self.name} cannot be run ({error.strerror}): check the first line (#!) and the "
                        f"permissions of {command[0]}."
                    ) from error
                raise StepFailed(f"step {self.name} could not be started: {error}.", returncode=None) from error
            self._running.add(process)
            guard().started(process.pid)
            return process

    def _log_lines(self, pipe: IO[bytes], tail: deque[str]) -> None:
        with pipe:
            while raw := pipe.readline(_LONGEST_LINE):
                line = raw.rstrip(b"\r\n").decode(errors="backslashreplace")
                tail.append(line)
                _log.info("%s: %s", self.name, line)


def _command(program: str) -> tuple[str, ...]:
    if program.isidentifier() and not program.startswith("_") and find_spec(f"tagstream.steps.{program}"):
        # -P: the working directory is the caller's and must not shadow a module.
        return (sys.executable, "-P", "-m", f"tagstream.steps.{program}")
    path = Path(program)
    if path.is_file():
        path = path.absolute()
        if os.access(path, os.X_OK):
            return (str(path),)
        if path.suffix == ".py":
            return (sys.executable, str(path))
        raise Misuse(f"step {program} is not executable: run 'chmod +x {program}'.")
    found = shutil.which(program) if path.name == program else None
    if found is None:
        raise Misuse(
            f"there is no step {program}: give a step of tagstream.steps, the path of a file, or a program on the PATH."
        )
    return (found,)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise Misuse(f"there is no settings file {path}.")
    return path.absolute()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Nobody left; macOS says PermissionError where only zombies are.
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
