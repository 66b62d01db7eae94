"""The catalog in OpenSearch: ordered, idempotent writes, searches and upkeep.

Design: docs/catalog.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from tagstream.catalog import mapping
from tagstream.catalog.client import Client, NotFound, OpenSearchError
from tagstream.catalog.counts import completion_answer, completion_body, meant_words, suggestion_body, suggestions
from tagstream.catalog.documents import POSITION_FIELDS, document, position_of, position_of_document
from tagstream.catalog.meant import Similar
from tagstream.catalog.order import Position
from tagstream.catalog.queries import (
    Request,
    answer,
    looser_searches,
    search_body,
    search_of,
    similar_answer,
    similar_body,
)
from tagstream.catalog.ranking import WEAK_BELOW, Search, Vocabulary
from tagstream.catalog.similar import frequencies_aggregation, frequencies_of, least_likeness, similar_query
from tagstream.catalog.thumbnails import Bin, Named, Settled, named_by, settle
from tagstream.catalog.updates import CatalogUpdate
from tagstream.errors import CatalogError, QueryError
from tagstream.vocabulary.words import load_words

__all__ = ["CatalogStore", "Outcome"]

_ROUNDS = 4
"""Reads and writes of one batch, at most; more than one only after a conflict or a refused document."""

_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds to wait for the shard of an index that another function has just made: reading it fails until it is there."""

_PURGED_AT_ONCE = 50_000

_SAID = ("status", "sequencer", "model", "vocabulary", "thumbnails")
"""Where an update and a document agree in these, the update is the same look at the same event once more."""

_AS_FAR_AS_ORDER_GOES = {"_source_includes": ",".join(dict.fromkeys((*POSITION_FIELDS, *_SAID, "thumbnails_gone")))}

_GIVEN_UP_AFTER = timedelta(days=7)
"""An index that is being filled for longer than that was given up. Ten million documents are copied in hours."""

_MAKE_NO_INDEX = {"require_alias": "true"}

Document: TypeAlias = Mapping[str, Any]
"""See :func:`tagstream.catalog.documents.document`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one update.

    ``applied``: the catalog now says so. ``stale``: it already said so, or something newer; done as well.
    ``failed``: it was not written, or thumbnails that are to go were not removed; ``error`` says why, and trying again
    is safe.
    """

    state: Literal["applied", "stale", "failed"]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the index holds of one image: nothing, or a document that stands at a position."""

    index: str
    position: Position | None = None
    seq_no: int = -1
    primary_term: int = -1
    thumbnails: Named | None = None
    said: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do about one image: write the update ``winner``, or nothing if all are stale; and its thumbnails."""

    stored: _Stored
    winner: int | None
    settled: Settled

    @property
    def writes(self) -> bool:
        return self.winner is not None or self.settled.note


class CatalogStore:
    """The documents behind the alias ``alias``, over an injected client."""

    def __init__(
        self,
        client: Client,
        alias: str,
        *,
        vocabulary: Callable[[], Vocabulary] = load_words,
        thumbnails: Bin | None = None,
        shards: int = 1,
    ) -> None:
        """``vocabulary`` is called when a query's words are to be looked up: loading it takes a moment.

        Whoever applies updates needs ``thumbnails``, where what documents name no more is removed. ``shards`` is for
        the index, if it has to be made.
        """
        self._client = client
        self._alias = alias
        self._vocabulary = vocabulary
        self._thumbnails = thumbnails
        self._shards = shards

    def apply(self, updates: Sequence[CatalogUpdate]) -> list[Outcome]:
        """Bring the catalog up to date; one outcome for each update, in their order. Does not raise.

        Updates of one image may be in any order and repeated: the newest one wins, whoever wrote before.
        One read and one bulk write serve the whole batch. They are repeated, a bounded number of times, for
        the images that somebody else wrote to in between.
        After a failure the later updates of the same image fail too; other images go on.
        """
        outcomes: dict[int, Outcome] = {}
        for _ in range(_ROUNDS):
            waiting = _by_image(updates, outcomes)
            if not waiting:
                break
            try:
                self._round(updates, waiting, outcomes)
            except CatalogError as error:
                outcomes |= {i: Outcome("failed", str(error)) for indexes in waiting.values() for i in indexes}
        undecided = Outcome("failed", "other writers kept changing this image")
        return [outcomes.get(i, undecided) for i in range(len(updates))]

    def _round(
        self, updates: Sequence[CatalogUpdate], waiting: Mapping[str, list[int]], outcomes: dict[int, Outcome]
    ) -> None:
        """Read, decide, write; images whose write conflicted get no outcome and so come again."""
        stored = self._read(list(waiting))
        plans = {image: _plan(updates, indexes, stored[image]) for image, indexes in waiting.items()}
        answers = self._write({image: plan for image, plan in plans.items() if plan.writes}, updates)
        settled: list[str] = []
        for image, indexes in waiting.items():
            plan = plans[image]
            status, error = answers.get(image, (200, ""))
            if status in (200, 201):
                outcomes |= dict.fromkeys(indexes, Outcome("stale"))
                if plan.winner is not None:
                    outcomes[plan.winner] = Outcome("applied")
                settled.append(image)
            elif status == 400 and plan.winner is not None:
                # This document will never be taken. Those before it may be: they come again.
                outcomes |= {i: Outcome("failed", error) for i in indexes if i >= plan.winner}
            elif status == 404:
                # The index is gone, or of a version of this code that made it without: it comes again, like a conflict.
                self._let_write(plan.stored.index)
            elif status != 409:
                outcomes |= dict.fromkeys(indexes, Outcome("failed", error))
        for image, error in self._remove({image: plans[image].settled.remove for image in settled}).items():
            outcomes |= dict.fromkeys(waiting[image], Outcome("failed", error))

    def _remove(self, keys: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Remove thumbnails, ``keys`` by image; the error for each image that has some left."""
        if self._thumbnails is None or not any(keys.values()):
            return {}
        failed = self._thumbnails.remove([key for some in keys.values() for key in some])
        return {
            image: f"thumbnails that are to go could not be removed: {failed[key]}"
            for image, some in keys.items()
            for key in some
            if key in failed
        }

    def _read(self, images: list[str]) -> dict[str, _Stored]:
        """What is stored of each image; creates the index if there is none, and waits for one made just now."""
        for pause in _PAUSES:
            docs = self._mget(images)
            errors = [doc["error"] for doc in docs if "error" in doc]
            if not errors:
                return {doc["_id"]: _stored(doc) for doc in docs}
            if errors[0]["type"] == "index_not_found_exception":
                self.create_index()
            elif errors[0]["type"] == "no_shard_available_action_exception":
                time.sleep(pause)
            else:
                break
        raise CatalogError(f"OpenSearch could not read the catalog: {errors[0].get('reason')}")

    def _mget(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Each document as far as order goes, or what hinders reading it."""
        found = self._client.request("POST", f"{self._alias}/_mget", {"ids": list(ids)}, params=_AS_FAR_AS_ORDER_GOES)
        docs: list[dict[str, Any]] = found["docs"]
        return docs

    def _write(self, plans: Mapping[str, _Plan], updates: Sequence[CatalogUpdate]) -> dict[str, tuple[int, str]]:
        """Write conditionally, each to the index that was read; the status and the error for each image.

        Not to the alias: while the catalog moves to a new index, a condition that holds in the new one
        by chance must not let an older state through. The old one is closed for writing by then. And by that index'
        own alias: where the index has been deleted meanwhile, its name alone would make one, without a mapping.
        """
        if not plans:
            return {}
        indexed_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines: list[dict[str, Any]] = []
        for image, plan in plans.items():
            stored, settled = plan.stored, plan.settled
            target: dict[str, Any] = {"_index": mapping.writing_to(stored.index), "_id": image}
            condition = {"if_seq_no": stored.seq_no, "if_primary_term": stored.primary_term}
            gone = {"thumbnails_gone": list(settled.gone)} if settled.gone else {}
            if plan.winner is None:
                lines += [{"update": target | condition}, {"doc": gone | {"indexed_at": indexed_at}}]
                continue
            lines.append({"create": target} if stored.position is None else {"index": target | condition})
            lines.append(
                document(replace(updates[plan.winner], thumbnails=settled.thumbnails), indexed_at=indexed_at) | gone
            )
        items = self._client.request("POST", "_bulk", lines, params=_MAKE_NO_INDEX)["items"]
        results = [next(iter(item.values())) for item in items]
        return {
            image: (result["status"], _reason(result.get("error")))
            for image, result in zip(plans, results, strict=True)
        }

    def _let_write(self, index: str) -> None:
        """Give the index, if it is there, the alias that it is written to by."""
        try:
            self._client.request("PUT", f"{index}/_alias/{mapping.writing_to(index)}")
        except NotFound:
            return

    def create_index(self, version: int = mapping.VERSION) -> None:
        """Create the index and its alias, in one step; that somebody else just did is as good."""
        name = mapping.index_name(self._alias, version, self._shards)
        try:
            self._client.request("PUT", name, mapping.index_body(name, self._shards, alias=self._alias))
        except OpenSearchError as error:
            if error.type != "resource_already_exists_exception":
                raise
            try:
                self._client.request("HEAD", f"_alias/{self._alias}")
            except NotFound:
                raise CatalogError(
                    f"the index {name} exists without its alias {self._alias}: add the alias, or delete the index"
                ) from error

    def search(self, request: Request) -> dict[str, Any]:
        """Answer a request (:func:`tagstream.catalog.queries.answer`).

        Raises :class:`QueryError` for what only the catalog can tell to make no sense.
        Where a query finds nothing, :func:`tagstream.catalog.counts.suggestions` are added to the answer.
        A catalog without an index has no images, and its answer says under ``missing`` what that may mean: nothing
        was classified yet, or the index or its alias was lost.
        """
        search = None if request.parsed is None else search_of(request, self._vocabulary())
        similar = search.similar_to() if search is not None and request.kind == "search" else None
        try:
            if similar is not None:
                return self._similar(request, *similar)
            found = self._found(request, search)
            if search is not None and found.get("total") == 0:
                found |= suggestions(search, self._vocabulary(), self._ask(suggestion_body(search)))
        except NotFound:
            return {"total": 0, "images": [], "after": None, "missing": self._what_is_missing()}
        return found

    def documents(self, ids: Sequence[str]) -> dict[str, Document]:
        """What is stored of images, by their ids: rejected ones and tombstones too; at most 10,000.

        By a search, since who only reads may do nothing else: what was written less than a second ago may be missing.
        """
        response = self._ask_if_there({"size": len(ids), "query": {"terms": {"id": list(ids)}}})
        return {} if response is None else {hit["_id"]: hit["_source"] for hit in response["hits"]["hits"]}

    def thumbnail_keys(self, ids: Sequence[str]) -> dict[str, str | None]:
        """The key of the thumbnails that each image's document names, for those that have a document.

        Unlike :meth:`documents` it raises :class:`CatalogError` where there is no index: nobody can tell then.
        """
        docs = self._mget(ids)
        for doc in docs:
            if "error" in doc:
                raise CatalogError(f"OpenSearch could not read the catalog: {doc['error'].get('reason')}")
        return {doc["_id"]: named_by(doc["_source"]).key for doc in docs if doc["found"]}

    def similar(self, document: Document, *, limit: int) -> dict[str, Any]:
        """The images most like the one of this document, and why (:func:`tagstream.catalog.queries.similar_answer`)."""
        return self._like(document, Request("search", limit=limit), None)

    def complete(self, prefix: str, *, limit: int) -> list[dict[str, Any]]:
        """This catalog's tags that begin with ``prefix``, and words that mean a tag of it
        (:func:`tagstream.catalog.counts.completion_answer`)."""
        meant = meant_words(prefix, self._vocabulary(), limit) if prefix.strip() else {}
        response = self._ask_if_there(completion_body(prefix, meant, min_score=WEAK_BELOW, limit=limit))
        return [] if response is None else completion_answer(response, meant, limit=limit)

    def _found(self, request: Request, search: Search | None) -> dict[str, Any]:
        """The answer of the search, or where that finds nothing of the first looser one that finds something."""
        first: dict[str, Any] | None = None
        for one in looser_searches(request, search):
            found = answer(request, self._ask(search_body(request, one)), one)
            if found.get("total") != 0:
                return found
            first = first or found
        return first or answer(request, self._ask(search_body(request, search)), search)

    def _similar(self, request: Request, to: Similar, rest: Search | None) -> dict[str, Any]:
        """The images most like one, and why. Raises :class:`QueryError` if there is none of this name."""
        called = search_body(Request("title", to.key, exact=True, limit=1)) | {"_source": True}
        hits = self._ask(called)["hits"]["hits"]
        if not hits or hits[0]["_source"]["status"] != "classified":
            raise QueryError(
                f"There is no image called {to.key!r}: similar: takes a key, a location or a file name, in quotes if "
                'it has spaces, such as similar:"black cat.jpg".'
            )
        return self._like(hits[0]["_source"], request, rest)

    def _like(self, document: Document, request: Request, rest: Search | None) -> dict[str, Any]:
        count = {"size": 0, "track_total_hits": True, "query": {"term": {"status": "classified"}}}
        counted = self._ask(count | {"aggs": {"tags": frequencies_aggregation(document)}})
        total, frequencies = counted["hits"]["total"]["value"], frequencies_of(counted["aggregations"]["tags"])
        alike = similar_query(document, frequencies=frequencies, total=total)
        least = least_likeness(document, frequencies=frequencies, total=total)
        return similar_answer(document, self._ask(similar_body(request, rest, alike, least)), rest)

    def _ask_if_there(self, body: dict[str, Any]) -> Any:
        """None where there is no index, as before the first photo."""
        try:
            return self._ask(body)
        except NotFound:
            return None

    def _ask(self, body: dict[str, Any]) -> Any:
        return self._client.request("POST", f"{self._alias}/_search", body)

    def _what_is_missing(self) -> str:
        return (
            f"the catalog has no index behind the alias {self._alias}: either no photo has been classified yet, or "
            "one of the two was deleted; docs/catalog.md says how to get them back."
        )

    def purge(self, *, older_than_days: int) -> dict[str, Any]:
        """Delete tombstones written more than so many days ago, and indexes that were replaced or given up.

        A tombstone must outlive every late event: events stay in a queue and then its dead-letter queue
        for up to 14 days each. While an index is being filled none is deleted: the copy there would outlive it, in a
        higher version than that of the image if it comes again.
        """
        old = {
            "bool": {
                "filter": [
                    {"term": {"status": "removed"}},
                    {"range": {"indexed_at": {"lt": f"now-{older_than_days}d"}}},
                ]
            }
        }
        indexes = self._client.request("GET", f"{mapping.index_pattern(self._alias)}/_alias")
        current = [name for name, about in indexes.items() if self._alias in about["aliases"]]
        if not current:
            return {"tombstones": 0, "indexes": []}
        newest = max(map(mapping.index_version, current))
        others = sorted(set(indexes) - set(current))
        useless = [name for name in others if self._is_useless(name, newest=newest)]
        for name in useless:
            self._client.request("DELETE", name)
        deleted = 0
        if others == useless:
            # A tombstone that changes meanwhile (the image came back) conflicts, and stays.
            deleted = self._client.request(
                "POST",
                f"{self._alias}/_delete_by_query",
                {"query": old},
                params={"conflicts": "proceed", "max_docs": str(_PURGED_AT_ONCE)},
            )["deleted"]
        return {"tombstones": deleted, "indexes": useless}

    def _is_useless(self, name: str, *, newest: int) -> bool:
        """Whether the catalog has moved away from an index: from an older version, other shards, an older generation.

        Of the newest version, those are closed for writing; one that is open is being moved to, unless it was begun so
        long ago that nobody goes on with it.
        """
        version = mapping.index_version(name)
        if version < newest:
            return True
        about = self._client.request("GET", f"{name}/_settings")[name]
        if version == newest and "write" in mapping.blocks(about):
            return True
        begun = datetime.fromtimestamp(int(about["settings"]["index"]["creation_date"]) / 1000, UTC)
        return begun < datetime.now(UTC) - _GIVEN_UP_AFTER


def _by_image(updates: Sequence[CatalogUpdate], done: Mapping[int, Outcome]) -> dict[str, list[int]]:
    """The indexes of the updates that have no outcome yet, by document id."""
    waiting: dict[str, list[int]] = {}
    for i, update in enumerate(updates):
        if i not in done:
            waiting.setdefault(update.document_id, []).append(i)
    return waiting


def _plan(updates: Sequence[CatalogUpdate], indexes: Sequence[int], stored: _Stored) -> _Plan:
    """Fold the updates of one image, in their order, onto what is stored."""
    newest, winner = stored.position, None
    for i in indexes:
        place = position_of(updates[i])
        if (newest is None or place > newest) and not _repeats(updates[i], stored):
            newest, winner = place, i
    won = None if winner is None else updates[winner]
    return _Plan(stored, winner, settle(stored.thumbnails, [updates[i] for i in indexes], won))


def _stored(doc: Mapping[str, Any]) -> _Stored:
    if not doc["found"]:
        return _Stored(doc["_index"])
    source = doc["_source"]
    said = tuple(source.get(name) for name in _SAID)
    place = position_of_document(source)
    return _Stored(doc["_index"], place, doc["_seq_no"], doc["_primary_term"], named_by(source), said)


def _repeats(update: CatalogUpdate, stored: _Stored) -> bool:
    """Whether an update was made of an event that came again, and of the very object that the document tells of.

    Its thumbnails say so, whose key is made of event, object and look. The queue drops what is without thumbnails.
    """
    said = (update.kind, update.sequencer, update.model, update.vocabulary, update.thumbnails)
    return update.thumbnails is not None and stored.said == said


def _reason(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    cause = error.get("caused_by", {}).get("reason")
    return f"OpenSearch refused the document: {error.get('reason')}" + (f" ({cause})" if cause else "")
