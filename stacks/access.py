"""Which requests to the OpenSearch domain each function may make. Plain data, for the domain's policy and its tests."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DOMAIN_ACCESS", "INDEX"]

INDEX = "imagerepository"
"""The alias that every reader and writer uses; behind it is the index of one version."""
_VERSIONS = f"{INDEX}-v*"
_SEARCHING = {"Post": (f"{INDEX}/_search",)}

DOMAIN_ACCESS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "catalog": {
        # Is the alias there, after somebody else has made the index?
        "Head": (f"_alias/{INDEX}",),
        # A bulk request names the indexes in its body, which no policy sees: so do _aliases and _reindex below.
        "Post": (f"{INDEX}/_mget", "_bulk"),
        "Put": (_VERSIONS,),
    },
    "purge": {
        "Delete": (_VERSIONS,),
        # 'tagstream doctor' asks it what state the index is in.
        "Get": (f"_alias/{INDEX}", *(f"{_VERSIONS}/{what}" for what in ("_alias", "_mapping", "_settings"))),
        "Post": (
            f"{INDEX}/_delete_by_query",
            f"{INDEX}/_mget",
            f"{_VERSIONS}/_refresh",
            f"{_VERSIONS}/_search",
            "_aliases",
            "_reindex",
        ),
        # Making the index of a new version, and closing the one that it replaces for writing.
        "Put": (_VERSIONS,),
    },
    "search": _SEARCHING,
    "api": _SEARCHING,
}
"""Function → HTTP method → paths, as patterns of IAM: ``*`` is any text, slashes too.

There is nothing of ``_cluster``, ``_snapshot``, ``_cat`` or ``_all``, and no path of another index than the catalog's.
"""
