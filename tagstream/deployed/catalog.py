"""The catalog of a deployed stage, for programs: questions in Python, answered by the stage's search function."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from tagstream.deployed.aws import Aws, errors_in_words
from tagstream.errors import CatalogError, QueryError

__all__ = ["Catalog", "Image", "Images"]

Image: TypeAlias = dict[str, Any]
"""What the catalog has of an image, as JSON: ``key``, ``s3_location``, ``tags`` and more (docs/python.md)."""

_PAGE = 100
_VERSIONS = 2000

# What functions of every version say of a request that they know nothing of.
_UNKNOWN = re.compile(r"A query by \w+ has no field .+|'query' must be one of .+")
_OLDER = (
    " Where this is spelt right, the stage's functions are older than the Tagstream that asks them: deploy the stage "
    "again with this version ('make deploy', or 'tagstream local up'), or ask with the version that it has."
)


class Invoker(Protocol):
    """What a catalog needs of :class:`tagstream.deployed.aws.Aws`."""

    def invoke(self, capability: str, output: str, request: Mapping[str, Any]) -> dict[str, Any]: ...


class Images(Iterator[Image]):
    """The images of an answer, fetched page by page as they are read, once.

    ``total`` says how many the catalog has; ``about`` what else the answer says: what the words were taken for
    (``terms``), counts (``facets``) if they were asked for, and what may have been meant where nothing was found.
    """

    def __init__(self, catalog: Catalog, request: Mapping[str, Any], limit: int | None) -> None:
        self._catalog = catalog
        self._request = request
        self._left = math.inf if limit is None else limit
        first = self._page(None)
        self.total: int = first["total"]
        self.about: dict[str, Any] = {name: value for name, value in first.items() if name != "images"}
        self._read = self._images(first)

    def __next__(self) -> Image:
        return next(self._read)

    def _page(self, after: Any) -> dict[str, Any]:
        return self._catalog.ask({**self._request, "limit": min(self._left, _PAGE), "after": after})

    def _images(self, page: dict[str, Any]) -> Iterator[Image]:
        while True:
            yield from page["images"]
            self._left -= len(page["images"])
            if self._left <= 0 or page["after"] is None:
                return
            page = self._page(page["after"])


class Catalog:
    """The catalog of the stage ``stage``, whose stacks are deployed.

    Over the usual credentials of boto3, or those of ``profile``; stage ``local`` without one is the running local
    cloud. Everything raises :class:`tagstream.errors.TagstreamError`: :class:`QueryError` for a question that makes no
    sense, :class:`CatalogError` when the catalog does not answer, :class:`ConfigurationError` where there is no such
    stage, :class:`AwsError` when AWS refuses.
    """

    def __init__(
        self,
        stage: str = "local",
        *,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        # As the command line has it: what leads somewhere else leads away from the local cloud.
        endpoint_url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or None
        profile = profile or os.environ.get("AWS_PROFILE") or None
        self._invoker: Invoker = Aws(stage, endpoint_url, region, profile)

    @classmethod
    def over(cls, invoker: Invoker) -> Catalog:
        """A catalog that is asked through ``invoker``."""
        made = cls.__new__(cls)
        made._invoker = invoker
        return made

    def search(
        self,
        query: str,
        *,
        min_score: float | None = None,
        exact: bool = False,
        related: bool = True,
        weak_below: float | None = None,
        newest: bool = False,
        facets: bool = False,
        limit: int | None = None,
    ) -> Images:
        """The images that ``query`` (docs/search.md) finds, the best first, or the newest; ``limit`` of them or all.

        ``min_score`` is a probability from 0 to 1. ``exact``: only the tag of this name; without ``related``, nothing
        that is merely related to a word. Images with a lower score than ``weak_below`` come after all others.
        """
        request = {
            "query": "search",
            "q": query,
            "min_score": min_score,
            "exact": exact,
            "related": related,
            "weak_below": weak_below,
            "facets": facets,
            **({"sort": "newest"} if newest else {}),
        }
        return Images(self, request, limit)

    def images(self, query: str | None = None, *, limit: int | None = None) -> Images:
        """All images, rejected ones too, or those that ``query`` finds, in the order of their keys."""
        return Images(self, {"query": "list", "q": query}, limit)

    def show(self, title: str, *, words: bool = False, limit: int | None = None) -> Images:
        """The images of this file name, key or S3 location, rejected ones too; or with these ``words`` in the name."""
        return Images(self, {"query": "title", "title": title, "exact": not words}, limit)

    def rejected(self, *, limit: int | None = None) -> Images:
        """What could not be classified, newest first; ``reason`` says why."""
        return Images(self, {"query": "rejected"}, limit)

    def at(self, locations: Sequence[str]) -> list[Image]:
        """What the catalog has of up to a hundred S3 locations; nothing where there is no catalog yet."""
        return list(self._answer({"query": "locations", "locations": [*locations]})["images"])

    def versions(self, bucket: str, query: str | None = None, *, removed: bool = False) -> Iterator[Image]:
        """Which versions of the objects of ``bucket`` were looked at, and by what, in the order of their keys: all that
        there are, or those that ``query`` finds; nothing where there is no catalog yet. With ``removed``,
        tombstones too.

        Of each only ``key``, ``status``, ``etag``, ``model`` and the like. Two thousand come in an answer, so that ten
        million take five thousand.
        """
        after = None
        while True:
            asked = {"query": "versions", "bucket": bucket, "limit": _VERSIONS, "after": after}
            asked |= {"q": query, "removed": removed}
            answer = self._answer(asked)
            yield from answer["images"]
            after = answer["after"]
            if after is None:
                return

    def tags(self, prefix: str = "", *, min_score: float | None = None, limit: int = 1000) -> dict[str, Any]:
        """``tags`` with a word that begins with ``prefix``, each with the number of ``images`` that show it with at
        least ``min_score``; how many ``images`` there are in all, and whether there are ``more`` tags than ``limit``.
        """
        return self.ask({"query": "tags", "prefix": prefix, "min_score": min_score, "limit": limit})

    def stats(self) -> dict[str, Any]:
        """How much there is: images, bytes, tags, models, times."""
        return self.ask({"query": "stats"})

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request as it goes to the search function (:func:`tagstream.catalog.queries.parse_request`).

        Raises :class:`CatalogError`, which says what that may mean, if there is no catalog.
        """
        answer = self._answer(request)
        if "missing" in answer:
            raise CatalogError(answer["missing"])
        return answer

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with errors_in_words():
            answer = self._invoker.invoke("search", "SearchFunctionName", request)
        if "error" in answer:
            raise QueryError(answer["error"] + (_OLDER if _UNKNOWN.fullmatch(answer["error"]) else ""))
        return answer
