"""Moving the catalog to a new version of its index, or to a new one of the same, while it is being read and written.

Done in steps of bounded time: each takes the progress that the one before returned. Every step may be
repeated, and an abandoned move started anew, without harm. Design: docs/catalog.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tagstream.catalog import mapping
from tagstream.catalog.client import Client, NotFound, OpenSearchError
from tagstream.errors import CatalogError

__all__ = ["SLICES", "abandon", "rebuild_step", "reindex_step"]

PART = 20_000
"""Documents that are copied in a request at most, about: it must be answered within the client's time."""
SLICES = 256
"""Parts that the documents are copied in at least; their ids are hashes, so the parts are about equal."""

_CLOCK_DIFFERENCE = "15m"
"""Between the writers of ``indexed_at``, at most."""


def reindex_step(
    client: Client,
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
    source, target = _index_behind(client, alias), mapping.index_name(alias, version, shards)
    if mapping.index_generation(source)[0] == target:
        return _done(source)
    if mapping.index_version(source) > version:
        raise CatalogError(f"{alias} is at {source}, newer than this function's code: deploy the new code first")
    return _move(client, alias, source, target, progress, shards=shards, deadline=clock() + seconds, clock=clock)


def rebuild_step(
    client: Client,
    alias: str,
    progress: dict[str, Any] | None = None,
    *,
    shards: int = 1,
    seconds: float = 20.0,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """As :func:`reindex_step`, to an index of the next generation: the same but for being new, made by this code.

    Where there is no index the next one begins empty, and an index that has lost its alias gets it again. Raises
    :class:`CatalogError` also where several indexes might be the catalog.
    """
    source = _index_at_hand(client, alias)
    if source is None:
        target = mapping.index_name(alias, shards=shards)
        client.request("PUT", target, mapping.index_body(target, shards, alias=alias))
        return _done(target)
    if progress is not None and progress.get("index") == source:
        return _done(source)
    first, generation = mapping.index_generation(source)
    wanted = mapping.index_name(alias, shards=shards)
    if mapping.index_version(source) > mapping.VERSION:
        raise CatalogError(f"{alias} is at {source}, newer than this function's code: deploy the new code first")
    target = mapping.index_name(alias, shards=shards, generation=generation + 1 if first == wanted else 1)
    return _move(client, alias, source, target, progress, shards=shards, deadline=clock() + seconds, clock=clock)


def abandon(client: Client, alias: str) -> list[str]:
    """Delete the indexes that the catalog was to move to, and has not; their names. Raises :class:`CatalogError`."""
    current = mapping.index_version(_index_behind(client, alias))
    indexes = client.request("GET", f"{mapping.index_pattern(alias)}/_alias")
    filled = [
        name
        for name, about in sorted(indexes.items())
        if alias not in about["aliases"] and mapping.index_version(name) >= current and _is_open(client, name)
    ]
    for name in filled:
        client.request("DELETE", name)
    return filled


def _pass(client: Client, source: str, target: str, since: str | None = None) -> dict[str, Any]:
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


def _next_pass(client: Client, source: str, target: str, progress: dict[str, Any]) -> dict[str, Any] | None:
    """Another copy of what was written during the last one, or None if there is little of it, or not much less."""
    following = _pass(client, source, target, str(progress["started"]))
    few = following["left"] <= PART or following["left"] > progress.get("left", 0) / 2
    return None if few else following


def _done(index: str, slices: int = SLICES) -> dict[str, Any]:
    return {"state": "done", "index": index, "slice": slices, "slices": slices}


def _move(
    client: Client,
    alias: str,
    source: str,
    target: str,
    progress: dict[str, Any] | None,
    *,
    shards: int,
    deadline: float,
    clock: Callable[[], float],
) -> dict[str, Any]:
    if progress is None or progress.get("index") != target or not _is_there(client, target):
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


def _index_at_hand(client: Client, alias: str) -> str | None:
    """The index behind the alias, or the one that has lost it, which gets it again; None if there is none at all."""
    indexes = client.request("GET", f"{mapping.index_pattern(alias)}/_alias")
    if not indexes:
        return None
    if not any(alias in about["aliases"] for about in indexes.values()):
        left = [name for name in sorted(indexes) if _is_open(client, name)]
        if len(left) != 1:
            raise CatalogError(
                f"the alias {alias} is lost, and which of {', '.join(sorted(indexes))} it was of cannot be told: "
                "docs/catalog.md says how to give it back"
            )
        client.request("POST", "_aliases", {"actions": [{"add": {"index": left[0], "alias": alias}}]})
    return _index_behind(client, alias)


def _is_there(client: Client, index: str) -> bool:
    try:
        client.request("GET", f"{index}/_settings")
    except NotFound:
        return False
    return True


def _is_open(client: Client, index: str) -> bool:
    """Whether it may be written to: what the catalog has moved away from may not."""
    return "write" not in mapping.blocks(client.request("GET", f"{index}/_settings")[index])


def _index_behind(client: Client, alias: str) -> str:
    try:
        indexes = list(client.request("GET", f"_alias/{alias}"))
    except NotFound as error:
        raise CatalogError(f"there is no catalog {alias} to reindex: it is made with the first image") from error
    if len(indexes) != 1:
        raise CatalogError(f"{alias} must be the alias of one index, but is of {', '.join(indexes)}")
    return str(indexes[0])


def _create(client: Client, name: str, shards: int) -> None:
    body = mapping.index_body(name, shards)
    try:
        client.request("PUT", name, body)
    except OpenSearchError as error:
        # Left by a move that was abandoned: what it holds is topped up.
        if error.type != "resource_already_exists_exception":
            raise
        if not _is_open(client, name):
            # The catalog was moved from there to other shards, and comes back. An image whose tombstone was purged
            # meanwhile may have come again, in a lower version than what is remembered of it there.
            client.request("DELETE", name)
            client.request("PUT", name, body)


def _count(client: Client, index: str, since: str | None) -> int:
    counted = client.request(
        "POST",
        f"{index}/_search",
        {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": _written(since)}}},
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


def _copy(client: Client, source: str, target: str, ids: dict[str, str], since: str | None) -> None:
    """Copy with the source's versions: a document that the target has in the same or a later version stays."""
    query = {"bool": {"filter": [{"range": {"id": ids}}, *_written(since)]}}
    answer = client.request(
        "POST",
        "_reindex",
        {
            "source": {"index": source, "query": query},
            "dest": {"index": target, "version_type": "external"},
            "conflicts": "proceed",
        },
    )
    if answer["failures"]:
        raise CatalogError(f"documents of {source} do not fit {target}: {answer['failures'][0]}")


def _switch(client: Client, alias: str, source: str, target: str, *, since: str) -> None:
    """Close the old index for writing, copy what changed since, and move the alias.

    Writers are refused for these moments; their messages stay in the queue and come again.
    """
    _close_for_writing(client, source)
    try:
        client.request("POST", f"{source}/_refresh")
        slices = _slices(_count(client, source, since), least=1)
        for number in range(slices):
            _copy(client, source, target, _slice(number, slices), since)
        client.request("POST", f"{target}/_refresh")
        client.request(
            "POST",
            "_aliases",
            {
                "actions": [
                    {"remove": {"index": source, "alias": alias, "must_exist": True}},
                    {"add": {"index": target, "alias": alias}},
                ]
            },
        )
    except BaseException:
        # What the catalog has left stays closed, also where it was only the answer to the move that got lost.
        if not _is_elsewhere(client, alias, source):
            client.request("PUT", f"{source}/_settings", {"index.blocks.write": False})
        raise


def _is_elsewhere(client: Client, alias: str, source: str) -> bool:
    try:
        indexes = client.request("GET", f"{mapping.index_pattern(alias)}/_alias")
    except OpenSearchError:
        return False  # an index that is open too long harms less than a catalog that stays closed
    return any(alias in about["aliases"] for name, about in indexes.items() if name != source)


def _close_for_writing(client: Client, index: str) -> None:
    try:
        # Returns when the writes under way are through.
        client.request("PUT", f"{index}/_block/write")
    except OpenSearchError:
        # Not every service that speaks OpenSearch has it.
        client.request("PUT", f"{index}/_settings", {"index.blocks.write": True})
