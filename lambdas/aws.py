"""What the functions that run by a schedule ask of AWS: its services, and other functions of the stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config

from tagstream.errors import CatalogError

__all__ = ["ask", "client"]

# Longer than the search function may run, so that it is the one who says what went wrong.
_CONFIG = Config(connect_timeout=5, read_timeout=40, retries={"mode": "standard", "max_attempts": 3})


@cache
def client(service: str) -> Any:
    """Made once in a function's life."""
    return botocore.session.get_session().create_client(service, config=_CONFIG)


def ask(function: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the function of this name or ARN answers; raises :class:`CatalogError` if it failed."""
    response = client("lambda").invoke(FunctionName=function, Payload=json.dumps(request).encode())
    answer: dict[str, Any] = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise CatalogError(f"function {function} failed: {answer.get('errorMessage', answer)}")
    return answer
