"""Old and new at once: what one version puts into a queue or asks a function, another one understands.

The files of ``tests/data`` hold what earlier versions wrote, each as it was, in its own words. Whoever changes a
message or a request adds what the version before sent; nothing is ever taken out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tagstream.analysis.analyse import FIELDS
from tagstream.catalog.documents import document
from tagstream.catalog.queries import parse_request
from tagstream.catalog.updates import CatalogUpdate
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog
from tagstream.errors import ConfigurationError, QueryError
from tagstream.pipeline.events import ObjectEvent, parse_notification

DATA = Path(__file__).parents[1] / "data"
KEY = "2026/grüße +1.jpg"


def stored(name: str) -> list[Any]:
    found = json.loads((DATA / f"{name}.json").read_text())
    return [pytest.param(one.get("body", one.get("request")), id=one["what"]) for one in found]


UPDATES, LOOKS, REQUESTS = stored("old-updates"), stored("old-looks"), stored("old-requests")


@pytest.mark.parametrize("body", UPDATES)
def test_updates_of_every_version_before_become_documents(body: str) -> None:
    said, update = json.loads(body), CatalogUpdate.from_json(body)
    # Whatever the old version said is what is read, and what it did not know of is as if nothing were there.
    read = json.loads(json.dumps(asdict(update)))
    assert [{**{"kind": "leaf"}, **tag} for tag in said.pop("tags")] == read.pop("tags")
    assert said.items() <= read.items()
    for name in read.keys() - said.keys():
        assert read[name] in (None, {}), name
    if thumbnails := said.get("thumbnails"):
        assert thumbnails["key"].startswith(update.document_id), "an image has the same document in every version"
    made = document(update, indexed_at="2026-01-01T00:00:02Z")
    assert (made["status"], made["key"], made["sequencer"]) == (update.kind, KEY, update.sequencer)


@pytest.mark.parametrize("body", UPDATES)
def test_updates_of_a_newer_version_are_read_for_what_is_known(body: str) -> None:
    """A newer classify function says more than this catalog function knows: it is as if this version had spoken."""
    said = json.loads(body)
    newer = {**said, "mood": "calm", "seen": {"by": [1, 2]}}
    newer["tags"] = [{**tag, "box": [0, 0, 10, 10]} for tag in said["tags"]]
    newer["facts"] = {**(said.get("facts") or {}), "mood": {"calm": 0.5}}
    assert "mood" not in FIELDS
    assert CatalogUpdate.from_json(json.dumps(newer)) == CatalogUpdate.from_json(body)


@pytest.mark.parametrize("body", LOOKS)
def test_second_looks_of_every_version_before_are_events(body: str) -> None:
    (event,) = parse_notification(body)
    assert isinstance(event, ObjectEvent)
    assert (event.bucket, event.key) == ("photos", KEY)
    assert event.kind == ("removed" if "Removed" in body else "created")
    assert event.look == ("5f0c" if "5f0c" in body else "")


@pytest.mark.parametrize("body", LOOKS)
def test_what_a_newer_version_says_besides_of_an_event_is_passed_over(body: str) -> None:
    newer = json.loads(body)
    newer["mood"] = newer["Records"][0]["mood"] = newer["Records"][0]["s3"]["object"]["mood"] = {"calm": 1}
    assert parse_notification(json.dumps(newer)) == parse_notification(body)


@pytest.mark.parametrize("request_", REQUESTS)
def test_questions_of_every_version_before_are_understood(request_: Mapping[str, Any]) -> None:
    assert parse_request(request_).kind == request_["query"]


class Older:
    """A search function that refuses as an earlier version did, by the real words of this one's parser."""

    def __init__(self, unknown: str) -> None:
        self.unknown = unknown

    def invoke(self, capability: str, output: str, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        try:
            parse_request({**{name: value for name, value in request.items() if name != self.unknown}, "mood": 1})
        except QueryError as error:
            return {"error": str(error).replace("'mood'", repr(self.unknown))}
        raise AssertionError("nothing was unknown")


def test_a_command_line_that_is_newer_than_the_functions_says_to_deploy_again() -> None:
    with pytest.raises(QueryError, match=r"A query by versions has no field 'removed'\. .*deploy the stage again"):
        next(Catalog.over(Older("removed")).versions("photos", removed=True))


@pytest.mark.parametrize(
    "refused", ["'query' must be one of 'search', 'list'.", "A query by search has no field 'facets'."]
)
def test_a_question_that_older_functions_do_not_know_is_told_as_such(refused: str) -> None:
    class Refusing:
        def invoke(self, *_: Any) -> dict[str, Any]:
            return {"error": refused}

    with pytest.raises(QueryError, match="deploy the stage again"):
        Catalog.over(Refusing()).stats()


def test_a_question_that_makes_no_sense_is_no_reason_to_deploy() -> None:
    class Refusing:
        def invoke(self, *_: Any) -> dict[str, Any]:
            return {"error": "'min_score' must be a number from 0 to 1."}

    with pytest.raises(QueryError) as refused:
        Catalog.over(Refusing()).stats()
    assert "deploy" not in str(refused.value)


@pytest.mark.parametrize(
    "answer",
    [
        # The first ones purged, whatever they were asked.
        {"tombstones": 3, "indexes": ["imagerepository-v1"]},
        {"error": "the purge function does not know the action 'inspect'"},
    ],
)
def test_a_purge_function_that_is_older_is_to_be_deployed_again(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(Aws, "invoke", lambda *_: answer)
    with pytest.raises(ConfigurationError, match=r"older than this version and .*make deploy STAGE=dev"):
        Aws("dev", None, None, None).manage("inspect", "alias")
    monkeypatch.setattr(Aws, "invoke", lambda *_: {"alias": "imagerepository", "index": None})
    assert Aws("dev", None, None, None).manage("inspect", "alias") == {"alias": "imagerepository", "index": None}
