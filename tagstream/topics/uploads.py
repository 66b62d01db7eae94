"""Files into a topic: what :func:`upload` reads is what
:func:`tagstream.topics.download` writes, byte for byte, in order.

Memory stays flat: an upload holds a few batches of parcels.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tagstream.errors import TopicError
from tagstream.topics.arguments import expect_topics, files_of
from tagstream.topics.client import Topics
from tagstream.topics.errors import Misuse, PublishFailed
from tagstream.topics.files import Snapshot, content_chunks, measure, open_lines
from tagstream.topics.messages import Outgoing, PublishResult
from tagstream.topics.names import is_fifo
from tagstream.topics.packing import packed
from tagstream.topics.parcels import Parcel, ParcelSettings, is_upload_id, parcels_of
from tagstream.topics.progress import Progress

__all__ = ["UploadResult", "Uploaded", "new_upload_id", "upload"]

log = logging.getLogger(__name__)

_COUNTS_PAUSES = (1.0, 2.0, 4.0)
"""Seconds between looks at SQS' counts, which may be late."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One uploaded file: its upload's id, and its lines and bytes (decompressed)."""

    upload_id: str
    file: str
    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class UploadResult:
    """What was uploaded: one upload a file, ``messages`` in all, ``billed`` requests of 64 KB.

    ``missing`` is not 0 when a repetition to a FIFO topic brought less than it sent: about so many messages are not in
    the topic. SQS drops what was sent under the same upload id within five minutes, also what somebody has taken since.
    """

    uploads: tuple[Uploaded, ...]
    lines: int
    bytes: int
    messages: int
    requests: int
    billed: int
    missing: int = 0


def upload(
    topics: Topics,
    topic: str,
    files: str | Path | Sequence[str | Path],
    *,
    settings: ParcelSettings | None = None,
    upload_id: str | None = None,
    again: bool = False,
    decompress: bool = True,
    names: Sequence[str] | None = None,
    on_start: Callable[[str], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> UploadResult:
    """Publish every line of the files (or of the one) as parcels. Files compressed by gzip or zstd, whatever their
    names, are read as what is in them, unless ``decompress`` is false.

    All files are read once before anything is sent: a line that fits no message (more than 1,046,528 bytes with its
    newline) raises :class:`MessageTooLarge`, a file that cannot be read or decompressed :class:`Misuse`.
    What is sent is what was there then: of a file that grows meanwhile, the rest is left, with a warning.

    Each file is an upload of its own, ``ID`` for one file, ``ID-0000``, ``ID-0001`` … for several; a download puts them
    one after the other, by their ids, and ids that are made here grow with time. Given its ``upload_id``, an upload
    that was interrupted is repeated under the same identity: a download drops what comes twice. So does SQS with what
    goes to a FIFO topic twice within five minutes, even if it was taken out meanwhile: where that shows, the result has
    ``missing`` messages, with a warning. With ``again`` it drops nothing of what an earlier call sent.

    Raises :class:`PublishFailed` when SQS did not accept everything. ``on_start`` gets the id before anything is sent.
    ``names`` is what errors and the result call the files, where it is not their paths.
    """
    expect_topics(topics)
    files = files_of(files)
    settings = ParcelSettings() if settings is None else settings
    if not isinstance(settings, ParcelSettings):
        raise TopicError(f"the settings of an upload are ParcelSettings: not {settings!r}.", topic=topic)
    names = [str(file) for file in files] if names is None else names
    if len(names) != len(files):
        raise TopicError(f"an upload takes as many names as files, {len(files)}: not {len(names)}.", topic=topic)
    topics.url(topic)
    repeated = upload_id is not None
    totals = [measure(file, name, decompress) for file, name in zip(files, names, strict=True)]
    upload_id = upload_id or new_upload_id()
    ids = _upload_ids(len(names), upload_id)
    if on_start is not None:
        on_start(upload_id)
    max_lines = settings.lines_for(sum(lines for lines, _ in totals))
    fifo = is_fifo(topic)
    sizes: dict[tuple[object, object], int] = {}
    progress = Progress(total_lines=sum(lines for lines, _ in totals), total_bytes=sum(size for _, size in totals))

    def parcels() -> Iterator[Parcel]:
        for file, name, id_, (_, size) in zip(files, names, ids, totals, strict=True):
            with open_lines(file, decompress) as stream:
                snapshot = Snapshot(stream, size)
                for parcel in parcels_of(id_, content_chunks(snapshot, max_lines, settings.bytes_at_most, name)):
                    sizes[parcel.upload_id, str(parcel.place)] = len(parcel.content)
                    yield parcel
                if snapshot.shrank:
                    raise TopicError(
                        f"{name} became shorter while it was uploaded: a part of it is in the topic. Upload it again, "
                        "under a new id, when nobody writes it any more.",
                        topic=topic,
                    )
                if snapshot.grew():
                    log.warning("%s grew while it was uploaded: what came after its first %d bytes is not", name, size)

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
    salt = secrets.token_hex(8) if again else ""
    with closing(packed(parcels(), settings, fifo, salt)) as messages:
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
    missing = _missing(topics, topic, result.accepted) if fifo and repeated and not again else 0
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
        missing=missing,
    )


def _missing(topics: Topics, topic: str, sent: int) -> int:
    """About how many of the messages that SQS accepted of a repetition are not in the FIFO topic; warns of them.

    There is no other sign: SQS answers in the same way whether it takes a message or drops it.
    """
    for pause in (0.0, *_COUNTS_PAUSES):
        topics.sleep(pause)
        there = topics.counts(topic).total
        if there >= sent:
            return 0
    log.warning(
        "topic %s has about %d messages, and %d were sent: SQS drops what it was sent under the same upload id within "
        "five minutes, even if it was taken out since (unless somebody is taking messages out right now)",
        topic,
        there,
        sent,
    )
    return sent - there


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
    if not isinstance(upload_id, str) or not is_upload_id(upload_id) or len(upload_id) > 70:
        raise Misuse("an upload id has 1 to 70 letters, digits, hyphens and underscores.")
    digits = max(4, len(str(count - 1)))
    return [upload_id] if count == 1 else [f"{upload_id}-{number:0{digits}}" for number in range(count)]
