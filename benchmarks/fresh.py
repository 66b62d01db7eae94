"""How long somebody new waits for ``make demo``: ``python -m benchmarks.fresh [--against COMMIT]``.

A clone of what is committed here, with caches of its own for pip and npm that are empty, so that everything is
downloaded, installed, built and deployed as on a machine that has never seen it.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.measure import say
from benchmarks.report import machine

__all__ = ["Run", "measure", "report", "stages", "taken"]

ROOT = Path(__file__).resolve().parents[1]
BEGIN = "start"
_END_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """``make demo`` once: seconds of its stages in their order, and of the processor; bytes fetched, bytes on the disk.

    ``downloaded`` is None where all goes through a proxy of the machine's own, so that it can't be counted.
    """

    commit: str
    stages: dict[str, float]
    cpu: float
    downloaded: int | None
    disk: int

    @property
    def seconds(self) -> float:
        return sum(self.stages.values())


def stages(lines: Iterable[tuple[float, str]], end: float) -> dict[str, float]:
    """Seconds of each stage: a line that ends with an ellipsis begins one. ``lines`` come with seconds from the start.

    >>> stages([(1.0, "Installing (a minute) …"), (5.0, "done: 3"), (9.0, "Deploying …")], end=12.0)
    {'start': 1.0, 'Installing': 8.0, 'Deploying': 3.0}
    """
    found: dict[str, float] = {}
    name, begun = BEGIN, 0.0
    for at, line in lines:
        if line.endswith("…"):
            found[name] = found.get(name, 0.0) + at - begun
            name, begun = line.removesuffix("…").partition("(")[0].strip(), at
    found[name] = found.get(name, 0.0) + end - begun
    return found


def taken(folder: Path) -> int:
    """Bytes that the files of a folder take on the disk; what has several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for path, _, names in os.walk(folder):
        for name in names:
            about = (Path(path) / name).lstat()
            seen[about.st_dev, about.st_ino] = about.st_blocks * 512
    return sum(seen.values())


class Counting:
    """A proxy on 127.0.0.1 that lets TLS through as it is, and counts the bytes that come back."""

    def __init__(self) -> None:
        self.received = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Counting:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(_END_SECONDS)
        self.url = "http://{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(_END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_SECONDS)
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _stop(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split()
            if head[0] != "CONNECT":
                writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
                return
            host, _, port = head[1].rpartition(":")
            there, up = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                await asyncio.gather(self._copy(reader, up, False), self._copy(there, writer, True))
            finally:
                up.close()
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked sees the connection end, and says so
        finally:
            writer.close()

    async def _copy(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, counted: bool) -> None:
        while chunk := await source.read(1 << 16):
            self.received += len(chunk) if counted else 0
            to.write(chunk)
            await to.drain()
        if to.can_write_eof():
            to.write_eof()


def measure(commit: str, within: float) -> Run:
    """Clone, ``make demo``, remove; a :class:`click.ClickException` where that fails or takes ``within`` seconds."""
    with tempfile.TemporaryDirectory(prefix="tagstream-fresh-") as temporary:
        clone, caches = Path(temporary) / "tagstream", Path(temporary) / "caches"
        _git("clone", "--quiet", "--no-checkout", str(ROOT), str(clone))
        _git("-C", str(clone), "checkout", "--quiet", "--detach", commit)
        left_out = {"VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PIP_NO_CACHE_DIR", "TAGSTREAM_LOCAL_HOME"}
        environment = {name: value for name, value in os.environ.items() if name not in left_out} | {
            "PIP_CACHE_DIR": str(caches / "pip"),
            "npm_config_cache": str(caches / "npm"),
            "XDG_CACHE_HOME": str(caches / "others"),
        }
        counted = not {"https_proxy", "all_proxy"} & {name.lower() for name in os.environ}
        started, before, lines = time.monotonic(), _cpu(), []
        with Counting() as network:
            if counted:
                environment["HTTPS_PROXY"] = network.url
            with _ends("make demo", clone, environment, within) as process:
                for line in process.stdout or ():
                    lines.append((time.monotonic() - started, line.rstrip()))
                    say(f"  {lines[-1][0]:6.1f} s  {lines[-1][1]}")
            end = time.monotonic() - started
        if process.returncode:
            why = f"took more than {within:.0f} s" if end >= within else f"ended with {process.returncode}"
            raise click.ClickException(f"make demo of {commit} {why}.")
        received = network.received if counted else None
        return Run(commit, stages(lines, end), _cpu() - before, received, taken(clone))


def _cpu() -> float:
    """Seconds of the processor that processes took which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _ends(command: str, folder: Path, environment: dict[str, str], within: float) -> Iterator[subprocess.Popen[str]]:
    """A process whose group is gone afterwards, however that comes about."""
    with subprocess.Popen(
        command.split(),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:

        def stop(how: signal.Signals = signal.SIGTERM) -> None:
            if process.poll() is None:
                os.killpg(process.pid, how)

        timer = threading.Timer(within, stop)
        timer.start()
        try:
            yield process
            process.wait(_END_SECONDS)
        finally:
            timer.cancel()
            stop()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                stop(signal.SIGKILL)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def report(ours: Run, reference: Run | None) -> str:
    """The stages of each, and below them what matters."""
    lines = []
    for run in (ours, *filter(None, [reference])):
        lines += ["", f"make demo of {run.commit}"]
        lines += [f"{seconds:8.1f} s  {name}" for name, seconds in run.stages.items()]
        lines += [f"{run.seconds:8.1f} s  in all, {run.cpu:.0f} s of the processor, {_megabytes(run)}"]
    if reference is not None:
        lines += [
            "",
            f"{ours.commit} takes {ours.seconds / reference.seconds:.0%} of the time of {reference.commit}, "
            f"{ours.cpu / reference.cpu:.0%} of its processor and {ours.disk / reference.disk:.0%} of its disk.",
        ]
    return "\n".join(lines)


def _megabytes(run: Run) -> str:
    fetched = "what was fetched not counted" if run.downloaded is None else f"{run.downloaded / 1e6:.0f} MB fetched"
    return f"{fetched}, {run.disk / 1e6:.0f} MB on the disk"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--commit", default="HEAD", show_default=True, help="Whose 'make demo' is timed.")
@click.option("--against", metavar="COMMIT", help="Another one, timed afterwards, to compare with.")
@click.option(
    "--within", default=1800, show_default=True, type=click.IntRange(min=1), help="Seconds that one may take."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("build/bench-fresh.json"),
    show_default=True,
    help="Where the JSON goes.",
)
def main(commit: str, against: str | None, within: int, output: Path) -> None:
    """Time 'make demo' as somebody new sees it: a clone, empty caches, everything fetched.

    Only what is committed counts. It downloads what the README's demo does, most of a gigabyte each time.

    \b
    Examples:
      python -m benchmarks.fresh
      python -m benchmarks.fresh --against v0.1.0
    """
    if shutil.which("git") is None or shutil.which("make") is None:
        raise click.ClickException("git and make are needed for this: install them.")
    # What is told to end ends what it has started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    named = [
        _git("-C", str(ROOT), "rev-parse", "--short", "--verify", f"{name}^{{commit}}")
        for name in (commit, against)
        if name
    ]
    about, runs = machine(), []
    for name in named:
        say(f"make demo of {name}, with nothing there yet:")
        runs.append(measure(name, within))
    ours, reference = runs[0], runs[1] if against else None
    print(report(ours, reference))
    output.parent.mkdir(parents=True, exist_ok=True)
    document = {"runs": [asdict(run) | {"seconds": run.seconds} for run in runs], "machine": about}
    output.write_text(json.dumps(document, indent=2) + "\n")
    print(f"\nWritten: {output}")


if __name__ == "__main__":
    sys.exit(main())
