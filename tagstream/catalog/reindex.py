"""Moving the catalog to a new version of its index, while it is being read and written.

Done in steps of bounded time: each takes the progress that the one before returned. Every step may be
repeated, and an abandoned move started anew, without harm. Design: docs/catalog.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from opensearchpy import OpenSearch
from opensearchpy.exceptions import NotFoundError, RequestError, TransportError

from tagstream.catalog import mapping
from tagstream.catalog.client import catalog_errors
from tagstream.errors import CatalogError

__all__ = ["SLICES", "reindex_step"]

PART = 20_000
"""Documents that are copied in a request at most, about: it must be answered within the client's time."""
SLICES = 256
"""Parts that the documents are copied in at least; their ids are hashes, so the parts are about equal."""

_CLOCK_DIFFERENCE = "15m"
"""Between the writers of ``indexed_at``, at most."""


def reindex_step(
    client: OpenSearch,
    alias: str,
    progress: dict[str, Any] | None = None,
    *,
    version: int = mapping.VERSION,
    shards: int = 1,
    seconds: float = 20.0,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Do the next part of the move to the index of ``version`` in so many ``shards``, for about ``seconds``.

    Returns the progress to pass to the next call: ``state`` is ``copying`` or ``done``; ``slice`` of
    ``slices`` parts are copied. Raises :class:`CatalogError`; calling again with the same progress is safe.
    """
    deadline = clock() + seconds
    with catalog_errors():
        target = mapping.index_name(alias, version, shards)
        source = _index_behind(client, alias)
        if source == target:
            return _done(target, SLICES)
        if mapping.index_version(source) > version:
            raise CatalogError(f"{alias} is at {source}, newer than this function's code: deploy the new code first")
        if progress is None or progress.get("index") != target:
            _create(client, target, shards)
            progress = _pass(client, source, target)
        while progress is not None:
            position, slices = int(progress["slice"]), int(progress["slices"])
            while position < slices:
                _copy(client, source, target, _slice(position, slices), progress.get("since"))
                position += 1
                if clock() >= deadline:
                    return progress | {"slice": position}
            since = str(progress["started"])
            progress = _next_pass(client, source, target, progress)
        _switch(client, alias, source, target, since=since)
        return _done(target, slices)


def _pass(client: OpenSearch, source: str, target: str, since: str | None = None) -> dict[str, Any]:
    """The progress of a copy that is yet to begin: of all documents, or of those that were written ``since``."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    left = _count(client, source, since)
    return {
        "state": "copying",
        "index": target,
        "slice": 0,
        "slices": _slices(left),
        "started": started,
        "since": since,
        "left": left,
    }


def _next_pass(client: OpenSearch, source: str, target: str, progress: dict[str, Any]) -> dict[str, Any] | None:
    """Another copy of what was written during the last one, or None if there is little of it, or not much less."""
    following = _pass(client, source, target, str(progress["started"]))
    few = following["left"] <= PART or following["left"] > progress.get("left", 0) / 2
    return None if few else following


def _done(index: str, slices: int) -> dict[str, Any]:
    return {"state": "done", "index": index, "slice": slices, "slices": slices}


def _index_behind(client: OpenSearch, alias: str) -> str:
    try:
        indexes = list(client.indices.get_alias(name=alias))
    except NotFoundError as error:
        raise CatalogError(f"there is no catalog {alias} to reindex: it is made with the first image") from error
    if len(indexes) != 1:
        raise CatalogError(f"{alias} must be the alias of one index, but is of {', '.join(indexes)}")
    return str(indexes[0])


def _create(client: OpenSearch, name: str, shards: int) -> None:
    body = mapping.index_body(name, shards)
    try:
        client.indices.create(index=name, body=body)
    except RequestError as error:
        # Left by a move that was abandoned: what it holds is topped up.
        if error.error != "resource_already_exists_exception":
            raise
        if "write" in mapping.blocks(client.indices.get_settings(index=name)[name]):
            # The catalog was moved from there to other shards, and comes back. An image whose tombstone was purged
            # meanwhile may have come again, in a lower version than what is remembered of it there.
            client.indices.delete(index=name)
            client.indices.create(index=name, body=body)


def _count(client: OpenSearch, index: str, since: str | None) -> int:
    counted = client.search(
        index=index, body={"size": 0, "track_total_hits": True, "query": {"bool": {"filter": _written(since)}}}
    )
    return int(counted["hits"]["total"]["value"])


def _written(since: str | None) -> list[dict[str, Any]]:
    return [] if since is None else [{"range": {"indexed_at": {"gte": f"{since}||-{_CLOCK_DIFFERENCE}"}}}]


def _slices(documents: int, *, least: int | None = None) -> int:
    """How many parts: a power of 16, since it is by their first digits that ids are told apart.

    >>> _slices(300), _slices(10_000_000), _slices(300, least=1)
    (256, 4096, 1)
    """
    slices = SLICES if least is None else least
    while slices * PART < documents:
        slices *= 16
    return slices


def _slice(number: int, slices: int) -> dict[str, str]:
    """The ids of one part.

    >>> _slice(0, 256), _slice(255, 256), _slice(255, 4096)
    ({'gte': '00', 'lt': '01'}, {'gte': 'ff', 'lt': 'g'}, {'gte': '0ff', 'lt': '100'})
    """
    digits = len(f"{slices - 1:x}")
    return {"gte": f"{number:0{digits}x}", "lt": f"{number + 1:0{digits}x}" if number < slices - 1 else "g"}


def _copy(client: OpenSearch, source: str, target: str, ids: dict[str, str], since: str | None) -> None:
    """Copy with the source's versions: a document that the target has in the same or a later version stays."""
    query = {"bool": {"filter": [{"range": {"id": ids}}, *_written(since)]}}
    answer = client.reindex(
        body={
            "source": {"index": source, "query": query},
            "dest": {"index": target, "version_type": "external"},
            "conflicts": "proceed",
        }
    )
    if answer["failures"]:
        raise CatalogError(f"documents of {source} do not fit {target}: {answer['failures'][0]}")


def _switch(client: OpenSearch, alias: str, source: str, target: str, *, since: str) -> None:
    """Close the old index for writing, copy what changed since, and move the alias.

    Writers are refused for these moments; their messages stay in the queue and come again.
    """
    _close_for_writing(client, source)
    try:
        client.indices.refresh(index=source)
        slices = _slices(_count(client, source, since), least=1)
        for number in range(slices):
            _copy(client, source, target, _slice(number, slices), since)
        client.indices.refresh(index=target)
        client.indices.update_aliases(
            body={
                "actions": [
                    {"remove": {"index": source, "alias": alias, "must_exist": True}},
                    {"add": {"index": target, "alias": alias}},
                ]
            }
        )
    except BaseException:
        client.indices.put_settings(index=source, body={"index.blocks.write": False})
        raise


def _close_for_writing(client: OpenSearch, index: str) -> None:
    try:
        # Returns when the writes under way are through.
        client.indices.add_block(index=index, block="write")
    except TransportError:
        # Not every service that speaks OpenSearch has it.
        client.indices.put_settings(index=index, body={"index.blocks.write": True})
