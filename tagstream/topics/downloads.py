"""A topic into a file, exactly: what :func:`tagstream.topics.upload` read is what :func:`download` writes.

SQS delivers at least once and in any order. Parcels say where they belong (see :mod:`tagstream.topics.parcels`), and a
download keeps them in a *spool* beside the target (see :mod:`tagstream.topics.spool`) until nothing more comes. Memory
stays flat: a download holds ten messages.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tagstream.errors import TopicError
from tagstream.topics.arguments import expect_topics, file_of, seconds_of, whole_number
from tagstream.topics.client import Topics
from tagstream.topics.errors import DownloadIncomplete, DownloadRefused
from tagstream.topics.names import dead_letter_name
from tagstream.topics.progress import Progress
from tagstream.topics.spool import DownloadResult, Spool

__all__ = ["download"]

log = logging.getLogger(__name__)

_MOST_GAPS = 1_000


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

    Ends when nothing new has come for ``idle`` seconds; while SQS counts messages in other hands, only when these had
    the time to come back (the topic's visibility timeout; the one here for those that only lack an acknowledgement of
    ours). Two downloads of a topic into two files would each get a part of it: before it takes anything, one that finds
    messages in other hands warns.

    ``visibility_timeout`` are the seconds for which ten received messages, of up to 1 MiB each, are hidden from others:
    more than it takes to receive and spool them, and what a download that is started again after a kill may wait for.

    Raises :class:`DownloadIncomplete` when parcels are missing, or messages still in other hands: what came is kept in
    a spool beside the target, and the next download to the same target goes on from there, be it from the topic or from
    its dead-letter topic. With ``partial`` the file is written nevertheless, and the result lists the gaps. Raises
    :class:`DownloadRefused`, before anything is taken, when the target exists (unless ``overwrite``) or another
    download is writing it. A download that was killed when its file was in place already is finished by the next one,
    which takes nothing out of the topic then.
    """
    expect_topics(topics)
    target = Path(file_of(path, "a download takes the path of a file to write"))
    seconds_of(idle, "idle")
    whole_number(visibility_timeout, "visibility_timeout", 1)
    if target.is_dir() or not target.parent.is_dir():
        raise DownloadRefused(f"{target} cannot be written: name a file in an existing folder.", topic=topic)
    if target.exists() and not target.is_file():
        raise DownloadRefused(f"{target} exists, and is no file that can be replaced: name another one.", topic=topic)
    if not Spool.path_of(target).exists():
        _refuse_existing(topic, target, overwrite)
    topics.url(topic)
    try:
        with Spool(target, topic) as spool:
            if spool.finished is not None:
                log.warning(
                    "%s is complete: an earlier download had written it, and was ended before it could say so. "
                    "Nothing was taken out of topic %s now",
                    target,
                    topic,
                )
                spool.remove()
                return spool.finished
            _refuse_existing(topic, target, overwrite)
            if not spool.unsettled:
                _warn_of_others(topics, topic, target)
            left = _drain(topics, topic, spool, idle, visibility_timeout, on_progress)
            gaps = list(itertools.islice(spool.gaps(), _MOST_GAPS))
            if (gaps or left) and not partial:
                raise DownloadIncomplete(_incomplete(topics, topic, gaps, left), gaps, topic=topic)
            result = spool.write(target, gaps=gaps, left=left)
            spool.remove()
    except (OSError, sqlite3.OperationalError) as error:
        raise TopicError(
            f"topic {topic!r}: {target} cannot be written ({error}): nothing is lost, download again to go on.",
            topic=topic,
        ) from error
    log.info("downloaded %d lines from %s to %s", result.lines, topic, target)
    return result


def _refuse_existing(topic: str, target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise DownloadRefused(f"{target} exists: name another file, or say that it may be overwritten.", topic=topic)


def _warn_of_others(topics: Topics, topic: str, target: Path) -> None:
    held = topics.counts(topic).in_flight
    if held:
        log.warning(
            "topic %s: about %d messages are in other hands. If these are another download's, the topic is being "
            "split: what it takes will be missing in %s",
            topic,
            held,
            target,
        )


def _incomplete(topics: Topics, topic: str, gaps: Sequence[str], left: int) -> str:
    shown = "; ".join(gaps[:5]) + (f"; and {len(gaps) - 5} more" if len(gaps) > 5 else "")
    dead = topics.counts(topic).dead_lettered
    hints = []
    if left:
        hints.append(f"About {left} messages are in other hands: who holds them may be at work on them, or have died")
    if dead:
        hints.append(
            f"About {dead} messages are in {dead_letter_name(topic)}, which can be downloaded to the same file"
        )
    if gaps and not dead:
        hints.append(
            "If a step writes this topic, what is missing is probably still to be processed, or among the dead letters "
            "of the step's input: 'tagstream topics info INPUT' counts both"
        )
    return (
        f"topic {topic!r}: not everything has come{': ' if shown else ''}{shown}. {''.join(f'{h}. ' for h in hints)}"
        "What came is kept beside the target: download again to go on, or ask for a partial file."
    )


def _drain(  # noqa: PLR0917
    topics: Topics,
    topic: str,
    spool: Spool,
    idle: float,
    visibility_timeout: int,
    on_progress: Callable[[Progress], None] | None,
) -> int:
    """Spool and acknowledge messages until no more come; returns how many SQS still counts."""
    patience: float | None = None
    ours: set[str] = set()  # spooled, and not acknowledged
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
            ours.difference_update(message.id for message in safe)
            ours.update(failed.message.id for failed in refused)
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
        held = topics.counts(topic).total
        # Damaged ones, and those that lack nothing but an acknowledgement, are in our own hands.
        left = max(held - len(spool.damaged) - len(ours), 0)
        if held == 0 or (left == 0 and not spool.unsettled):
            return left
        if patience is None:
            # What others hold may come back; and SQS' count may be a minute old.
            patience = float(topics.attributes(topic).get("VisibilityTimeout", 30)) if left else 0.0
            if left:
                log.warning(
                    "topic %s: about %d messages are in other hands: waiting %.0f s for them to come back",
                    topic,
                    left,
                    patience,
                )
            if spool.unsettled:
                # Left in the topic, they would be in the way of the next download.
                patience = max(patience, float(visibility_timeout))
        if waited >= idle + patience:
            return left
