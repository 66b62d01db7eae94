"""What a download has so far, what of it stands in the file, and what is missing.

The spool is an SQLite database beside the target. Messages are acknowledged only after it has them safely on disk, so
that a download can be killed at any point and started again.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from tagstream.topics.compression import BZ2, ZSTD, Packed, decompress
from tagstream.topics.errors import DownloadRefused, ParcelDamaged
from tagstream.topics.messages import Message
from tagstream.topics.names import main_name, name_of
from tagstream.topics.parcels import MAX_PARCEL_BYTES, Parcel, Place, packed_content, unpack
from tagstream.topics.progress import Progress
from tagstream.topics.resolving import Resolved, numbers, resolve

__all__ = ["DownloadResult", "Spool"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DownloadResult:
    """What was downloaded.

    ``duplicates`` were dropped, ``alternatives`` are parcels of a step that ran twice and wrote something else, of
    which only one run's are kept. ``foreign`` messages had no parcel's attributes. ``damaged`` ones were left in the
    topic. ``newlines_added`` counts uploads without a newline at their end that others followed. ``left`` is the
    approximate number of messages that are still in the topic, in other hands.
    """

    lines: int
    bytes: int
    messages: int
    uploads: int
    duplicates: int = 0
    alternatives: int = 0
    foreign: int = 0
    damaged: int = 0
    newlines_added: int = 0
    left: int = 0
    gaps: tuple[str, ...] = ()


_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (topic TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parcels (
    upload TEXT NOT NULL, head INTEGER NOT NULL, place TEXT NOT NULL, marked TEXT NOT NULL,
    checksum TEXT NOT NULL, lines INTEGER NOT NULL, size INTEGER NOT NULL,
    packed INTEGER NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (upload, head, place)
);
CREATE TABLE IF NOT EXISTS mixed (upload TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS finished (size INTEGER NOT NULL, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS strangers (id TEXT PRIMARY KEY, sent INTEGER NOT NULL, number TEXT, body BLOB NOT NULL);
"""

_AS_IT_IS = 0
# How parcels are kept, by what the column `packed` says; spools of earlier versions know the first two.
_PACKED = {1: BZ2, 2: ZSTD}
_PACKED_BY = {attribute: number for number, attribute in _PACKED.items()}


class Spool:
    """What a download has so far, on disk; one process at a time."""

    def __init__(self, target: Path, topic: str) -> None:
        self.path = self.path_of(target)
        self.finished: DownloadResult | None = None
        """What a download that was killed after its last step but one has done: its file is in place."""
        self.damaged: set[str] = set()
        self.unsettled = False
        self.progress = Progress()
        found = self.path.exists()
        self._db = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        try:
            try:
                # FULL: a commit returns when the data is on the disk, not in its cache.
                self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=FULL")
                self._db.execute("PRAGMA cache_size=-8000")
                self._db.execute("BEGIN EXCLUSIVE")
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                raise DownloadRefused(f"another download is writing {target}.", topic=topic) from error
            if self._is_written(target):
                self.finished = self._result_for(topic)
                if self.finished is None:
                    self._forget()
            if self.finished is None:
                self._claim(topic, target)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError:
            self._db.close()  # no room, or no permission
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DownloadRefused(
                f"{self.path} is no spool of a download ({error}): remove it.", topic=topic
            ) from error
        except BaseException:
            self._db.close()
            raise
        _sync_folder(target.parent)
        if found:
            self.unsettled = True
            lines, size, messages = self._db.execute(
                "SELECT COALESCE(SUM(lines), 0), COALESCE(SUM(size), 0), COUNT(*) FROM parcels"
            ).fetchone()
            self.progress = Progress(lines=lines, bytes=size, messages=messages)
            log.info("going on with %s: %d parcels are there", self.path, messages)

    @staticmethod
    def path_of(target: Path) -> Path:
        """Where the spool of a download to this file is."""
        return target.with_name(f".{target.name}.tagstream-spool")

    def _is_written(self, target: Path) -> bool:
        """Killed between its last two steps, a download leaves a spool whose lines are no part of the next one."""
        size = self._counted("written")
        there = target.stat().st_size if target.is_file() else -1
        finished = self._db.execute("SELECT size FROM finished").fetchone()
        return not _part(target).exists() and (bool(size) or finished is not None) and there == size

    def _result_for(self, topic: str) -> DownloadResult | None:
        """What is finished, if it was a download of this topic; earlier versions did not keep it."""
        row = self._db.execute("SELECT result, topic FROM finished, meta").fetchone()
        if row is None or not _related(topic, row[1]):
            return None
        result = json.loads(row[0])
        return DownloadResult(**(result | {"gaps": tuple(result["gaps"])}))

    def _forget(self) -> None:
        for table in ("meta", "counts", "parcels", "mixed", "strangers", "finished"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above

    def _claim(self, topic: str, target: Path) -> None:
        row = self._db.execute("SELECT topic FROM meta").fetchone()
        if row is None:
            self._db.execute("INSERT INTO meta VALUES (?)", (name_of(topic),))
        elif not _related(topic, row[0]):
            raise DownloadRefused(
                f"an unfinished download of topic {row[0]!r} to {target} exists: finish it, or remove {self.path}.",
                topic=topic,
            )

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def add(self, messages: Sequence[Message]) -> tuple[list[Message], bool]:
        """Put messages on the disk; returns those that may be acknowledged, and whether anything was new."""
        safe: list[Message] = []
        new_lines = new_bytes = new = 0
        self._db.execute("BEGIN")
        for message in messages:
            try:
                parcel = unpack(message)
            except ParcelDamaged as error:
                # The first is told; of all others, how many there are at the end.
                log.log(logging.DEBUG if self.damaged else logging.ERROR, "%s", error)
                self.damaged.add(message.id)
                continue
            safe.append(message)
            if parcel is None:
                lines, size, added = self._add_stranger(message)
            else:
                lines, size, added = (
                    parcel.line_count,
                    len(parcel.content),
                    self._add_parcel(parcel, packed_content(message)),
                )
            if added:
                new, new_lines, new_bytes = new + 1, new_lines + lines, new_bytes + size
            else:
                self._count("duplicates")
        self._db.execute("COMMIT")
        self.progress = replace(
            self.progress,
            lines=self.progress.lines + new_lines,
            bytes=self.progress.bytes + new_bytes,
            messages=self.progress.messages + new,
        )
        return safe, new > 0

    def _add_stranger(self, message: Message) -> tuple[int, int, bool]:
        body = message.body.encode()
        added = self._db.execute(
            "INSERT OR IGNORE INTO strangers VALUES (?, ?, ?, ?)",
            (message.id, message.sent_at, message.sequence_number, body),
        ).rowcount
        return body.count(b"\n") + (not body.endswith(b"\n")), len(body), added > 0

    def _add_parcel(self, parcel: Parcel, packed: Packed | None) -> bool:
        key = (parcel.upload_id, parcel.place.levels[0].index, parcel.place.identity)
        added = self._db.execute(
            "INSERT OR IGNORE INTO parcels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                str(parcel.place),
                parcel.checksum,
                parcel.line_count,
                len(parcel.content),
                _AS_IT_IS if packed is None else _PACKED_BY[packed[0]],
                parcel.content if packed is None else packed[1],
            ),
        ).rowcount
        if not added:
            known = self._db.execute(
                "SELECT checksum, marked FROM parcels WHERE upload = ? AND head = ? AND place = ?", key
            ).fetchone()
            if known != (parcel.checksum, str(parcel.place)):
                if len(parcel.place.levels) == 1:
                    # Of two files, or of one that was cut in two ways: together they would be neither.
                    self._db.execute("INSERT OR IGNORE INTO mixed VALUES (?)", key[:1])
                told = self._counted("alternatives")
                log.log(
                    logging.DEBUG if told else logging.WARNING,
                    "upload %s: parcel %s came with two contents; the first is kept, here and where that comes again",
                    *key[::2],
                )
                self._count("alternatives")
        return added > 0

    def _count(self, name: str) -> None:
        self._db.execute("INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1", (name,))

    def _counted(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM counts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _heads(self) -> Iterator[tuple[str, int, Resolved]]:
        """Everything in order: upload, number of the parcel in it, and what of it there is."""
        rows = self._db.execute("SELECT upload, head, marked FROM parcels ORDER BY upload, head, place")
        for (upload_id, head), group in itertools.groupby(rows, key=lambda row: (row[0], row[1])):
            yield upload_id, head, resolve([Place.parse(row[2]) for row in group], 1)

    def gaps(self) -> Iterator[str]:
        """What is missing, in words. Flat memory, however many parcels there are."""
        for (upload_id,) in self._db.execute("SELECT upload FROM mixed ORDER BY upload"):
            yield (
                f"upload {upload_id}: parcels of other files, or of other sizes, came under the same id: remove "
                f"{self.path} and upload again under a new id"
            )
        for upload_id, heads in itertools.groupby(self._heads(), key=lambda item: item[0]):
            expected, ended = 0, False
            for _, head, resolved in heads:
                if head > expected:
                    yield f"upload {upload_id}: {numbers(expected, head - 1)} missing"
                for missing in resolved.missing:
                    yield f"upload {upload_id}: {missing}"
                expected, ended = head + 1, resolved.last
            if not ended:
                yield f"upload {upload_id}: everything after parcel {expected - 1} missing"

    def write(self, target: Path, *, gaps: Sequence[str] = (), left: int = 0) -> DownloadResult:
        """Write the file, through a temporary one and an atomic rename."""
        part = _part(target)
        uploads: int = self._db.execute("SELECT COUNT(DISTINCT upload) FROM parcels").fetchone()[0]
        messages = strangers = alternatives = newlines = lines = 0
        with part.open("wb") as file:
            current, ends_line = None, True
            for upload_id, _, resolved in self._heads():
                alternatives += resolved.dropped
                for place in resolved.places:
                    content, count = self._content(upload_id, place)
                    messages, lines = messages + 1, lines + count
                    if content:
                        newlines += self._end_line(file, ends_line or upload_id == current)
                        file.write(content)
                        current, ends_line = upload_id, content.endswith(b"\n")
            for (body,) in self._db.execute("SELECT body FROM strangers ORDER BY sent, number, rowid"):
                newlines += self._end_line(file, ends_line)
                file.write(body if body.endswith(b"\n") else body + b"\n")
                ends_line = True
                strangers += 1
                lines += body.count(b"\n") + (not body.endswith(b"\n"))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        result = DownloadResult(
            lines=lines,
            bytes=size,
            messages=messages + strangers,
            uploads=uploads,
            duplicates=self._counted("duplicates"),
            alternatives=alternatives + self._counted("alternatives"),
            foreign=strangers,
            newlines_added=newlines,
            damaged=len(self.damaged),
            left=left,
            gaps=tuple(gaps),
        )
        self._db.execute("BEGIN")
        self._db.execute("INSERT OR REPLACE INTO counts VALUES ('written', ?)", (size,))
        self._db.execute("DELETE FROM finished")
        self._db.execute("INSERT INTO finished VALUES (?, ?)", (size, json.dumps(asdict(result))))
        self._db.execute("COMMIT")
        part.replace(target)
        _sync_folder(target.parent)
        return result

    @staticmethod
    def _end_line(file: IO[bytes], ends_line: bool) -> int:
        if not ends_line:
            file.write(b"\n")
        return not ends_line

    def _content(self, upload_id: str, place: Place) -> tuple[bytes, int]:
        row = self._db.execute(
            "SELECT content, packed, lines FROM parcels WHERE upload = ? AND head = ? AND place = ?",
            (upload_id, place.levels[0].index, place.identity),
        ).fetchone()
        content = bytes(row[0]) if row[1] == _AS_IT_IS else decompress((_PACKED[row[1]], row[0]), MAX_PARCEL_BYTES)
        if content is None:
            raise DownloadRefused(f"{self.path} is damaged: remove it, and upload {upload_id} again under a new id.")
        return content, int(row[2])

    def remove(self) -> None:
        """The download is finished and its file is in place."""
        self._db.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).unlink()


def _related(topic: str, other: str) -> bool:
    """Whether they are the same topic, or one has the dead letters of the other."""
    return main_name(name_of(topic)) == main_name(name_of(other))


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.tagstream-part")


def _sync_folder(folder: Path) -> None:
    """A file's name is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
