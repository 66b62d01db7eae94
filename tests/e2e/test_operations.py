"""What whoever is on call types, in the deployed pipeline: dead letters, pauses, the state, the doctor."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import threading
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog.updates import document_id
from tests.documents import undocumented
from tests.e2e.conftest import TAGSTREAM, Pipeline, clean_environment, eventually


@contextmanager
def attributes(pipeline: Pipeline, queue: str, **changed: str) -> Iterator[None]:
    """A queue as somebody has changed it by hand."""
    was = pipeline.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=list(changed))["Attributes"]
    pipeline.sqs.set_queue_attributes(QueueUrl=queue, Attributes=changed)
    try:
        yield
    finally:
        pipeline.sqs.set_queue_attributes(QueueUrl=queue, Attributes={name: was[name] for name in changed})


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def doctor(pipeline: Pipeline) -> set[str]:
    """The checks that find something. That photos of other tests were seen by another model is none of ours."""
    done = pipeline.run("doctor", "--json")
    found = rows(done)
    assert done.returncode == (1 if found else 0), done.stderr
    assert undocumented(found) == set()
    assert all(row["then"] for row in found)
    return {row["check"] for row in found} - {"versions"}


def policy(pipeline: Pipeline, queue: str) -> dict[str, Any]:
    told = pipeline.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["RedrivePolicy"])["Attributes"]
    return dict(json.loads(told["RedrivePolicy"]))


def test_a_dead_letter_says_why_and_goes_back(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    assert doctor(pipeline) == set()
    once = json.dumps(policy(pipeline, pipeline.catalog_queue) | {"maxReceiveCount": 1})
    with attributes(pipeline, pipeline.catalog_queue, VisibilityTimeout="1", RedrivePolicy=once):
        pipeline.sqs.send_message(
            QueueUrl=pipeline.catalog_queue,
            MessageBody="garbled",
            MessageGroupId="operations",
            MessageDeduplicationId="operations",
        )
        eventually(lambda: pipeline.waiting(pipeline.catalog_dead_letters) == 1, "the garbled update is given up")
        assert "queues and functions" in doctor(pipeline)

    listed = pipeline.run("dlq", "list", "--json")
    assert undocumented(rows(listed)) == set()
    assert {row["queue"]: row["dead_letters"] for row in rows(listed)}["catalog"] == 1
    seen = pipeline.run("dlq", "peek", "catalog", "--json")
    (row,) = rows(seen)
    assert undocumented([row]) == set()
    # Of the message it is known from its function's log alone.
    assert row["reason"].startswith("not a catalog update")
    assert row["about"][0].startswith("not readable")
    told = pipeline.run("dlq", "peek", "catalog")
    assert "not a catalog update" in told.stdout
    assert "dlq redrive catalog" in told.stderr.splitlines()[-1]

    state = pipeline.run("status", "--json")
    assert state.returncode == 1
    assert undocumented(rows(state)) == set()
    assert {queue["queue"]: queue["dead"] for queue in rows(state)[0]["queues"]}["catalog"] == 1
    assert "dlq peek catalog" in pipeline.run("status").stderr.splitlines()[-1]

    nothing = pipeline.run("dlq", "redrive", "catalog", "--id", "another", "--idle", "0.5", "--json")
    assert nothing.returncode == 3, nothing.stderr
    assert rows(nothing)[0]["moved"] == 0
    # Of the right kind now: what it says is put right, as a new version of the code would.
    again = pipeline.run("dlq", "redrive", "catalog", "--id", row["id"], "--idle", "0.5", "--json")
    assert again.returncode == 0, again.stderr
    assert rows(again) == [{"queue": "catalog", "moved": 1, "came_back": 0, "left": 0, "failed": []}]
    # It is as garbled as before, and is retried in a minute: nobody waits for that.
    eventually(lambda: pipeline.waiting(pipeline.catalog_queue) == 1, "it was tried again")
    pipeline.sqs.purge_queue(QueueUrl=pipeline.catalog_queue)
    pipeline.sqs.purge_queue(QueueUrl=pipeline.catalog_dead_letters)
    eventually(lambda: pipeline.run("dlq", "peek", "catalog").returncode == 3, "there is none any more")


def test_dead_letters_are_chosen_by_key_and_the_rest_is_thrown_away(
    pipeline: Pipeline, photos: dict[str, Path]
) -> None:
    pipeline.put("operations/drum.jpg", photos["drum.jpg"])
    pipeline.shows("operations/drum.jpg", "drum")
    for key in ("operations/drum.jpg", "elsewhere/cat.jpg", "elsewhere/dog.jpg"):
        body = json.dumps({"Records": [pipeline.record(key, "00")]})
        pipeline.sqs.send_message(QueueUrl=pipeline.ingest_dead_letters, MessageBody=body)
    done = pipeline.run("dlq", "redrive", "ingest", "--key", "operations/*", "--idle", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    assert rows(done)[0] | {"left": 2} == {"queue": "ingest", "moved": 1, "came_back": 0, "left": 2, "failed": []}
    pipeline.settled()
    assert {row["about"][0] for row in rows(pipeline.run("dlq", "peek", "ingest", "--json"))} == {
        "elsewhere/cat.jpg",
        "elsewhere/dog.jpg",
    }
    refused = pipeline.run("dlq", "purge", "ingest", input="n\n")
    assert refused.returncode == 1
    assert pipeline.waiting(pipeline.ingest_dead_letters) == 2
    purged = pipeline.run("dlq", "purge", "ingest", "--yes", "--no-wait")
    assert purged.returncode == 0, purged.stderr
    assert "2 dead letters" in purged.stdout
    assert pipeline.waiting(pipeline.ingest_dead_letters) == 0


def test_paused_messages_wait_and_resumed_nothing_is_lost(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    paused = pipeline.run("pause", "ingest")
    try:
        assert paused.returncode == 0, paused.stderr
        assert "resume ingest" in paused.stderr
        assert pipeline.run("pause", "ingest").stdout.startswith("ingest   paused already")
        for number in range(3):
            pipeline.put(f"operations/paused-{number}.jpg", photos["drum.jpg"])
        eventually(lambda: pipeline.waiting(pipeline.ingest_queue) == 3, "the events wait")
        state = pipeline.run("status")
        assert state.returncode == 1
        assert "paused" in state.stdout
        assert "resume" in state.stderr.splitlines()[-1]
        assert "mappings" in doctor(pipeline)
        assert pipeline.waiting(pipeline.ingest_queue) == 3
    finally:
        resumed = pipeline.run("resume")
    assert resumed.returncode == 0, resumed.stderr
    assert [line.split()[0] for line in resumed.stdout.splitlines()] == ["ingest", "catalog", "steps"]
    for number in range(3):
        pipeline.shows(f"operations/paused-{number}.jpg", "drum")
    pipeline.settled()
    assert doctor(pipeline) == set()


def test_the_doctor_finds_what_was_changed(pipeline: Pipeline) -> None:
    was = pipeline.s3.get_bucket_notification_configuration(Bucket=pipeline.bucket)
    pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration={})
    try:
        assert doctor(pipeline) == {"notifications"}
    finally:
        kept = {"QueueConfigurations": was["QueueConfigurations"]}
        pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration=kept)
    # S3 sends a test event then. A function that is changed while it starts loses what it has for six timeouts.
    pipeline.settled()

    functions = pipeline.connection.client("lambda")
    name = pipeline.connection.outputs("ingest")["ClassifyFunctionName"]
    memory = functions.get_function_configuration(FunctionName=name)["MemorySize"]
    functions.update_function_configuration(FunctionName=name, MemorySize=memory + 64)
    try:
        assert doctor(pipeline) == {"queues and functions"}
    finally:
        functions.update_function_configuration(FunctionName=name, MemorySize=memory)

    # The purge's, which nobody else calls meanwhile; what the doctor says to type, brings it back.
    name = pipeline.connection.outputs("catalog")["PurgeFunctionName"]
    with zipfile.ZipFile(patch := io.BytesIO(), "w") as archive:
        archive.writestr("handler.py", "def handler(event, context):\n    return {}\n")
    functions.update_function_code(FunctionName=name, ZipFile=patch.getvalue())
    changed = [one for one in rows(pipeline.run("doctor", "--json")) if one["check"] == "queues and functions"]
    (found,) = changed
    assert f"function {name} has other code than its stack gave it" in found["what"]
    typed = re.search(r"update-function-code --function-name (\S+) --s3-bucket (\S+) --s3-key (\S+)", found["then"])
    assert typed is not None
    functions.update_function_code(**dict(zip(("FunctionName", "S3Bucket", "S3Key"), typed.groups(), strict=True)))
    assert doctor(pipeline) == set()
    assert "is well" in pipeline.run("doctor").stdout


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_status_is_watched_until_ctrl_c(pipeline: Pipeline, flag: list[str]) -> None:
    with subprocess.Popen(
        [TAGSTREAM, "status", "--watch", "--every", "1", *flag],
        env=clean_environment(**pipeline.connection.environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout
        first = watching.stdout.readline()
        assert json.loads(first)["stage"] == "local" if flag else first.startswith("Stage local, ")
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)
    assert watching.returncode == 130
    assert said.splitlines()[-1].startswith("Interrupted.")


def reconcile(pipeline: Pipeline, *options: str) -> tuple[int, dict[str, Any]]:
    done = pipeline.run("images", "reconcile", "--json", *options)
    (row,) = rows(done)
    assert undocumented([row]) == set()
    return done.returncode, row


def test_bucket_and_catalog_are_brought_together_again(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    """Notifications are lost, then the whole index; nothing else has to be done than to say so."""
    names = ("drum.jpg", "cannon.jpg", "eagle.jpg", "coffee.png")
    for name in names:
        pipeline.put(f"reconcile/{name}", photos[name])
        pipeline.searchable(f"reconcile/{name}")
    pipeline.settled()
    code, before = reconcile(pipeline, "--repair")
    assert code == 0, "what other tests have left could not be brought together"
    assert reconcile(pipeline) == (0, before | {"sent": 0, "missing": 0, "changed": 0, "gone": 0, "thumbnails": 0})

    was = pipeline.s3.get_bucket_notification_configuration(Bucket=pipeline.bucket)
    pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration={})
    try:
        pipeline.put("reconcile/unheard.jpg", photos["drum.jpg"])
        pipeline.put("reconcile/cannon.jpg", photos["drum.jpg"])
        pipeline.s3.delete_object(Bucket=pipeline.bucket, Key="reconcile/eagle.jpg")
        code, found = reconcile(pipeline)
        assert code == 4
        assert (found["missing"], found["changed"], found["gone"]) == (1, 1, 1)
        assert "images reconcile --repair" in pipeline.run("images", "reconcile").stderr.splitlines()[-1]
    finally:
        kept = {"QueueConfigurations": was["QueueConfigurations"]}
        pipeline.s3.put_bucket_notification_configuration(Bucket=pipeline.bucket, NotificationConfiguration=kept)
    code, repaired = reconcile(pipeline, "--repair")
    assert (code, repaired["sent"]) == (0, 3)
    pipeline.shows("reconcile/unheard.jpg", "drum")
    pipeline.shows("reconcile/cannon.jpg", "drum")
    assert pipeline.image("reconcile/eagle.jpg") is None

    everything = {image["key"] for image in pages(pipeline)}
    assert len(everything) >= len(names)
    address = f"http://127.0.0.1:{pipeline.connection.search_port}/imagerepository-v*"
    with urllib.request.urlopen(urllib.request.Request(address, method="DELETE"), timeout=30) as deleted:
        assert deleted.status == 200
    assert "catalog" in doctor(pipeline)
    lost = pipeline.run("images", "search", "drum")
    assert lost.returncode == 1
    code, repaired = reconcile(pipeline, "--repair", "--rate", "100")
    assert code == 0
    assert repaired["sent"] >= len(everything)
    assert {image["key"] for image in pages(pipeline)} == everything
    assert doctor(pipeline) == set()
    # What was brought back hears of what happens to it as before.
    pipeline.put("reconcile/drum.jpg", photos["cannon.jpg"])
    pipeline.shows("reconcile/drum.jpg", "cannon")
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key="reconcile/coffee.png")
    eventually(lambda: pipeline.image("reconcile/coffee.png") is None, "the removal is heard of")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_index_is_made_anew_while_it_is_searched(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    """Uploads, overwrites and removals go on; what was damaged unseen is right again; an interrupted run goes on."""
    for name in ("drum.jpg", "cannon.jpg", "eagle.jpg", "coffee.png"):
        pipeline.put(f"rebuild/{name}", photos[name])
        pipeline.searchable(f"rebuild/{name}")
    pipeline.settled()
    damaged = document_id(pipeline.bucket, "rebuild/eagle.jpg")
    client = OpenSearch(pipeline.connection.search_url)
    client.update(index="imagerepository", id=damaged, body={"doc": {"tags": []}}, params={"refresh": "true"})
    (before,) = client.indices.get_alias(name="imagerepository")
    missed: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.wait(0.1):
            found = pipeline.ask(query="search", q="drum", limit=100)
            if "rebuild/drum.jpg" not in {image["key"] for image in found["images"]}:
                missed.append("rebuild/drum.jpg")

    searching = threading.Thread(target=search)
    searching.start()
    environment = clean_environment(**pipeline.connection.environment())
    slowly = ("images", "rebuild", "--from-photos", "--rate", "1")
    try:
        with subprocess.Popen([TAGSTREAM, *slowly], env=environment, stderr=subprocess.PIPE, text=True) as rebuilding:
            assert rebuilding.stderr
            told = rebuilding.stderr.readline()
            pipeline.put("rebuild/new.jpg", photos["drum.jpg"])
            pipeline.put("rebuild/cannon.jpg", photos["drum.jpg"])
            pipeline.s3.delete_object(Bucket=pipeline.bucket, Key="rebuild/coffee.png")
            rebuilding.send_signal(signal.SIGINT)
            _, said = rebuilding.communicate(timeout=60)
        assert rebuilding.returncode == 130, said
        again = pipeline.run("images", "rebuild", "--from-photos", "--rate", "100", "--json")
    finally:
        done.set()
        searching.join(timeout=60)
    assert again.returncode == 0, again.stderr
    assert "going on with the photos" in again.stderr
    (row,) = rows(again)
    assert undocumented([row]) == set()
    assert row["outdated"] == 0
    assert missed == []
    (after,) = client.indices.get_alias(name="imagerepository")
    client.close()
    assert after != before
    assert told == f"The catalog is in {after}.\n"
    pipeline.shows("rebuild/eagle.jpg", "bald eagle")
    pipeline.shows("rebuild/new.jpg", "drum")
    pipeline.shows("rebuild/cannon.jpg", "drum")
    eventually(lambda: pipeline.image("rebuild/coffee.png") is None, "the removal is heard of")
    assert doctor(pipeline) == set()
    assert "Nothing was left" in pipeline.run("images", "rebuild", "--abandon").stderr


def pages(pipeline: Pipeline) -> list[dict[str, Any]]:
    done = pipeline.run("images", "list", "--json")
    assert done.returncode == 0, done.stderr
    # Messages that are no events, or of other buckets, have no object that they could be made of again.
    return [row for row in rows(done) if row.get("bucket") == pipeline.bucket]


def test_removed_for_good_nothing_of_a_photo_is_left(pipeline: Pipeline, photos: dict[str, Path]) -> None:
    key, beside = "good/zebrafinch.jpg", "good/zebrafinch.jpg.png"
    pipeline.put(beside, photos["coffee.png"])
    pipeline.put(key, photos["drum.jpg"])
    pipeline.shows(key, "drum")
    pipeline.put(key, photos["cannon.jpg"])
    pipeline.shows(key, "cannon")
    pipeline.s3.delete_object(Bucket=pipeline.bucket, Key=key)
    eventually(lambda: pipeline.image(key) is None, "it is removed")
    pipeline.put(key, photos["drum.jpg"])
    thumbnails = pipeline.searchable(key)["thumbnails"]["key"]
    refused = pipeline.run("images", "rm", key, "--all-versions", input="n\n")
    assert refused.returncode == 1
    assert pipeline.image(key)

    done = pipeline.run("images", "rm", key, "no-such.jpg", "--all-versions", "--yes")
    assert done.returncode == 4, done.stderr
    assert "Deleted 4 versions of 1 of 2 images" in done.stderr
    listed = pipeline.s3.list_object_versions(Bucket=pipeline.bucket, Prefix="good/")
    assert {one["Key"] for one in [*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())]} == {beside}
    eventually(lambda: pipeline.image(key) is None, "it is out of the catalog")
    pipeline.settled()
    bucket = pipeline.connection.outputs("ingest")["ThumbnailsBucketName"]

    def left() -> list[str]:
        there = pipeline.s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        return [one["Key"] for one in there if thumbnails in one["Key"]]

    eventually(lambda: left() == [], "its thumbnails are gone")
    assert pipeline.image(beside)
    assert pipeline.dead_letters() == 0
    again = pipeline.run("images", "rm", key, "--all-versions", "--yes")
    assert again.returncode == 3
