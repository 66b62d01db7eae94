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

SLICES = 256
"""Parts that the documents are copied in; their ids are hashes, so the parts are about equal."""

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
        done = {"state": "done", "index": target, "slice": SLICES, "slices": SLICES}
        if source == target:
            return done
        if mapping.index_version(source) > version:
            raise CatalogError(f"{alias} is at {source}, newer than this function's code: deploy the new code first")
        if progress is None or progress.get("index") != target:
            _create(client, target, shards)
            started = datetime.now(UTC).isoformat(timespec="milliseconds")
            progress = {"state": "copying", "index": target, "slice": 0, "slices": SLICES, "started": started}
        position = int(progress["slice"])
        while position < SLICES:
            _copy(client, source, target, {"range": {"id": _slice(position)}})
            position += 1
            if clock() >= deadline:
                return progress | {"slice": position}
        _switch(client, alias, source, target, since=str(progress["started"]))
        return done


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


def _slice(number: int) -> dict[str, str]:
    """The ids of one part.

    >>> _slice(0), _slice(255)
    ({'gte': '00', 'lt': '01'}, {'gte': 'ff', 'lt': 'fg'})
    """
    return {"gte": f"{number:02x}", "lt": f"{number + 1:02x}" if number < SLICES - 1 else "fg"}


def _copy(client: OpenSearch, source: str, target: str, query: dict[str, Any]) -> None:
    """Copy with the source's versions: a document that the target has in the same or a later version stays."""
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
        _copy(client, source, target, {"range": {"indexed_at": {"gte": f"{since}||-{_CLOCK_DIFFERENCE}"}}})
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
