from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagstream.catalog.documents import document, position_of, position_of_document
from tagstream.catalog.updates import CatalogUpdate, document_id
from tagstream.errors import ConfigurationError
from tagstream.tags import Tag

UPDATE = CatalogUpdate(
    kind="classified",
    bucket="photos",
    key="2026/héllo +%🐈.jpg",
    sequencer="0055AED6DCD90281E5",
    event_kind="created",
    event_time="2026-01-01T00:00:00.000Z",
    size=2**40,
    width=4000,
    height=3000,
    model="efficientnet-lite0",
    vocabulary="3.0-0a1b2c3d",
    tags=(Tag("tabby", 0.5), Tag("hot dog", 0.25), Tag("cat", 0.75, "ancestor")),
    processed_at="2026-01-01T00:00:01.000Z",
)


def body(**changes: Any) -> str:
    return json.dumps(asdict(UPDATE) | changes)


def test_an_update_survives_the_queue() -> None:
    assert CatalogUpdate.from_json(UPDATE.to_json()) == UPDATE


def test_an_update_from_before_there_were_ancestors_is_read() -> None:
    fields = json.loads(body(tags=[{"tag": "tabby", "score": 0.5}]))
    del fields["vocabulary"]
    update = CatalogUpdate.from_json(json.dumps(fields))
    assert (update.tags, update.vocabulary) == ((Tag("tabby", 0.5, "leaf"),), None)


def test_facts_survive_the_queue_and_reach_the_document() -> None:
    facts = {
        "colors": [{"color": "red", "share": 0.5}],
        "phash": "0f" * 8,
        "sharpness": 0.5,
        "taken_at": "2025-06-12T14:03:11",
        "location": {"lat": 48.2, "lon": 16.4},
    }
    update = replace(UPDATE, facts=facts)
    assert CatalogUpdate.from_json(update.to_json()) == update
    assert document(update, indexed_at="2026-01-01T00:00:00Z").items() >= facts.items()
    # A message from before there were facts.
    assert CatalogUpdate.from_json(body(facts={})) == CatalogUpdate.from_json(
        json.dumps({name: value for name, value in json.loads(body()).items() if name != "facts"})
    )


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [1],
        {"sharpness": 2},
        {"brightness": "dark"},
        {"phash": "0F" * 8},
        {"colors": [{"color": "red"}]},
        {"location": {"lat": 91, "lon": 0}},
        {"taken_at": "yesterday"},
        {"camera": "\x1b[31m"},
    ],
)
def test_facts_that_the_index_would_refuse_are_refused(facts: Any) -> None:
    with pytest.raises(ConfigurationError):
        CatalogUpdate.from_json(body(facts=facts))


def test_another_vocabulary_says_something_else() -> None:
    assert UPDATE.deduplication_id == replace(UPDATE, etag="other").deduplication_id
    assert UPDATE.deduplication_id != replace(UPDATE, vocabulary="3.0-ffffffff").deduplication_id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "7",
        "{}",
        '"text"',
        "[" * 100_000,
        '{"tags": null}',
        body(kind="created"),
        body(kind=[]),
        body(event_kind="moved"),
        body(bucket=None),
        body(key=7),
        body(key="\ud800"),
        body(sequencer="0x1F"),
        body(sequencer="-1"),
        body(sequencer=None),
        body(sequencer="0" * 65),
        body(size="7"),
        body(size=-1),
        body(size=2**63),
        body(size=True),
        body(width=2**31),
        body(height=1.5),
        body(processed_at="yesterday"),
        body(tags=[{"tag": "cat", "score": float("nan")}]),
        body(tags=[{"tag": "cat", "score": 1.5}]),
        body(tags=[{"tag": "cat", "score": "0.5"}]),
        body(tags=[{"tag": None, "score": 0.5}]),
        body(tags=[{"tag": "\udfff", "score": 0.5}]),
        body(tags=[{"tag": "cat", "score": 0.5, "kind": "root"}]),
        body(tags=[{"tag": "cat", "score": 0.5, "kind": []}]),
        body(vocabulary=3),
        body(tags=["cat"]),
        body(tags={"tag": "cat"}),
    ],
)
def test_what_is_no_update_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not a catalog update"):
        CatalogUpdate.from_json(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_updates_that_say_the_same_have_one_deduplication_id() -> None:
    again = replace(UPDATE, processed_at="2026-01-02T00:00:00.000Z")
    assert again.deduplication_id == UPDATE.deduplication_id
    reasons = {replace(UPDATE, kind="rejected", reason=reason).deduplication_id for reason in ("one", "another")}
    assert len(reasons | {UPDATE.deduplication_id}) == 3


@given(st.sampled_from(sorted(asdict(UPDATE))), json_values)
def test_no_field_can_break_the_reader_or_the_document(field: str, value: Any) -> None:
    try:
        update = CatalogUpdate.from_json(body(**{field: value}))
    except ConfigurationError:
        return
    made = document(update, indexed_at="2026-01-01T00:00:00.000Z")
    assert position_of_document(made) == position_of(update)
    json.dumps(made, allow_nan=False).encode()
    assert update.deduplication_id


def test_the_document_of_a_classified_image() -> None:
    made = document(UPDATE, indexed_at="2026-01-01T00:00:02.000Z")
    assert made == {
        "id": document_id("photos", UPDATE.key),
        "status": "classified",
        "title": "héllo +%🐈.jpg",
        "s3_location": "s3://photos/2026/héllo +%🐈.jpg",
        "tags": [
            {"tag": "tabby", "score": 0.5, "kind": "leaf"},
            {"tag": "hot dog", "score": 0.25, "kind": "leaf"},
            {"tag": "cat", "score": 0.75, "kind": "ancestor"},
        ],
        "bucket": "photos",
        "key": UPDATE.key,
        "size": 2**40,
        "width": 4000,
        "height": 3000,
        "model": "efficientnet-lite0",
        "vocabulary": "3.0-0a1b2c3d",
        "sequencer": "0055AED6DCD90281E5",
        "uploaded_at": "2026-01-01T00:00:00.000Z",
        "classified_at": "2026-01-01T00:00:01.000Z",
        "indexed_at": "2026-01-01T00:00:02.000Z",
    }


def test_the_document_of_a_message_that_was_no_event() -> None:
    update = CatalogUpdate("rejected", "", "message-id", "00", "created", "", reason="no S3 event")
    made = document(update, indexed_at="2026-01-01T00:00:02.000Z")
    assert (made["title"], made["reason"], made["status"]) == ("message-id", "no S3 event", "rejected")
    assert not {"s3_location", "bucket", "uploaded_at"} & made.keys()


@pytest.mark.parametrize(("key", "title"), [("a/b.jpg", "b.jpg"), ("a/b/", "b"), ("/", "/"), (".", "."), ("a//", "a")])
def test_every_key_makes_a_title(key: str, title: str) -> None:
    update = CatalogUpdate("rejected", "photos", key, "0A", "created", "")
    assert document(update, indexed_at="")["title"] == title
