"""The HTTP API's function over a real OpenSearch API and moto's S3: pages, completion, uploads, removal and undo."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from opensearchpy import OpenSearch

from tagstream.catalog.client import Client
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.tags import Tag
from tagstream.web import answers
from tests.web import Answer, answered, event

INDEX, BUCKET = "imagerepository", "photos"
UPLOAD = "20260101T000000Z-0123456789ab"

Call = Callable[..., Answer]
Catalog = Callable[..., None]


def photo(key: str, day: int, **tags: float) -> CatalogUpdate:
    update = CatalogUpdate("classified", BUCKET, key, "0A", "created", f"2026-01-{day:02}T00:00:00.000Z")
    shown = [Tag(tag.replace("_", " "), score) for tag, score in tags.items()]
    shown += [Tag("animal", 0.99, "ancestor")] if tags else []
    return replace(
        update,
        tags=tuple(shown),
        etag="e",
        size=10,
        width=4,
        height=3,
        model="m",
        vocabulary="v",
        processed_at="2026-02-01T00:00:00Z",
    )


@pytest.fixture
def catalog(opensearch: OpenSearch, client: Client) -> Catalog:
    """``catalog(update, …)`` writes updates, and they can be found."""
    store = CatalogStore(client, INDEX)

    def write(*updates: CatalogUpdate) -> None:
        assert {outcome.state for outcome in store.apply(updates)} == {"applied"}
        opensearch.indices.refresh(index=INDEX)

    return write


@pytest.fixture
def s3(aws: boto3.Session) -> Any:
    client = aws.client("s3")
    where = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def api(
    monkeypatch: pytest.MonkeyPatch, s3: Any, osmem_clone: Any, function: Callable[[str, str], Callable[[Any], Any]]
) -> Call:
    """``api(method, path, query)`` calls the function."""
    monkeypatch.setenv("PHOTOS_BUCKET", BUCKET)
    monkeypatch.setenv("PREFIX", "in/")
    monkeypatch.setenv("MAX_BYTES", "1000")
    monkeypatch.setenv("UNDO_DAYS", "30")
    handler = function("api", osmem_clone.url)
    return lambda *args, **more: answered(handler(event(*args, **more)))


def keys(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [image["key"] for image in answer.body["images"]]


def test_an_empty_catalog_has_answers(api: Call) -> None:
    page = api("GET", "/images").body
    assert page == {"total": 0, "images": [], "cursor": None, "terms": []}
    found = api("GET", "/images", "q=dog").body
    assert found["suggestions"] == {"catalog": 0, "suggestions": [], "common": [], "unsaid": []}
    answers.Page.model_validate(found)
    assert api("GET", "/tags", "prefix=d").body == {"tags": []}
    answers.Stats.model_validate(api("GET", "/stats").body)
    assert api("GET", f"/images/{'a' * 64}").status == 404
    assert api("GET", f"/uploads/{UPLOAD}").body == {"upload": UPLOAD, "images": [], "cursor": None}


def test_all_images_come_the_newest_first_and_pages_survive_what_arrives(api: Call, catalog: Catalog) -> None:
    catalog(*(photo(f"{day:02}.jpg", day, dog=0.9) for day in range(1, 8)))
    first = api("GET", "/images", "limit=3")
    assert keys(first) == ["07.jpg", "06.jpg", "05.jpg"]
    assert first.body["total"] == 7
    answers.Page.model_validate(first.body)
    catalog(photo("newer.jpg", 20, dog=0.9), photo("between.jpg", 6, dog=0.9))
    second = api("GET", "/images", {"limit": 10, "cursor": first.body["cursor"]})
    assert keys(second) == ["04.jpg", "03.jpg", "02.jpg", "01.jpg"]
    assert second.body["cursor"] is None


def test_what_is_found_comes_in_pages_too_and_says_why(api: Call, catalog: Catalog) -> None:
    catalog(*(photo(f"{n}.jpg", 9 - n, dog=n / 10) for n in range(1, 9)), photo("cat.jpg", 1, cat=0.9))
    first = api("GET", "/images", {"q": "puppy", "limit": 3, "facets": "true"})
    assert keys(first) == ["8.jpg", "7.jpg", "6.jpg"]
    body = first.body
    answers.Page.model_validate(body)
    assert body["total"] == 8
    assert body["terms"][0]["term"] == "puppy"
    assert body["facets"]["tags"][0] == {"tag": "animal", "images": 8}
    assert body["images"][0]["matches"][0]["tag"] == "dog"
    catalog(photo("best.jpg", 9, dog=0.99))
    rest = api("GET", "/images", {"q": "puppy", "limit": 100, "cursor": body["cursor"], "facets": "true"})
    assert keys(rest) == ["5.jpg", "4.jpg", "3.jpg", "2.jpg", "1.jpg"]
    assert "facets" not in rest.body
    newest = api("GET", "/images", {"q": "puppy", "sort": "newest", "limit": 2})
    assert keys(newest) == ["best.jpg", "1.jpg"]
    assert newest.body["images"][0]["score"] == 0.99
    assert keys(api("GET", "/images", {"q": "puppy", "sort": "newest", "cursor": newest.body["cursor"]}))[0] == "2.jpg"
    assert keys(api("GET", "/images", {"q": "dog", "min_score": 0.75})) == ["best.jpg", "8.jpg"]


def test_nothing_found_comes_with_what_may_have_been_meant(api: Call, catalog: Catalog) -> None:
    catalog(photo("dog.jpg", 1, dog=0.9))
    body = api("GET", "/images", "q=dgo cat").body
    answers.Page.model_validate(body)
    assert body["suggestions"]["catalog"] == 1
    assert body["suggestions"]["common"][0]["tag"] == "animal"


def test_a_cursor_is_good_for_its_query_only(api: Call, catalog: Catalog) -> None:
    catalog(*(photo(f"{n}.jpg", n, dog=n / 10) for n in range(1, 5)))
    cursor = api("GET", "/images", "q=dog&limit=1").body["cursor"]
    assert re.fullmatch(r"[\w-]+", cursor)
    assert keys(api("GET", "/images", {"q": "dog", "limit": 2, "cursor": cursor})) == ["3.jpg", "2.jpg"]
    others = ({"q": "cat"}, {}, {"q": "dog", "sort": "newest"}, {"q": "dog", "min_score": 0.1})
    for other in others:
        answer = api("GET", "/images", {**other, "cursor": cursor})
        assert (answer.status, answer.body["parameter"]) == (400, "cursor")
    assert api("GET", f"/uploads/{UPLOAD}", {"cursor": cursor}).status == 400


def test_an_image_is_shown_with_what_its_tags_are(api: Call, catalog: Catalog) -> None:
    catalog(photo("in/tabby.jpg", 1, tabby_cat=0.9), photo("in/other.jpg", 1, tabby_cat=0.8))
    body = api("GET", f"/images/{document_id(BUCKET, 'in/tabby.jpg')}").body
    answers.ImageInFull.model_validate(body)
    assert body["status"] == "classified"
    assert "cat" in body["tags"][0]["parents"]
    similar = api("GET", f"/images/{body['id']}/similar", "limit=5")
    answers.Similar.model_validate(similar.body)
    assert keys(similar) == ["in/other.jpg"]
    assert similar.body["images"][0]["why"]
    assert similar.body["images"][0]["likeness"] > 0


def test_words_are_completed_with_what_they_mean_here(api: Call, catalog: Catalog) -> None:
    catalog(photo("a.jpg", 1, dog=0.9), photo("b.jpg", 2, dog=0.8, doormat=0.5), photo("c.jpg", 2, dog=0.1))
    assert api("GET", "/tags", "prefix=do").body["tags"][:2] == [
        {"tag": "dog", "count": 2},
        {"tag": "doormat", "count": 1},
    ]
    assert {"tag": "puppy", "count": 2, "means": ["dog"]} in api("GET", "/tags", "prefix=pupp").body["tags"]
    assert api("GET", "/tags", "prefix=zebra").body == {"tags": []}
    assert api("GET", "/tags", "limit=1").body == {"tags": [{"tag": "animal", "count": 3}]}


def test_an_upload_is_followed_until_all_of_it_is_there(api: Call, catalog: Catalog) -> None:
    begun = api("POST", "/uploads")
    assert begun.status == 201
    answers.Upload.model_validate(begun.body)
    upload, prefix = begun.body["upload"], begun.body["prefix"]
    assert prefix == f"in/uploads/{upload}/"
    assert begun.body["max_bytes"] == 1000
    again = api("POST", "/uploads", body=f'{{"upload": "{upload}"}}', headers={"content-type": "application/json"})
    assert (again.status, again.body["prefix"]) == (201, prefix)

    path = f"/uploads/{upload}"
    nothing = api("GET", path)
    assert nothing.body["images"] == []
    assert api("GET", path, headers={"if-none-match": nothing.headers["ETag"]}).status == 304

    rejected = replace(photo(f"{prefix}b/no.jpg", 1), kind="rejected", reason="it is no image")
    catalog(photo(f"{prefix}a.jpg", 1, dog=0.9), rejected, photo("in/uploads/other/a.jpg", 1))
    some = api("GET", path, headers={"if-none-match": nothing.headers["ETag"]})
    answers.Arrivals.model_validate(some.body)
    told = [(image["name"], image["status"], image.get("reason")) for image in some.body["images"]]
    assert told == [("a.jpg", "classified", None), ("b/no.jpg", "rejected", "it is no image")]
    assert [tag["tag"] for tag in some.body["images"][0]["tags"]] == ["dog"]
    assert api("GET", path, headers={"if-none-match": some.headers["ETag"]}).text == ""
    page = api("GET", path, "limit=1").body
    rest = api("GET", path, {"limit": 1, "cursor": page["cursor"]}).body
    assert [image["name"] for image in page["images"] + rest["images"]] == ["a.jpg", "b/no.jpg"]
    assert rest["cursor"] is None


def versions(s3: Any, key: str) -> list[str]:
    listed = s3.list_object_versions(Bucket=BUCKET, Prefix=key)
    return [kind for kind in ("Versions", "DeleteMarkers") for one in listed.get(kind, ()) if one["Key"] == key]


def test_an_image_is_removed_and_restored(api: Call, catalog: Catalog, s3: Any) -> None:
    key = "in/<img src=x>.jpg"
    for name in (key, f"{key}.jpg"):
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"1")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"22")
    s3.delete_object(Bucket=BUCKET, Key=f"{key}.jpg")
    catalog(photo(key, 1, dog=0.9))
    path = f"/images/{document_id(BUCKET, key)}"
    assert api("POST", f"{path}/restore").status == 409
    removed = api("DELETE", path)
    answers.Removed.model_validate(removed.body)
    assert removed.status == 202
    assert removed.body["undo_until"] > "2026-"
    # The catalog has not heard of it yet; again is no error, and one undo takes back both.
    assert api("DELETE", path).status == 202
    assert versions(s3, key).count("DeleteMarkers") == 2
    gone = replace(photo(key, 1), kind="removed", sequencer="0B", event_kind="removed")
    catalog(gone)
    assert api("GET", path).status == 404
    assert api("DELETE", path).status == 404
    restored = api("POST", f"{path}/restore")
    assert restored.status == 202
    answers.Restored.model_validate(restored.body)
    assert versions(s3, key) == ["Versions", "Versions"]
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"22"
    assert versions(s3, f"{key}.jpg").count("DeleteMarkers") == 1
    assert api("POST", f"{path}/restore").status == 409


def test_what_s3_no_longer_keeps_is_not_restored(api: Call, catalog: Catalog, s3: Any) -> None:
    version = s3.put_object(Bucket=BUCKET, Key="old.jpg", Body=b"1")["VersionId"]
    s3.delete_object(Bucket=BUCKET, Key="old.jpg")
    s3.delete_object(Bucket=BUCKET, Key="old.jpg", VersionId=version)
    catalog(replace(photo("old.jpg", 1), kind="removed", event_kind="removed"))
    assert api("POST", f"/images/{document_id(BUCKET, 'old.jpg')}/restore").status == 404
    assert versions(s3, "old.jpg") == ["DeleteMarkers"]
    assert api("POST", f"/images/{'a' * 64}/restore").status == 404


def test_what_was_no_photo_of_the_bucket_is_left_alone(api: Call, catalog: Catalog, s3: Any) -> None:
    strange = CatalogUpdate("rejected", "", "message-1", "", "created", "", reason="no event")
    catalog(replace(strange, processed_at="2026-02-01T00:00:00Z"))
    path = f"/images/{document_id('', 'message-1')}"
    shown = api("GET", path)
    answers.ImageInFull.model_validate(shown.body)
    assert "picture_url" not in shown.body
    assert api("DELETE", path).status == 409
