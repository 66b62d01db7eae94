"""Which images are like one: by the tags they share, by their colours, and by looking the same.

:func:`similar_query` makes the query, OpenSearch sorts by its score, :func:`likeness` says what that score is made of.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from tagstream.analysis.phash import BITS, bands, distance

__all__ = ["frequencies_aggregation", "frequencies_of", "least_likeness", "likeness", "similar_query", "why"]

Json = dict[str, Any]

# What a share of one of everything in common is worth; a rare tag with full score on both sides is worth about ten.
_WORTH_OF_COLOR = 1.0
_WORTH_OF_BAND = 1.5
# Of eight; one in thirty images has one in common by chance.
_LEAST_BANDS = 2
# Of the product of two scores: both are sure of it.
_SURE = 0.25
# As many tags of the image are looked for, those that say most about it.
_MOST_TAGS = 10
_LEAST = 0.1
# Hashes that differ in more bits than this are of different pictures, whatever their bands.
_SAME_PICTURE = 10


def frequencies_aggregation(document: Mapping[str, Any]) -> Json:
    """An aggregation that counts the images with each tag of ``document``; :func:`frequencies_of` reads its answer."""
    names = sorted(_scores(document))
    # By filters rather than terms, so that the engine compares names as its searches do.
    named = {"filters": {"filters": {name: {"term": {"tags.tag.keyword": name}} for name in names}}}
    return {"nested": {"path": "tags"}, "aggs": {"named": named} if names else {}}


def frequencies_of(answer: Mapping[str, Any]) -> dict[str, int]:
    """What that aggregation answered, for :func:`similar_query`."""
    buckets = answer.get("named", {}).get("buckets", {})
    return {name: bucket["doc_count"] for name, bucket in buckets.items()}


def similar_query(document: Mapping[str, Any], *, frequencies: Mapping[str, int] | None = None, total: int = 0) -> Json:
    """A query (a clause for ``must``) whose score is how like the images are to ``document``, a catalog document.

    ``frequencies`` says how many of the catalog's ``total`` images have each of its tags, as that aggregation counts:
    what is rare counts for more. Without it, all tags count alike. The image itself is not among what is found.
    """
    alike: list[Json] = [
        {"nested": {"path": "tags", "score_mode": "max", "query": _by_score(name, weight)}}
        for name, weight in _weights(document, frequencies or {}, total)
    ]
    if "phash" in document:
        equal = [_worth({"term": {"phash.bands": band}}, _WORTH_OF_BAND) for band in bands(document["phash"])]
        alike.append({"bool": {"should": equal, "minimum_should_match": _LEAST_BANDS}})
    colors = [
        _worth({"term": {"colors.color": entry["color"]}}, _WORTH_OF_COLOR * entry["share"])
        for entry in document.get("colors", ())
    ]
    if not alike and not colors:
        return {"match_none": {}}
    # Colours alone make no image similar, unless nothing else is known of it.
    needed = {"bool": {"should": alike or colors, "minimum_should_match": 1}}
    itself = {"term": {"id": document["id"]}}
    return {"bool": {"must": [needed], "should": colors if alike else [], "must_not": [itself]}}


def likeness(
    document: Mapping[str, Any],
    other: Mapping[str, Any],
    *,
    frequencies: Mapping[str, int] | None = None,
    total: int = 0,
) -> float:
    """The score that :func:`similar_query` gives to ``other``, another catalog document; 0 if it finds it not."""
    scores, weights = _scores(other), _weights(document, frequencies or {}, total)
    by_tags = sum(weight * scores.get(name, 0.0) for name, weight in weights)
    equal = len(set(bands(document["phash"])) & set(bands(other["phash"]))) if _hashed(document, other) else 0
    by_hash = _WORTH_OF_BAND * equal if equal >= _LEAST_BANDS else 0.0
    theirs = {entry["color"] for entry in other.get("colors", ())}
    by_color: float = sum(entry["share"] for entry in document.get("colors", ()) if entry["color"] in theirs)
    nothing_else = not weights and "phash" not in document
    return by_tags + by_hash + _WORTH_OF_COLOR * by_color if by_tags or by_hash or nothing_else else 0.0


def least_likeness(
    document: Mapping[str, Any], *, frequencies: Mapping[str, int] | None = None, total: int = 0
) -> float:
    """The :func:`likeness` under which an image is not similar: that of one with all of the document's colours and a
    tenth of what its tags are worth. Nearly every two photos share an animal with a score of some hundredths.
    """
    scores, weights = _scores(document), _weights(document, frequencies or {}, total)
    if not weights:
        return 0.0
    by_color: float = sum(entry["share"] for entry in document.get("colors", ()))
    return _LEAST * sum(weight * scores[name] for name, weight in weights) + _WORTH_OF_COLOR * by_color


def why(document: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Why ``other`` is like ``document``, in words for people, what counts most first.

    >>> beach = {"tags": [{"tag": "seashore", "score": 0.8}], "colors": [{"color": "blue", "share": 0.6}]}
    >>> why(beach, {"tags": [{"tag": "Seashore", "score": 0.5}], "colors": [{"color": "blue", "share": 0.4}]})
    ['both show seashore (0.80, 0.50)', 'both have blue']
    """
    reasons = []
    if _hashed(document, other):
        bits = distance(document["phash"], other["phash"])
        if bits <= _SAME_PICTURE:
            reasons.append(
                "the same picture" if bits == 0 else f"nearly the same picture ({bits} of {BITS} bits differ)"
            )
    mine, theirs = _scores(document), _scores(other)
    shared = _most_telling({name: score * theirs[name] for name, score in mine.items() if name in theirs}, document)
    reasons += [f"both show {name} ({mine[name]:.2f}, {theirs[name]:.2f})" for name in shared[:3]]
    their_colors = {entry["color"] for entry in other.get("colors", ())}
    colors = [entry["color"] for entry in document.get("colors", ()) if entry["color"] in their_colors]
    if colors:
        reasons.append(f"both have {_listed(colors[:3])}")
    return reasons


def _most_telling(shared: Mapping[str, float], document: Mapping[str, Any]) -> list[str]:
    """Names in the order in which people would say them: a cat before an animal, and what is sure before what is not.

    Of the ancestors, the one that is the least sure is the narrowest. What is not sure is said if nothing else is.
    """
    general = {_folded(tag["tag"]) for tag in document.get("tags", ()) if tag.get("kind") == "ancestor"}
    sure = [name for name, score in shared.items() if score >= _SURE]
    if not sure:
        return sorted(shared, key=lambda name: (-shared[name], name))
    return [
        *sorted(set(sure) - general, key=lambda name: (-shared[name], name)),
        *sorted(set(sure) & general, key=lambda name: (shared[name], name)),
    ]


def _weights(document: Mapping[str, Any], frequencies: Mapping[str, int], total: int) -> list[tuple[str, float]]:
    """The tags that say most about an image, each with what it is worth: its score times its rarity."""
    weights = {
        name: score * math.log2(1 + total / frequencies[name] if frequencies.get(name) else 2 + total)
        for name, score in _scores(document).items()
    }
    return sorted(
        ((name, weight) for name, weight in weights.items() if weight > 0), key=lambda item: (-item[1], item)
    )[:_MOST_TAGS]


def _scores(document: Mapping[str, Any]) -> dict[str, float]:
    scores: dict[str, float] = {}
    for tag in document.get("tags", ()):
        name = _folded(tag["tag"])
        scores[name] = max(scores.get(name, 0.0), tag["score"])
    return scores


def _folded(name: str) -> str:
    """As the index has it: in lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))


def _by_score(name: str, weight: float) -> Json:
    return {
        "function_score": {
            "query": _worth({"term": {"tags.tag.keyword": name}}, weight),
            "field_value_factor": {"field": "tags.score", "missing": 0},
            "boost_mode": "multiply",
        }
    }


def _worth(query: Json, boost: float) -> Json:
    return {"constant_score": {"filter": query, "boost": boost}}


def _hashed(document: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return "phash" in document and "phash" in other


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
