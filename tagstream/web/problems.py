"""What an HTTP request is answered with when it cannot be done: problem documents, RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from tagstream.errors import QueryError, TagstreamError

__all__ = ["MEDIA_TYPE", "Problem", "of_query", "of_validation", "reason"]

MEDIA_TYPE = "application/problem+json"

_SHOWN = 60
# RFC 9110's names, which HTTPStatus has from Python 3.13 on.
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def reason(status: int) -> str:
    """What HTTP calls a status, the same on every Python.

    >>> reason(413), reason(404)
    ('Content Too Large', 'Not Found')
    """
    return _RENAMED.get(status) or HTTPStatus(status).phrase


class Problem(TagstreamError):
    """``detail`` is a sentence that says what to change; ``more`` are further members, such as the ``parameter``."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = {name: value for name, value in more.items() if value is not None}

    @property
    def document(self) -> dict[str, Any]:
        """
        >>> Problem(404, "There is no such image.").document["title"]
        'Not Found'
        """
        title = reason(self.status)
        return {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.more}


def of_query(error: QueryError, parameter: str) -> Problem:
    """For a query that makes no sense; ``position`` is the place in it, from 0, in characters, where that is known."""
    return Problem(400, error.sentence, parameter=parameter, position=error.at[0] if error.at else None)


def of_validation(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """For what pydantic finds wrong in a request: the first of ``errors``.

    >>> error = {"type": "less_than_equal", "loc": ("query", "limit"), "msg": "Input should be less than or equal to 9",
    ...     "input": "12"}
    >>> of_validation([error]).detail
    "'limit' should be less than or equal to 9, and is '12'."
    """
    error = errors[0]
    where, *place = error["loc"]
    name = ".".join(str(part) for part in place)
    if not name:
        return Problem(400, "The body must be a JSON object, or nothing.")
    if where == "path":
        return Problem(404, f"There is nothing with the {name} {_shown(error.get('input'))}.", parameter=name)
    if error["type"] == "missing":
        return Problem(400, f"{name!r} is missing.", parameter=name)
    if error["type"] == "extra_forbidden":
        return Problem(400, f"The body has no member {_shown(name)}.", parameter=name[:_SHOWN])
    _, _, rule = str(error["msg"]).partition(" should ")
    if not rule:
        return Problem(400, f"{name!r} is not what it should be: {error['msg']}.", parameter=name)
    return Problem(400, f"{name!r} should {rule}, and is {_shown(error.get('input'))}.", parameter=name)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
