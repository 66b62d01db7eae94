"""What the catalog can be asked, as pure functions: request in, OpenSearch query out, answer in, answer out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from tagstream.analysis import FIELDS
from tagstream.catalog.counts import facet_aggregations, facets, stats_answer, stats_body, tags_answer, tags_body
from tagstream.catalog.language import parse
from tagstream.catalog.meant import Query
from tagstream.catalog.ranking import TIERS, WEAK_BELOW, Found, Search, Term, Vocabulary, understand
from tagstream.catalog.similar import why
from tagstream.catalog.updates import document_id
from tagstream.errors import QueryError

__all__ = [
    "MAX_LIMIT",
    "MAX_TAGS",
    "MAX_VERSIONS",
    "Request",
    "answer",
    "looser_searches",
    "parse_request",
    "search_body",
    "search_of",
    "similar_answer",
    "similar_body",
]

MAX_LIMIT = 100
"""Images in one answer, at most."""

MAX_TAGS = 1000
"""Tags in one answer, at most."""

MAX_VERSIONS = 2000
"""Images in one answer about versions, at most: some 600 kB, and below Lambda's 6 MB however long their keys are."""

_DEFAULT_LIMIT = 20
_MAX_TEXT = 2048
_MEANINGS_SHOWN = 10
_MOST_SORTED_BY = 8
# What has no time is the oldest: engines would sort it by a number that they do not take back as a place to go on from.
_NEWEST = {"uploaded_at": {"order": "desc", "missing": 0}}
_WRONG_AFTER = "'after' must be the 'after' of the answer before."
_FIELDS = {
    "search": {"q", "min_score", "exact", "related", "facets", "weak_below", "sort", "limit", "after"},
    "list": {"q", "min_score", "exact", "related", "weak_below", "limit", "after"},
    "tag": {"tag", "min_score", "exact", "limit", "after"},
    "title": {"title", "exact", "limit", "after"},
    "rejected": {"limit", "after"},
    "under": {"prefix", "limit", "after"},
    "versions": {"bucket", "q", "removed", "limit", "after"},
    "locations": {"locations"},
    "tags": {"prefix", "min_score", "limit"},
    "stats": set[str](),
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
    "sequencer",
    "model",
    "uploaded_at",
    "classified_at",
    "reason",
    "vocabulary",
    "thumbnails",
    *FIELDS,
)

_VERSION = (
    "key",
    "status",
    "etag",
    "size",
    "sequencer",
    "model",
    "vocabulary",
    "rejected_by",
    "uploaded_at",
    "classified_at",
    "thumbnails.sizes",
)

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One page of one question.

    ``search``: images that the query ``parsed`` finds (docs/search.md), best first; or, ``newest``, in the order of
    their uploads, and then also without a query. ``list``: the same, or all of them, in the order of their keys.
    ``tag``: images with ``text`` in a tag, best score first. ``title``: the images called ``text``. ``rejected``: what
    could not be classified, newest first. ``under``: what came of the keys that begin with ``text``, in their order,
    rejected ones too. ``versions``: which versions of the objects of ``bucket`` were looked at, and by what, all or
    those that the query ``parsed`` finds, in the order of their keys; up to ``MAX_VERSIONS``, and nothing else of them.
    ``locations``: the images there, ``ids`` of them, rejected ones too; at most ``MAX_LIMIT``, in one answer. ``tags``:
    this catalog's tags with a word that begins with ``text``. ``stats``: what there is, in numbers.

    ``exact`` matches the whole tag or title instead of words in it. ``after`` is the ``after`` of the page before.
    """

    kind: Literal["search", "list", "tag", "title", "rejected", "under", "versions", "locations", "tags", "stats"]
    text: str = ""
    min_score: float | None = None
    exact: bool = False
    limit: int = _DEFAULT_LIMIT
    after: tuple[str | float, ...] | None = None
    parsed: Query | None = None
    related: bool = True
    facets: bool = False
    weak_below: float = WEAK_BELOW
    newest: bool = False
    ids: tuple[str, ...] = ()
    bucket: str = ""
    removed: bool = False


def parse_request(request: object) -> Request:
    """Check a request; raises :class:`QueryError` with a sentence that says what to change.

    >>> parse_request({"query": "tag", "tag": "pizza", "min_score": 0.9}).min_score
    0.9
    """
    if not isinstance(request, Mapping):
        raise QueryError("The request must be a JSON object.")
    kind = request.get("query")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise QueryError(f"'query' must be one of {', '.join(map(repr, _FIELDS))}.")
    if unknown := sorted(str(name) for name in request.keys() - _FIELDS[kind] - {"query"}):
        raise QueryError(f"A query by {kind} has no field {unknown[0]!r}.")
    if kind == "locations":
        return Request(kind="locations", ids=_ids(request), limit=MAX_LIMIT)
    newest = _newest(request)
    text = ""
    if kind in ("tag", "title"):
        text = _text(request, kind)
    elif (kind == "search" and not newest) or request.get("q") is not None:
        text = _text(request, "q")
    elif kind == "under" or request.get("prefix"):
        text = _text(request, "prefix")
    return Request(
        bucket=_text(request, "bucket") if kind == "versions" else "",
        kind=kind,  # type: ignore[arg-type]
        text=text,
        min_score=_score(request, "min_score"),
        # A title is asked for by its whole name, a tag by words in it, unless the request says otherwise.
        exact=_flag(request, "exact", default=kind == "title"),
        limit=_limit(request),
        after=_after(request),
        parsed=parse(text) if kind in ("search", "list", "versions") and text else None,
        related=_flag(request, "related", default=True),
        facets=_flag(request, "facets", default=False),
        weak_below=_given(_score(request, "weak_below"), WEAK_BELOW),
        newest=newest,
        removed=_flag(request, "removed", default=False),
    )


def search_of(request: Request, vocabulary: Vocabulary) -> Search | None:
    """What the words of a request's query mean; None if it has no query."""
    if request.parsed is None:
        return None
    return understand(
        request.parsed,
        vocabulary,
        min_score=request.min_score,
        exact=request.exact,
        related=request.related,
        weak_below=request.weak_below,
    )


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _flag(request: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = _given(request.get(name), default)
    if not isinstance(value, bool):
        raise QueryError(f"{name!r} must be true or false.")
    return value


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


def _newest(request: Mapping[str, Any]) -> bool:
    sort = _given(request.get("sort"), "best")
    if sort not in ("best", "newest"):
        raise QueryError("'sort' must be 'best' or 'newest'.")
    return bool(sort == "newest")


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


def _score(request: Mapping[str, Any], name: str) -> float | None:
    score = request.get(name)
    if score is None:
        return None
    if not _is_number(score) or not 0 <= score <= 1:
        raise QueryError(f"{name!r} must be a number from 0 to 1.")
    return float(score)


def _limit(request: Mapping[str, Any]) -> int:
    most = {"tags": MAX_TAGS, "versions": MAX_VERSIONS}.get(request["query"], MAX_LIMIT)
    limit = _given(request.get("limit"), _DEFAULT_LIMIT)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= most:
        more = "" if request["query"] == "tags" else "; use 'after' for the next page"
        raise QueryError(f"'limit' must be a whole number from 1 to {most}{more}.")
    return limit


def _after(request: Mapping[str, Any]) -> tuple[str | float, ...] | None:
    after = request.get("after")
    if after is None:
        return None
    if not isinstance(after, list) or not 2 <= len(after) <= _MOST_SORTED_BY:
        raise QueryError(_WRONG_AFTER)
    first_fits = _is_text if request["query"] in ("title", "list", "under", "versions") else _is_number
    if not all(map(first_fits, after[:-1])) or not _is_text(after[-1]):
        raise QueryError(_WRONG_AFTER)
    return tuple(after)


def search_body(request: Request, search: Search | None = None) -> Json:
    """The body of the search request; one image more than asked for, to know whether there is another page.

    ``search`` is that of :func:`search_of`.
    """
    if request.kind == "stats":
        return stats_body()
    if request.kind == "tags":
        return tags_body(request.text, min_score=_given(request.min_score, request.weak_below), limit=request.limit)
    if request.kind == "versions":
        return _versions(request, search)
    query, order = _found_by(request, search) if search else _BUILDERS[request.kind](request)
    body: Json = {
        "size": request.limit + 1,
        "track_total_hits": True,
        "_source": list(_SHOWN),
        "query": {"bool": query},
        # Ids are unique: without them images of equal score could get lost between two pages.
        "sort": [*order, {"id": "asc"}],
    }
    if request.facets and request.after is None:
        body["aggs"] = facet_aggregations(request.weak_below)
    if request.after is not None:
        if len(request.after) != len(body["sort"]):
            raise QueryError(_WRONG_AFTER)
        body["search_after"] = list(request.after)
    return body


def looser_searches(request: Request, search: Search | None) -> Iterator[Search]:
    """The search, and those to try where it finds nothing; on later pages those that sort by as much as ``after`` has.

    Only searches are loosened: a list has what its query says, and no more, since others work on it.
    """
    one = search
    while one is not None:
        if request.kind != "search":
            yield one
            return
        if request.after is None or len(request.after) == len(one.order()) + 1:
            yield one
        one = one.looser


def _found_by(request: Request, search: Search) -> tuple[Json, list[Json]]:
    clause, classified = search.clause(), {"term": {"status": "classified"}}
    if request.kind == "list":
        return {"filter": [classified, clause]}, [{"key": "asc"}]
    if request.newest:
        return {"filter": [classified, clause]}, [_NEWEST]
    return {"filter": [classified], "must": [clause]}, search.order()


def _versions(request: Request, search: Search | None) -> Json:
    states = ["classified", "rejected", *(["removed"] if request.removed else [])]
    conditions: list[Json] = [{"terms": {"status": states}}, {"term": {"bucket": request.bucket}}]
    body: Json = {
        "size": request.limit,
        # Counting ten million for each of five thousand pages would take longer than reading them.
        "track_total_hits": False,
        "_source": list(_VERSION),
        "query": {"bool": {"filter": conditions + ([search.clause()] if search else [])}},
        "sort": [{"key": "asc"}, {"id": "asc"}],
    }
    return body | ({} if request.after is None else {"search_after": list(request.after)})


def similar_body(request: Request, rest: Search | None, alike: Json, least: float) -> Json:
    """Asks for the images that ``alike`` finds (:func:`tagstream.catalog.similar.similar_query`), and the rest too.

    What scores less than ``least`` is left out.
    They come in one answer: nobody looks at more than the most similar ones.
    """
    conditions = [{"term": {"status": "classified"}}, *([rest.clause()] if rest else [])]
    return {
        "size": request.limit,
        "track_total_hits": True,
        "_source": list(_SHOWN),
        "query": {"bool": {"filter": conditions, "must": [alike]}},
        "min_score": least,
        "sort": [{"_score": "desc"}, {"id": "asc"}],
    }


def similar_answer(document: Mapping[str, Any], response: Mapping[str, Any], rest: Search | None) -> Json:
    """Images with how they are like ``document``: ``likeness``, comparable within the answer, and ``why``, in words."""
    images = [
        _image(hit, rest)
        | ({} if rest else _why(Found()))
        | {"likeness": hit["sort"][0], "why": why(document, hit["_source"])}
        for hit in response["hits"]["hits"]
    ]
    return {"total": len(images), "images": images, "after": None, "terms": []}


def _newest_first(_: Request) -> tuple[Json, list[Json]]:
    return {"filter": [{"term": {"status": "classified"}}]}, [_NEWEST]


def _under(request: Request) -> tuple[Json, list[Json]]:
    below = {"prefix": {"key": request.text}}
    return {"filter": [{"terms": {"status": ["classified", "rejected"]}}, below]}, [{"key": "asc"}]


def _all(_: Request) -> tuple[Json, list[Json]]:
    return {"filter": [{"terms": {"status": ["classified", "rejected"]}}]}, [{"key": "asc"}]


def _by_tag(request: Request) -> tuple[Json, list[Json]]:
    # A phrase: "hot dog" is not any hot thing, and "cat" is no catamaran but is an Egyptian cat.
    name: Json = (
        {"term": {"tags.tag.keyword": request.text}} if request.exact else {"match_phrase": {"tags.tag": request.text}}
    )
    conditions = [name]
    if request.min_score is not None:
        conditions.append({"range": {"tags.score": {"gte": request.min_score}}})
    # One nested query, so that name and score are those of the same tag; the same again to sort by that tag.
    same_tag: Json = {"bool": {"filter": conditions}}
    best_first: Json = {"tags.score": {"order": "desc"}}
    nested = {
        "path": "tags",
        "query": same_tag,
        "inner_hits": {"size": 1, "sort": [best_first]},
    }
    by_score = {"tags.score": {"order": "desc", "mode": "max", "nested": {"path": "tags", "filter": same_tag}}}
    return {"filter": [{"term": {"status": "classified"}}, {"nested": nested}]}, [by_score]


def _by_title(request: Request) -> tuple[Json, list[Json]]:
    if request.exact:
        # People have at hand the file name, the key, or the location that a search printed.
        fields = ("title.keyword", "key", "s3_location")
        called: Json = {
            "bool": {"should": [{"term": {field: request.text}} for field in fields], "minimum_should_match": 1}
        }
    else:
        called = {"match_phrase": {"title": request.text}}
    return {"filter": [{"terms": {"status": ["classified", "rejected"]}}, called]}, [{"key": "asc"}]


def _by_location(request: Request) -> tuple[Json, list[Json]]:
    there = {"terms": {"id": list(request.ids)}}
    return {"filter": [{"terms": {"status": ["classified", "rejected"]}}, there]}, []


def _rejected(_: Request) -> tuple[Json, list[Json]]:
    return {"filter": [{"term": {"status": "rejected"}}]}, [{"indexed_at": "desc"}]


_BUILDERS = {
    "search": _newest_first,
    "list": _all,
    "tag": _by_tag,
    "title": _by_title,
    "rejected": _rejected,
    "under": _under,
    "locations": _by_location,
}


def answer(request: Request, response: Mapping[str, Any], search: Search | None = None) -> Json:
    """The answer to give: ``total`` (over all pages), ``images``, ``after`` (null on the last page).

    Images found by tag carry the ``score`` they were found with, and the ``tag`` it is the score of. Images found by a
    query carry their ``matches``, one for each term: the ``tag`` with its ``score``, and ``how`` it was found. Of
    several, ``score`` and ``tag`` are those of the lowest. ``weak`` ones come after all others. ``terms`` says what
    each term was taken for, and has those words, too, that were left out or read as a colour, with a ``note``.
    """
    if request.kind == "stats":
        return stats_answer(response)
    if request.kind == "tags":
        return tags_answer(response, limit=request.limit)
    hits = response["hits"]["hits"]
    if request.kind == "versions":
        images = [hit["_source"] for hit in hits]
        return {"images": images, "after": hits[-1]["sort"] if len(hits) == request.limit else None}
    shown = hits[: request.limit]
    answered: Json = {
        "total": response["hits"]["total"]["value"],
        "images": [_image(hit, search) for hit in shown],
        "after": shown[-1]["sort"] if len(hits) > len(shown) else None,
    }
    if search is not None:
        answered["terms"] = _terms(search, in_vain=not answered["total"])
    if "aggregations" in response:
        answered["facets"] = facets(response["aggregations"])
    return answered


def _image(hit: Mapping[str, Any], search: Search | None) -> Json:
    image: Json = {name: hit["_source"][name] for name in _SHOWN if name in hit["_source"]}
    if search is not None:
        return image | _why(search.found(image.get("tags", [])))
    matched = hit.get("inner_hits", {}).get("tags", {}).get("hits", {}).get("hits", [])
    if matched:
        image |= {"score": matched[0]["_source"]["score"], "tag": matched[0]["_source"]["tag"]}
    return image


def _why(found: Found) -> Json:
    if not found.matches:
        return {"weak": False, "matches": []}
    lowest = min(found.matches, key=lambda match: match.score)
    return {
        "score": lowest.score,
        "tag": lowest.tag,
        "weak": found.weak,
        "matches": [asdict(match) for match in found.matches],
    }


def _terms(search: Search, *, in_vain: bool) -> list[Json]:
    """What each term was taken for; then the words that are none, each with a ``note`` of what became of it."""
    terms = [_term(term) | ({"note": term.note} if term.note and in_vain else {}) for term in search.wanted]
    return terms + [{"term": note.word, "means": [], "note": note.note} for note in dict.fromkeys(search.notes)]


def _term(term: Term) -> Json:
    best = sorted(term.meanings, key=lambda meaning: -TIERS[meaning.how])[:_MEANINGS_SHOWN]
    means = [{"tag": m.tag, "how": m.how, "said": m.said, "similarity": m.similarity} for m in best]
    return {"term": term.phrase, "means": means}
