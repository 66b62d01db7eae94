"""Who may do what: the second line of defence, behind the authorizers of API Gateway."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any

from tagstream.web.problems import Problem

__all__ = ["MAX_BODY", "READ", "WRITE", "check_body", "check_scope"]

READ, WRITE = "tagstream/read", "tagstream/write"

MAX_BODY = 4096
"""Bytes: no request has more to say. Photos go to S3, not through here."""


def check_scope(method: str, authorizer: Mapping[str, Any] | None) -> None:
    """Raise :class:`Problem` unless the token, which API Gateway has checked, has the scope for ``method``.

    ``authorizer`` is that of the request's context. Machines that sign with IAM have no scopes: what they may call is
    in their policies, and API Gateway has looked at these.
    """
    if authorizer and authorizer.get("iam"):
        return
    jwt = (authorizer or {}).get("jwt")
    if not jwt:
        raise Problem(401, "A token is needed: send 'Authorization: Bearer' with one from the user pool.")
    granted = str((jwt.get("claims") or {}).get("scope") or "").split()
    needed = READ if method in ("GET", "HEAD") else WRITE
    if needed not in granted:
        raise Problem(403, f"This needs a token with the scope {needed}, and yours has not.")


def check_body(event: Mapping[str, Any]) -> None:
    """Raise :class:`Problem` unless the body of a request is a JSON object, or nothing."""
    body = event.get("body") or ""
    if len(body) > MAX_BODY:
        raise Problem(413, f"The body may have at most {MAX_BODY} bytes: photos go to S3, with the form of an upload.")
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind not in ("", "application/json"):
        raise Problem(415, "The body must be JSON, with 'Content-Type: application/json'.")
    try:
        said = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body
        fits = not said or isinstance(json.loads(said), dict | NoneType)
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise Problem(400, "The body must be a JSON object, or nothing.")
