"""Calls to SQS: tried again when that helps, and their errors in this package's words."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as NoConnection

from tagstream.errors import TopicError
from tagstream.topics.arguments import topic_of
from tagstream.topics.errors import InvalidTopic, TopicBusy, TopicNotFound
from tagstream.topics.names import check_name

__all__ = ["MISSING", "Calls", "TopicSettings", "code_of", "reason_of"]

log = logging.getLogger(__name__)

MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
_PURGING = {"AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress"}
_TRANSIENT = {
    "InternalError",
    "InternalFailure",
    "KmsThrottled",
    "RequestThrottled",
    "RequestTimeout",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How the calls are made.

    ``in_flight`` batches are published at the same time (FIFO topics: one, to keep the order), and no more than
    twice as many are held in memory. A transient failure is tried ``attempts`` times in all, after pauses that double
    from ``pause`` seconds up to ``longest_pause``, each cut at random to between a half and the whole.
    """

    in_flight: int = 4
    attempts: int = 6
    pause: float = 0.1
    longest_pause: float = 10.0


class Calls:
    """A boto3 SQS client with retries, and the URLs of the topics that are known. Safe to share between threads."""

    def __init__(
        self, sqs: Any, settings: TopicSettings, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self.sqs = sqs
        self.settings = settings
        self.now = clock
        self.sleep = sleep
        self.urls: dict[str, str] = {}
        self._random = random.Random()  # noqa: S311 - jitter of pauses

    def url(self, topic: str) -> str:
        """The URL of a topic; raises :class:`TopicNotFound`."""
        if topic_of(topic).startswith(("https://", "http://")):
            return topic
        if topic not in self.urls:
            problems = check_name(topic)
            if problems:
                raise InvalidTopic(topic, problems)
            self.urls[topic] = str(self.on(topic, self.sqs.get_queue_url, QueueName=topic)["QueueUrl"])
        return self.urls[topic]

    def on(self, topic: str, call: Callable[..., Any], *positional: Any, **parameters: Any) -> Any:
        """A call about a topic: SQS' errors become this package's."""
        try:
            return self.tried(call, *positional, **parameters)
        except ClientError as error:
            raise self.told(topic, error) from error
        except ParamValidationError as error:
            raise TopicError(f"topic {topic!r}: {' '.join(str(error).split())}", topic=topic) from error

    def told(self, topic: str, error: ClientError) -> TopicError:
        """SQS' error about a topic, in this package's words."""
        code = code_of(error)
        if code in MISSING:
            self.urls.pop(topic, None)
            return TopicNotFound(topic)
        if code in _PURGING:
            return TopicBusy(f"topic {topic!r} was purged less than 60 s ago: try again in a minute.", topic=topic)
        return TopicError(f"topic {topic!r}: {code}: {reason_of(error)}", topic=topic)

    def tried(self, call: Callable[..., Any], *positional: Any, **parameters: Any) -> Any:
        """A call, made again while its failure is a transient one; the last failure is raised as it is."""
        for attempt in range(1, self.settings.attempts + 1):
            try:
                return call(*positional, **parameters)
            except (ClientError, HTTPClientError, NoConnection) as error:
                if attempt == self.settings.attempts or not _is_transient(error):
                    raise
                log.info("trying again after %s", error)
                self.pause(attempt)
        raise AssertionError("attempts must be at least 1")

    def pause(self, attempt: int) -> None:
        """Wait before the next attempt, after ``attempt`` of them."""
        longest = min(self.settings.longest_pause, self.settings.pause * 2 ** (attempt - 1))
        self.sleep(longest * self._random.uniform(0.5, 1.0))


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return True  # no connection, closed, timed out
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or code_of(error) in _TRANSIENT


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def reason_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)
