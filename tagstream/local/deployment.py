"""Deploying the stacks into the local cloud with the real CDK CLI."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tagstream.errors import LocalCloudError
from tagstream.local import project
from tagstream.local.supervisor import stop_trees

__all__ = ["STAGE", "deploy"]

STAGE = "local"
_REGION = "us-east-1"
_ACCOUNT = "000000000000"
_END_SECONDS = 5.0
_LONGEST_SECONDS = 3600.0
"""For a command of the CDK CLI: bundling for the first time takes minutes, and longer on a slow network."""


def _nobody_watches(_pid: int) -> None:
    """For a cloud that outlives the command anyway."""


def deploy(
    target: Mapping[str, str],
    private: Path,
    logs: Path,
    report: Callable[[str], None],
    watch: Callable[[int], None] = _nobody_watches,
    *,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Bootstrap the account and deploy every stack; raises :class:`LocalCloudError` with the CDK's reason.

    ``target`` are the environment variables that lead to the cloud; ``private`` is its directory for temporary
    files; ``watch`` is told the pid of every command. ``settings`` are those of the stage that are to differ.
    """
    root = project.ready(report)
    assembly = private / "cdk.out"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))}
    environment |= dict(target) | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "TMPDIR": str(private),
        "PYTHONPATH": str(root),
        "NO_COLOR": "1",
    }
    if "/" in (model := os.environ.get("TAGSTREAM_MODEL", "")):
        # As it was meant where it was typed: the stacks are synthesised elsewhere.
        environment["TAGSTREAM_MODEL"] = str(Path(model).expanduser().resolve())
    # The CLI by way of stacks/__main__.py: a banner about the Node version would be all that a newcomer sees.
    cdk = [sys.executable, "-m", "stacks"]
    common = ["--no-notices", "--no-color", "--no-version-reporting"]
    contexts = [f"--context={name}={value}" for name, value in ({"stage": STAGE} | dict(settings or {})).items()]
    # By this Python: that of cdk.json is there in a checkout only.
    app = f"{shlex.quote(sys.executable)} app.py"
    synth = [*cdk, "synth", "--quiet", *contexts, "--app", app, "--output", str(assembly), *common]
    # From a directory without a cdk.json, for it to need no app: so it can go on beside the synthesis.
    bootstrap = [*cdk, "bootstrap", f"aws://{_ACCOUNT}/{_REGION}", *common]
    deployment = [*cdk, "deploy", "--all", "--app", str(assembly), "--require-approval", "never", *common]
    with contextlib.ExitStack() as stack:

        def run(name: str, arguments: list[str], cwd: Path) -> _Command:
            command = _Command(name, arguments, cwd=cwd, env=environment, log=logs / f"{name}.log")
            stack.callback(command.end)
            watch(command.pid)
            return command

        report("Synthesising the stacks and bootstrapping the account …")
        bootstrapping = run("bootstrap", bootstrap, private)
        synthesising = run("synth", synth, root)
        for line in synthesising.lines():
            if line.startswith("Bundling "):
                report(f"  {line}")
        synthesising.finish()
        bootstrapping.finish()
        report("Deploying the stacks …")
        deploying = run("deploy", deployment, private)
        began = time.monotonic()
        for line in deploying.lines():
            done = re.match(r"\s*✅\s+(\S+)(.*)", line)
            if done:
                report(f"  {done[1]}{done[2]} after {time.monotonic() - began:.0f} s")
        deploying.finish()


class _Command:
    """A CDK command in a session of its own, out of reach of the terminal's Ctrl-C."""

    def __init__(self, name: str, arguments: list[str], *, cwd: Path, env: Mapping[str, str], log: Path) -> None:
        self._name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                arguments,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._deadline = time.monotonic() + _LONGEST_SECONDS

    def lines(self) -> Iterator[str]:
        """What it prints, a line at a time, until it ends."""
        with self._log.open() as output:
            partial = ""
            while True:
                ended = self._process.poll() is not None
                for piece in output:
                    partial += piece
                    if partial.endswith("\n"):
                        yield partial.rstrip("\n")
                        partial = ""
                if ended:
                    return
                if time.monotonic() > self._deadline:
                    raise self._hangs()
                time.sleep(0.1)

    def finish(self) -> None:
        """Wait for its end; raises :class:`LocalCloudError` with the lines that say why if it failed."""
        try:
            returncode = self._process.wait(timeout=max(self._deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            raise self._hangs() from None
        if returncode != 0:
            text = self._log.read_text(errors="replace").splitlines()
            telling = [line for line in text if "❌" in line or "rror" in line] or text
            reason = "".join(f"\n  {line.strip()}" for line in telling[-8:])
            raise LocalCloudError(f"cdk {self._name} failed:{reason}\nAll that it said is in {self._log}")

    def _hangs(self) -> LocalCloudError:
        return LocalCloudError(
            f"cdk {self._name} did not end within {_LONGEST_SECONDS:g} s, and is stopped: {self._log} has what it said"
        )

    def end(self) -> None:
        """Stop it, and all that it has started, if it has not ended by itself."""
        if self._process.poll() is None:
            # As Ctrl-C would: the app removes what it was writing.
            stop_trees([self._process.pid], signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
