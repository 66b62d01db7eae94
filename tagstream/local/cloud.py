"""The local cloud: AWS and OpenSearch on 127.0.0.1, with the real stacks deployed into it by the real CDK CLI.

One cloud belongs to ``tagstream local up`` and lives in ``build/local`` until ``tagstream local down``;
any number of private ones can run at the same time, on free ports, for as long as a ``with`` block lasts:

    with LocalCloud(directory) as cloud:
        cloud.deploy()
        cloud.connection.client("s3").list_buckets()

Whatever way a command ends, :mod:`tagstream.local.supervisor` sees to it that nothing of it is left.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tagstream.errors import LocalCloudError
from tagstream.local import project
from tagstream.local.connection import Connection
from tagstream.local.deployment import deploy
from tagstream.local.gallery import Gallery, make_user
from tagstream.local.state import Process, State
from tagstream.places import CHECKOUT, made

__all__ = [
    "DEFAULT_PORT",
    "HOME",
    "Connection",
    "LocalCloud",
    "Status",
    "connection",
    "down",
    "status",
    "up",
]

HOME = Path(os.environ.get("TAGSTREAM_LOCAL_HOME") or made() / "local").resolve()
"""Where the cloud that stays keeps its state; another folder there is another cloud beside it."""
DEFAULT_PORT = 4566
_STOP_SECONDS = 30.0
"""For what takes a supervisor about 10 s at most."""

Report = Callable[[str], None]


def _silent(line: str) -> None:
    """Says nothing."""


class LocalCloud:
    """One local cloud, in a directory of its own, from ``start`` to ``stop`` (or a ``with`` block).

    ``port`` 0 takes a free one. ``logs`` keeps what the emulators and the CDK CLI say, also afterwards.
    ``report`` is told, a line at a time, what is being done. With ``least_privilege``, IAM is enforced, over TLS.
    """

    def __init__(
        self,
        directory: Path,
        *,
        logs: Path | None = None,
        port: int = 0,
        least_privilege: bool = False,
        report: Report = _silent,
    ) -> None:
        self._directory = directory.resolve()
        self._logs = (logs or directory / "logs").resolve()
        self._port = port
        self._least_privilege = least_privilege
        self._report = report
        self._supervisor: subprocess.Popen[str] | None = None
        self._pids: dict[str, int] = {}
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def connection(self) -> Connection:
        if self._connection is None:
            raise LocalCloudError("the local cloud has not been started")
        return self._connection

    @property
    def pids(self) -> dict[str, int]:
        """The processes behind it: ``supervisor``, ``cloud`` (AWS) and ``search`` (OpenSearch)."""
        return dict(self._pids)

    def start(self) -> Connection:
        """Start AWS and OpenSearch and wait until both answer.

        Raises :class:`LocalCloudError` if the port is taken (saying by whom, if that can be known), if set-up has
        not been done, or if one of the two doesn't start.
        """
        if self._port:
            _check_port(self._port)
        root = project.ready(self._report)
        from osmem_server import resolve_binary

        from tagstream.local.supervisor import Settings

        self._report("Starting AWS and OpenSearch on this machine …")
        self._directory.mkdir(parents=True, exist_ok=True)
        settings = Settings(
            python=str(root / ".venv-local" / "bin" / "python"),
            search_binary=resolve_binary(),
            port=self._port,
            temporary=str(self._directory / "private"),
            logs=str(self._logs),
            state=str(self._directory / "state.json"),
            least_privilege=self._least_privilege,
        )
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "tagstream.local.supervisor", settings.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            start_new_session=True,
        )
        try:
            line = self._supervisor.stdout.readline() if self._supervisor.stdout else ""
            answer = json.loads(line or '{"error": "its supervisor ended without a word"}')
            if "error" in answer:
                raise LocalCloudError(f"the local cloud did not start: {answer['error']}")
        except BaseException:
            self.stop()
            raise
        self._pids = {"supervisor": self._supervisor.pid, **answer["pids"]}
        self._connection = Connection(**{name: answer[name] for name in ("port", "search_port", "certificate")})
        return self._connection

    def deploy(self, settings: Mapping[str, str] | None = None) -> None:
        """Bootstrap the account and deploy every stack; raises :class:`LocalCloudError` with the CDK's reason.

        ``settings`` are those of the stage that are to differ from its own. Who may sign in to the gallery is
        :data:`tagstream.local.gallery.USER`.
        """
        environment, private = self.connection.environment(), self._directory / "private"
        deploy(environment, private, self._logs, self._report, self._watch, settings=settings)
        make_user(self.connection)

    def _watch(self, pid: int) -> None:
        self._tell(f"watch {pid}")

    def _tell(self, line: str) -> None:
        if self._supervisor is None or self._supervisor.stdin is None:
            raise LocalCloudError("the local cloud has not been started")
        self._supervisor.stdin.write(f"{line}\n")
        self._supervisor.stdin.flush()

    def detach(self) -> None:
        """Let it live on after this process, as the cloud that :func:`connection` finds."""
        processes = {name: Process.of(pid) for name, pid in self._pids.items()}
        State(connection=self.connection, **processes).write(self._directory / "state.json")
        self._tell("detach")
        self._close()
        self._supervisor = None

    def stop(self) -> None:
        """Stop everything that ``start`` started, and wait until it is gone; nothing to do after ``detach``."""
        if self._supervisor is None:
            return
        self._close()
        # Ctrl-C here would only stop the waiting: the supervisor does its work all the same.
        try:
            self._supervisor.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            import shutil

            from tagstream.local.supervisor import stop_trees

            stop_trees([self._supervisor.pid])
            self._supervisor.poll()
            shutil.rmtree(self._directory / "private", ignore_errors=True)
        self._supervisor = None
        self._connection = None

    def _close(self) -> None:
        if self._supervisor is not None:
            for stream in (self._supervisor.stdin, self._supervisor.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def connection(directory: Path = HOME) -> Connection:
    """The cloud that ``tagstream local up`` started; raises :class:`LocalCloudError` if there is none."""
    state = State.read(directory / "state.json")
    if state is None and CHECKOUT is None:
        raise LocalCloudError(
            f"no local cloud is known in {directory}: start one with 'tagstream local up', or, to reach that of a "
            "checkout, set TAGSTREAM_LOCAL_HOME to its build/local; --stage names a stage on AWS."
        )
    if state is None:
        raise LocalCloudError("the local cloud is not running: start it with 'tagstream local up' (or 'make up').")
    if not state.running():
        raise LocalCloudError("the local cloud has crashed: run 'tagstream local up' to start it anew.")
    return state.connection


def up(
    *, port: int | None = None, least_privilege: bool = False, directory: Path = HOME, report: Report = _silent
) -> Connection:
    """Start the cloud that stays, or deploy what has changed into the one that runs.

    If it fails or is interrupted, a cloud that was not there before is not there afterwards; one that ran before
    runs on, with what CloudFormation rolled back to.
    """
    project.check()
    with _lock(directory):
        state = State.read(directory / "state.json")
        if state is not None and state.running():
            if port not in (None, state.connection.port):
                raise LocalCloudError(
                    f"the local cloud runs already, on port {state.connection.port}: "
                    "run 'tagstream local down' first to have another port."
                )
            if least_privilege and state.connection.certificate is None:
                raise LocalCloudError(
                    "the local cloud runs already, and enforces nothing: run 'tagstream local down' first."
                )
            report(f"The local cloud runs already, on port {state.connection.port}: deploying what has changed.")
            deploy(state.connection.environment(), directory / "private", directory / "logs", report)
            make_user(state.connection)
            return state.connection
        if state is not None:
            report("Removing what a crashed local cloud left …")
            _remove(state, directory)
        with LocalCloud(
            directory,
            port=DEFAULT_PORT if port is None else port,
            least_privilege=least_privilege,
            report=report,
        ) as cloud:
            cloud.deploy()
            started = cloud.connection
            cloud.detach()
        return started


def down(*, directory: Path = HOME) -> bool:
    """Stop the cloud that stays and delete what it held; False if there was none."""
    with _lock(directory):
        state = State.read(directory / "state.json")
        if state is None:
            return False
        _remove(state, directory)
        return True


def _remove(state: State, directory: Path) -> None:
    import shutil

    import psutil

    from tagstream.local.supervisor import stop_trees

    if state.supervisor.running():
        supervisor = psutil.Process(state.supervisor.pid)
        supervisor.terminate()
        with contextlib.suppress(psutil.TimeoutExpired):
            supervisor.wait(timeout=15)
    # Only if the supervisor was killed before it could do this.
    stop_trees([process.pid for process in (state.supervisor, state.cloud, state.search) if process.running()])
    shutil.rmtree(directory / "private", ignore_errors=True)
    (directory / "state.json").unlink(missing_ok=True)


@dataclass(frozen=True)
class Status:
    """``state`` is ``running``, ``crashed`` or ``stopped``; the connection is there unless it is stopped.

    ``gallery`` is there once its stack is deployed.
    """

    state: str
    connection: Connection | None = None
    stacks: tuple[str, ...] = ()
    gallery: Gallery | None = None


def status(directory: Path = HOME) -> Status:
    """What ``tagstream local status`` prints."""
    state = State.read(directory / "state.json")
    if state is None:
        return Status("stopped")
    if not state.running():
        return Status("crashed", state.connection)
    stacks = state.connection.client("cloudformation").describe_stacks()["Stacks"]
    names = (stack["StackName"] for stack in stacks)
    ours = tuple(sorted(name for name in names if name.startswith("tagstream-")))
    gallery = None
    with contextlib.suppress(LocalCloudError):
        gallery = Gallery.of(state.connection)
    return Status("running", state.connection, ours, gallery)


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    """One ``up`` or ``down`` at a time; the lock ends with the process, however it ends."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalCloudError(
                "another 'tagstream local up' or 'down' is at work: wait until it is done, or interrupt it."
            ) from None
        yield


def _check_port(port: int) -> None:
    import socket

    with socket.socket() as probe:
        # Connections of the last cloud may still linger; that is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise LocalCloudError(f"port {port} needs root: give another with --port.") from None
        except OSError:
            raise LocalCloudError(
                f"port {port} is taken{_holder(port)}: stop that, or give another port with --port ('make up PORT=…')."
            ) from None


def _holder(port: int) -> str:
    """Who listens on a TCP port, as far as this user may know."""
    import psutil

    try:
        listening = [
            c.pid
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid
        ]
        if not listening:
            return " by another user's process"
        process = psutil.Process(listening[0])
        return f" by process {process.pid} ({' '.join(process.cmdline())[:120] or process.name()})"
    except psutil.Error:
        return ""
