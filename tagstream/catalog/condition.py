"""The state that the catalog's index is in, as whoever looks after it wants to know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tagstream.catalog import mapping
from tagstream.catalog.client import Client

__all__ = ["condition", "differences"]


def condition(client: Client, alias: str, *, shards: int = 1) -> dict[str, Any]:
    """What there is behind ``alias``, as JSON. Raises :class:`tagstream.errors.CatalogError`.

    ``index`` is the one behind the alias, None without one; ``indexes`` are all, of every version. ``wanted`` is the
    one that this code makes, in so many ``shards``, of whatever generation the one behind the alias is. ``differs`` are
    the fields that are mapped otherwise than it would map them; ``blocked`` says what may not be done to it. ``images``
    are counts by status: classified, rejected, removed (tombstones); ``seen_by`` those of classified ones by
    "model vocabulary".
    """
    indexes: Mapping[str, Any] = client.request("GET", f"{mapping.index_pattern(alias)}/_alias")
    current = sorted(name for name, about in indexes.items() if alias in about.get("aliases", {}))
    state: dict[str, Any] = {
        "alias": alias,
        "index": current[0] if len(current) == 1 else None,
        "behind_alias": current,
        "indexes": sorted(indexes),
        "wanted": mapping.index_name(alias, shards=shards),
        "differs": [],
        "blocked": [],
        "images": {},
        "seen_by": {},
    }
    if len(current) != 1:
        return state
    name = current[0]
    if mapping.index_generation(name)[0] == state["wanted"]:
        state["wanted"] = name
    there = client.request("GET", f"{name}/_mapping")[name]["mappings"]
    state["blocked"] = mapping.blocks(client.request("GET", f"{name}/_settings")[name])
    if name == state["wanted"]:
        state["differs"] = sorted(differences(mapping.settings_and_mappings()["mappings"], there))
    counted = client.request(
        "POST",
        f"{name}/_search",
        {
            "size": 0,
            "aggs": {
                "status": {"terms": {"field": "status", "size": 10}},
                "model": {
                    "terms": {"field": "model", "size": 100},
                    "aggs": {"vocabulary": {"terms": {"field": "vocabulary", "size": 100, "missing": ""}}},
                },
            },
        },
    )
    state["images"] = {bucket["key"]: bucket["doc_count"] for bucket in counted["aggregations"]["status"]["buckets"]}
    state["seen_by"] = {
        f"{model['key']} {vocabulary['key']}".strip(): vocabulary["doc_count"]
        for model in counted["aggregations"]["model"]["buckets"]
        for vocabulary in model["vocabulary"]["buckets"]
    }
    return state


def differences(wanted: Mapping[str, Any], there: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places below which ``there`` lacks what is wanted, or has something else; what it has besides is no matter.

    >>> list(differences({"a": {"type": "keyword"}, "b": {"x": False}}, {"a": {"type": "text"}, "b": {"x": "false"}}))
    ['a.type']
    """
    for name, value in wanted.items():
        at = f"{place}{name}"
        if name not in there:
            yield at
        elif isinstance(value, Mapping):
            if isinstance(there[name], Mapping):
                yield from differences(value, there[name], f"{at}.")
            else:
                yield at
        elif str(value).lower() != str(there[name]).lower():
            yield at
