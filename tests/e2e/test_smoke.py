"""``tagstream smoke`` in the deployed pipeline."""

from __future__ import annotations

import json

from tests.documents import undocumented
from tests.e2e.conftest import Pipeline


def test_a_photo_goes_in_is_found_and_leaves_nothing(pipeline: Pipeline) -> None:
    def versions() -> set[str]:
        listed = pipeline.s3.list_object_versions(Bucket=pipeline.bucket, Prefix="tagstream-smoke-")
        return {one["Key"] for one in [*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())]}

    done = pipeline.run("smoke", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["step"], row["status"]) for row in rows] == [
        ("uploaded", "done"),
        ("classified", "done"),
        ("found", "done"),
        ("removed", "done"),
    ]
    assert all(row["seconds"] >= 0 for row in rows)
    assert undocumented(rows) == set()
    assert versions() == set()


def test_people_read_a_line_for_each_step(pipeline: Pipeline) -> None:
    done = pipeline.run("smoke")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["uploaded", "classified", "found", "removed"]
    assert all(line.endswith(" s") for line in done.stdout.splitlines())


def test_what_takes_too_long_fails_and_says_where(pipeline: Pipeline) -> None:
    """Nothing is classified while the mapping is off."""
    functions = pipeline.connection.client("lambda")
    name = pipeline.connection.outputs("ingest")["ClassifyFunctionName"]
    (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        done = pipeline.run("smoke", "--timeout", "2")
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert done.returncode == 1
    assert "is not in the catalog" in done.stderr
    assert done.stderr.splitlines()[0].startswith("classified")
    pipeline.settled()
    assert not pipeline.s3.list_objects_v2(Bucket=pipeline.bucket, Prefix="tagstream-smoke-").get("Contents")
