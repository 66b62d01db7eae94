"""The process that owns the local cloud: it starts AWS and OpenSearch on 127.0.0.1 and always stops them.

Run by :mod:`tagstream.local.cloud` as ``python -m tagstream.local.supervisor SETTINGS`` in a session of its own,
so that Ctrl-C in the terminal doesn't reach it. Its protocol, one line each:

* standard output: a JSON object, either ``{"port", "search_port", "pids"}`` once both answer, or ``{"error"}``;
* standard input: ``watch PID`` makes a process (the CDK CLI) share its end; ``detach`` lets it live on after the
  command that started it. Without that word, the end of standard input stops everything: a command that is
  interrupted, killed or crashes leaves nothing behind.

SIGTERM stops everything too. Stopping means: the state file goes, SIGTERM to both and to the emulator's function
workers, SIGKILL to whatever is left after 3 seconds, and the private directory goes, with its parent if that is empty.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import psutil

__all__ = ["Settings", "main"]

_START_SECONDS = 30.0
_STOP_SECONDS = 3.0
_HOST = "127.0.0.1"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Settings:
    """What to start and where; paths are absolute.

    ``port`` 0 takes a free one. ``python`` is that of the emulator's own environment. ``temporary`` is the private
    directory, deleted at the end; ``state`` the file that is deleted first, since it says that the cloud is up.
    With ``least_privilege`` the emulator enforces IAM, over TLS.
    """

    python: str
    search_binary: str
    port: int
    temporary: str
    logs: str
    state: str
    least_privilege: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class _Stop(Exception):
    """SIGTERM has come."""


class _Failed(Exception):
    """A sentence for the user."""


def main(arguments: list[str]) -> int:
    """Start both, say so, wait to be told to stop; see the module's text for the protocol."""
    settings = Settings(**json.loads(arguments[0]))
    children: list[subprocess.Popen[bytes]] = []
    watched: list[psutil.Process] = []

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stop

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        _say(_start(settings, children))
        _wait_for_the_end(watched)
    except _Stop:
        pass
    except _Failed as error:
        _say({"error": str(error)})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        try:
            Path(settings.state).unlink(missing_ok=True)
            stop_trees([process.pid for process in watched if process.is_running()], signal.SIGINT)
            stop_trees([child.pid for child in children])
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=_STOP_SECONDS)
        finally:
            _remove(Path(settings.temporary))
            # The folder of a command that was killed: nobody else is left to remove it. It stays if it holds anything.
            with contextlib.suppress(OSError):
                Path(settings.temporary).parent.rmdir()
    return 0


def _remove(folder: Path) -> None:
    """Remove it with all that is in it, and again if a process on its way out has written into it meanwhile."""
    end = time.monotonic() + _STOP_SECONDS
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists() or time.monotonic() > end:
            return
        time.sleep(0.1)


def _say(answer: dict[str, object]) -> None:
    # The command may be gone already; the end of standard input tells the same.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _wait_for_the_end(watched: list[psutil.Process]) -> None:
    """Returns when standard input ends without ``detach``; sleeps until a signal once that word has come."""
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        if word == "watch":
            with contextlib.suppress(psutil.NoSuchProcess):
                watched.append(psutil.Process(int(argument)))
        if word == "detach":
            break
    else:
        return
    watched.clear()
    # Nothing may keep the terminal, or a pipe that somebody waits on, open from now on.
    with Path(os.devnull).open("r+b") as nowhere:
        for stream in (0, 1, 2):
            os.dup2(nowhere.fileno(), stream)
    while True:
        signal.pause()


def _start(settings: Settings, children: list[subprocess.Popen[bytes]]) -> dict[str, object]:
    temporary, logs = Path(settings.temporary), Path(settings.logs)
    shutil.rmtree(temporary, ignore_errors=True)
    for directory in (temporary, logs):
        directory.mkdir(parents=True, exist_ok=True)
    certificate = _certificate(settings) if settings.least_privilege else None
    search, search_port = _start_search(settings, children, logs / "search.log")
    for attempt in range(1, 6):
        port = settings.port or _free_port()
        cloud = _start_aws(settings, port, search_port, certificate, children)
        if _answers(cloud, port, certificate):
            break
        if settings.port or attempt == 5:
            raise _Failed(
                f"the AWS emulator did not start on port {port}; its log ends with:{_tail(logs / 'cloud.log')}"
            )
    return {
        "port": port,
        "search_port": search_port,
        "certificate": certificate.certificate if certificate else None,
        "pids": {"cloud": cloud.pid, "search": search.pid},
    }


@dataclass(frozen=True)
class _Certificate:
    """The files of a certificate, and of its key."""

    certificate: str
    key: str


def _certificate(settings: Settings) -> _Certificate:
    """A certificate for this cloud alone, made by the emulator's interpreter, which has the library for it."""
    folder = Path(settings.temporary) / "tls"
    made = _Certificate(str(folder / "certificate.pem"), str(folder / "key.pem"))
    try:
        subprocess.run(
            [settings.python, str(_HERE / "certificate.py"), made.certificate, made.key],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=_START_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise _Failed(f"its certificate could not be made: {error.stderr.strip()[-500:]}") from None
    except subprocess.TimeoutExpired:
        raise _Failed(f"its certificate was not made within {_START_SECONDS:g} s") from None
    return made


def _start_search(
    settings: Settings, children: list[subprocess.Popen[bytes]], log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    with log.open("wb") as errors:
        search = subprocess.Popen(
            [settings.search_binary, "-addr", f"{_HOST}:0", "-no-stdin-watch", "-parent-pid", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    children.append(search)
    output = search.stdout
    line = output.readline() if output and select.select([output], [], [], _START_SECONDS)[0] else b""
    try:
        port = int(json.loads(line)["url"].rsplit(":", 1)[1])
    except (ValueError, KeyError):
        raise _Failed(f"the OpenSearch emulator did not start; its log ends with:{_tail(log)}") from None
    return search, port


def _start_aws(
    settings: Settings,
    port: int,
    search_port: int,
    certificate: _Certificate | None,
    children: list[subprocess.Popen[bytes]],
) -> subprocess.Popen[bytes]:
    # Functions inherit this environment. It is made from nothing, so that neither the user's AWS profile nor
    # proxies nor Python paths change what they do.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": settings.temporary,
        "TMPDIR": settings.temporary,
        "STATE_DIR": f"{settings.temporary}/state",
        "S3_DATA_DIR": f"{settings.temporary}/s3",
        "PERSIST_STATE": "0",
        "BIND_HOST": _HOST,
        "GATEWAY_PORT": str(port),
        # Otherwise it listens on every interface as soon as `cryptography` is installed.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # It removes containers that it takes for its own; there is no reason to let it near a user's Docker.
        "DOCKER_HOST": f"unix://{settings.temporary}/no-docker",
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_OPENSEARCH_ENDPOINT": f"localhost:{search_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    emulator = ["-m", "ministack"]
    if certificate is not None:
        # -P: no module beside it may take the place of one that functions, or the emulator, import.
        emulator = ["-P", str(_HERE / "enforcing.py")]
        environment |= {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": certificate.certificate,
            "MINISTACK_SSL_KEY": certificate.key,
            # The HTTP API asks the user pool for its keys.
            "SSL_CERT_FILE": certificate.certificate,
        }
    with (Path(settings.logs) / "cloud.log").open("wb") as output:
        cloud = subprocess.Popen(
            [settings.python, *emulator],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=settings.temporary,
            start_new_session=True,
            preexec_fn=_die_with_parent(),  # noqa: PLW1509 - this process has one thread
        )
    children.append(cloud)
    return cloud


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: SIGTERM for the child when this process dies in a way that it cannot catch (SIGKILL)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    pr_set_pdeathsig = 1
    return lambda: prctl(pr_set_pdeathsig, signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int, certificate: _Certificate | None) -> bool:
    """Whether ``process`` answers on ``port`` in time; not if it ends, so not if another holds the port."""
    deadline = time.monotonic() + _START_SECONDS
    context = ssl.create_default_context(cafile=certificate.certificate) if certificate else None
    url = f"{'https' if certificate else 'http'}://{_HOST}:{port}/_ministack/health"
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310
            # Not just any emulator that was quicker to take the port: this one.
            listening = {c.laddr.port for c in psutil.Process(process.pid).net_connections("tcp")}
            if answer.status == 200 and port in listening:
                return True
        time.sleep(0.05)
    return False


def _tail(log: Path, lines: int = 5) -> str:
    return "".join(f"\n  {line}" for line in log.read_text(errors="replace").splitlines()[-lines:]) or " (nothing)"


def stop_trees(pids: list[int], first: signal.Signals = signal.SIGTERM) -> None:
    """Send ``first`` to the processes and all that they started; SIGKILL to what is left after 3 seconds."""

    def trees(roots: list[psutil.Process]) -> set[psutil.Process]:
        found = set(roots)
        for root in roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= set(root.children(recursive=True))
        return found

    roots: list[psutil.Process] = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            roots.append(psutil.Process(pid))
    processes = trees(roots)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(first)
    _, left = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
    # With what they have started since.
    stubborn = trees(left)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=_STOP_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
