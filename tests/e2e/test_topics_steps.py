"""Topics on the deployed cloud: the step function over a whole bucket, a worker of one's own, the order check."""

from __future__ import annotations

import json
from pathlib import Path

from tagstream.topics import Topics, download, upload
from tests.e2e.conftest import Pipeline, eventually


def test_a_bucket_is_tagged_again_by_list_upload_step_function_and_download(
    pipeline: Pipeline, photos: dict[str, Path], tmp_path: Path
) -> None:
    keys = [f"again/{name}" for name in sorted(photos)[:3]]
    for key in keys:
        pipeline.put(key, photos[Path(key).name])
    lines = [f"s3://{pipeline.bucket}/{key}" for key in (*keys, "again/missing.jpg")]
    (tmp_path / "list").write_text("".join(line + "\n" for line in lines))
    steps = pipeline.connection.outputs("steps")
    topics = Topics(pipeline.sqs)

    upload(topics, steps["InputTopicName"], [tmp_path / "list"])
    eventually(lambda: topics.counts(steps["InputTopicName"]).total == 0, "the step function has done its work")
    download(topics, steps["OutputTopicName"], tmp_path / "tags", idle=1)

    answers = [json.loads(line) for line in (tmp_path / "tags").read_text().splitlines()]
    assert [answer["location"] for answer in answers] == lines
    assert all(answer["tags"][0]["score"] > 0 for answer in answers[:3])
    assert "NoSuchKey" in answers[3]["error"]
    pipeline.settled()
    for key, answer in zip(keys, answers, strict=False):
        pipeline.shows(key, answer["tags"][0]["tag"])


def test_a_worker_on_this_machine_runs_the_same_step(
    pipeline: Pipeline, photos: dict[str, Path], tmp_path: Path
) -> None:
    name = sorted(photos)[0]
    pipeline.put(f"worker/{name}", photos[name])
    (tmp_path / "list").write_text(f"s3://{pipeline.bucket}/worker/{name}\n{photos[name]}\n")
    for arguments in (
        ("topics", "create", "photos", "--yes"),
        ("topics", "create", "tags", "--yes"),
        ("topics", "upload", str(tmp_path / "list"), "photos"),
        ("topics", "process", "photos", "tags", "--step", "classify", "--idle-timeout", "0"),
        ("topics", "download", "tags", str(tmp_path / "tags"), "--idle", "1"),
        ("topics", "clear", "photos", "--yes"),
        ("topics", "clear", "tags", "--yes"),
    ):
        done = pipeline.run(*arguments)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    from_s3, from_file = (json.loads(line) for line in (tmp_path / "tags").read_text().splitlines())
    assert from_s3["tags"] == from_file["tags"] != []


def test_the_order_check_shows_what_fifo_is_for(pipeline: Pipeline) -> None:
    done = pipeline.run("topics", "order-check", "--messages", "200", "--groups", "5", "--json")
    assert done.returncode == 0, done.stderr
    standard, fifo = (json.loads(line) for line in done.stdout.splitlines())
    assert (standard["duplicates"] >= 20, standard["lost"]) == (True, 0)
    assert (fifo["received"], fifo["out_of_order"], fifo["duplicates"], fifo["lost"]) == (200, 0, 0, 0)
    assert Topics(pipeline.sqs).list_topics("tagstream-order-check-") == []
