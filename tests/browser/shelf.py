"""What the deployed catalog holds: nothing, the demo's photos, or a thousand."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch
from PIL import Image, ImageDraw

from tagstream.catalog.client import connect
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.tags import Tag
from tests.e2e.conftest import Pipeline, eventually

__all__ = ["MANY", "Shelf", "picture"]

INDEX = "imagerepository"
MANY = 1000
_SHAPES = ((320, 213), (213, 320), (320, 240), (320, 180), (320, 320), (240, 320))
_KINDS = (("dog", "beagle"), ("cat", "tabby cat"), ("bird", "macaw"), ("flower", "daisy"))


def picture(width: int, height: int, hue: int) -> bytes:
    """A small picture that can be told from others."""
    image = Image.new("HSV", (width, height), (hue % 256, 110, 215)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.2, height * 0.2, width * 0.8, height * 0.8), fill=(250, 248, 240))
    draw.rectangle((0, height * 0.7, width, height), fill=(90, 100, 110))
    out = io.BytesIO()
    image.save(out, "JPEG")
    return out.getvalue()


class Shelf:
    """Brings the catalog to what a test begins with; where it is that already, nothing happens."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._search = OpenSearch(pipeline.connection.search_url, timeout=60)
        self._thumbnails = pipeline.connection.outputs("ingest")["ThumbnailsBucketName"]

    def close(self) -> None:
        self._search.close()

    def holds(self) -> set[str]:
        """The keys of all that the catalog has: classified, rejected, and also removed."""
        if not self._search.indices.exists(index=INDEX):
            return set()
        self._search.indices.refresh(index=INDEX)
        body = {"size": 2 * MANY, "_source": ["key", "status"]}
        hits = self._search.search(index=INDEX, body=body)["hits"]["hits"]
        return {f"{hit['_source']['status']} {hit['_source']['key']}" for hit in hits}

    def clear(self) -> None:
        """Nothing in the bucket and nothing in the catalog, not even what was removed."""
        pipeline = self.pipeline
        for page in pipeline.s3.get_paginator("list_object_versions").paginate(Bucket=pipeline.bucket):
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=one["Key"], VersionId=one["VersionId"])
        pipeline.settled()
        if self._search.indices.exists(index=INDEX):
            self._search.indices.refresh(index=INDEX)
            self._search.delete_by_query(index=INDEX, body={"query": {"match_all": {}}}, params={"refresh": "true"})
        assert self.holds() == set()

    def empty(self) -> None:
        if self.holds():
            self.clear()

    def demo(self, photos: Mapping[str, Path]) -> None:
        """The photos, by the whole pipeline."""
        wanted = {f"classified {name}" for name in photos}
        if self.holds() == wanted:
            return
        self.clear()
        for name, path in photos.items():
            self.pipeline.put(name, path)
        eventually(lambda: self.holds() == wanted, "the demo's photos are in the catalog")
        self.pipeline.settled()

    def thousand(self) -> None:
        """Documents as the pipeline makes them, with a thumbnail each, the newest first called ``0000.jpg``."""
        if self.holds() == {f"classified {number:04}.jpg" for number in range(MANY)}:
            return
        self.clear()
        with ThreadPoolExecutor(8) as pool:
            self.put(pool.map(self._one_of_many, range(MANY)))

    def put(self, updates: Iterable[CatalogUpdate]) -> None:
        """Write documents as the catalog function does."""
        client = connect(self.pipeline.connection.search_url, timeout=60)
        store = CatalogStore(client, INDEX)
        waiting = list(updates)
        for start in range(0, len(waiting), 200):
            outcomes = store.apply(waiting[start : start + 200])
            assert {outcome.state for outcome in outcomes} == {"applied"}
        client.close()
        self._search.indices.refresh(index=INDEX)

    def _one_of_many(self, number: int) -> CatalogUpdate:
        key, shape = f"{number:04}.jpg", _SHAPES[number % len(_SHAPES)]
        general, leaf = _KINDS[number % len(_KINDS)]
        made = {"key": f"{document_id(self.pipeline.bucket, key)}/0a-1", "sizes": {"320": list(shape)}}
        self.pipeline.s3.put_object(
            Bucket=self._thumbnails,
            Key=f"{made['key']}/320.jpg",
            Body=picture(*shape, hue=number * 7),
            ContentType="image/jpeg",
        )
        return classified(
            self.pipeline.bucket,
            key,
            (datetime(2026, 11, 20, 12, tzinfo=UTC) - timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            {leaf: (0.9 - number % 80 / 100, "leaf"), general: (0.95, "ancestor")},
            thumbnails=made,
            width=shape[0] * 10,
            height=shape[1] * 10,
        )


def classified(bucket: str, key: str, at: str, tags: Mapping[str, tuple[float, Any]], **more: Any) -> CatalogUpdate:
    """What the classify function says of a photo."""
    return CatalogUpdate(
        "classified",
        bucket,
        key,
        "0A",
        "created",
        at,
        etag="0" * 32,
        size=1_234_567,
        model="efficientnet-lite0",
        vocabulary="1",
        tags=tuple(Tag(tag, score, kind) for tag, (score, kind) in tags.items()),
        processed_at=at,
        **more,
    )
