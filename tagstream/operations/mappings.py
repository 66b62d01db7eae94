"""What takes messages from the queues: Lambda's event-source mappings, and whether they are at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tagstream.deployed.aws import Aws
from tagstream.errors import ConfigurationError
from tagstream.operations.queues import Queue
from tagstream.topics import Topics

__all__ = ["Mapping", "mapping_of", "switch"]

_CHANGING = ("Creating", "Enabling", "Disabling", "Updating")
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Mapping:
    """A queue's mapping. ``state`` is Lambda's word: Enabled, Disabled, or what it is on the way to."""

    uuid: str
    state: str
    max_concurrency: int | None

    @property
    def works(self) -> bool:
        return self.state in ("Enabled", "Enabling")


def mapping_of(aws: Aws, topics: Topics, queue: Queue) -> Mapping | None:
    """The mapping that feeds the queue's function; None where there is none, whether or not there should be."""
    arn = topics.attributes(queue.url(aws, topics))["QueueArn"]
    found = aws.client("lambda").list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]
    return _mapping(found[0]) if found else None


def _mapping(about: dict[str, Any]) -> Mapping:
    scaling = about.get("ScalingConfig") or {}
    return Mapping(about["UUID"], about["State"], scaling.get("MaximumConcurrency"))


def switch(
    aws: Aws,
    topics: Topics,
    queue: Queue,
    *,
    on: bool,
    timeout: float = 120.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Let the queue be worked off, or not, and wait until it is so; returns whether anything had to be changed.

    Raises :class:`ConfigurationError` where there is no mapping, or it does not get there within ``timeout`` seconds.
    """
    found = mapping_of(aws, topics, queue)
    if found is None:
        raise ConfigurationError(
            f"the {queue.name} queue of stage {aws.stage} has no event-source mapping any more: deploy it again."
        )
    wanted = "Enabled" if on else "Disabled"
    if found.state == wanted:
        return False
    client = aws.client("lambda")
    end = clock() + timeout
    asked = False
    while found.state != wanted:
        # Lambda refuses a change while another one is under way.
        if not asked and found.state not in _CHANGING:
            client.update_event_source_mapping(UUID=found.uuid, Enabled=on)
            asked = True
        if clock() >= end:
            raise ConfigurationError(
                f"the mapping of the {queue.name} queue is still {found.state} after {timeout:.0f} s: look again with "
                "'tagstream status'."
            )
        found = _mapping(client.get_event_source_mapping(UUID=found.uuid))
        if found.state != wanted:
            sleep(_POLL_SECONDS)
    return True
