"""What the commands of topics say and how they end, where that needs an SQS that can be made to do things."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from click.testing import CliRunner, Result

from tagstream.cli import main
from tagstream.deployed.aws import in_words
from tagstream.topics import Outgoing, ParcelSettings, Topics, outgoing, parcels_of
from tagstream.topics.testing import MemorySqs, VirtualClock


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Topics:
    clock = VirtualClock()
    made = Topics(MemorySqs(clock=clock), clock=clock.now, sleep=clock.sleep)
    for module in ("manage", "messages", "redrive", "transfer"):
        monkeypatch.setattr(f"tagstream.cli.topics.{module}.client_of", lambda _: made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["topics", *arguments])


def test_an_upload_that_a_fifo_topic_drops_ends_with_what_to_type(topics: Topics, tmp_path: Path) -> None:
    topics.create("smiles.fifo")
    (tmp_path / "in").write_bytes(b"CCO\n" * 1_000)
    upload = ("upload", "in", "smiles.fifo", "--upload-id", "mine")
    assert run(*upload).exit_code == 0
    assert run("download", "smiles.fifo", "out", "--idle", "1").exit_code == 0
    dropped = run(*upload)
    assert dropped.exit_code == 4
    assert "add --again" in dropped.stderr.splitlines()[-1]
    assert json.loads(run(*upload, "--json").stdout)["missing"] == 10
    assert "No messages came" in run("download", "smiles.fifo", "out2", "--idle", "1").stderr
    assert run(*upload, "--again").exit_code == 0
    assert run("download", "smiles.fifo", "out3", "--idle", "1").exit_code == 0
    assert (tmp_path / "out3").read_bytes() == (tmp_path / "in").read_bytes()
    assert run("upload", "in", "smiles.fifo", "--again").exit_code == 2


def test_a_redrive_that_leaves_something_ends_with_it(topics: Topics) -> None:
    topics.create("smiles")
    topics.publish_all("smiles-dead-letter", ["one", "two", "three"])
    topics.pull("smiles-dead-letter", max_messages=1, visibility_timeout=40_000)
    done = run("redrive", "smiles", "--idle", "1")
    assert (done.exit_code, done.stdout) == (4, "2 messages moved from smiles-dead-letter to smiles.\n")
    assert "About 1 messages are in smiles-dead-letter" in done.stderr


def test_a_download_says_what_it_waits_for(topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    topics.create("smiles", visibility_timeout=70)
    topics.publish("smiles", "CCO")
    topics.pull("smiles", visibility_timeout=40_000)
    assert run("download", "smiles", "out", "--idle", "1").exit_code == 4
    assert caplog.text.count("about 1 messages are in other hands: waiting 70 s for them to come back") == 1


def test_many_gaps_are_cut_and_none_is_told_twice(topics: Topics) -> None:
    topics.create("smiles")
    messages = [outgoing(parcel) for parcel in parcels_of("u", (b"%d\n" % n for n in range(100)))]
    topics.publish_all("smiles", messages[::2])
    done = run("download", "smiles", "out", "--idle", "1")
    assert done.exit_code == 4
    assert done.stderr.count("parcel 1 missing") == 1
    assert done.stderr.splitlines()[-1] == "  and 30 more: --json lists them."
    assert len(json.loads(run("download", "smiles", "out", "--idle", "1", "--json").stdout)["gaps"]) == 50


def test_damaged_parcels_are_one_warning(topics: Topics) -> None:
    topics.create("smiles")
    (good,) = (outgoing(parcel, ParcelSettings()) for parcel in parcels_of("u", [b"CCO\n"]))
    topics.publish_all("smiles", [Outgoing(f"no {n}\n", good.attributes) for n in range(4)])
    done = run("pull", "smiles", "--min", "4")
    assert done.stdout.splitlines() == ["no 0", "no 1", "no 2", "no 3"]
    assert done.stderr.count("is damaged") == 1
    assert done.stderr.endswith("And 3 more.\n")


def test_a_region_that_does_not_exist_is_no_matter_of_the_local_cloud() -> None:
    def said(address: str) -> str:
        return in_words(EndpointConnectionError(endpoint_url=address)) or ""

    assert "--region" in said("https://sqs.nonsense.amazonaws.com/")
    assert "local cloud" not in said("https://sqs.nonsense.amazonaws.com/")
    assert "local cloud" in said("http://127.0.0.1:4566/")


def test_publish_takes_standard_input_by_its_usual_name(topics: Topics) -> None:
    topics.create("smiles")
    done = CliRunner().invoke(main, ["topics", "publish", "smiles", "-"], input="CCO\nC\n")
    assert done.exit_code == 0
    assert {message.body for message in topics.pull("smiles", min_messages=2)} == {"CCO", "C"}


def test_verbose_may_stand_at_the_end(topics: Topics, caplog: pytest.LogCaptureFixture) -> None:
    topics.create("smiles")
    topics.publish("smiles-dead-letter", "CCO")
    root = logging.getLogger()
    before = root.level
    assert run("redrive", "smiles", "--idle", "1", "-v").exit_code == 0
    assert "redrove 1 messages" in caplog.text
    assert root.level == before


def test_a_region_of_the_local_cloud_is_refused(topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "TAGSTREAM_STAGE"):
        monkeypatch.delenv(name, raising=False)
    topics.create("smiles")
    refused = run("list", "--region", "eu-west-1")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--region needs a --stage or --profile" in refused.stderr
    assert run("list", "--region", "eu-west-1", "--stage", "dev").exit_code == 0
    assert CliRunner().invoke(main, ["topics", "list"], env={"AWS_REGION": "eu-west-1"}).exit_code == 0
