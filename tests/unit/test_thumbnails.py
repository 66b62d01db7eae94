"""Thumbnails: their names, and how they are made."""

from __future__ import annotations

from typing import Any

import pytest

from tagstream.catalog.documents import document
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.errors import ConfigurationError
from tagstream.thumbnails.names import key_of, objects_of

IMAGE = document_id("photos", "cat.jpg")
KEY = key_of(IMAGE, "0A", "etag")


def update(thumbnails: Any = None, **fields: Any) -> CatalogUpdate:
    base: dict[str, Any] = {"kind": "classified", "event_kind": "created", "event_time": "2026-01-01T00:00:00Z"}
    return CatalogUpdate(bucket="photos", key="cat.jpg", sequencer="0A", thumbnails=thumbnails, **(base | fields))


def test_a_key_is_of_one_event_and_of_what_it_found() -> None:
    assert key_of(IMAGE, "0A", "etag") == key_of(IMAGE, "0a00", "etag")
    others = [
        key_of(IMAGE, "0B", "etag"),
        key_of(IMAGE, "0A", "other"),
        key_of(IMAGE, "0A", "etag", "a look"),
        key_of(document_id("photos", "dog.jpg"), "0A", "etag"),
    ]
    assert len({KEY, *others}) == 5


def test_what_an_update_says_of_thumbnails_reaches_the_document() -> None:
    thumbnails = {"key": KEY, "sizes": {"320": [320, 240], "1024": [1024, 768]}}
    sent = CatalogUpdate.from_json(update(thumbnails).to_json())
    assert document(sent, indexed_at="2026-01-01T00:00:01Z")["thumbnails"] == thumbnails
    assert "thumbnails" not in document(update(), indexed_at="2026-01-01T00:00:01Z")
    assert "thumbnails" not in document(update(thumbnails, kind="removed"), indexed_at="2026-01-01T00:00:01Z")


@pytest.mark.parametrize(
    "thumbnails",
    [
        "a text",
        {"key": KEY},
        {"key": KEY, "sizes": []},
        {"key": KEY, "sizes": {"640": [640, 480]}},
        {"key": KEY, "sizes": {"320": [321, 240]}},
        {"key": KEY, "sizes": {"320": [320, 0]}},
        {"key": KEY, "sizes": {"320": [320]}},
        {"key": KEY, "sizes": {"320": [320, True]}},
        {"key": 7, "sizes": {}},
        {"key": f"{KEY}/../../other", "sizes": {}},
        {"key": key_of(document_id("photos", "dog.jpg"), "0A", "etag"), "sizes": {}},
    ],
)
def test_an_update_that_names_no_thumbnails_of_its_own_image_is_refused(thumbnails: Any) -> None:
    with pytest.raises(ConfigurationError, match="not a catalog update"):
        CatalogUpdate.from_json(update(thumbnails).to_json())


def test_every_object_is_named() -> None:
    assert list(objects_of(KEY)) == [f"{KEY}/320.webp", f"{KEY}/1024.webp"]
