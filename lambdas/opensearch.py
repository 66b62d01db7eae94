"""The catalog that the functions which read and write it are connected to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache

from tagstream.catalog.client import Client, connect
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.thumbnails import Bin

__all__ = ["Connection"]


@dataclass(frozen=True)
class Connection:
    """``endpoint`` is a full URL, ``index`` the alias; a request takes at most ``timeout`` seconds.

    ``shards`` is for whoever makes an index.
    """

    endpoint: str
    index: str
    timeout: float
    shards: int = 1

    @classmethod
    def from_environment(cls, *, timeout: float) -> Connection:
        return cls(
            os.environ["OPENSEARCH_ENDPOINT"],
            os.environ["OPENSEARCH_INDEX"],
            timeout,
            int(os.environ.get("OPENSEARCH_SHARDS", "1")),
        )

    @property
    def client(self) -> Client:
        return _client(self.endpoint, self.timeout)

    @property
    def catalog(self) -> CatalogStore:
        return CatalogStore(self.client, self.index)

    def catalog_with(self, thumbnails: Bin) -> CatalogStore:
        """For whoever writes: what is to go is removed there."""
        return CatalogStore(self.client, self.index, thumbnails=thumbnails, shards=self.shards)


@cache
def _client(endpoint: str, timeout: float) -> Client:
    """Made once in a function's life."""
    return connect(endpoint, timeout=timeout)
