"""From S3's notifications to catalog updates: fetch what changed, classify it, tell the catalog.

Every message ends in one of three ways: its updates are in the catalog's queue; there was nothing to say; or it
failed in a way that may pass, and is to be delivered again. What can never succeed is an update, too: a rejection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError

from tagstream.analysis import Analysis, analyse
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.classifier import MIN_ANCESTOR_SCORE, Decoded, Limits, Recognition, best_tags, granted_cores
from tagstream.errors import ImageRejected, NotAnEvent, TagstreamError
from tagstream.pipeline.events import ObjectEvent, parse_notification
from tagstream.pipeline.updates import update_of
from tagstream.thumbnails.bucket import Thumbnails, Writing
from tagstream.thumbnails.names import key_of

__all__ = ["Ingest", "NotAccepted", "Outcome", "Recogniser", "rejected_by"]

MAX_ENTRIES = 10
MAX_BATCH_BYTES = 1_048_576
"""SQS' limits for one batch: entries, and bytes of all bodies together."""

# 405: the version is a delete marker. Without permission to list, S3 says 403 for what is missing: that is retried.
_GONE = {"404", "405", "MethodNotAllowed", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound"}
_EXCERPT = 80


class Recogniser(Protocol):
    """What :class:`tagstream.classifier.Classifier` is to this module."""

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    def recognise(
        self,
        photo: bytes,
        *,
        confined: bool = False,
        patience: float | None = None,
        when_decoded: Callable[[Decoded], object] | None = None,
    ) -> Recognition: ...


def rejected_by(recogniser: Recogniser) -> str:
    """What a rejection depends on besides the photo: where this is another, the photo is worth another look."""
    limits = recogniser.limits
    return f"{recogniser.name}, {limits.max_bytes:,} bytes, {limits.max_pixels:,} pixels, {limits.max_scans} scans"


class NotAccepted(TagstreamError):
    """The catalog's queue did not take an update; sending it again may help."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: ``updates`` are in the queue, ``notes`` say what was left alone and why.

    With an ``error`` the message is to be delivered again; updates that were sent nevertheless do no harm.
    """

    updates: tuple[CatalogUpdate, ...] = ()
    notes: tuple[str, ...] = ()
    error: Exception | None = None


class _Gone(Exception):
    """The object, or this version of it, does not exist any more."""


@dataclass(frozen=True)
class Ingest:
    """Turns messages into catalog updates. ``s3`` and ``sqs`` are clients of boto3 or botocore.

    ``recogniser`` is called once a batch; photos are fetched and decoded by as many ``threads`` as cores.
    Where a photo was taken is personal: it goes no further unless ``store_location``.
    ``thumbnails`` are made beside, if there is a bucket for them; ``look`` keeps those of this look apart from those of
    other looks at the same event. A photo whose thumbnails cannot be written is cataloged without; its message comes
    again for them, unless not to ``insist``.
    """

    s3: Any
    sqs: Any
    queue_url: str
    recogniser: Callable[[], Recogniser]
    max_tags: int = 10
    min_score: float = 0.01
    min_ancestor_score: float = MIN_ANCESTOR_SCORE
    threads: int | None = None
    store_location: bool = False
    thumbnails: Thumbnails | None = None
    look: str | None = None
    insist: bool = True

    def process(self, messages: Mapping[str, str]) -> dict[str, Outcome]:
        """The outcome of each message, by its id; ``messages`` are bodies by id. Never raises for one of them."""
        outcomes: dict[str, Outcome] = {}
        work: list[tuple[str, ObjectEvent]] = []
        for message_id, body in messages.items():
            outcomes[message_id] = Outcome()
            try:
                events = parse_notification(body)
            except NotAnEvent as error:
                events = [error]
            # What is strange in one message is one entry in the catalog; the events beside it are worked on.
            work += [(message_id, event) for event in events if isinstance(event, ObjectEvent)]
            strange = [event for event in events if isinstance(event, NotAnEvent)]
            if strange:
                outcomes[message_id] = Outcome(updates=(_not_an_event(message_id, body, strange[0]),))
        for (message_id, _), result in zip(work, self._attempts([event for _, event in work]), strict=True):
            outcomes[message_id] = _joined(outcomes[message_id], result)
        return self.publish(outcomes)

    def _attempts(self, events: list[ObjectEvent]) -> list[Outcome]:
        if not events:
            return []
        try:
            recogniser = self.recogniser()
        except Exception as error:  # noqa: BLE001  whatever it is, the messages must come back
            return [Outcome(error=error)] * len(events)
        with ThreadPoolExecutor(self.threads or granted_cores()) as pool:
            return list(pool.map(lambda event: self._attempt(event, recogniser), events))

    def _attempt(self, event: ObjectEvent, recogniser: Recogniser) -> Outcome:
        try:
            if event.kind == "created" and event.key.endswith("/") and event.size == 0:
                # Nothing to see, and no mistake either; an image that was there before is there no more.
                note = f"s3://{event.bucket}/{event.key} is a folder's marker"
                return Outcome((update_of(event, "removed", processed_at=_now()),), (note,))
            return self._look(event, recogniser)
        except _Gone:
            # Its removal has an event of its own.
            return Outcome(notes=(f"s3://{event.bucket}/{event.key} is gone",))
        except Exception as error:  # noqa: BLE001  throttling, timeouts, out of memory: this message comes back
            return Outcome(error=error)

    def _look(self, event: ObjectEvent, recogniser: Recogniser) -> Outcome:
        about: dict[str, Any] = {}
        writing: list[Writing] = []
        try:
            _check_size(event.size, recogniser.limits)
            with self._open(event) as found:
                about = {
                    "version_id": found.version_id or event.version_id,
                    "etag": found.etag,
                    "size": found.size,
                }
                _check_size(found.size, recogniser.limits)
                content = found.read(recogniser.limits.max_bytes)
            seen = recogniser.recognise(content, when_decoded=self._thumbnails_of(event, found.etag, writing))
            analysis = (
                analyse(seen.photo, without=() if self.store_location else ("location",)) if seen.photo else Analysis()
            )
        except _Gone:
            if event.kind == "created":
                raise
            return Outcome((update_of(event, "removed", processed_at=_now()),))
        except ImageRejected as error:
            about |= {"reason": error.reason, "rejected_by": rejected_by(recogniser)}
            if writing:
                # The catalog removes them.
                about |= {"thumbnails": {"key": writing[0].key, "sizes": {}}, "look": self._heard(event)}
            return Outcome((update_of(event, "rejected", **about, processed_at=_now()),))
        finally:
            # Whatever became of the photo, nothing goes on behind the back of a function that has answered.
            written = [thumbnails.result() for thumbnails in writing]
        if written:
            about |= {"thumbnails": written[0].thumbnails, "look": self._heard(event)}
        update = update_of(
            event,
            "classified",
            **about,
            width=seen.width,
            height=seen.height,
            model=recogniser.name,
            vocabulary=seen.vocabulary,
            tags=best_tags(
                seen.scores,
                min_score=self.min_score,
                max_tags=self.max_tags,
                ancestors=seen.ancestors,
                min_ancestor_score=self.min_ancestor_score,
            ),
            processed_at=_now(),
            facts=analysis.facts,
        )
        notes = list(analysis.notes)
        failure = written[0].error if written else None
        if failure is not None:
            notes.append(f"without all of its thumbnails: {failure}")
        told = tuple(f"s3://{event.bucket}/{event.key} is cataloged {note}" for note in notes)
        return Outcome((update,), told, failure if self.insist else None)

    def _heard(self, event: ObjectEvent) -> str:
        """A look of its own: the queue drops what it was told a moment ago, and what has been written must be known."""
        return " ".join(look for look in (event.look, self.look, _now()) if look)

    def _thumbnails_of(
        self, event: ObjectEvent, etag: str | None, writing: list[Writing]
    ) -> Callable[[Decoded], None] | None:
        """What begins to make thumbnails of a decoded photo, and adds to ``writing`` how that goes."""
        thumbnails = self.thumbnails
        if thumbnails is None:
            return None
        look = " ".join(look for look in (event.look, self.look) if look)
        key = key_of(document_id(event.bucket, event.key), event.sequencer, etag or "", look)

        def begin(photo: Decoded) -> None:
            writing.append(thumbnails.begin(photo.picture, key))

        return begin

    def _open(self, event: ObjectEvent) -> _Object:
        """The version that was created; for a removal, what is there now.

        An older version may have come up again, or a delete marker may have been removed. One request asks and
        fetches, so that nothing can happen in between.
        """
        request = {"Bucket": event.bucket, "Key": event.key}
        if event.kind == "created" and event.version_id:
            request["VersionId"] = event.version_id
        try:
            return _Object(self.s3.get_object(**request))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _GONE:
                raise _Gone from error
            if code == "InvalidObjectState":
                raise ImageRejected("the object is archived, and would have to be restored first") from error
            raise

    def publish(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        """Send all updates; a message with one that was not accepted failed. Changes, and returns, ``outcomes``."""
        pending = [(message_id, update) for message_id, outcome in outcomes.items() for update in outcome.updates]
        for batch in _batches(pending):
            entries = [
                {
                    "Id": str(number),
                    "MessageBody": body,
                    "MessageGroupId": update.document_id,
                    "MessageDeduplicationId": update.deduplication_id,
                }
                for number, (_, update, body) in enumerate(batch)
            ]
            refused: dict[int, Exception] = {}
            try:
                response = self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
                for failed in response.get("Failed", ()):
                    reason = f"the catalog's queue refused an update: {failed.get('Message') or failed['Code']}"
                    refused[int(failed["Id"])] = NotAccepted(reason)
            except Exception as error:  # noqa: BLE001  none was accepted, or nobody knows: their messages come back
                refused = dict.fromkeys(range(len(batch)), error)
            for number, refusal in refused.items():
                message_id, update, _ = batch[number]
                outcome = outcomes[message_id]
                sent = tuple(other for other in outcome.updates if other is not update)
                outcomes[message_id] = replace(outcome, updates=sent, error=outcome.error or refusal)
        return outcomes


class _Object:
    """The answer to GetObject, read in bounds and always closed."""

    def __init__(self, response: Mapping[str, Any]) -> None:
        self._body = response["Body"]
        self.size: int = response["ContentLength"]
        self.etag: str | None = response.get("ETag", "").strip('"') or None
        version = response.get("VersionId")
        self.version_id: str | None = None if version == "null" else version

    def read(self, limit: int) -> bytes:
        """All of it; raises :class:`ImageRejected` if it turns out larger than it said and than ``limit``."""
        content: bytes = self._body.read(min(self.size, limit) + 1)
        if len(content) > limit:
            raise ImageRejected(f"the file is too large: more than {limit:,} bytes")
        if len(content) < self.size:
            raise ConnectionError(f"S3 sent {len(content):,} of {self.size:,} bytes")
        return content

    def __enter__(self) -> _Object:
        return self

    def __exit__(self, *_: object) -> None:
        self._body.close()


def _check_size(size: int | None, limits: Limits) -> None:
    if size is not None and size > limits.max_bytes:
        raise ImageRejected(f"the file is too large: {size:,} bytes, and {limits.max_bytes:,} are allowed")


def _joined(one: Outcome, other: Outcome) -> Outcome:
    return Outcome(one.updates + other.updates, one.notes + other.notes, one.error or other.error)


def _batches(updates: Sequence[tuple[str, CatalogUpdate]]) -> Iterator[list[tuple[str, CatalogUpdate, str]]]:
    """Split into batches that SQS takes: by number, and by bytes of all bodies together."""
    batch: list[tuple[str, CatalogUpdate, str]] = []
    size = 0
    for message_id, update in updates:
        body = update.to_json()
        length = len(body.encode())
        if batch and (len(batch) == MAX_ENTRIES or size + length > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((message_id, update, body))
        size += length
    if batch:
        yield batch


def _not_an_event(message_id: str, body: str, error: NotAnEvent) -> CatalogUpdate:
    """A rejection under the message's own id: there is no object to name, and nothing gets lost unseen."""
    excerpt = body if len(body) <= _EXCERPT else f"{body[:_EXCERPT]}..."
    return CatalogUpdate(
        kind="rejected",
        bucket="",
        key=message_id,
        sequencer="00",
        event_kind="created",
        event_time="",
        reason=f"no S3 event: {error}; the message: {excerpt}",
        processed_at=_now(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
