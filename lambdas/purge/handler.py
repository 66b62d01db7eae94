"""The purge function: scheduled upkeep of the catalog, and its move to a new index on demand."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.frame import Event, Frame
from lambdas.opensearch import Connection
from lambdas.thumbnails import thumbnails
from tagstream.catalog.condition import condition
from tagstream.catalog.reindex import abandon, rebuild_step, reindex_step
from tagstream.catalog.sweep import sweep

frame = Frame()
_MOVES = {"reindex": reindex_step, "rebuild": rebuild_step}
_SECONDS = 60.0
_SECONDS_TO_END = 15.0
"""What a page of thumbnails, and all that comes after, may take."""


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:
    """Purges, whatever the event. ``{"action": "reindex", "progress"?}`` does a step of a reindex instead, "rebuild"
    one to an index of the next generation; "abandon" deletes what was begun of either, and "inspect" tells what state
    the index is in. To another action, of a newer command line, it answers ``{"error": sentence}``.
    """
    if event.get("action") not in (None, "abandon", "inspect", *_MOVES):
        return {"error": f"the purge function does not know the action {event['action']!r:.100}"}
    connection = Connection.from_environment(timeout=_SECONDS)
    if event.get("action") == "inspect":
        return condition(connection.client, connection.index, shards=connection.shards)
    if event.get("action") == "abandon":
        return {"indexes": abandon(connection.client, connection.index)}
    if event.get("action") in _MOVES:
        frame.count(ReindexSteps=1)
        step = _MOVES[event["action"]]
        moved = step(connection.client, connection.index, event.get("progress"), shards=connection.shards)
        frame.logger.info("reindexed", extra=moved)
        return moved
    days = int(os.environ["TOMBSTONE_DAYS"])
    purged = connection.catalog.purge(older_than_days=days)
    now = datetime.now(UTC)
    swept = sweep(
        connection.catalog,
        thumbnails(),
        before=now - timedelta(days=days),
        # Another start each day, all over the keys, which are digests: what is too much for a day has its turn.
        first=f"{now.toordinal() * 159 % 256:02x}",
        seconds=context.get_remaining_time_in_millis() / 1000 - _SECONDS_TO_END,
    )
    purged |= {"thumbnails": swept.removed, "swept": swept.looked, "complete": swept.complete}
    frame.logger.info("purged", extra=purged)
    # At the end: the alarm on purges that are missing is to hear of those that fail, too.
    frame.count(Purges=1, TombstonesPurged=purged["tombstones"], ThumbnailsPurged=swept.removed)
    return purged
