"""What the HTTP API does: a method for each route, requests in, answers out.

Clients of the catalog and of S3 are passed in. What cannot be done raises :class:`tagstream.web.problems.Problem`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeAlias

from tagstream.catalog.queries import Request, parse_request
from tagstream.errors import QueryError
from tagstream.web.cursors import after, cursor, wrong_cursor
from tagstream.web.images import Images
from tagstream.web.links import Links
from tagstream.web.problems import Problem, of_query

__all__ = ["Catalog", "Service", "Settings", "is_current"]

_UPLOAD_SECONDS = 3600
_MARKERS = 100
_SUGGESTED = ("catalog", "suggestions", "common", "unsaid")
_NOT_SHOWN = ("images", "after", "missing", *_SUGGESTED)
_NO_STATS = {"classified": 0, "rejected": 0, "bytes": 0, "tags": 0, "models": {}, "vocabularies": {}}
_NO_TIMES = {"first_taken": None, "last_taken": None, "last_change": None}

Json: TypeAlias = dict[str, Any]


class Catalog(Protocol):
    """See :class:`tagstream.catalog.store.CatalogStore`."""

    def search(self, request: Request) -> Json: ...
    def similar(self, document: Mapping[str, Any], *, limit: int) -> Json: ...
    def documents(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]: ...
    def complete(self, prefix: str, *, limit: int) -> list[Json]: ...


@dataclass(frozen=True)
class Settings:
    """``bucket`` is the one with the photos, watched for keys between ``prefix`` and ``suffix``; ``thumbnails`` the
    bucket with those, if there is one. Photos have at most ``max_bytes``; S3 keeps what was removed for ``undo_days``,
    if it is known for how long.
    """

    bucket: str
    thumbnails: str | None = None
    prefix: str = ""
    suffix: str = ""
    max_bytes: int = 50_000_000
    undo_days: int | None = None


class Service:
    """``s3`` is a client of botocore's or boto3's, ``credentials`` are those of its session."""

    def __init__(
        self,
        catalog: Catalog,
        s3: Any,
        credentials: Any,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._s3 = s3
        self._settings = settings
        self._clock = clock
        self._links = Links(s3, credentials, clock)
        self._images = Images(self._links, settings.thumbnails)

    def images(self, query: Mapping[str, Any], *, limit: int, cursor_text: str | None) -> Json:
        """A page of images: those that ``query`` (the fields of a search) finds, or all, the newest first."""
        asked = {name: value for name, value in query.items() if value is not None}
        if not asked.get("q", "").strip():
            asked = {name: value for name, value in asked.items() if name != "q"} | {"sort": "newest"}
        # Another limit, and counts that only the first page has, leave the order as it is.
        bound = {name: value for name, value in asked.items() if name != "facets"}
        found = self._search("search", asked, bound, limit, cursor_text)
        answer = {name: value for name, value in found.items() if name not in _NOT_SHOWN}
        answer["images"] = [self._images.shown(image) for image in found["images"]]
        answer["cursor"] = cursor(bound, found["after"])
        answer.setdefault("terms", [])
        if found["total"] == 0 and "q" in asked:
            answer["suggestions"] = {"catalog": 0, "suggestions": [], "common": [], "unsaid": []} | {
                name: found[name] for name in _SUGGESTED if name in found
            }
        return answer

    def image(self, image_id: str) -> Json:
        return self._images.in_full(self._document(image_id))

    def similar(self, image_id: str, *, limit: int) -> Json:
        document = self._document(image_id)
        found = self._catalog.similar(document, limit=limit)["images"] if document["status"] == "classified" else []
        return {"images": [self._images.shown(image) for image in found]}

    def tags(self, prefix: str, *, limit: int) -> Json:
        """Tags of this catalog and words that mean one, as completions of ``prefix``."""
        listed = self._catalog.complete(prefix, limit=limit)
        return {"tags": [{"count" if name == "images" else name: of for name, of in tag.items()} for tag in listed]}

    def stats(self) -> Json:
        found = self._catalog.search(Request("stats"))
        return _NO_STATS | _NO_TIMES if "missing" in found else found

    def upload(self, upload_id: str | None) -> Json:
        """A form that uploads photos for an hour, as many as wanted; with ``upload_id``, of an upload begun before.

        Ids are checked before they come here: they are parts of keys (:data:`tagstream.web.answers.UPLOAD_ID`).
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        upload_id = upload_id or f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
        prefix = self._prefix(upload_id)
        form = self._s3.generate_presigned_post(
            Bucket=self._settings.bucket,
            Key=f"{prefix}${{filename}}",
            Conditions=[
                ["content-length-range", 1, self._settings.max_bytes],
                ["starts-with", "$Content-Type", "image/"],
            ],
            ExpiresIn=_UPLOAD_SECONDS,
        )
        return {
            "upload": upload_id,
            "prefix": prefix,
            "suffix": self._settings.suffix,
            "url": form["url"],
            "fields": {name: value for name, value in form["fields"].items() if name != "key"},
            "expires_at": (now + timedelta(seconds=_UPLOAD_SECONDS)).isoformat(timespec="seconds"),
            "max_bytes": self._settings.max_bytes,
        }

    def arrivals(self, upload_id: str, *, limit: int, cursor_text: str | None) -> tuple[Json, str]:
        """What became of an upload so far, and the entity tag of that: it changes with what there is to say, and when
        its URLs have grown old."""
        prefix = self._prefix(upload_id)
        asked = {"prefix": prefix}
        found = self._search("under", asked, asked, limit, cursor_text)
        rows = [self._images.arrived(image, prefix) for image in found["images"]]
        answer = {"upload": upload_id, "images": rows, "cursor": cursor(asked, found["after"])}
        told = [{name: value for name, value in row.items() if name != "thumbnails"} for row in rows]
        seen = json.dumps([told, answer["cursor"], self._links.expire_at]).encode()
        return answer, f'"{hashlib.sha256(seen).hexdigest()[:32]}"'

    def remove(self, image_id: str) -> Json:
        """Remove an image from the bucket, and thereby, some moments later, from the catalog."""
        document = self._document(image_id)
        self._s3.delete_object(Bucket=self._bucket_of(document), Key=document["key"])
        days, now = self._settings.undo_days, datetime.fromtimestamp(self._clock(), UTC)
        until = None if days is None else (now + timedelta(days=days)).isoformat(timespec="seconds")
        return {"id": image_id, "undo_until": until}

    def restore(self, image_id: str) -> Json:
        """Put back what :meth:`remove` removed: the catalog has it again some moments later."""
        document = self._document(image_id, removed=True)
        bucket, key = self._bucket_of(document), document["key"]
        restored = False
        for _ in range(_MARKERS):
            versions, markers = self._versions(bucket, key)
            if not versions:
                raise Problem(404, "There is nothing to restore: S3 keeps no older version of this image any more.")
            latest = next((marker for marker in markers if marker["IsLatest"]), None)
            if latest is None:
                break
            self._s3.delete_object(Bucket=bucket, Key=key, VersionId=latest["VersionId"])
            restored = True
        else:
            raise Problem(409, "This image was removed again and again meanwhile: try again.")
        if not restored:
            raise Problem(409, "There is nothing to restore: this image was not removed.")
        return {"id": image_id}

    def _versions(self, bucket: str, key: str) -> tuple[list[Json], list[Json]]:
        """The versions and the delete markers of an object. Keys that begin with its own come after it."""
        listed = self._s3.list_object_versions(Bucket=bucket, Prefix=key)
        versions, markers = (
            [entry for entry in listed.get(kind, ()) if entry["Key"] == key] for kind in ("Versions", "DeleteMarkers")
        )
        return versions, markers

    def _search(self, kind: str, asked: Json, bound: Json, limit: int, cursor_text: str | None) -> Json:
        request = {"query": kind, "limit": limit, "after": after(bound, cursor_text), **asked}
        try:
            return self._catalog.search(parse_request(request))
        except QueryError as error:
            raise (wrong_cursor() if "'after'" in error.sentence else of_query(error, "q")) from error

    def _document(self, image_id: str, *, removed: bool = False) -> Mapping[str, Any]:
        document = self._catalog.documents([image_id]).get(image_id)
        if document is None or (document["status"] == "removed" and not removed):
            raise Problem(404, "There is no image with this id: it was removed, or never there.")
        return document

    def _bucket_of(self, document: Mapping[str, Any]) -> str:
        if document.get("bucket") != self._settings.bucket:
            raise Problem(409, "This is no photo of this stage's bucket, and can neither be removed nor restored.")
        return self._settings.bucket

    def _prefix(self, upload_id: str) -> str:
        return f"{self._settings.prefix}uploads/{upload_id}/"


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Whether what a client has, by its header If-None-Match, is what there is.

    >>> is_current('W/"a", "b"', '"b"'), is_current("*", '"b"'), is_current(None, '"b"')
    (True, True, False)
    """
    held = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    return etag in held or "*" in held
