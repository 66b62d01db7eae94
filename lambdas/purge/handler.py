"""The purge function: scheduled upkeep of the catalog, and its move to a new index on demand."""

from __future__ import annotations

import os

from aws_lambda_powertools.utilities.typing import LambdaContext

from lambdas.frame import Event, Frame
from lambdas.opensearch import Connection
from tagstream.catalog.reindex import reindex_step

frame = Frame()
_SECONDS = 60.0


@frame.handler
def handler(event: Event, context: LambdaContext) -> Event:  # noqa: ARG001 - AWS passes two
    """Purges, whatever the event; ``{"action": "reindex", "progress"?}`` does a step of a reindex instead."""
    connection = Connection.from_environment(timeout=_SECONDS)
    if event.get("action") == "reindex":
        frame.count(ReindexSteps=1)
        moved = reindex_step(connection.client, connection.index, event.get("progress"))
        frame.logger.info("reindexed", extra=moved)
        return moved
    frame.count(Purges=1)
    purged = connection.catalog.purge(older_than_days=int(os.environ["TOMBSTONE_DAYS"]))
    frame.logger.info("purged", extra=purged)
    frame.count(TombstonesPurged=purged["tombstones"])
    return purged
