"""What the catalog can be asked, as pure functions: request in, OpenSearch query out, answer in, answer out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tagstream.analysis import FIELDS
from tagstream.catalog.updates import document_id
from tagstream.errors import QueryError

__all__ = ["MAX_LIMIT", "Query", "answer", "parse_request", "search_body"]

MAX_LIMIT = 100
"""Images in one answer, at most."""

_DEFAULT_LIMIT = 20
_MAX_TEXT = 2048
_FIELDS = {
    "tag": {"query", "tag", "min_score", "exact", "limit", "after"},
    "title": {"query", "title", "exact", "limit", "after"},
    "rejected": {"query", "limit", "after"},
    "locations": {"query", "locations"},
}
_SHOWN = (
    "title",
    "s3_location",
    "bucket",
    "key",
    "status",
    "tags",
    "width",
    "height",
    "size",
    "etag",
    "model",
    "uploaded_at",
    "classified_at",
    "reason",
    *FIELDS,
)

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One page of one question.

    ``tag``: images that show ``text``, best score first. ``title``: the images called ``text``.
    ``rejected``: what could not be classified, newest first. ``locations``: the images there, ``ids`` of them, rejected
    ones too; at most ``MAX_LIMIT``, in one answer. ``exact`` matches the whole tag or title instead
    of words in it. ``after`` is the ``after`` of the page before.
    """

    kind: Literal["tag", "title", "rejected", "locations"]
    text: str = ""
    min_score: float | None = None
    exact: bool = False
    limit: int = _DEFAULT_LIMIT
    after: tuple[str | float, ...] | None = None
    ids: tuple[str, ...] = ()


def parse_request(request: object) -> Query:
    """Check a request; raises :class:`QueryError` with a sentence that says what to change.

    >>> parse_request({"query": "tag", "tag": "pizza", "min_score": 0.9})
    Query(kind='tag', text='pizza', min_score=0.9, exact=False, limit=20, after=None, ids=())
    """
    if not isinstance(request, Mapping):
        raise QueryError("The request must be a JSON object.")
    kind = request.get("query")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise QueryError("'query' must be one of 'tag', 'title', 'rejected' or 'locations'.")
    if unknown := sorted(str(name) for name in request.keys() - _FIELDS[kind]):
        raise QueryError(f"A query by {kind} has no field {unknown[0]!r}.")
    if kind == "locations":
        return Query(kind="locations", ids=_ids(request), limit=MAX_LIMIT)
    # A title is asked for by its whole name, a tag by words in it, unless the request says otherwise.
    exact = _given(request, "exact", kind == "title")
    if not isinstance(exact, bool):
        raise QueryError("'exact' must be true or false.")
    return Query(
        kind=kind,  # type: ignore[arg-type]
        text=_text(request, kind) if kind != "rejected" else "",
        min_score=_min_score(request),
        exact=exact,
        limit=_limit(request),
        after=_after(request),
    )


def _given(request: Mapping[str, Any], name: str, default: Any) -> Any:
    value = request.get(name)
    return default if value is None else value


def _is_text(value: object) -> bool:
    """Whether it can be sent as UTF-8: JSON can hold half a surrogate pair."""
    return isinstance(value, str) and value.encode(errors="replace").decode() == value


def _text(request: Mapping[str, Any], name: str) -> str:
    text = request.get(name)
    if not isinstance(text, str) or not _is_text(text) or not text.strip():
        raise QueryError(f"'{name}' must be a text that is not empty.")
    if len(text) > _MAX_TEXT:
        raise QueryError(f"'{name}' must have at most {_MAX_TEXT} characters.")
    return text.strip() if name == "tag" else text


def _ids(request: Mapping[str, Any]) -> tuple[str, ...]:
    locations = request.get("locations")
    if not isinstance(locations, list) or not 1 <= len(locations) <= MAX_LIMIT:
        raise QueryError(f"'locations' must be a list of 1 to {MAX_LIMIT} S3 locations.")
    for location in locations:
        bucket, _, key = location.removeprefix("s3://").partition("/") if _is_text(location) else ("", "", "")
        if not (bucket and key and location.startswith("s3://") and len(location) <= _MAX_TEXT):
            raise QueryError("Each of 'locations' must be a text such as 's3://bucket/key'.")
    return tuple(document_id(*location.removeprefix("s3://").split("/", 1)) for location in locations)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _min_score(request: Mapping[str, Any]) -> float | None:
    score = request.get("min_score")
    if score is None:
        return None
    if not _is_number(score) or not 0 <= score <= 1:
        raise QueryError("'min_score' must be a number from 0 to 1.")
    return float(score)


def _limit(request: Mapping[str, Any]) -> int:
    limit = _given(request, "limit", _DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise QueryError(f"'limit' must be a whole number from 1 to {MAX_LIMIT}; use 'after' for the next page.")
    return limit


def _after(request: Mapping[str, Any]) -> tuple[str | float, ...] | None:
    after = request.get("after")
    if after is None:
        return None
    well_formed = isinstance(after, list) and len(after) == 2
    numeric_first = request["query"] != "title"
    if not (well_formed and (_is_number(after[0]) if numeric_first else _is_text(after[0])) and _is_text(after[1])):
        raise QueryError("'after' must be the 'after' of the answer before.")
    return tuple(after)


def search_body(query: Query) -> Json:
    """The body of the search request; one image more than asked for, to know whether there is another page."""
    conditions, order = _BUILDERS[query.kind](query)
    body: Json = {
        "size": query.limit + 1,
        "track_total_hits": True,
        "_source": list(_SHOWN),
        "query": {"bool": {"filter": conditions}},
        # Ids are unique: without them images of equal score could get lost between two pages.
        "sort": [*order, {"id": "asc"}],
    }
    if query.after is not None:
        body["search_after"] = list(query.after)
    return body


def _by_tag(query: Query) -> tuple[list[Json], list[Json]]:
    # A phrase: "hot dog" is not any hot thing, and "cat" is no catamaran but is an Egyptian cat.
    name: Json = (
        {"term": {"tags.tag.keyword": query.text}} if query.exact else {"match_phrase": {"tags.tag": query.text}}
    )
    conditions = [name]
    if query.min_score is not None:
        conditions.append({"range": {"tags.score": {"gte": query.min_score}}})
    # One nested query, so that name and score are those of the same tag; the same again to sort by that tag.
    same_tag: Json = {"bool": {"filter": conditions}}
    best_first: Json = {"tags.score": {"order": "desc"}}
    nested = {
        "path": "tags",
        "query": same_tag,
        "inner_hits": {"size": 1, "sort": [best_first]},
    }
    by_score = {"tags.score": {"order": "desc", "mode": "max", "nested": {"path": "tags", "filter": same_tag}}}
    return [{"term": {"status": "classified"}}, {"nested": nested}], [by_score]


def _by_title(query: Query) -> tuple[list[Json], list[Json]]:
    if query.exact:
        # People have at hand the file name, the key, or the location that a search printed.
        fields = ("title.keyword", "key", "s3_location")
        called: Json = {
            "bool": {"should": [{"term": {field: query.text}} for field in fields], "minimum_should_match": 1}
        }
    else:
        called = {"match_phrase": {"title": query.text}}
    return [{"terms": {"status": ["classified", "rejected"]}}, called], [{"key": "asc"}]


def _by_location(query: Query) -> tuple[list[Json], list[Json]]:
    return [{"terms": {"status": ["classified", "rejected"]}}, {"terms": {"id": list(query.ids)}}], []


def _rejected(_: Query) -> tuple[list[Json], list[Json]]:
    return [{"term": {"status": "rejected"}}], [{"indexed_at": "desc"}]


_BUILDERS = {"tag": _by_tag, "title": _by_title, "rejected": _rejected, "locations": _by_location}


def answer(query: Query, response: Mapping[str, Any]) -> Json:
    """The answer to give: ``total`` (over all pages), ``images``, ``after`` (null on the last page).

    Images found by tag carry the ``score`` they were found with, and the ``tag`` it is the score of.
    """
    hits = response["hits"]["hits"]
    shown = hits[: query.limit]
    return {
        "total": response["hits"]["total"]["value"],
        "images": [_image(hit) for hit in shown],
        "after": shown[-1]["sort"] if len(hits) > len(shown) else None,
    }


def _image(hit: Mapping[str, Any]) -> Json:
    image: Json = {name: hit["_source"][name] for name in _SHOWN if name in hit["_source"]}
    matched = hit.get("inner_hits", {}).get("tags", {}).get("hits", {}).get("hits", [])
    if matched:
        image |= {"score": matched[0]["_source"]["score"], "tag": matched[0]["_source"]["tag"]}
    return image
