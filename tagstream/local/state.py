"""What is kept about the cloud that stays: how to reach it, and which processes it is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tagstream.errors import LocalCloudError
from tagstream.local.connection import Connection

__all__ = ["Process", "State"]


@dataclass(frozen=True)
class Process:
    """A process, and when it started (seconds since the epoch): a pid alone may be another's by now."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> Process:
        import psutil

        return cls(pid, psutil.Process(pid).create_time())

    def running(self) -> bool:
        import psutil

        try:
            process = psutil.Process(self.pid)
            return bool(abs(process.create_time() - self.started) < 1 and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class State:
    """What ``build/local/state.json`` says; there only while a cloud is up."""

    connection: Connection
    supervisor: Process
    cloud: Process
    search: Process

    @classmethod
    def read(cls, path: Path) -> State | None:
        try:
            fields = json.loads(path.read_text())
            processes = {name: Process(**fields[name]) for name in ("supervisor", "cloud", "search")}
            return cls(connection=Connection(**fields["connection"]), **processes)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LocalCloudError(
                f"{path} is damaged ({error!r}): remove it, then run 'tagstream local up'."
            ) from error

    def write(self, path: Path) -> None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=2))
        partial.replace(path)

    def running(self) -> bool:
        return self.supervisor.running() and self.cloud.running() and self.search.running()
