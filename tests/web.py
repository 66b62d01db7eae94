"""Requests as API Gateway's HTTP API hands them to a function, and its answers."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

__all__ = ["BOTH_SCOPES", "Answer", "answered", "event", "token"]


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


def token(scope: str) -> dict[str, Any]:
    return {"jwt": {"claims": {"scope": scope}, "scopes": None}}


BOTH_SCOPES = token("tagstream/read tagstream/write")


def event(
    method: str,
    path: str,
    query: Mapping[str, Any] | str = "",
    *,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    authorizer: Mapping[str, Any] | None = BOTH_SCOPES,
) -> dict[str, Any]:
    """A request, payload version 2.0. ``query`` is a query string, or its parameters."""
    raw = query if isinstance(query, str) else urlencode(query)
    together: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        together[name] = f"{together[name]},{value}" if name in together else value
    return {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": raw,
        "headers": dict(headers or {}),
        "requestContext": {
            "http": {"method": method, "path": path},
            "stage": "$default",
            **({"authorizer": authorizer} if authorizer is not None else {}),
        },
        "isBase64Encoded": False,
        **({"queryStringParameters": together} if together else {}),
        **({"body": body} if body is not None else {}),
    }


def answered(response: Mapping[str, Any]) -> Answer:
    text = response.get("body") or ""
    if response.get("isBase64Encoded"):
        whole = base64.b64decode(text)
        text = (gzip.decompress(whole) if response["headers"].get("Content-Encoding") == "gzip" else whole).decode()
    return Answer(response["statusCode"], response["headers"], text)
