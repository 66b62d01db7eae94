"""Looking again at photos that are in the bucket already: after a new model, a new vocabulary, or lost notifications.
And bringing bucket and catalog together again, which is the same for what differs between the two alone.

A photo is *outdated* if the catalog's document is not what the deployed functions would write: another model or
vocabulary looked at it, or another version of the object, or its thumbnails are not all there, or there is none. Bucket
and catalog are read side by side, in the order of the keys. What is outdated goes, page by page, over a topic of its
own, as parcels of notifications like those that S3 sends; from there it goes into the queue that S3 fills, never faster
than asked for, and never so much at once that uploads would wait behind it. From there on it is the pipeline's usual
way, in which nothing is lost or doubled (docs/catalog.md, Order).

Nothing is kept but in the topic and in the catalog: whoever is interrupted starts again, with the parcels that are
still there, and passes over what is up to date. At most one page of the inventory is looked at twice.
"""

from __future__ import annotations

import collections
import itertools
import json
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from tagstream.catalog.order import instant, newer
from tagstream.errors import TagstreamError
from tagstream.pipeline.events import RECONCILE, RETAG
from tagstream.topics import Message, Outgoing, Topics

__all__ = [
    "DEADLINE",
    "DIFFERENCES",
    "MOST_WAITING",
    "PARCEL",
    "Known",
    "Looked",
    "Photo",
    "QueueStuck",
    "Retag",
    "Tally",
    "begun",
    "ended",
    "inventory",
    "joined",
    "notification",
    "removal",
    "why_outdated",
]

PARCEL = 100
"""Photos in one message of the topic: some 45 KB, which SQS bills as one request."""

MOST_WAITING = 1000
"""Messages in the queue that S3 fills, at most, before more are added: uploads wait behind no more than these."""

DEADLINE = 300
"""Seconds that a pulled parcel is held: the visibility timeout of the topic."""

DIFFERENCES = ("missing", "changed", "gone", "thumbnails")
"""Reasons for which bucket and catalog differ: no document; one of another version of the object; a document without an
object; thumbnails that are not all there.
"""

_BATCH = 10
_PAGE = 1000
_LOOK_SECONDS = 1.0
_PATIENCE = 900.0
_QUIET_LOOKS = 3
_ASKED_AGAIN = 60.0
"""Seconds after which the deployed function is asked again what it looks with."""

_TAG_BEGUN = "begun"

Document = Mapping[str, Any]


class QueueStuck(TagstreamError):
    """The classify function does not take what is in its queue."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Who looks at photos: a model's name, and the version of the vocabulary that its tags come from, if any.

    ``rejected_by`` is what it says of photos that it rejects (:func:`tagstream.pipeline.ingest.rejected_by`),
    ``thumbnails`` are the sizes of those that it makes.
    """

    model: str
    vocabulary: str | None = None
    rejected_by: str | None = None
    thumbnails: tuple[int, ...] = ()

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Looked:
        """From what the classify function says of itself (``{"action": "describe"}``)."""
        return cls(
            about["model"], about.get("vocabulary"), about.get("rejected_by"), tuple(about.get("thumbnails", ()))
        )

    def __str__(self) -> str:
        return f"{self.model}, vocabulary {self.vocabulary}" if self.vocabulary else self.model


@dataclass(frozen=True, slots=True)
class Photo:
    """An object of the bucket, as a listing names it."""

    key: str
    etag: str
    size: int
    modified: datetime


Known = tuple[Photo | None, Document | None]
"""A photo, and what the catalog has of it; no photo where there is a document alone."""


@dataclass
class Tally:
    """What came of a run so far. ``listed`` objects, ``outdated`` (one is ``such``), by ``why``; ``sent`` on."""

    listed: int = 0
    outdated: int = 0
    sent: int = 0
    such: str = ""
    why: collections.Counter[str] = field(default_factory=collections.Counter)


def inventory(s3: Any, bucket: str, *, after: str = "") -> Iterator[list[Photo]]:
    """The objects that the bucket tells its queue of, in the order of their keys, in pages of at most 1,000.

    Those ``after`` a key, if one is given.
    """
    prefix, suffix = _filter(s3.get_bucket_notification_configuration(Bucket=bucket))
    listing = {"Bucket": bucket, "Prefix": prefix, **({"StartAfter": after} if after else {})}
    for page in s3.get_paginator("list_objects_v2").paginate(**listing):
        yield [
            Photo(entry["Key"], entry["ETag"].strip('"'), entry["Size"], entry["LastModified"])
            for entry in page.get("Contents", [])
            # Folder markers are no photos.
            if entry["Key"].endswith(suffix) and not (entry["Key"].endswith("/") and entry["Size"] == 0)
        ]


def _filter(configuration: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix and suffix of the keys that a bucket tells of; empty where it tells of all."""
    rules = {
        rule["Name"].lower(): rule["Value"]
        for queue in configuration.get("QueueConfigurations", [])
        for rule in queue.get("Filter", {}).get("Key", {}).get("FilterRules", [])
    }
    return rules.get("prefix", ""), rules.get("suffix", "")


def joined(
    pages: Iterable[Sequence[Photo]], documents: Iterable[Document], *, gone: bool = False
) -> Iterator[list[Known]]:
    """The pages, each photo with its document; ``documents`` are those of all keys, and both are in their order.

    With ``gone``, documents without an object are there as well, in the order of all keys.
    Memory is that of a page. Each photo is there, whatever is written to the catalog meanwhile. Raises TagstreamError
    if the order of either is another one: directory buckets list their keys in none.
    """
    coming = _in_order(documents)
    document = next(coming, None)
    last = ""
    for page in pages:
        known: list[Known] = []
        for photo in page:
            if photo.key <= last:
                raise TagstreamError(_DISORDER.format("The bucket", photo.key, last))
            last = photo.key
            while document is not None and document["key"] < photo.key:
                if gone:
                    known.append((None, document))
                    if len(known) >= _PAGE:
                        yield known
                        known = []
                document = next(coming, None)
            if document is not None and document["key"] == photo.key:
                known.append((photo, document))
                document = next(coming, None)
            else:
                known.append((photo, None))
        yield known
    if gone and document is not None:
        rest: Iterator[Known] = ((None, left) for left in itertools.chain([document], coming))
        while page_of_rest := list(itertools.islice(rest, _PAGE)):
            yield page_of_rest


_DISORDER = "{} does not list its keys in order: {!r} comes after {!r}. This needs them in order."


def _in_order(documents: Iterable[Document]) -> Iterator[Document]:
    last = ""
    for document in documents:
        if document["key"] < last:
            raise TagstreamError(_DISORDER.format("The catalog", document["key"], last))
        last = document["key"]
        yield document


def why_outdated(
    photo: Photo | None,
    document: Document | None,
    looked: Looked,
    *,
    since: datetime,
    everything_before: datetime | None = None,
    rejected_before: datetime | None = None,
) -> str | None:
    """Why the deployed functions would write something else than ``document``, in a word or two; None if they wouldn't.

    What was uploaded ``since`` then has its own notification on the way. What was looked at before
    ``everything_before`` (``rejected_before``, if it was rejected) is outdated in any case. Where there is no photo,
    the document is "gone", unless it is younger than ``since``: whoever listed the bucket was too early for it. A
    tombstone is as good as no document, but for its place in the order (:func:`notification`).
    """
    if photo is None or _is_none(document) or document is None or document.get("etag") != photo.etag:
        return _differs(photo, document, since)
    rejected = document["status"] == "rejected"
    for before in (everything_before, rejected_before if rejected else None):
        if before is not None and instant(document.get("classified_at")) < before.timestamp():
            return "asked for"
    if rejected:
        return "other limits" if document.get("rejected_by") != looked.rejected_by else None
    there = (document.get("thumbnails") or {}).get("sizes", {})
    if any(str(size) not in there for size in looked.thumbnails):
        return "thumbnails"
    same = (document.get("model"), document.get("vocabulary")) == (looked.model, looked.vocabulary)
    return None if same else "other model"


def _differs(photo: Photo | None, document: Document | None, since: datetime) -> str | None:
    if photo is None:
        late = document is None or _is_none(document) or instant(document.get("uploaded_at")) > since.timestamp()
        return None if late else "gone"
    if photo.modified > since:
        return None
    return "missing" if _is_none(document) else "changed"


def _is_none(document: Document | None) -> bool:
    return document is None or document["status"] == "removed"


def notification(bucket: str, photo: Photo, document: Document | None, *, look: str, dated: bool = True) -> str:
    """The body of a message that makes the pipeline look at ``photo`` again, as if S3 had just told of it.

    It stands in the image's history where the event stood that its document tells of, as a second look. If there is no
    document, its place is the second in which the object was written: S3's own sequencers begin with it (seen, not
    documented), so that every true event of the object comes after it. If the document is of another version, or a
    tombstone, it is the later of the two: an older version that came up again was written before both. Where sequencers
    are not ``dated`` so, as the emulator's are not, the time says nothing: the place is before all events.
    """
    modified = photo.modified.astimezone(UTC)
    same = document is not None and not _is_none(document) and document.get("etag") == photo.etag
    stood, written = (document or {}).get("sequencer"), f"{int(modified.timestamp()):010X}" if dated else "00"
    place = stood if stood and (same or newer(stood, written)) else written
    event = {
        "eventName": RETAG,
        "eventTime": (same and document and document.get("uploaded_at")) or f"{modified:%Y-%m-%dT%H:%M:%S.000Z}",
        "s3": {
            # Or the catalog's queue would drop what it was told within the last five minutes, whatever became of it.
            "configurationId": look,
            "bucket": {"name": bucket},
            "object": {
                "key": quote_plus(photo.key, safe="/"),
                "size": photo.size,
                "eTag": photo.etag,
                "sequencer": place,
            },
        },
    }
    return json.dumps({"Records": [event]}, separators=(",", ":"))


def removal(bucket: str, document: Document, *, look: str) -> str:
    """The body of a message that makes the pipeline look whether an object is really gone, as if S3 had told of that.

    It stands where the event stood that the document tells of, as a second look: any newer event wins. The pipeline
    fetches what is there before it believes a removal, so that nothing is harmed where the object has come back.
    """
    event = {
        "eventName": RECONCILE,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "s3": {
            "configurationId": look,
            "bucket": {"name": bucket},
            "object": {"key": quote_plus(document["key"], safe="/"), "sequencer": document.get("sequencer") or "00"},
        },
    }
    return json.dumps({"Records": [event]}, separators=(",", ":"))


@dataclass
class Retag:
    """One run. ``topic`` is its own, ``queue`` the one that S3 fills; both are names of ``topics``.

    ``looks`` asks the deployed function what it looks with, now and then: another may be deployed during a run. From
    then on photos are held against that one, and :attr:`changed` says so: those before it are outdated again.
    ``rate`` is in photos a second. See :func:`why_outdated` for ``since`` and what else comes before; of its reasons
    ``only`` those count. ``dated``: see :func:`notification`.
    """

    topics: Topics
    topic: str
    queue: str
    bucket: str
    looks: Callable[[], Looked]
    rate: float
    since: datetime
    everything_before: datetime | None = None
    rejected_before: datetime | None = None
    only: Collection[str] | None = None
    dated: bool = True
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self.tally = Tally()
        self.changed = False
        self.looked = self.looks()
        self._look = uuid.uuid4().hex
        self._due = self._asked = self.clock()
        self._unlooked = MOST_WAITING

    def run(self, pages: Iterable[Sequence[Known]], report: Callable[[Tally], object]) -> Tally:
        """Send all outdated photos of ``pages``, and what an earlier run has left in the topic; ``report`` as it goes.

        Memory is that of a page. Raises :class:`QueueStuck`, and the errors of :mod:`tagstream.topics`.
        """
        self.work(report)
        for page in pages:
            before = self.tally.outdated
            self.publish(self.outdated(page))
            report(self.tally)
            if self.tally.outdated > before:
                self.work(report)
        return self.tally

    def count(self, pages: Iterable[Sequence[Known]]) -> Tally:
        """What :meth:`run` would do; nothing is sent."""
        for page in pages:
            collections.deque(self.outdated(page), maxlen=0)
        return self.tally

    def ask_again(self) -> None:
        """See whether another model or vocabulary was deployed."""
        self._asked = self.clock()
        looked = self.looks()
        self.changed = self.changed or looked != self.looked
        self.looked = looked

    def publish(self, messages: Iterable[str]) -> None:
        """Put notifications into the topic, as parcels."""
        lines = iter(messages)
        parcels = ("\n".join(parcel) for parcel in iter(lambda: list(itertools.islice(lines, PARCEL)), []))
        result = self.topics.publish_all(self.topic, [Outgoing(parcel) for parcel in parcels])
        if result.failed:
            raise TagstreamError(f"the topic {self.topic} took not all parcels: {result.failed[0].reason}")

    def work(self, report: Callable[[Tally], object]) -> None:
        """Send on what is in the topic, at the rate, until nothing is left."""
        while parcels := self.topics.pull(self.topic, min_messages=1, max_messages=1, timeout=1.0):
            for parcel in parcels:
                self._send(parcel, report)
                self.topics.acknowledge(self.topic, [parcel])

    def wait(self, queues: Sequence[str], report: Callable[[int], object]) -> None:
        """Until nothing was left in ``queues`` for some looks in turn; ``report`` gets how much is left.

        A quarter of an hour at most: uploads may go on for ever, and a photo that fails comes back for an hour. SQS'
        numbers are approximate, too: another round of :meth:`run` is what tells whether everything is done.
        """
        quiet, end = 0, self.clock() + _PATIENCE
        while quiet < _QUIET_LOOKS and self.clock() < end:
            left = sum(self.topics.counts(queue).total for queue in queues)
            report(left)
            quiet = quiet + 1 if left == 0 else 0
            self.sleep(_LOOK_SECONDS)

    def outdated(self, page: Sequence[Known]) -> Iterator[str]:
        """The notifications for what is outdated of a page; the tally counts them."""
        if self.clock() - self._asked > _ASKED_AGAIN:
            self.ask_again()
        for photo, document in page:
            self.tally.listed += photo is not None
            why = why_outdated(
                photo,
                document,
                self.looked,
                since=self.since,
                everything_before=self.everything_before,
                rejected_before=self.rejected_before,
            )
            if why is None or (self.only is not None and why not in self.only):
                continue
            self.tally.outdated += 1
            self.tally.why[why] += 1
            if photo is not None:
                self.tally.such = photo.key
                yield notification(self.bucket, photo, document, look=self._look, dated=self.dated)
            elif document is not None:
                self.tally.such = document["key"]
                yield removal(self.bucket, document, look=self._look)

    def _send(self, parcel: Message, report: Callable[[Tally], object]) -> None:
        lines = parcel.body.split("\n")
        pulled = self.clock()
        for start in range(0, len(lines), _BATCH):
            batch = lines[start : start + _BATCH]
            self._make_room()
            if self.clock() - pulled > DEADLINE / 3:
                self.topics.refresh_deadline(self.topic, [parcel], DEADLINE)
                pulled = self.clock()
            self._publish(batch, report)

    def send(self, messages: Sequence[str]) -> None:
        """Send notifications straight into the queue, at the rate: for whoever looks again from the beginning anyway,
        and needs no topic to go on. Raises :class:`TagstreamError`."""
        for start in range(0, len(messages), _BATCH):
            self._publish(messages[start : start + _BATCH], lambda _: None)

    def _publish(self, batch: Sequence[str], report: Callable[[Tally], object]) -> None:
        result = self.topics.publish_all(self.queue, [Outgoing(line) for line in batch])
        if result.failed:
            # The parcel is not acknowledged, and comes again; what was taken twice does no harm.
            raise TagstreamError(f"the queue {self.queue} took not all messages: {result.failed[0].reason}")
        self.tally.sent += len(batch)
        self._unlooked += len(batch)
        report(self.tally)
        self._due = max(self._due, self.clock() - 1.0) + len(batch) / self.rate
        self.sleep(max(0.0, self._due - self.clock()))

    def _make_room(self) -> None:
        """Wait while the queue is full; it is looked at once in a hundred photos."""
        if self._unlooked >= MOST_WAITING // 10:
            self._unlooked = 0
            self._until_at_most(MOST_WAITING, lambda: self.topics.counts(self.queue).visible)

    def _until_at_most(self, most: int, left: Callable[[], int]) -> None:
        now, since = left(), self.clock()
        while now > most:
            if self.clock() - since > _PATIENCE:
                raise QueueStuck(
                    f"{now} messages have waited for {_PATIENCE / 60:.0f} minutes, and none was taken: look at "
                    "the log of the classify function, then start again; what was done stays done."
                )
            self.sleep(_LOOK_SECONDS)
            before, now = now, left()
            # Fewer than a moment ago, and not than ever: uploads go on, and may bring more than what is taken.
            if now < before:
                since = self.clock()


def begun(sqs: Any, url: str, what: str, now: datetime) -> datetime:
    """When the run over ``what`` ("all", "rejected") began that is still to be ended: now, if there is none.

    It is kept as a tag of the run's topic, so that the same command goes on with it after it was interrupted or killed.
    """
    kept = sqs.list_queue_tags(QueueUrl=url).get("Tags", {}).get(f"{_TAG_BEGUN}-{what}")
    try:
        return datetime.fromisoformat(kept)
    except (TypeError, ValueError):
        sqs.tag_queue(QueueUrl=url, Tags={f"{_TAG_BEGUN}-{what}": now.isoformat()})
        return now


def ended(sqs: Any, url: str) -> None:
    """There is no run to go on with."""
    sqs.untag_queue(QueueUrl=url, TagKeys=[f"{_TAG_BEGUN}-{what}" for what in ("all", "rejected")])
