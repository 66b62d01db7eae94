"""Cursors: where the next page of an answer begins.

A cursor says after which image, by what the answer is sorted by, and not how many came before: images that come or go
between two pages neither repeat nor hide others. It is good for the query that it was made for, and says so itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tagstream.web.problems import Problem

__all__ = ["MAX_CURSOR", "after", "cursor", "wrong_cursor"]

MAX_CURSOR = 8500
"""Characters. A key has at most 1,024 bytes, each of them six characters of JSON at worst; base 64 adds a third."""

_CHECK = 8


def cursor(query: Mapping[str, Any], place: Sequence[Any] | None) -> str | None:
    """The cursor of the page after ``place``, the ``after`` of an answer of the catalog; None if there is no page."""
    if place is None:
        return None
    body = json.dumps(list(place), separators=(",", ":"), ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(_check(query, body) + body).rstrip(b"=").decode()


def after(query: Mapping[str, Any], text: str | None) -> list[Any] | None:
    """What :func:`cursor` was made of; raises :class:`Problem` if it was made for another query, or elsewhere.

    >>> after({"q": "dog"}, cursor({"q": "dog"}, [1, "a"]))
    [1, 'a']
    """
    if text is None:
        return None
    try:
        whole = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        check, body = whole[:_CHECK], whole[_CHECK:]
        place = json.loads(body)
    except (ValueError, binascii.Error, RecursionError):
        check, body, place = b"", b"", None
    if not isinstance(place, list) or check != _check(query, body):
        raise wrong_cursor()
    return place


def wrong_cursor() -> Problem:
    detail = "'cursor' must be the 'cursor' of the answer before, to the same question; the first page has none."
    return Problem(400, detail, parameter="cursor")


def _check(query: Mapping[str, Any], body: bytes) -> bytes:
    asked = json.dumps(query, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(asked.encode() + b"\0" + body).digest()[:_CHECK]
