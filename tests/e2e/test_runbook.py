"""The runbook, tried: the cause of an alarm is made, what it measures crosses its threshold, and its entry is followed.

:mod:`tests.runbook` says which alarms those are. CloudWatch is not there to ring: what it would add up is read where it
comes from.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from opensearchpy import OpenSearch

from stacks.settings import settings_for
from tagstream.local.gallery import Gallery
from tests.e2e.conftest import Pipeline, deployed, eventually
from tests.e2e.test_operations import attributes, doctor, rows

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

SETTINGS = settings_for({"stage": "local"})


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory, least_privilege: bool) -> Iterator[Pipeline]:
    """A cloud of its own, where things may fail, with everything that settings switch on and an alarm is on."""
    settings = {"reconcile_days": "365"}
    yield from deployed(tmp_path_factory, "runbook", least_privilege=least_privilege, settings=settings)


def function_of(pipeline: Pipeline, capability: str, output: str) -> str:
    return pipeline.connection.outputs(capability)[output]


def measured(pipeline: Pipeline, function: str, metric: str) -> list[float]:
    """What a function has counted for CloudWatch, in the order of its calls: the metric lines of its log."""
    logs, functions = pipeline.connection.client("logs"), pipeline.connection.client("lambda")
    about = functions.get_function_configuration(FunctionName=function)
    group = about.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}"
    found: list[float] = []
    asked: dict[str, Any] = {"logGroupName": group, "filterPattern": f'"{metric}"'}
    while True:
        try:
            answer = logs.filter_log_events(**asked)
        except logs.exceptions.ResourceNotFoundException:
            return found  # it was never called
        for event in answer["events"]:
            for line in event["message"].splitlines():
                if '"_aws"' in line:
                    found += json.loads(line[line.index("{") :]).get(metric, [])
        if "nextToken" not in answer:
            return found
        asked["nextToken"] = answer["nextToken"]


def invoke(pipeline: Pipeline, function: str, event: Any) -> tuple[bool, Any]:
    """Whether it failed, and what it answers."""
    answer = pipeline.connection.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event).encode())
    return "FunctionError" in answer, json.loads(answer["Payload"].read())


def cataloged(pipeline: Pipeline, photos: dict[str, Path], key: str) -> str:
    pipeline.put(key, photos["drum.jpg"])
    pipeline.shows(key, "drum")
    return key


def test_the_purge_has_not_run(pipeline: Pipeline) -> None:
    purge = function_of(pipeline, "catalog", "PurgeFunctionName")
    assert sum(measured(pipeline, purge, "Purges")) < 1
    failed, _ = invoke(pipeline, purge, {})
    assert not failed
    eventually(lambda: sum(measured(pipeline, purge, "Purges")) == 1, "the purge is counted")


def test_many_photos_are_rejected(pipeline: Pipeline) -> None:
    classify = function_of(pipeline, "ingest", "ClassifyFunctionName")
    keys = [f"rejections/{number}.jpg" for number in range(3)]
    for key in keys:
        pipeline.put(key, b"no photo")
    eventually(lambda: sum(measured(pipeline, classify, "ImagesRejected")) >= 3, "the rejections are counted")
    for key in keys:
        pipeline.searchable(key)
    told = {row["key"]: row["reason"] for row in rows(pipeline.run("images", "rejected", "--json"))}
    assert all(told[key] for key in keys)
    assert pipeline.run("images", "rm", "--yes", *keys).returncode == 0
    eventually(lambda: pipeline.run("images", "rejected").returncode == 3, "nothing is rejected any more")


def test_writes_are_blocked(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    """As OpenSearch does where its disk is full."""
    catalog = function_of(pipeline, "catalog", "CatalogFunctionName")
    cataloged(pipeline, photos, "blocked/before.jpg")
    client = OpenSearch(pipeline.connection.search_url)
    with attributes(pipeline, pipeline.catalog_queue, VisibilityTimeout="1"):
        client.indices.put_settings(index="imagerepository", body={"index.blocks.read_only_allow_delete": True})
        pipeline.put("blocked/meanwhile.jpg", photos["drum.jpg"])
        eventually(lambda: sum(measured(pipeline, catalog, "Failures")) >= 1, "messages are given back")
        assert "catalog" in doctor(pipeline)
        eventually(lambda: pipeline.waiting(pipeline.catalog_dead_letters) == 1, "the update is given up")
        assert pipeline.run("pause", "catalog").returncode == 0
        client.indices.put_settings(index="imagerepository", body={"index.blocks.read_only_allow_delete": None})
    client.close()
    assert pipeline.run("resume").returncode == 0
    redriven = pipeline.run("dlq", "redrive", "catalog", "--idle", "0.5")
    assert redriven.returncode == 0, redriven.stderr
    pipeline.shows("blocked/meanwhile.jpg", "drum")
    pipeline.settled()
    assert doctor(pipeline) == set()


def test_a_function_fails(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    """Somebody has changed by hand where it looks for OpenSearch."""
    cataloged(pipeline, photos, "failing/drum.jpg")
    functions, search = pipeline.connection.client("lambda"), function_of(pipeline, "search", "SearchFunctionName")
    was = functions.get_function_configuration(FunctionName=search)["Environment"]["Variables"]
    wrong = was | {"OPENSEARCH_ENDPOINT": "nowhere"}
    functions.update_function_configuration(FunctionName=search, Environment={"Variables": wrong})
    try:
        failed, said = invoke(pipeline, search, {"query": "stats"})
        assert failed
        assert "nowhere" in said["errorMessage"]
        assert pipeline.run("images", "search", "drum").returncode == 1
        smoke = pipeline.run("smoke", "--timeout", "5")
        assert smoke.returncode == 1
    finally:
        functions.update_function_configuration(FunctionName=search, Environment={"Variables": was})
    failed, _ = invoke(pipeline, search, {"query": "stats"})
    assert not failed
    assert pipeline.run("smoke").returncode == 0


def test_opensearch_does_not_answer(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    cataloged(pipeline, photos, "away/drum.jpg")
    gallery, search = Gallery.of(pipeline.connection), psutil.Process(pipeline.pids["search"])
    with requests.Session() as session:
        session.verify, session.trust_env = gallery.certificate or True, False
        session.headers["Authorization"] = f"Bearer {gallery.token()}"

        def asked() -> tuple[int, float]:
            began = time.monotonic()
            status = session.get(f"{gallery.api_url}/images", params={"q": "drum"}, timeout=60).status_code
            return status, 1000 * (time.monotonic() - began)

        assert asked()[0] == 200
        search.suspend()
        try:
            status, took = asked()
            assert status == 503
            assert took > SETTINGS.api.latency_alarm_milliseconds
        finally:
            search.send_signal(signal.SIGCONT)
        eventually(lambda: asked()[0] == 200, "it answers again")
    assert pipeline.run("images", "search", "drum").returncode == 0


def test_somebody_tries_doors(pipeline: Pipeline) -> None:
    gallery = Gallery.of(pipeline.connection)
    with requests.Session() as session:
        session.verify, session.trust_env = gallery.certificate or True, False
        many = SETTINGS.api.client_errors_alarm + 1
        told = [session.get(f"{gallery.api_url}/images", timeout=30).status_code for _ in range(many)]
        assert set(told) == {401}
        session.headers["Authorization"] = f"Bearer {gallery.token()}"
        assert eventually(
            lambda: session.get(f"{gallery.api_url}/images", timeout=30).status_code == 200, "who may is let in"
        )


def test_notifications_get_lost(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    reconcile = function_of(pipeline, "reconcile", "ReconcileFunctionName")
    pipeline.settled()
    invoke(pipeline, reconcile, {})
    pipeline.settled()
    before = sum(measured(pipeline, reconcile, "DifferencesFound"))
    was = pipeline.s3.get_bucket_notification_configuration(Bucket=pipeline.bucket)
    pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration={})
    try:
        for number in range(11):
            pipeline.put(f"lost/{number}.jpg", photos["drum.jpg"])
        assert "notifications" in doctor(pipeline)
    finally:
        kept = {"QueueConfigurations": was["QueueConfigurations"]}
        pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration=kept)
    failed, told = invoke(pipeline, reconcile, {})
    assert not failed, told
    assert (told["found"], told["sent"], told["complete"]) == (11, 11, True)
    eventually(
        lambda: sum(measured(pipeline, reconcile, "DifferencesFound")) - before > 10, "the differences are counted"
    )
    for number in range(11):
        pipeline.shows(f"lost/{number}.jpg", "drum")
    pipeline.settled()
    assert pipeline.run("images", "reconcile").returncode == 0
    assert doctor(pipeline) == set()
    _, told = invoke(pipeline, reconcile, {})
    assert told["found"] == 0


def test_the_index_is_lost(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    cataloged(pipeline, photos, "red/drum.jpg")
    pipeline.settled()
    client = OpenSearch(pipeline.connection.search_url)
    client.indices.delete(index="imagerepository-v*")
    client.close()
    assert pipeline.run("images", "search", "drum").returncode == 1
    assert "catalog" in doctor(pipeline)
    rebuilt = pipeline.run("images", "rebuild", "--rate", "100")
    assert rebuilt.returncode == 0, rebuilt.stderr
    pipeline.shows("red/drum.jpg", "drum")
    assert doctor(pipeline) == set()
