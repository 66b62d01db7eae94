"""The index: its name, settings and mapping.

A change of the mapping is a new :data:`VERSION`; ``tagstream images reindex`` then fills the new index and
moves the alias (docs/catalog.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tagstream.analysis import FIELDS
from tagstream.errors import CatalogError

__all__ = [
    "VERSION",
    "index_body",
    "index_generation",
    "index_name",
    "index_pattern",
    "index_version",
    "settings_and_mappings",
    "writing_to",
]

_BLOCKS = ("write", "read_only", "read_only_allow_delete")

VERSION = 2
"""Raise it with every change of the settings or mappings below."""


def index_name(alias: str, version: int = VERSION, shards: int = 1, generation: int = 1) -> str:
    """The concrete index behind the alias. The number of its shards cannot change, so another one is another index;
    and so is the next ``generation``, which takes the place of one that is the same but for what is in it.

    >>> index_name("imagerepository", 2), index_name("imagerepository", 2, 20), index_name("imagerepository", 2, 20, 3)
    ('imagerepository-v2', 'imagerepository-v2s20', 'imagerepository-v2s20g3')
    """
    return f"{alias}-v{version}" + (f"s{shards}" if shards > 1 else "") + (f"g{generation}" if generation > 1 else "")


def index_pattern(alias: str) -> str:
    """Matches every version of the index."""
    return f"{alias}-v*"


def index_version(name: str) -> int:
    """The version in a concrete index' name.

    >>> index_version("imagerepository-v12"), index_version("imagerepository-v12s20g3")
    (12, 12)
    """
    return int(_parts(name)["version"])


def index_generation(name: str) -> tuple[str, int]:
    """The name of a concrete index' first generation, and which one it is.

    >>> index_generation("imagerepository-v12s20"), index_generation("imagerepository-v12s20g3")
    (('imagerepository-v12s20', 1), ('imagerepository-v12s20', 3))
    """
    return re.sub(r"g\d+$", "", name), int(_parts(name)["generation"] or 1)


def _parts(name: str) -> re.Match[str]:
    found = re.search(r"-v(?P<version>\d+)(s\d+)?(g(?P<generation>\d+))?$", name)
    if found is None:
        raise CatalogError(f"{name} is no index that the catalog has made: delete it, or take it out of the alias")
    return found


def writing_to(index: str) -> str:
    """The alias that a concrete index is written to by: of this one alone, and never that of another index.

    A write that must go to an alias (``require_alias``) makes no index where there is none any more.

    >>> writing_to("imagerepository-v2")
    'writing-to-imagerepository-v2'
    """
    return f"writing-to-{index}"


def blocks(about: Mapping[str, Any]) -> list[str]:
    """What may not be done to an index, from what it answers about its settings.

    >>> blocks({"settings": {"index": {"blocks": {"write": "true", "read_only": "false"}}}})
    ['write']
    """
    found = about["settings"].get("index", {}).get("blocks", {})
    return [kind for kind in _BLOCKS if str(found.get(kind)).lower() == "true"]


def index_body(index: str, shards: int = 1, *, alias: str | None = None) -> dict[str, Any]:
    """The body of the request that creates ``index``, with ``alias`` if it is to be the catalog from then on."""
    aliases = [writing_to(index), *([alias] if alias is not None else [])]
    return settings_and_mappings(shards) | {"aliases": {name: {} for name in aliases}}


def settings_and_mappings(shards: int = 1) -> dict[str, Any]:
    """Settings and mappings of an index in so many primary shards (docs/scale.md).

    Unknown fields are kept but not indexed (``dynamic: false``): newer functions may write to an older index
    until it is reindexed. Keys have at most 1,024 bytes, far below the 32,766 that a keyword can have.
    """
    keyword = {"type": "keyword"}
    folded_keyword = {"type": "keyword", "normalizer": "folded"}
    # Kept for people, never searched: it may be longer than a keyword, and costs nothing.
    stored_only = {"type": "keyword", "index": False, "doc_values": False}
    # A date that can't be read must not keep an image out of the catalog for good.
    date = {"type": "date", "ignore_malformed": True}
    return {
        "settings": {
            "number_of_shards": shards,
            "auto_expand_replicas": "0-1",
            "analysis": {
                "char_filter": {
                    "separators": {"type": "pattern_replace", "pattern": r"[_.\-]+", "replacement": " "},
                    # tagstream.analysis.phash.bands says the same.
                    "bytes": {
                        "type": "pattern_replace",
                        "pattern": "^(..)(..)(..)(..)(..)(..)(..)(..)$",
                        "replacement": "a$1 b$2 c$3 d$4 e$5 f$6 g$7 h$8",
                    },
                },
                "filter": {"singular": {"type": "stemmer", "language": "minimal_english"}},
                "analyzer": {
                    # File names: IMG_12.black-cat.jpg is found by "cat".
                    "file_name": {
                        "type": "custom",
                        "char_filter": ["separators"],
                        "tokenizer": "standard",
                        "filter": ["lowercase", "asciifolding"],
                    },
                    # Perceptual hashes: near ones have bytes in common.
                    "bands": {"type": "custom", "char_filter": ["bytes"], "tokenizer": "whitespace"},
                    # Tags: whole words, whatever their case, accents and plural.
                    "words": {
                        "type": "custom",
                        "tokenizer": "standard",
                        "filter": ["lowercase", "asciifolding", "singular"],
                    },
                },
                "normalizer": {"folded": {"type": "custom", "filter": ["lowercase", "asciifolding"]}},
            },
        },
        "mappings": {
            "dynamic": False,
            "properties": {
                "id": keyword,
                "status": keyword,
                "title": {"type": "text", "analyzer": "file_name", "fields": {"keyword": folded_keyword}},
                "s3_location": keyword,
                "tags": {
                    "type": "nested",
                    "dynamic": False,
                    "properties": {
                        "tag": {"type": "text", "analyzer": "words", "fields": {"keyword": folded_keyword}},
                        "score": {"type": "float"},
                        "kind": keyword,
                    },
                },
                "bucket": keyword,
                "key": keyword,
                "version_id": keyword,
                "etag": keyword,
                "size": {"type": "long"},
                "width": {"type": "integer"},
                "height": {"type": "integer"},
                "model": keyword,
                "vocabulary": keyword,
                "sequencer": keyword,
                "reason": stored_only,
                "uploaded_at": date,
                "classified_at": date,
                "removed_at": date,
                "indexed_at": date,
                # `thumbnails` and `thumbnails_gone` are kept, and looked up by nobody: they are not in here.
                # What analysers say besides, as they declare it.
                **{name: field.mapping for name, field in FIELDS.items()},
            },
        },
    }
