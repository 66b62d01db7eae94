"""What the catalog has, counted: its tags, facets of an answer, statistics, and suggestions where nothing was found.

Pure: bodies of requests to OpenSearch, and answers from its responses.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from tagstream.catalog.meant import Camera, Color, Near, Query, Taken
from tagstream.catalog.ranking import TIERS, Search, Term, Vocabulary, fold

__all__ = [
    "completion_answer",
    "completion_body",
    "facet_aggregations",
    "facets",
    "meant_words",
    "stats_answer",
    "stats_body",
    "suggestion_body",
    "suggestions",
    "tags_answer",
    "tags_body",
]

Json: TypeAlias = dict[str, Any]

_FACET_VALUES = 20
_SUGGESTED = 5
# What means a tag by being a word of it completes to the tag itself.
_WHOLLY = frozenset({"name", "alias", "below"})
# A word may mean a dozen tags: so many of them, the best, are enough to say what it means.
_MEANINGS = 5
# More than any model has words for; of a catalog with more tags the commonest are enough to suggest from.
_TAGS_TO_SUGGEST_FROM = 3000
# Of what is merely related to a word, the relatives have nothing to do with it.
_MEANT = frozenset({"name", "alias", "below", "spelling"})
_CLASSIFIED: Json = {"term": {"status": "classified"}}


def _count_tags(size: int, min_score: float, include: str | None = None) -> Json:
    """Images by tag, of those tags that have at least this score; each image has a tag once."""
    names: Json = {"field": "tags.tag.keyword", "size": size}
    if include is not None:
        names["include"] = include
    return {
        "nested": {"path": "tags"},
        "aggs": {
            "sure": {"filter": {"range": {"tags.score": {"gte": min_score}}}, "aggs": {"names": {"terms": names}}}
        },
    }


def _counted(names: Mapping[str, Any]) -> Counter[str]:
    # OpenSearch answers keys as they were normalised, and not every engine does.
    counts: Counter[str] = Counter()
    for bucket in names["buckets"]:
        counts[fold(str(bucket["key"]))] += bucket["doc_count"]
    return counts


def _listed(counts: Counter[str], name: str, limit: int) -> list[Json]:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return [{name: value, "images": count} for value, count in ordered[:limit]]


def tags_body(prefix: str, *, min_score: float, limit: int) -> Json:
    """Asks for the tags that have a word which begins with ``prefix``, the commonest first."""
    # OpenSearch compares with tags in lower case, and not every engine does.
    escaped = "".join(_either_case(c) for c in fold(prefix.strip()))
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": [_CLASSIFIED]}},
        "aggs": {"tags": _count_tags(limit + 1, min_score, f"(.*[ \\-])?{escaped}.*" if escaped else None)},
    }


def _either_case(c: str) -> str:
    """A regular expression of Lucene's for a letter in either case, or for a sign as it is."""
    if c.isalpha() and len(c.upper()) == 1:
        return f"[{c}{c.upper()}]"
    return c if c.isalnum() or c.isspace() or not c.isascii() else f"\\{c}"


def tags_answer(response: Mapping[str, Any], *, limit: int) -> Json:
    """``tags`` with the number of images that show each; ``images`` in the catalog; whether there are ``more`` tags."""
    counts = _counted(response["aggregations"]["tags"]["sure"]["names"])
    return {
        "images": response["hits"]["total"]["value"],
        "tags": _listed(counts, "tag", limit),
        "more": len(counts) > limit,
    }


def meant_words(prefix: str, vocabulary: Vocabulary, limit: int) -> dict[str, list[str]]:
    """Words of the vocabulary that begin with ``prefix``, the most useful first, each with the tags that it means."""
    words = [completion.word for completion in vocabulary.complete(prefix, limit)]
    meant = {
        word: [fold(meaning.tag) for meaning in vocabulary.meanings(word, related=False) if meaning.how in _WHOLLY]
        for word in words
    }
    return {word: list(dict.fromkeys(tags))[:_MEANINGS] for word, tags in meant.items()}


def completion_body(prefix: str, meant: Mapping[str, Sequence[str]], *, min_score: float, limit: int) -> Json:
    """Asks for the tags of :func:`tags_body`, and for how many images show what the words of :func:`meant_words` mean.

    By filters rather than terms, so that the engine compares names as its searches do.
    """
    body = tags_body(prefix, min_score=min_score, limit=limit)
    names = sorted({tag for tags in meant.values() for tag in tags})
    if names:
        sure = {"range": {"tags.score": {"gte": min_score}}}
        named = {name: {"bool": {"filter": [{"term": {"tags.tag.keyword": name}}, sure]}} for name in names}
        body["aggs"]["meant"] = {"nested": {"path": "tags"}, "aggs": {"named": {"filters": {"filters": named}}}}
    return body


def completion_answer(
    response: Mapping[str, Any], meant: Mapping[str, Sequence[str]], *, limit: int
) -> list[dict[str, Any]]:
    """Tags with the number of images that show them, then words that mean tags of this catalog, with the tags.

    Of the tags that a word means, only those that some image shows are there, the commonest first; its number is that
    of the first.
    """
    listed = _listed(_counted(response["aggregations"]["tags"]["sure"]["names"]), "tag", limit)
    buckets = response["aggregations"].get("meant", {}).get("named", {}).get("buckets", {})
    counts = {name: bucket["doc_count"] for name, bucket in buckets.items()}
    there = {entry["tag"] for entry in listed}
    for word, tags in meant.items():
        shown = sorted((tag for tag in tags if counts.get(tag)), key=lambda tag: -counts[tag])
        if shown and fold(word) not in there:
            listed.append({"tag": word, "images": counts[shown[0]], "means": shown})
    return listed[:limit]


def facet_aggregations(min_score: float) -> Json:
    return {
        "tags": _count_tags(_FACET_VALUES, min_score),
        "colors": {"terms": {"field": "colors.color", "size": _FACET_VALUES}},
        "cameras": {"terms": {"field": "camera", "size": _FACET_VALUES}},
        "years": {
            "date_histogram": {"field": "taken_at", "calendar_interval": "year", "format": "yyyy", "min_doc_count": 1}
        },
    }


def facets(aggregations: Mapping[str, Any]) -> Json:
    """How many of the images that were found (on all pages) show, are, or come from what; the commonest first."""
    years = [
        {"year": bucket["key_as_string"], "images": bucket["doc_count"]}
        for bucket in aggregations["years"].get("buckets", [])
        if bucket["doc_count"]
    ]
    return {
        "tags": _listed(_counted(aggregations["tags"]["sure"]["names"]), "tag", _FACET_VALUES),
        "colors": _listed(_counted(aggregations["colors"]), "color", _FACET_VALUES),
        "cameras": [
            {"camera": bucket["key"], "images": bucket["doc_count"]} for bucket in aggregations["cameras"]["buckets"]
        ],
        "years": years,
    }


def stats_body() -> Json:
    terms = {name: {"terms": {"field": name, "size": _FACET_VALUES}} for name in ("status", "model", "vocabulary")}
    return {
        "size": 0,
        "query": {"bool": {"filter": [{"terms": {"status": ["classified", "rejected"]}}]}},
        "aggs": terms
        | {
            "size": {"sum": {"field": "size"}},
            "first_taken": {"min": {"field": "taken_at"}},
            "last_taken": {"max": {"field": "taken_at"}},
            "last_change": {"max": {"field": "indexed_at"}},
            "tags": {"nested": {"path": "tags"}, "aggs": {"names": {"cardinality": {"field": "tags.tag.keyword"}}}},
        },
    }


def stats_answer(response: Mapping[str, Any]) -> Json:
    """Images (``classified``, ``rejected``, by ``models`` and ``vocabularies``), bytes, different tags, and times."""
    found = response["aggregations"]
    by = {
        name: {b["key"]: b["doc_count"] for b in found[name]["buckets"]} for name in ("status", "model", "vocabulary")
    }
    return {
        "classified": by["status"].get("classified", 0),
        "rejected": by["status"].get("rejected", 0),
        "bytes": int(found["size"]["value"] or 0),
        "tags": found["tags"]["names"]["value"],
        "models": by["model"],
        "vocabularies": by["vocabulary"],
        **{name: found[name].get("value_as_string") for name in ("first_taken", "last_taken", "last_change")},
    }


# What photos need not say, by the filter that asks for it.
_SAID: Mapping[type[Query], tuple[str, str]] = {
    Taken: ("taken_at", "no photo of this catalog says when it was taken"),
    Near: ("location", "no photo of this catalog says where it was taken"),
    Camera: ("camera", "no photo of this catalog says which camera took it"),
    Color: ("colors", "of no photo of this catalog the colours are known"),
}


def suggestion_body(search: Search) -> Json:
    """Asks for all that could be suggested where a search found nothing."""
    body = tags_body("", min_score=search.weak_below, limit=_TAGS_TO_SUGGEST_FROM)
    for kind, (field, _) in _SAID.items():
        if kind in search.filters:
            exists = {"exists": {"field": "colors.color" if kind is Color else field}}
            body["aggs"][f"with_{field}"] = {"filter": exists}
    return body


def suggestions(search: Search, vocabulary: Vocabulary, response: Mapping[str, Any]) -> Json:
    """What to say where nothing was found: how many ``images`` there are, and for each term the tags it may be about.

    ``suggestions`` has for each term ``tags`` with counts. They are ``near`` ones, or, if ``near`` is false, those that
    the term means: it is found on its own, and it is the rest of the query that goes too far. ``common`` are the
    commonest tags; ``unsaid`` are sentences about what the query's filters ask for and no photo says.
    """
    aggregations = response["aggregations"]
    counts = _counted(aggregations["tags"]["sure"]["names"])
    suggested = []
    for term in search.wanted:
        anyhow = replace(term, comparison=None)
        matches = [match for name in counts if (match := search.match(anyhow, name, 1.0))]
        meant = [match.tag for match in sorted(matches, key=lambda match: (-TIERS[match.how], -counts[match.tag]))]
        names = meant or _near(term, vocabulary, counts)
        if names:
            tags = [{"tag": name, "images": counts[name]} for name in names[:_SUGGESTED]]
            suggested.append({"term": term.phrase, "near": not meant, "tags": tags})
    unsaid = [
        sentence for field, sentence in _SAID.values() if aggregations.get(f"with_{field}", {}).get("doc_count") == 0
    ]
    return {
        "catalog": response["hits"]["total"]["value"],
        "suggestions": suggested,
        "common": _listed(counts, "tag", _SUGGESTED),
        "unsaid": unsaid,
    }


def _near(term: Term, vocabulary: Vocabulary, counts: Mapping[str, int]) -> list[str]:
    """Tags of this catalog that are nearest to the term: in meaning, or, if it is no word, in spelling."""
    meant = [
        relative
        for meaning in vocabulary.meanings(term.phrase, related=True)
        if meaning.how in _MEANT
        for relative in vocabulary.relatives(meaning.tag)
    ]
    if not vocabulary.knows(term.phrase):
        for word in vocabulary.near(term.phrase, _SUGGESTED):
            # "Bride" may be near, and still nobody has meant a person by a misspelt one.
            meant += [one.tag for one in vocabulary.meanings(word, related=False) if one.how in ("name", "alias")]
        by_word: dict[str, list[str]] = {}
        for name in counts:
            for word in {name, *name.split()}:
                by_word.setdefault(word, []).append(name)
        for word in difflib.get_close_matches(fold(term.phrase), by_word, n=_SUGGESTED, cutoff=0.75):
            meant += [] if vocabulary.is_offensive(word) else by_word[word]
    return [name for name in dict.fromkeys(meant) if name in counts]
