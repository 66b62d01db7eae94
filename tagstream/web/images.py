"""Images as the HTTP API shows them: what the catalog has of them, with URLs to look at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tagstream.analysis import FIELDS
from tagstream.catalog.updates import document_id
from tagstream.vocabulary import load_tree
from tagstream.web.links import Links, picture_type

__all__ = ["Images"]

_SHOWN = (
    "title",
    "key",
    "s3_location",
    "status",
    "reason",
    "width",
    "height",
    "size",
    "etag",
    "uploaded_at",
    "classified_at",
    "model",
    "vocabulary",
    "tags",
    *FIELDS,
    # Why it was found.
    "score",
    "tag",
    "weak",
    "matches",
    "likeness",
    "why",
)
_BEST = 5


class Images:
    """``thumbnails`` is the bucket that has them, if there is one."""

    def __init__(self, links: Links, thumbnails: str | None) -> None:
        self._links = links
        self._thumbnails = thumbnails

    def shown(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """An image of a catalog's answer, or a document of it."""
        bucket, key = found.get("bucket"), found["key"]
        image = {name: found[name] for name in _SHOWN if name in found}
        image |= {"id": found.get("id") or document_id(bucket or "", key), "tags": image.get("tags", [])}
        # What was no event of S3's is listed as rejected, and is in no bucket.
        if bucket:
            image["picture_url"] = self._links.get(bucket, key, picture_type(key))
        urls, sizes = self._of_thumbnails(found)
        return image | {"thumbnails": urls, "thumbnail_sizes": sizes, "urls_expire_at": self._links.expire_at}

    def in_full(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The same, and what the vocabulary knows of each tag."""
        # A model of one's own may have tags that the vocabulary does not know.
        concepts = load_tree().concepts if found.get("vocabulary") else {}

        def known(tag: Mapping[str, Any]) -> dict[str, Any]:
            concept = concepts.get(tag["tag"])
            about = (concept.parents, concept.aliases) if concept else ((), ())
            return {**tag, "parents": list(about[0]), "aliases": list(about[1])}

        image = self.shown(found)
        return image | {"tags": [known(tag) for tag in image["tags"]]}

    def arrived(self, found: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        """What became of a file of an upload whose keys begin with ``prefix``."""
        tags = [tag for tag in found.get("tags", ()) if tag.get("kind", "leaf") == "leaf"][:_BEST]
        row = {
            "id": found.get("id") or document_id(found["bucket"], found["key"]),
            "key": found["key"],
            "name": found["key"].removeprefix(prefix),
            "status": found["status"],
            "tags": tags,
            "thumbnails": self._of_thumbnails(found)[0],
        }
        return row | ({"reason": found["reason"]} if "reason" in found else {})

    def _of_thumbnails(self, found: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, list[int]]]:
        """URLs and pixels of the thumbnails, by their sizes."""
        made = found.get("thumbnails")
        if not made or self._thumbnails is None:
            return {}, {}
        sizes: dict[str, list[int]] = made["sizes"]
        urls = {size: self._links.get(self._thumbnails, f"{made['key']}/{size}.jpg", "image/jpeg") for size in sizes}
        return urls, sizes
