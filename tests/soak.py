"""Signals in quick succession, a thousand times under load: each command that they meet must end, and end right.

    python -m tests.soak --count 1000 --seconds 600

Rounds of ``process``, ``upload`` and ``download`` against one moto server, two at a time on a machine that is busy with
them. Each gets one to five signals at a random moment, microseconds to milliseconds apart. It must end in time, with
the exit code of a signal that it got, and with a last line that says how it ended; no message may be lost or stay in
somebody's hands. Prints what went wrong, and exits with 1 if anything did.

Commands are forked from one process that has imported everything, since starting Python takes longer than a round.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import boto3

from tagstream.topics import ParcelSettings, Topics, TopicSettings, upload
from tests.processes import aws_server

__all__ = ["Soak"]

logging.getLogger("werkzeug").setLevel(logging.ERROR)

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_MESSAGES = 5
_LATEST = 30.0
"""Seconds after the last signal: an end for what hangs, not a measure."""

_FORKS = """
import os, sys
import botocore.session, boto3, rich.progress, rich.console
import tagstream.topics, tagstream.cli.topics.process, tagstream.cli.topics.transfer
from tagstream.cli import main
boto3.client("sqs", region_name="eu-west-1", endpoint_url="http://127.0.0.1:1", aws_access_key_id="a",
             aws_secret_access_key="a")
for line in sys.stdin:
    output, *arguments = line.rstrip("\\n").split("\\t")
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        # A command like any other from here on, until its interpreter ends.
        target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(target, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.argv = ["tagstream", *arguments]
        sys.exit(main())
    print("pid", pid, flush=True)
    print("end", pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@dataclass
class Soak:
    """Up to ``count`` rounds, no more started after ``seconds``; ``seed`` chooses all that is random."""

    count: int
    seconds: float
    seed: int
    rounds: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        until = time.monotonic() + self.seconds
        folders = tempfile.TemporaryDirectory(prefix="tagstream-soak-")
        with aws_server() as endpoint, folders as folder, ThreadPoolExecutor(2) as pool:
            sides = [pool.submit(self._side, side, endpoint, Path(folder), until) for side in range(2)]
            for ended in sides:
                ended.result(self.seconds + 10 * _LATEST)

    def _side(self, side: int, endpoint: str, folder: Path, until: float) -> None:
        chance = random.Random(f"{self.seed} {side}")
        sqs = boto3.client(
            "sqs",
            endpoint_url=endpoint,
            region_name="eu-west-1",
            aws_access_key_id="a",
            aws_secret_access_key="a",  # noqa: S106 - moto asks for one
        )
        topics = Topics(sqs, settings=TopicSettings(pause=0.01))
        with _Forks(endpoint) as forks:
            for number in range(side, self.count, 2):
                if time.monotonic() > until:
                    break
                _Round(self, topics, forks, chance, folder, number).run()
                self.rounds += 1


class _Forks:
    """The process that commands are forked from."""

    def __init__(self, endpoint: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={
                **os.environ,
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "a",
            },
        )
        self._answers: list[list[str]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> _Forks:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_LATEST)
        finally:
            self._process.kill()
            self._reader.join(_LATEST)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                with self._changed:
                    self._answers.append(line.split())
                    self._changed.notify_all()

    def start(self, output: Path, arguments: Sequence[str | Path]) -> int:
        assert self._process.stdin is not None
        with self._changed:
            self._answers.clear()
        self._process.stdin.write("\t".join(map(str, [output, *arguments])) + "\n")
        return int(self._await("pid", _LATEST)[1])

    def end(self, seconds: float) -> int:
        return int(self._await("end", seconds)[2])

    def _await(self, word: str, seconds: float) -> list[str]:
        def found() -> list[str] | None:
            return next((answer for answer in self._answers if answer[0] == word), None)

        with self._changed:
            answer = self._changed.wait_for(found, seconds)
            if not answer:
                raise TimeoutError
            return answer


@dataclass
class _Round:
    soak: Soak
    topics: Topics
    forks: _Forks
    chance: random.Random
    folder: Path
    number: int

    def run(self) -> None:
        command = self.chance.choice(["process", "process", "upload", "download"])
        source, target = f"in-{self.number}", f"out-{self.number}"
        output, file = self.folder / f"output-{self.number}", self.folder / f"file-{self.number}"
        lines = self.folder / f"lines-{self.number}"
        count = _MESSAGES if command == "process" else 500
        lines.write_bytes(b"".join(b"line %d\n" % line for line in range(count)))
        for topic in (source, target):
            self.topics.create(topic, max_receives=1000)
        arguments: list[str | Path]
        if command == "process":
            upload(self.topics, source, [lines], settings=ParcelSettings(max_lines=1))
            step = self.folder / f"step-{self.number}"
            step.write_text(f'#!/bin/sh\nsleep {self.chance.choice([0, 0.02, 0.2])}; cp "$1" "$2"\n')
            step.chmod(0o755)
            # A worker that is told to stop ends its poll first, which is shorter with an idle timeout.
            ending = self.chance.choice([["--forever"], *[["--idle-timeout", "0.3"]] * 3])
            arguments = ["process", source, target, "--step", step, "--workers", "2", *ending]
        elif command == "upload":
            arguments = ["upload", lines, target, "--lines", "1"]
        else:
            arguments = ["download", source, file, "--idle", "60"]
        pid = self.forks.start(output, ["topics", *arguments])
        sent = self._signal(pid)
        try:
            code = self.forks.end(_LATEST)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self.forks.end(_LATEST)
            self._failed(command, sent, f"had not ended {_LATEST:g} s after the last signal", output)
            return
        self._check(command, sent, code, output)
        if command == "process":
            counts, made = self.topics.counts(source), self.topics.counts(target)
            if counts.in_flight or counts.visible + made.visible != _MESSAGES:
                self._failed(command, sent, f"left {counts} in and {made} out", output)
        for topic in (source, target):
            self.topics.delete(topic)
        for path in self.folder.glob(f"*-{self.number}"):
            path.unlink()

    def _signal(self, pid: int) -> list[int]:
        """One signal to five; returns which were sent while it lived."""
        sent: list[int] = []
        select.select([], [], [], self.chance.uniform(0, 0.5))
        for _ in range(self.chance.choice([1, 1, 2, 2, 3, 5])):
            number = self.chance.choice(_STOPPING)
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            sent.append(number)
            if self.chance.random() < 0.7:
                select.select([], [], [], self.chance.choice([0.0, 0.0001, 0.001, 0.02]))
        return sent

    def _check(self, command: str, sent: Sequence[int], code: int, output: Path) -> None:
        printed = output.read_text() if output.exists() else ""
        last = printed.splitlines()[-1] if printed.strip() else ""
        allowed = {128 + number for number in sent}
        if command in {"process", "upload"}:
            allowed.add(0)  # there was nothing left to do
        if code in allowed and (code == 0 or last.startswith("Interrupted.")) and "Traceback" not in printed:
            self.soak.ends[f"{command} {code}"] += 1
        elif -code in sent and "Interrupted." not in printed and "signals.py" not in printed:
            self.soak.ends[f"{command} before it had begun"] += 1
        else:
            self._failed(command, sent, f"ended with {code}", output)

    def _failed(self, command: str, sent: Sequence[int], how: str, output: Path) -> None:
        printed = output.read_text() if output.exists() else ""
        self.soak.failures.append(
            f"round {self.number}: {command}, after signals {list(map(int, sent))}, {how}:\n{printed}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = parser.parse_args()
    soak = Soak(asked.count, asked.seconds, asked.seed)
    soak.run()
    for failure in soak.failures:
        print(failure)
    ends = ", ".join(f"{count} of {end}" for end, count in sorted(soak.ends.items()))
    print(f"{soak.rounds} rounds (seed {asked.seed}): {ends}; {len(soak.failures)} wrong.")
    sys.exit(1 if soak.failures else 0)


if __name__ == "__main__":
    main()
