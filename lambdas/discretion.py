"""Logs that tell what happened and not to whom: keys, search words and what steps print are personal."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import traceback
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

__all__ = ["Discreet", "is_discreet"]

_HEX_DIGITS = 16
# What Powertools says of every line, and those words of ours that are not about anybody: kinds, places in an order, and
# ids, of which the document's is a hash of bucket and key.
_PLAIN = frozenset(
    {
        "level",
        "location",
        "message",
        "timestamp",
        "service",
        "function_name",
        "function_memory_size",
        "function_arn",
        "function_request_id",
        "xray_trace_id",
        "correlation_id",
        "exception",
        "exception_name",
        "message_id",
        "document",
        "sequencer",
        "kind",
        "query",
        "state",
        "index",
    }
)


def is_discreet(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the stage's setting ``log_personal`` is false."""
    return environment.get("LOG_PERSONAL", "true") == "false"


class Discreet(LambdaPowertoolsFormatter):
    """Writes a hash for every text that may be personal; numbers, kinds and ids are as they are.

    The hash is a keyed one (HMAC-SHA-256, its key in the function's environment), so that equal texts are seen to be
    equal within a stack, and nobody who has the logs alone finds out what they are by trying. Who may read the
    function's configuration can try. Of an exception the type and the lines of code remain, of a message what it says
    without what was filled in.
    """

    def serialize(self, log: Any) -> str:
        return super().serialize({name: self._said(name, value) for name, value in log.items()})

    def _said(self, name: str, value: Any) -> Any:
        if name in _PLAIN or value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self._said(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._said("", item) for item in value]
        return _hashed(str(value))

    def _extract_log_message(self, log_record: logging.LogRecord) -> Any:
        return log_record.msg if isinstance(log_record.msg, str) else type(log_record.msg).__name__

    def _extract_log_exception(self, log_record: logging.LogRecord) -> Any:
        found = log_record.exc_info
        if not isinstance(found, tuple) or found[0] is None or found[1] is None:
            return None, None, None
        return "\n".join(_without_words(found[1])), found[0].__name__, None


def _without_words(error: BaseException) -> list[str]:
    """What led to an error, cause before effect, as Python tells it: where, and of which type."""
    told: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = [
            f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(current.__traceback__)
        ]
        told = [*frames, f"{type(current).__name__} {_hashed(str(current))}", *told]
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return told


def _hashed(text: str) -> str:
    key = os.environ.get("LOG_KEY", "").encode()
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"hmac:{digest[:_HEX_DIGITS]}"
