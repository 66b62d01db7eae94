"""The deployed functions, as Lambda calls them, against a real OpenSearch API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import boto3
import pytest
from opensearchpy import OpenSearch

from tagstream.catalog.mapping import index_name
from tagstream.catalog.updates import CatalogUpdate
from tagstream.tags import Tag
from tagstream.thumbnails.names import key_of, objects_of

Handler: TypeAlias = Callable[[Any], dict[str, Any]]
Function: TypeAlias = Callable[[str, str], Handler]

INDEX = "imagerepository"
ROOT = Path(__file__).parents[2]
SCHEDULED = {"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}


@pytest.fixture
def functions(function: Function, osmem_clone: Any) -> dict[str, Handler]:
    return {name: function(name, osmem_clone.url) for name in ("catalog", "search", "purge")}


def update(key: str = "cat.jpg", sequencer: str = "0A", **fields: Any) -> CatalogUpdate:
    made = CatalogUpdate("classified", "photos", key, sequencer, "created", "2026-01-01T00:00:00Z")
    return replace(made, **{"tags": (Tag("cat", 0.9),), "processed_at": "2026-01-01T00:00:01Z"} | fields)


def batch(*bodies: CatalogUpdate | tuple[str, str]) -> dict[str, Any]:
    """An SQS event; a message is an update, or a group and a body. Message ids are 0, 1, 2 …"""
    records = []
    for number, body in enumerate(bodies):
        group, text = (body.document_id, body.to_json()) if isinstance(body, CatalogUpdate) else body
        records.append(
            {
                "messageId": str(number),
                "receiptHandle": "x",
                "body": text,
                "attributes": {"MessageGroupId": group, "ApproximateReceiveCount": "1"},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:catalog.fifo",
                "awsRegion": "eu-west-1",
            }
        )
    return {"Records": records}


def failed(response: dict[str, Any]) -> list[str]:
    assert response.keys() == {"batchItemFailures"}
    return [item["itemIdentifier"] for item in response["batchItemFailures"]]


def metrics(output: str) -> dict[str, Any]:
    blobs = [json.loads(line) for line in output.splitlines() if line.startswith("{") and '"_aws"' in line]
    assert len(blobs) == 1
    return dict(blobs[0])


def test_a_batch_is_applied(
    functions: dict[str, Handler],
    opensearch: OpenSearch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    event = batch(update(), update("dog.jpg"), update(sequencer="09"))
    assert failed(functions["catalog"](event)) == []
    counted = metrics(capsys.readouterr().out)
    assert [counted[name] for name in ("UpdatesApplied", "UpdatesStale", "Failures")] == [[2.0], [1.0], [0.0]]
    logged = [(vars(record)["document"], record.getMessage()) for record in caplog.records]
    assert (update().document_id, "update applied") in logged
    assert (update().document_id, "update stale") in logged
    assert opensearch.exists(index=INDEX, id=update("dog.jpg").document_id)


def test_the_time_from_upload_to_index_is_counted_of_uploads_alone(
    functions: dict[str, Handler], capsys: pytest.CaptureFixture[str]
) -> None:
    ahead = update("ahead.jpg", event_time="2999-01-01T00:00:00Z")
    garbled, naive = update("garbled.jpg", event_time="soon"), update("naive.jpg", event_time="2026-01-01T00:00:00")
    again = update("again.jpg", look="a1")
    rejected = update("rejected.jpg", kind="rejected", tags=(), reason="no image")
    assert failed(functions["catalog"](batch(update(), ahead, garbled, naive, again, rejected))) == []
    counted = metrics(capsys.readouterr().out)
    since, none = counted["UploadToIndexed"]
    assert since > 1e9
    assert none == 0
    assert (counted["service"], counted["stage"]) == ("catalog", "local")
    # The same event once more changes nothing, and is counted no more.
    functions["catalog"](batch(update()))
    assert "UploadToIndexed" not in metrics(capsys.readouterr().out)


def test_a_failure_holds_up_its_own_group_only(functions: dict[str, Handler], opensearch: OpenSearch) -> None:
    cat = update().document_id
    event = batch((cat, "garbage"), update("dog.jpg"), update(), ("other", "[" * 50_000), update("bird.jpg"))
    assert failed(functions["catalog"](event)) == ["0", "2", "3"]
    assert opensearch.exists(index=INDEX, id=update("bird.jpg").document_id)


@pytest.mark.parametrize("body", ["", "null", "{}", '"\\ud800"', "\x00", "NaN", "9" * 5000])
def test_no_message_crashes_the_function(functions: dict[str, Handler], body: str) -> None:
    assert failed(functions["catalog"](batch(("g", body)))) == ["0"]


def test_a_second_batch_starts_clean(functions: dict[str, Handler]) -> None:
    handler = functions["catalog"]
    assert failed(handler(batch((update().document_id, "garbage")))) == ["0"]
    assert failed(handler(batch(update()))) == []


def test_opensearch_away_fails_all_without_raising(function: Function) -> None:
    handler = function("catalog", "http://127.0.0.1:1")
    assert failed(handler(batch(update(), update("dog.jpg")))) == ["0", "1"]


def test_search_answers_in_the_agreed_form(functions: dict[str, Handler], opensearch: OpenSearch) -> None:
    functions["catalog"](batch(update(size=7, width=4, height=3, model="lite0")))
    opensearch.indices.refresh(index=INDEX)
    answer = functions["search"]({"query": "tag", "tag": "cat", "min_score": 0.5})
    assert answer == {
        "total": 1,
        "images": [
            {
                "title": "cat.jpg",
                "s3_location": "s3://photos/cat.jpg",
                "bucket": "photos",
                "key": "cat.jpg",
                "status": "classified",
                "score": 0.9,
                "tag": "cat",
                "tags": [{"tag": "cat", "score": 0.9, "kind": "leaf"}],
                "width": 4,
                "height": 3,
                "size": 7,
                "sequencer": "0A",
                "model": "lite0",
                "uploaded_at": "2026-01-01T00:00:00Z",
                "classified_at": "2026-01-01T00:00:01Z",
            }
        ],
        "after": None,
    }
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize("event", [None, [], "x", {}, {"query": "tag"}, {"query": "tag", "tag": "cat", "limit": 10**9}])
def test_a_bad_request_gets_a_sentence(functions: dict[str, Handler], event: Any) -> None:
    answer = functions["search"](event)
    assert answer.keys() == {"error"}
    assert answer["error"].endswith(".")


def test_the_schedule_purges_and_the_action_reindexes(functions: dict[str, Handler], opensearch: OpenSearch) -> None:
    purge = functions["purge"]
    nothing = {"tombstones": 0, "indexes": [], "thumbnails": 0, "swept": 0, "complete": True}
    assert purge(SCHEDULED) == nothing
    functions["catalog"](batch(replace(update(), kind="removed")))
    opensearch.update(index=INDEX, id=update().document_id, body={"doc": {"indexed_at": "2020-01-01T00:00:00Z"}})
    opensearch.indices.refresh(index=INDEX)
    assert purge(SCHEDULED) == nothing | {"tombstones": 1}
    moved = purge({"action": "reindex"})
    assert (moved["state"], moved["index"]) == ("done", index_name(INDEX))


def with_thumbnails(sequencer: str, name: str = "cat.jpg") -> CatalogUpdate:
    """Of an image whose thumbnails are written."""
    made = update(name, sequencer)
    key = key_of(made.document_id, sequencer, "etag")
    for item in objects_of(key):
        boto3.client("s3").put_object(Bucket="thumbnails", Key=item, Body=b"a picture")
    return replace(made, thumbnails={"key": key, "sizes": {"320": [320, 240], "1024": [1024, 768]}})


def kept() -> set[str]:
    """The keys that thumbnails are under."""
    listed = boto3.client("s3").list_objects_v2(Bucket="thumbnails").get("Contents", [])
    return {item["Key"].rpartition("/")[0] for item in listed}


def key(update: CatalogUpdate) -> str:
    assert update.thumbnails is not None
    return str(update.thumbnails["key"])


def test_thumbnails_go_with_what_named_them(functions: dict[str, Handler], opensearch: OpenSearch) -> None:
    first, second = with_thumbnails("0A"), with_thumbnails("0B")
    assert failed(functions["catalog"](batch(first))) == []
    assert failed(functions["catalog"](batch(second))) == []
    assert kept() == {key(second)}
    late = with_thumbnails("0A")
    assert failed(functions["catalog"](batch(late))) == []
    assert kept() == {key(second)}
    assert failed(functions["catalog"](batch(update(sequencer="0C", kind="removed")))) == []
    assert kept() == set()
    # A delete marker is removed: the same content comes up again, by an event of its own.
    again = with_thumbnails("0D")
    assert failed(functions["catalog"](batch(again, update(sequencer="0C", kind="removed")))) == []
    assert kept() == {key(again)}
    assert opensearch.get(index=INDEX, id=again.document_id)["_source"]["thumbnails"] == again.thumbnails
    assert failed(functions["catalog"](batch(update(sequencer="0E", kind="rejected", reason="a text")))) == []
    assert kept() == set()


@pytest.mark.parametrize("days", [0, 1])
def test_thumbnails_that_nobody_names_are_purged_when_no_event_can_come_any_more(
    functions: dict[str, Handler], days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    living, stray = with_thumbnails("0A"), with_thumbnails("0B")
    unknown = with_thumbnails("0A", "dog.jpg")
    functions["catalog"](batch(living))
    monkeypatch.setenv("TOMBSTONE_DAYS", str(days))
    purged = functions["purge"](SCHEDULED)
    assert (purged["thumbnails"], purged["swept"], purged["complete"]) == (0 if days else 4, 6, True)
    assert kept() == ({key(living), key(stray), key(unknown)} if days else {key(living)})


@pytest.mark.parametrize("name", ["api", "catalog", "search", "purge"])
def test_nothing_heavy_is_imported_and_nothing_read_at_import(name: str) -> None:
    heavy = {"tensorflow", "ai_edge_litert", "numpy", "PIL", "aws_cdk", "click", "rich", "boto3"}
    heavy |= {"opensearchpy", "requests"}
    script = (
        f"import runpy, sys; runpy.run_path({str(ROOT / 'lambdas' / name / 'handler.py')!r}, run_name='handler');"
        f"print(sorted({heavy!r} & sys.modules.keys()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert run.stdout.strip() == "[]"
