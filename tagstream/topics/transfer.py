"""Files over topics, exactly: what :func:`upload` reads is what :func:`download` writes, byte for byte, in order.

SQS delivers at least once and in any order. Parcels say where they belong (see :mod:`tagstream.topics.parcels`), and a
download keeps them in a *spool* beside the target, an SQLite database, until nothing more comes. Messages are
acknowledged only after the spool has them safely on disk, so that a download can be killed at any point and started
again. Memory stays flat: an upload holds a few batches of parcels, a download ten messages.
"""

from __future__ import annotations

import bz2
import gzip
import io
import itertools
import logging
import os
import re
import secrets
import sqlite3
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from tagstream.errors import ConfigurationError, TopicError
from tagstream.topics.client import Topics, dead_letter_name
from tagstream.topics.errors import (
    DownloadIncomplete,
    DownloadRefused,
    MessageTooLarge,
    ParcelDamaged,
    PublishFailed,
)
from tagstream.topics.messages import Message, Outgoing, PublishResult
from tagstream.topics.parcels import (
    MAX_PARCEL_BYTES,
    Parcel,
    ParcelSettings,
    Place,
    is_upload_id,
    outgoing,
    packed_content,
    parcels_of,
    unpack,
)

__all__ = [
    "DownloadResult",
    "Progress",
    "UploadResult",
    "Uploaded",
    "content_chunks",
    "download",
    "new_upload_id",
    "upload",
]

log = logging.getLogger(__name__)

_BLOCK = 1 << 18
_MOST_GAPS = 1_000


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transfer is. ``total_lines`` and ``total_bytes`` are 0 where nobody can know (downloads)."""

    lines: int = 0
    bytes: int = 0
    messages: int = 0
    requests: int = 0
    total_lines: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One uploaded file: its upload's id, and its lines and bytes (decompressed)."""

    upload_id: str
    file: str
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was uploaded: one upload a file, ``messages`` in all, ``billed`` requests of 64 KB."""

    uploads: tuple[Uploaded, ...]
    lines: int
    bytes: int
    messages: int
    requests: int
    billed: int


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


# Upload


def upload(
    topics: Topics,
    topic: str,
    files: Sequence[str | Path],
    *,
    settings: ParcelSettings | None = None,
    upload_id: str | None = None,
    decompress: bool = True,
    names: Sequence[str] | None = None,
    on_start: Callable[[str], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> UploadResult:
    """Publish every line of the files as parcels. Files compressed by gzip or zstd, whatever their names, are read as
    what is in them, unless ``decompress`` is false.

    All files are read once before anything is sent: a line that fits no message (more than 1,046,528 bytes with its
    newline) raises :class:`MessageTooLarge`, a file that cannot be read or decompressed :class:`ConfigurationError`.

    Each file is an upload of its own, ``ID`` for one file, ``ID-0000``, ``ID-0001`` … for several; a download puts them
    one after the other, by their ids, and ids that are made here grow with time. Given its ``upload_id``, an upload
    that was interrupted is repeated under the same identity: a download drops what comes twice.

    Raises :class:`PublishFailed` when SQS did not accept everything. ``on_start`` gets the id before anything is sent.
    ``names`` is what errors and the result call the files, where it is not their paths.
    """
    settings = settings or ParcelSettings()
    topics.url(topic)
    names = [str(file) for file in files] if names is None else names
    totals = [_measure(file, name, decompress) for file, name in zip(files, names, strict=True)]
    upload_id = upload_id or new_upload_id()
    ids = _upload_ids(len(names), upload_id)
    if on_start is not None:
        on_start(upload_id)
    fifo = topic.endswith(".fifo")
    sizes: dict[tuple[object, object], int] = {}
    progress = Progress(total_lines=sum(lines for lines, _ in totals), total_bytes=sum(size for _, size in totals))

    def parcels() -> Iterator[Parcel]:
        for file, name, id_ in zip(files, names, ids, strict=True):
            with _open(file, decompress) as stream:
                for parcel in parcels_of(id_, content_chunks(stream, settings, name)):
                    sizes[parcel.upload_id, str(parcel.place)] = len(parcel.content)
                    yield parcel

    def on_batch(result: PublishResult, accepted: Sequence[Outgoing]) -> None:
        nonlocal progress
        taken = [(int(message.attributes["parcel-lines"]), sizes.pop(_key(message))) for message in accepted]
        for failure in result.failed:
            sizes.pop(_key(failure.message), None)
        progress = replace(
            progress,
            lines=progress.lines + sum(lines for lines, _ in taken),
            bytes=progress.bytes + sum(size for _, size in taken),
            messages=progress.messages + result.accepted,
            requests=progress.requests + result.requests,
        )
        if on_progress is not None:
            on_progress(progress)

    hint = f" Repeat the upload with the upload id {upload_id!r}."
    with closing(_packed(parcels(), settings, fifo)) as messages:
        try:
            result = topics.publish_all(topic, messages, on_batch=on_batch)
        except PublishFailed as error:
            raise PublishFailed(f"{error}{hint}", error.result, topic=topic) from error
    if result.failed:
        first = result.failed[0]
        raise PublishFailed(
            f"topic {topic!r}: {len(result.failed)} parcels were not accepted ({first.code}: {first.reason}).{hint}",
            result,
            topic=topic,
        )
    log.info("uploaded %d lines to %s in %d messages", progress.lines, topic, result.accepted)
    return UploadResult(
        uploads=tuple(
            Uploaded(id_, name, lines, size) for id_, name, (lines, size) in zip(ids, names, totals, strict=True)
        ),
        lines=progress.lines,
        bytes=progress.bytes,
        messages=result.accepted,
        requests=result.requests,
        billed=result.billed,
    )


def _key(message: Outgoing) -> tuple[object, object]:
    return message.attributes["parcel-upload"], message.attributes["parcel-sequence"]


_last_id = 0
_last_id_lock = threading.Lock()


def new_upload_id() -> str:
    """An id that nobody else has, and that sorts after all made before it (by this machine's clock, to the µs)."""
    global _last_id  # noqa: PLW0603 - two uploads in the same microsecond must not get ids in the wrong order
    with _last_id_lock:
        _last_id = max(_last_id + 1, time.time_ns() // 1000)
        return f"{_last_id:013x}{secrets.token_hex(2)}"


def _upload_ids(count: int, upload_id: str) -> list[str]:
    if not is_upload_id(upload_id) or len(upload_id) > 70:
        raise ConfigurationError("an upload id has 1 to 70 letters, digits, hyphens and underscores.")
    digits = max(4, len(str(count - 1)))
    return [upload_id] if count == 1 else [f"{upload_id}-{number:0{digits}}" for number in range(count)]


def content_chunks(stream: IO[bytes], settings: ParcelSettings, name: str = "") -> Iterator[bytes]:
    """The content of each parcel: whole lines, as many as the settings allow. Holds about 256 KB at a time.

    >>> list(content_chunks(io.BytesIO(b"a\\n\\nb"), ParcelSettings(max_lines=2)))
    [b'a\\n\\n', b'b']
    """
    held: list[bytes] = []
    number = 0
    while lines := stream.readlines(_BLOCK):
        held += lines
        whole = len(held) - len(held) % settings.max_lines
        for start in range(0, whole, settings.max_lines):
            yield from _within(held[start : start + settings.max_lines], settings, name, number + start)
        number += whole
        del held[:whole]
        if sum(map(len, held)) > settings.max_bytes:
            # Long lines: what is full by bytes goes out before there are max_lines of it.
            *full, rest = _within_lines(held, settings, name, number)
            yield from (b"".join(lines) for lines in full)
            number += len(held) - len(rest)
            held = rest
    if held:
        yield from _within(held, settings, name, number)


def _within(lines: list[bytes], settings: ParcelSettings, name: str, number: int) -> Iterator[bytes]:
    content = b"".join(lines)
    if len(content) <= settings.max_bytes:
        yield content
    else:
        yield from (b"".join(part) for part in _within_lines(lines, settings, name, number))


def _within_lines(lines: list[bytes], settings: ParcelSettings, name: str, number: int) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for index, line in enumerate(lines):
        if len(line) > MAX_PARCEL_BYTES:
            raise _too_long(name, number + index + 1)
        if part and size + len(line) > settings.max_bytes:
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line)
    yield part


def _packed(parcels: Iterable[Parcel], settings: ParcelSettings, fifo: bool) -> Generator[Outgoing]:
    """The parcels' messages, in order, packed on all cores (bzip2 lets other threads run)."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[Outgoing]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pack") as pool:
        try:
            for parcel in parcels:
                waiting.append(pool.submit(outgoing, parcel, settings, fifo=fifo))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _too_long(name: str, line: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"{name}, line {line:,}: longer than the {MAX_PARCEL_BYTES:,} bytes that fit a message. "
        "Put such lines into S3 and upload their locations."
    )


def _measure(path: str | Path, name: str, decompress: bool) -> tuple[int, int]:
    """Lines and bytes of a file, read to its end: what cannot be uploaded is found before anything is sent."""
    lines = size = 0
    tail = 0  # length so far of the line that the last block ended in
    try:
        with _open(path, decompress) as stream:
            while block := stream.read(_BLOCK):
                parts = block.split(b"\n")
                if tail + len(parts[0]) + (len(parts) > 1) > MAX_PARCEL_BYTES:
                    raise _too_long(name, lines + 1)
                if len(parts) > 2 and len(longest := max(parts[1:-1], key=len)) + 1 > MAX_PARCEL_BYTES:
                    raise _too_long(name, lines + 2 + parts[1:-1].index(longest))
                tail = tail + len(block) if len(parts) == 1 else len(parts[-1])
                lines += len(parts) - 1
                size += len(block)
            if tail > MAX_PARCEL_BYTES:
                raise _too_long(name, lines + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{name} cannot be read: {error}") from error
    return lines + (tail > 0), size


def _open(path: str | Path, decompress: bool) -> IO[bytes]:
    file = Path(path).open("rb")  # noqa: SIM115 - whoever reads the stream closes it
    try:
        magic = file.read(4) if decompress else b""
        file.seek(0)
        if magic[:2] == b"\x1f\x8b":
            return cast(IO[bytes], _Owned(gzip.GzipFile(fileobj=file), file))
        # zstd's own frames, or the skippable ones (0x184D2A5?) that parallel compressors begin with.
        if magic == b"\x28\xb5\x2f\xfd" or re.fullmatch(rb"[\x50-\x5f]\x2a\x4d\x18", magic):
            return cast(IO[bytes], _Owned(_Zstd(file), file))
    except BaseException:
        file.close()
        raise
    return file


class _Owned(io.BufferedReader):
    """A buffered reader that closes the compressed file below as well."""

    def __init__(self, raw: Any, below: IO[bytes]) -> None:
        super().__init__(raw, _BLOCK)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


class _Zstd(io.RawIOBase):
    """Decompresses zstd frames; a file that ends within one is an error (zstandard's own reader says nothing)."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file = file
        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: Any = None
        self._output = memoryview(b"")
        self._input = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._output:
            # Little at a time: 1 KB of input may decompress to megabytes.
            data = self._input or self._file.read(1024)
            self._input = b""
            if not data:
                if self._frame is not None:
                    raise EOFError("the zstd data ends early")
                return 0
            if self._frame is None:
                self._frame = self._decompressor.decompressobj()
            try:
                self._output = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._input = self._frame.unused_data
                self._frame = None
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count


# Download


def download(
    topics: Topics,
    topic: str,
    path: str | Path,
    *,
    idle: float = 20.0,
    visibility_timeout: int = 60,
    partial: bool = False,
    overwrite: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> DownloadResult:
    """Take all messages out of a topic and write them into a file.

    Uploads come one after the other by their ids, each in its order; then the messages that others put there, by the
    time at which they were sent, a newline after each that has none. A newline is also added between an upload that
    lacks one at its end and what follows.

    Ends when nothing new has come for ``idle`` seconds; while parcels are missing and SQS counts messages in other
    hands, only when these had the time to come back (the topic's visibility timeout; the one here for those that only
    lack an acknowledgement of ours).

    ``visibility_timeout`` are the seconds for which ten received messages, of up to 1 MiB each, are hidden from others:
    more than it takes to receive and spool them, and what a download that is started again after a kill may wait for.

    Raises :class:`DownloadIncomplete` when parcels are missing: what came is kept in a spool beside the target, and the
    next download to the same target goes on from there, be it from the topic or from its dead-letter topic. With
    ``partial`` the file is written nevertheless, and the result lists the gaps. Raises :class:`DownloadRefused`, before
    anything is taken, when the target exists (unless ``overwrite``) or another download is writing it.
    """
    target = Path(path)
    if target.is_dir() or not target.parent.is_dir():
        raise DownloadRefused(f"{target} cannot be written: name a file in an existing folder.", topic=topic)
    if target.exists() and (not overwrite or not target.is_file()):
        raise DownloadRefused(f"{target} exists: name another file, or say that it may be overwritten.", topic=topic)
    topics.url(topic)
    try:
        with _Spool(target, topic) as spool:
            left = _drain(topics, topic, spool, idle, visibility_timeout, on_progress)
            gaps = list(itertools.islice(spool.gaps(), _MOST_GAPS))
            if gaps and not partial:
                raise DownloadIncomplete(_incomplete(topics, topic, gaps, left), gaps, topic=topic)
            written = spool.write(target)
            result = replace(written, left=left, damaged=len(spool.damaged), gaps=tuple(gaps))
            spool.remove()
    except (OSError, sqlite3.OperationalError) as error:
        raise TopicError(
            f"topic {topic!r}: {target} cannot be written ({error}): nothing is lost, download again to go on.",
            topic=topic,
        ) from error
    log.info("downloaded %d lines from %s to %s", result.lines, topic, target)
    return result


def _incomplete(topics: Topics, topic: str, gaps: Sequence[str], left: int) -> str:
    shown = "; ".join(gaps[:5]) + (f"; and {len(gaps) - 5} more" if len(gaps) > 5 else "")
    dead = topics.counts(topic).dead_lettered
    hints = []
    if left:
        hints.append(f"about {left} messages are in other hands")
    if dead:
        hints.append(
            f"about {dead} messages are in {dead_letter_name(topic)}, which can be downloaded to the same file"
        )
    return (
        f"topic {topic!r}: not everything has come: {shown}. {'; '.join(hints) + '. ' if hints else ''}"
        "What came is kept beside the target: download again to go on, or ask for a partial file."
    )


def _drain(  # noqa: PLR0917
    topics: Topics,
    topic: str,
    spool: _Spool,
    idle: float,
    visibility_timeout: int,
    on_progress: Callable[[Progress], None] | None,
) -> int:
    """Spool and acknowledge messages until no more come; returns how many SQS still counts."""
    patience: float | None = None
    last = topics.now()
    requests = 0
    while True:
        waited = topics.now() - last
        # At least a moment: what is left of the idle time may be too little for a clock to show that it passed.
        poll = max(idle - waited, 0.01) if waited < idle else max(idle, 1.0)
        messages = topics.pull(topic, timeout=poll, visibility_timeout=visibility_timeout)
        requests += 1
        if messages:
            safe, news = spool.add(messages)
            refused = topics.acknowledge(topic, safe)
            if refused:
                # They come again, and are dropped as duplicates then.
                log.warning("topic %s: %d messages could not be acknowledged", topic, len(refused))
                spool.unsettled = True
            requests += 1
            if on_progress is not None:
                on_progress(replace(spool.progress, requests=requests))
            if news:
                last = topics.now()
                continue
        waited = topics.now() - last
        if waited < idle:
            continue
        left = topics.counts(topic).total
        if left == 0:
            return left
        if patience is None:
            if next(spool.gaps(), None) is not None:
                patience = float(topics.attributes(topic).get("VisibilityTimeout", 30))
            else:
                # Spooled, and not acknowledged: left in the topic, they would be in the way of the next download.
                patience = float(visibility_timeout) if spool.unsettled else 0.0
        if waited >= idle + patience:
            return left


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
CREATE TABLE IF NOT EXISTS strangers (id TEXT PRIMARY KEY, sent INTEGER NOT NULL, number TEXT, body BLOB NOT NULL);
"""


class _Spool:
    """What a download has so far, on disk; one process at a time."""

    def __init__(self, target: Path, topic: str) -> None:
        self.path = target.with_name(f".{target.name}.tagstream-spool")
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
            self._forget_if_written(target)
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

    def _forget_if_written(self, target: Path) -> None:
        """Killed between its last two steps, a download leaves a spool whose lines are no part of the next one."""
        size = self._counted("written")
        if size and not _part(target).exists() and target.is_file() and target.stat().st_size == size:
            for table in ("meta", "counts", "parcels", "mixed", "strangers"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the line above

    def _claim(self, topic: str, target: Path) -> None:
        name = topic.rstrip("/").rsplit("/", 1)[-1]
        row = self._db.execute("SELECT topic FROM meta").fetchone()
        if row is None:
            self._db.execute("INSERT INTO meta VALUES (?)", (name,))
        elif len({name, dead_letter_name(name), row[0], dead_letter_name(row[0])}) == 4:
            raise DownloadRefused(
                f"an unfinished download of topic {row[0]!r} to {target} exists: finish it, or remove {self.path}.",
                topic=topic,
            )

    def __enter__(self) -> _Spool:
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
                log.error("topic: %s", error)
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

    def _add_parcel(self, parcel: Parcel, packed: bytes | None) -> bool:
        key = (parcel.upload_id, parcel.place.levels[0].index, parcel.place.identity)
        added = self._db.execute(
            "INSERT OR IGNORE INTO parcels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *key,
                str(parcel.place),
                parcel.checksum,
                parcel.line_count,
                len(parcel.content),
                packed is not None,
                parcel.content if packed is None else packed,
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
                log.warning("upload %s: parcel %s came with two contents; the first is kept", *key[::2])
                self._count("alternatives")
        return added > 0

    def _count(self, name: str) -> None:
        self._db.execute("INSERT INTO counts VALUES (?, 1) ON CONFLICT DO UPDATE SET value = value + 1", (name,))

    def _counted(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM counts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _heads(self) -> Iterator[tuple[str, int, _Resolved]]:
        """Everything in order: upload, number of the parcel in it, and what of it there is."""
        rows = self._db.execute("SELECT upload, head, marked FROM parcels ORDER BY upload, head, place")
        for (upload_id, head), group in itertools.groupby(rows, key=lambda row: (row[0], row[1])):
            yield upload_id, head, _resolve([Place.parse(row[2]) for row in group], 1)

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
                    yield f"upload {upload_id}: {_numbers(expected, head - 1)} missing"
                for missing in resolved.missing:
                    yield f"upload {upload_id}: {missing}"
                expected, ended = head + 1, resolved.last
            if not ended:
                yield f"upload {upload_id}: everything after parcel {expected - 1} missing"

    def write(self, target: Path) -> DownloadResult:
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
        self._db.execute("INSERT OR REPLACE INTO counts VALUES ('written', ?)", (size,))
        part.replace(target)
        _sync_folder(target.parent)
        return DownloadResult(
            lines=lines,
            bytes=size,
            messages=messages + strangers,
            uploads=uploads,
            duplicates=self._counted("duplicates"),
            alternatives=alternatives + self._counted("alternatives"),
            foreign=strangers,
            newlines_added=newlines,
        )

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
        return (bz2.decompress(row[0]) if row[1] else bytes(row[0])), int(row[2])

    def remove(self) -> None:
        """The download is finished and its file is in place."""
        self._db.close()
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).unlink()


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Which places stand for a parcel, in order; what is missing; how many were dropped for others of the same."""

    places: tuple[Place, ...]
    missing: tuple[str, ...]
    dropped: int
    last: bool


def _resolve(places: Sequence[Place], depth: int) -> _Resolved:
    """Choose among what came for one parcel: itself, or its parts of one variant, the first that is complete.

    ``places`` all share their first ``depth`` levels.
    """
    last = any(place.levels[depth - 1].last for place in places)
    whole = [place for place in places if len(place.levels) == depth]
    if whole:
        return _Resolved((whole[0],), (), len(places) - 1, last)
    best: _Resolved | None = None
    name = Place(tuple(replace(level, last=False) for level in places[0].levels[:depth]))
    ordered = sorted(places, key=lambda place: (place.levels[depth].variant, place.levels[depth].index))
    for variant, siblings in itertools.groupby(ordered, key=lambda place: place.levels[depth].variant):
        chosen: list[Place] = []
        missing: list[str] = []
        dropped = expected = 0
        ended = False
        for index, group in itertools.groupby(siblings, key=lambda place: place.levels[depth].index):
            part = _resolve(list(group), depth + 1)
            if index > expected:
                missing.append(f"parcel {name}: {_numbers(expected, index - 1, 'part')} missing")
            missing += part.missing
            chosen += part.places
            dropped += part.dropped
            expected, ended = index + 1, part.last
        if not ended:
            missing.append(f"parcel {name}: everything after part {expected - 1} missing")
        found = _Resolved(tuple(chosen), tuple(missing), len(places) - len(chosen), last)
        if best is None or (best.missing and len(found.missing) < len(best.missing)):
            best = found
        log.debug("parcel %s, variant %r: %d missing", name, variant, len(missing))
    assert best is not None  # noqa: S101 - places is never empty
    return best


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.tagstream-part")


def _numbers(first: int, last: int, word: str = "parcel") -> str:
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"


def _sync_folder(folder: Path) -> None:
    """A file's name is on the disk only once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
