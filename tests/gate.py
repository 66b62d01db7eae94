"""A step that the test stops and lets go on, to drain and kill workers at a known moment."""

from __future__ import annotations

import os
import select
from pathlib import Path

__all__ = ["Gate"]

_SECONDS = 60.0


class Gate:
    """A step that says that it runs, and waits to be let go on."""

    def __init__(self, folder: Path) -> None:
        self.program, started, leave = folder / "step", folder / "started", folder / "leave"
        self.program.write_text(f'#!/bin/sh\necho > {started}; read _ < {leave}; cp "$1" "$2"\n')
        self.program.chmod(0o755)
        for path in (started, leave):
            os.mkfifo(path)
        # Open in both directions: neither side waits for the other to open its end.
        self._started = started.open("r+b", buffering=0)
        self._leave = leave.open("r+b", buffering=0)

    def await_start(self) -> None:
        assert select.select([self._started], [], [], _SECONDS)[0], f"no step has started for {_SECONDS:g} s"
        assert self._started.read(1) == b"\n"

    def let(self) -> None:
        self._leave.write(b"\n")

    def close(self) -> None:
        self._started.close()
        self._leave.close()
