"""``tagstream images`` against S3 and CloudFormation by moto, and the real functions on a real OpenSearch API."""

from __future__ import annotations

import csv
import hashlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
from click.testing import CliRunner, Result
from moto.server import DomainDispatcherApplication, create_backend_app
from opensearchpy import OpenSearch
from werkzeug.serving import make_server

from tagstream.catalog.client import Client
from tagstream.catalog.mapping import index_name
from tagstream.catalog.reindex import rebuild_step
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.cli import main
from tagstream.cli.images import shared
from tagstream.deployed.aws import Aws
from tagstream.pipeline import uploads
from tagstream.tags import Tag
from tests.documents import undocumented

INDEX = "imagerepository"
BUCKET = "photos-of-the-test"
_INVOKE = "/2015-03-31/functions/"


def stack(**outputs: str) -> str:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {}}
    return json.dumps(
        {"Resources": {"It": queue}, "Outputs": {name: {"Value": value} for name, value in outputs.items()}}
    )


@pytest.fixture
def endpoint(
    function: Callable[[str, str], Callable[[Any], Any]], osmem_clone: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """One URL for all of AWS: moto, but for Lambda's Invoke, which runs the real handlers."""
    # They are printed, and would be among what the command prints.
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "1")
    aws = DomainDispatcherApplication(create_backend_app)
    functions = {
        "search-function": function("search", osmem_clone.url),
        "purge": function("purge", osmem_clone.url),
        # What 'images reconcile' and the like ask the deployed one.
        "classify": lambda _event: {"model": "efficientnet-lite0", "time": datetime.now(UTC).isoformat()},
    }

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if not path.startswith(_INVOKE):
            return aws(environ, start_response)
        name = path.removeprefix(_INVOKE).partition("/")[0]
        event = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        headers = [("Content-Type", "application/json")]
        try:
            answer = functions[name](event)
        except Exception as error:  # noqa: BLE001 - as Lambda does
            headers.append(("X-Amz-Function-Error", "Unhandled"))
            answer = {"errorMessage": str(error), "errorType": type(error).__name__}
        start_response("200 OK", headers)
        return [json.dumps(answer).encode()]

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    session = boto3.Session(region_name="eu-west-1")
    cloudformation = session.client("cloudformation", endpoint_url=url)
    for capability, outputs in {
        "ingest": {
            "BucketName": BUCKET,
            "ClassifyFunctionName": "classify",
            "IngestQueueUrl": f"{url}/123456789012/ingest",
        },
        "search": {"SearchFunctionName": "search-function"},
        "catalog": {"PurgeFunctionName": "purge", "CatalogQueueUrl": f"{url}/123456789012/catalog"},
    }.items():
        cloudformation.create_stack(StackName=f"tagstream-local-{capability}", TemplateBody=stack(**outputs))
    sqs = session.client("sqs", endpoint_url=url)
    for queue in ("ingest", "catalog"):
        sqs.create_queue(QueueName=queue)
    s3 = session.client("s3", endpoint_url=url)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    try:
        yield url
    finally:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")):  # noqa: S310
            pass
        server.shutdown()
        thread.join(60)
        server.server_close()


Run = Callable[..., Result]


@pytest.fixture
def run(endpoint: str) -> Run:
    def invoke(*arguments: str, input: str | None = None) -> Result:
        environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-west-1"}
        return CliRunner().invoke(main, ["images", *arguments], env=environment, input=input, catch_exceptions=False)

    return invoke


@pytest.fixture
def s3(endpoint: str) -> Any:
    return boto3.Session(region_name="eu-west-1").client("s3", endpoint_url=endpoint)


def keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def lines(result: Result) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert undocumented(rows) == set()
    return rows


def fill(client: Client, count: int) -> None:
    updates = [
        CatalogUpdate(
            kind="classified",
            bucket=BUCKET,
            key=f"2026/[red] {number:03}.jpg",
            sequencer="0A",
            event_kind="created",
            event_time="2026-01-01T00:00:00Z",
            width=40,
            height=30,
            model="efficientnet-lite0",
            tags=(Tag("hot dog", round(1 - number / 1000, 3)), Tag("plate", 0.0005)),
            processed_at="2026-01-01T00:00:01Z",
        )
        for number in range(count)
    ]
    bad = CatalogUpdate("rejected", BUCKET, "notes.jpg", "0A", "created", "", reason="it is a text")
    assert {outcome.state for outcome in CatalogStore(client, INDEX).apply([*updates, bad])} == {"applied"}
    client.request("POST", f"{INDEX}/_refresh")


def test_search_as_a_table_and_as_json(run: Run, client: Client) -> None:
    fill(client, 250)
    table = run("search", "hot dogs", "--min-score", "0.99")
    assert table.exit_code == 0
    assert "2026/[red] 010.jpg" in table.stdout
    assert "011.jpg" not in table.stdout
    assert BUCKET not in table.stdout
    everything = run("search", "hot dog", "--json")
    assert [image["title"] for image in lines(everything)] == [f"[red] {number:03}.jpg" for number in range(250)]
    assert everything.stderr == ""
    some = run("search", "hot dog", "--limit", "101", "--json")
    assert len(lines(some)) == 101
    assert "101 of 250" in some.stderr
    assert "20 of 250" in run("search", "hot dog").stderr
    assert len(lines(run("show", "--words", "red", "--json"))) == 250
    assert "3 of 250" in run("show", "--words", "red", "--json", "--limit", "3").stderr


def test_the_pipe_of_the_help_removes_everything_that_is_found(run: Run, s3: Any, client: Client) -> None:
    fill(client, 25)
    for number in range(25):
        s3.put_object(Bucket=BUCKET, Key=f"2026/[red] {number:03}.jpg", Body=b"x")
    found = [image["key"] for image in lines(run("search", "hot dog", "--json"))]
    assert run("rm", "--yes", *found).exit_code == 0
    assert keys(s3) == []


def test_json_is_printed_page_by_page(endpoint: str, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a page is held: what was found is out before the next page is asked for."""
    fill(client, 250)
    printed, before_each_page = 0, []
    ask, echo = Aws.invoke, click.echo

    def asked(*arguments: Any) -> dict[str, Any]:
        before_each_page.append(printed)
        return ask(*arguments)

    def echoed(*arguments: Any, **options: Any) -> None:
        nonlocal printed
        printed += 1
        echo(*arguments, **options)

    monkeypatch.setattr(Aws, "invoke", asked)
    monkeypatch.setattr(click, "echo", echoed)
    environment = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-west-1"}
    arguments = ["images", "search", "hot dog", "--json"]
    assert CliRunner().invoke(main, arguments, env=environment, catch_exceptions=False).exit_code == 0
    assert before_each_page == [0, 100, 200]


def test_columns_are_chosen(run: Run, client: Client) -> None:
    fill(client, 2)
    chosen = run("search", "hot dog", "--columns", "width, key")
    assert [line.rstrip().split(maxsplit=1) for line in chosen.stdout.splitlines()] == [
        ["width", "key"],
        ["40", "2026/[red] 000.jpg"],
        ["40", "2026/[red] 001.jpg"],
    ]
    assert run("rejected", "--columns", "reason").stdout.split() == ["reason", "it", "is", "a", "text"]
    wrong = run("search", "hot dog", "--columns", "key,wdith")
    assert wrong.exit_code == 2
    assert f"There is no column 'wdith'; there are {', '.join(shared.IMAGE_FIELDS)}." in " ".join(wrong.stderr.split())
    assert "for the table" in run("search", "hot dog", "--columns", "key", "--json").stderr
    fields = set().union(*lines(run("search", "hot dog", "--json")), *lines(run("rejected", "--json")))
    assert fields <= set(shared.IMAGE_FIELDS)


@pytest.mark.parametrize("arguments", [["search", "cat"], ["show", "x.jpg"], ["rejected"]])
@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_nothing_found_is_3(run: Run, client: Client, arguments: list[str], json_: list[str]) -> None:
    CatalogStore(client, INDEX).create_index()
    result = run(*arguments, *json_)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr


def test_show_and_rejected(run: Run, client: Client) -> None:
    fill(client, 2)
    shown = run("show", "[RED] 001.jpg")
    assert shown.exit_code == 0
    assert "hot dog" in shown.stdout
    assert "0.999" in shown.stdout
    assert "40 x 30 pixels" in shown.stdout
    assert lines(run("show", "[red] 001.jpg", "--json"))[0]["tags"][0] == {
        "tag": "hot dog",
        "score": 0.999,
        "kind": "leaf",
    }
    assert "it is a text" in run("show", "notes.jpg").stdout
    assert "it is a text" in run("rejected").stdout
    assert [image["key"] for image in lines(run("rejected", "--json"))] == ["notes.jpg"]
    assert len(lines(run("show", "--words", "red", "--json"))) == 2


def picture(key: str, etag: str, **facts: Any) -> CatalogUpdate:
    return CatalogUpdate(
        kind="classified",
        bucket=BUCKET,
        key=key,
        sequencer="0A",
        event_kind="created",
        event_time="2026-01-01T00:00:00Z",
        etag=etag,
        size=1_000_000,
        width=facts.pop("width", 4000),
        height=3000,
        model="lite0",
        tags=(Tag("cat", 0.5),),
        processed_at="2026-01-01T00:00:01Z",
        facts=facts,
    )


def test_show_says_what_a_photo_says_besides(run: Run, opensearch: OpenSearch, client: Client) -> None:
    facts = {
        "taken_at": "2025-06-12T14:03:11+02:00",
        "camera": "<b>NIKON</b> [red]D850",
        "location": {"lat": 48.2082, "lon": 16.3738},
        "colors": [{"color": "blue", "share": 0.6}, {"color": "gray", "share": 0.21}],
        "brightness": 0.25,
        "sharpness": 0.5,
    }
    CatalogStore(client, INDEX).apply([picture("a.jpg", "a", **facts)])
    opensearch.indices.refresh(index=INDEX)
    shown = run("show", "a.jpg").stdout
    assert "taken 2025-06-12 14:03:11+02:00 with <b>NIKON</b> [red]D850 at 48.2082, 16.3738\n" in shown
    assert "blue 60%, gray 21%, brightness 0.25, sharpness 0.50\n" in shown
    assert lines(run("show", "a.jpg", "--json"))[0].items() >= facts.items()


def test_duplicates(run: Run, opensearch: OpenSearch, client: Client) -> None:
    catalog = CatalogStore(client, INDEX)
    catalog.apply([picture("a.jpg", "a", phash="0f" * 8), picture("b.jpg", "b", phash="f0" * 8)])
    opensearch.indices.refresh(index=INDEX)
    none = run("duplicates")
    assert (none.exit_code, none.stderr) == (3, "None of 2 images is a copy of another.\n")
    catalog.apply(
        [
            picture("again.jpg", "a", phash="0f" * 8),
            picture("small.jpg", "s", phash="0f" * 7 + "0e", width=400),
            picture("plain.jpg", "p"),
            picture("far.jpg", "f", phash="aa" * 8),
        ]
    )
    opensearch.indices.refresh(index=INDEX)
    found = run("duplicates")
    assert found.exit_code == 0
    assert [line.split()[:2] for line in found.stdout.splitlines()[1:]] == [
        ["a.jpg", "again.jpg"],
        ["a.jpg", "small.jpg"],
    ]
    assert found.stderr == (
        "2 could go, 2.0 MB, of 1 pictures. Of 1 without a perceptual hash only the bytes were compared.\n"
    )
    assert lines(run("duplicates", "--json")) == [
        {"key": "again.jpg", "keep": "a.jpg", "size": 1_000_000, "bits": None},
        {"key": "small.jpg", "keep": "a.jpg", "size": 1_000_000, "bits": 1},
    ]
    assert [row["key"] for row in lines(run("duplicates", "--exact", "--json"))] == ["again.jpg"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "cat", "--min-score", "90"], 2, "0<=x<=1"),
        (["search", "  "], 1, "must be a text"),
        (["search", "cat", "--limit", "0"], 2, "x>=1"),
        (["search", "cat", "--stage", "dev"], 1, "tagstream-dev-search is not deployed"),
        (["upload", "no-such-file.jpg"], 2, "does not exist"),
        (["rm", "s3://another/cat.jpg", "--yes"], 1, "not in this stage's bucket"),
    ],
)
def test_errors_are_one_sentence(run: Run, arguments: list[str], code: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


# The fixture ends it a second time, and osmem's client leaves the answer open, which Python 3.14 tells.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up <HTTPError 404:ResourceWarning")
def test_a_failing_function_is_an_error(run: Run, osmem_clone: Any) -> None:
    osmem_clone.close()
    result = run("search", "cat")
    assert result.exit_code == 1
    assert "function search-function failed: OpenSearch did not do as asked" in result.stderr


def test_upload_of_files_and_folders(run: Run, s3: Any, tmp_path: Path) -> None:
    album = tmp_path / "album"
    (album / "sub" / ".thumbs").mkdir(parents=True)
    for name in ("a.JPG", "sub/héllo +%🐈.png", "sub/.thumbs/x.jpg", ".hidden.jpg", "notes.txt"):
        (album / name).write_bytes(name.encode())
    single = tmp_path / "single file"
    single.write_bytes(b"no ending")
    result = run("upload", str(album), str(single), str(album / "a.JPG"), "--prefix", "2026/")
    assert result.exit_code == 0
    assert keys(s3) == ["2026/a.JPG", "2026/single file", "2026/sub/héllo +%🐈.png"]
    assert "Uploaded 3 of 3" in result.stderr
    assert "notes.txt" in result.stderr
    found = s3.get_object(Bucket=BUCKET, Key="2026/sub/héllo +%🐈.png")
    assert found["Body"].read() == "sub/héllo +%🐈.png".encode()
    assert found["ContentType"] == "image/png"


def test_upload_many_as_json(run: Run, s3: Any, tmp_path: Path) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.jpg").write_bytes(bytes([number]))
    result = run("upload", str(tmp_path), "--json", "-j", "16")
    assert result.exit_code == 0
    assert sorted(row["key"] for row in lines(result)) == keys(s3) == [f"{number:02}.jpg" for number in range(60)]


def test_an_upload_that_fails_says_so(run: Run, s3: Any, tmp_path: Path) -> None:
    (tmp_path / "good.jpg").write_bytes(b"x")
    s3.delete_bucket(Bucket=BUCKET)
    result = run("upload", str(tmp_path))
    assert result.exit_code == 1
    assert "NoSuchBucket" in result.stdout
    assert "Uploaded 0 of 1" in result.stderr


def test_what_is_there_unchanged_is_not_sent_again(run: Run, s3: Any, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    assert run("upload", str(tmp_path / "a.jpg")).exit_code == 0
    s3.put_object(Bucket=BUCKET, Key="b.jpg", Body=b"?")
    again = run("upload", str(tmp_path), "--json")
    assert again.exit_code == 0
    assert {row["key"]: row["status"] for row in lines(again)} == {
        "a.jpg": "unchanged",
        "b.jpg": "uploaded",
        "c.jpg": "uploaded",
    }
    assert s3.get_object(Bucket=BUCKET, Key="b.jpg")["Body"].read() == b"b"
    assert "Uploaded 0 of 3 (3 were there unchanged)" in run("upload", str(tmp_path)).stderr
    assert "Uploaded 3 of 3 to" in run("upload", str(tmp_path), "--force").stderr


def test_what_is_no_photo_is_warned_about(run: Run, s3: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    (tmp_path / "diary.jpg").write_text("no photo, whatever its name")
    assert "diary.jpg is no photo by its content" in run("upload", str(tmp_path)).stderr
    (tmp_path / "empty.png").touch()
    assert "2 files are no photos by their content" in run("upload", str(tmp_path)).stderr
    assert "Warning" not in run("upload", str(tmp_path / "photo.jpg")).stderr
    assert keys(s3) == ["diary.jpg", "empty.png", "photo.jpg"]


def index(client: Client, key: str, content: bytes, *, reason: str | None = None) -> None:
    """As the pipeline does when it comes to the object with this content."""
    update = CatalogUpdate(
        kind="rejected" if reason else "classified",
        bucket=BUCKET,
        key=key,
        sequencer="0A",
        event_kind="created",
        event_time="2026-01-01T00:00:00Z",
        etag=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        tags=() if reason else (Tag("hot dog", 0.9),),
        reason=reason,
        processed_at="2026-01-01T00:00:01Z",
    )
    CatalogStore(client, INDEX).apply([update])
    client.request("POST", f"{INDEX}/_refresh")


def test_upload_waits_until_all_can_be_searched(run: Run, client: Client, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    index(client, "a.jpg", b"a")
    index(client, "b.jpg", b"b", reason="it is one letter")
    index(client, "c.jpg", b"an older one")
    waited = run("upload", str(tmp_path), "--wait", "--timeout", "0.5")
    assert waited.exit_code == 4
    assert "it is one letter" in waited.stdout
    assert waited.stderr.splitlines()[-1] == (
        "1 of 3 can be searched, 1 were rejected, 1 are not in the catalog after 0.5 s, such as c.jpg: "
        "the same command goes on waiting."
    )
    rows = {row["key"]: row for row in lines(run("upload", str(tmp_path), "--wait", "--timeout", "0", "--json"))}
    assert {key: row["status"] for key, row in rows.items()} == {
        "a.jpg": "classified",
        "b.jpg": "rejected",
        "c.jpg": "missing",
    }
    assert rows["b.jpg"]["reason"] == "it is one letter"
    assert rows["a.jpg"]["tags"] == [{"tag": "hot dog", "score": 0.9, "kind": "leaf"}]
    found = run("upload", str(tmp_path / "a.jpg"), "--wait")
    assert (found.exit_code, found.stderr.splitlines()[-1]) == (0, "1 of 1 can be searched.")
    assert run("upload", str(tmp_path / "b.jpg"), "--wait").exit_code == 1


def test_an_interrupted_upload_says_how_many_are_there(
    run: Run, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / f"{name}.jpg").write_bytes(name.encode())
    whole = uploads.upload_all

    def interrupted(*arguments: Any, **options: Any) -> Iterator[uploads.Outcome]:
        outcomes = whole(*arguments, **options)
        yield next(outcomes)
        outcomes.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(uploads, "upload_all", interrupted)
    result = run("upload", str(tmp_path), "-j", "1")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "Interrupted. Uploaded 1 of 3; the same command goes on with the rest."
    monkeypatch.undo()


def test_two_files_for_one_key_are_refused_before_anything_is_sent(run: Run, s3: Any, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.jpg").write_bytes(folder.encode())
    result = run("upload", str(tmp_path / "one"), str(tmp_path / "two"))
    assert result.exit_code == 1
    assert "would both become 'same.jpg'" in result.stderr
    assert keys(s3) == []


def test_an_empty_folder_is_nothing_found(run: Run, tmp_path: Path) -> None:
    assert run("upload", str(tmp_path)).exit_code == 3


def test_rm_asks_and_says_what_was_not_there(run: Run, s3: Any) -> None:
    for key in ("a.jpg", "b +%🐈.jpg", "c.jpg", "d.jpg"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert run("rm", "a.jpg", input="n\n").exit_code == 1
    assert run("rm", "a.jpg").exit_code == 1
    assert len(keys(s3)) == 4
    assert run("rm", "a.jpg", input="y\n").exit_code == 0
    assert keys(s3) == ["b +%🐈.jpg", "c.jpg", "d.jpg"]
    part = run("rm", "--yes", f"s3://{BUCKET}/b +%🐈.jpg", "a.jpg", "--json")
    assert part.exit_code == 4
    assert lines(part) == [
        {"key": "a.jpg", "status": "missing", "reason": "no such image"},
        {"key": "b +%🐈.jpg", "status": "removed"},
    ]
    assert run("rm", "--yes", "a.jpg").exit_code == 3
    assert run("rm", "--yes", "c.jpg", "d.jpg").exit_code == 0
    assert keys(s3) == []


def test_a_catalog_that_is_missing_is_no_empty_answer(run: Run) -> None:
    for question in (("search", "cat"), ("show", "a.jpg"), ("rejected",)):
        asked = run(*question)
        assert asked.exit_code == 1
        assert "no index behind the alias imagerepository" in asked.stderr


def test_reindex(run: Run, client: Client) -> None:
    missing = run("reindex")
    assert missing.exit_code == 1
    assert "there is no catalog" in missing.stderr
    fill(client, 1)
    done = run("reindex")
    assert done.exit_code == 0
    assert index_name(INDEX) in done.stderr


def in_step(s3: Any, client: Client, key: str = "a.jpg") -> None:
    """A photo in the bucket, and its document."""
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")["ETag"].strip('"')
    known = CatalogUpdate(
        "classified", BUCKET, key, "0A", "created", "", etag=etag, model="efficientnet-lite0", tags=(Tag("cat", 0.9),)
    )
    assert CatalogStore(client, INDEX).apply([known])[0].state == "applied"
    client.request("POST", f"{INDEX}/_refresh")


def test_rebuild_makes_another_index_and_says_which(run: Run, s3: Any, opensearch: OpenSearch, client: Client) -> None:
    in_step(s3, client)
    done = run("rebuild", "--json")
    assert done.exit_code == 0, done.stderr
    second = index_name(INDEX, generation=2)
    assert lines(done) == [{"index": second, "photos": 1, "outdated": 0, "sent": 0}]
    assert done.stderr.splitlines() == [
        f"The catalog is in {second}.",
        "The catalog is made anew: 1 photos, 0 were looked at.",
    ]
    # What is lost but for the index is found again.
    opensearch.indices.delete_alias(index=second, name=INDEX)
    assert run("search", "cat").exit_code == 1
    again = run("rebuild")
    assert again.exit_code == 0, again.stderr
    assert [image["key"] for image in lines(run("search", "cat", "--json"))] == ["a.jpg"]


def test_rebuild_goes_on_with_the_photos_and_what_was_begun_is_taken_away(
    run: Run, s3: Any, opensearch: OpenSearch, client: Client, endpoint: str
) -> None:
    in_step(s3, client)
    sqs = boto3.Session(region_name="eu-west-1").client("sqs", endpoint_url=endpoint)
    sqs.create_queue(QueueName="tagstream-local-rebuild")
    done = run("rebuild", "--json")
    assert done.exit_code == 0, done.stderr
    assert "going on with the photos" in done.stderr
    assert lines(done)[0]["index"] is None
    assert sqs.list_queues(QueueNamePrefix="tagstream-local-rebuild").get("QueueUrls", []) == []
    assert list(opensearch.indices.get_alias(index=f"{INDEX}-v*")) == [index_name(INDEX)]

    rebuild_step(client, INDEX, seconds=0)
    sqs.create_queue(QueueName="tagstream-local-rebuild")
    left = run("rebuild", "--abandon")
    assert (left.exit_code, left.stderr) == (
        0,
        f"Taken away: {index_name(INDEX, generation=2)}, tagstream-local-rebuild.\n",
    )
    assert list(opensearch.indices.get_alias(index=f"{INDEX}-v*")) == [index_name(INDEX)]
    assert run("rebuild", "--abandon").stderr == "Nothing was left of a rebuild.\n"


def test_reconcile_names_the_stage_in_what_it_suggests(run: Run, s3: Any, client: Client, endpoint: str) -> None:
    in_step(s3, client)
    assert run("reconcile").exit_code == 0
    cloudformation = boto3.Session(region_name="eu-west-1").client("cloudformation", endpoint_url=endpoint)
    for capability in ("ingest", "search", "catalog"):
        stack_name = f"tagstream-local-{capability}"
        outputs = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]["Outputs"]
        same = stack(**{output["OutputKey"]: output["OutputValue"] for output in outputs})
        cloudformation.create_stack(StackName=f"tagstream-dev-{capability}", TemplateBody=same)
    s3.put_object(Bucket=BUCKET, Key="b.jpg", Body=b"unheard of")
    differs = run("reconcile", "--stage", "dev", "--json")
    assert differs.exit_code == 4
    assert lines(differs) == [{"photos": 2, "missing": 1, "changed": 0, "gone": 0, "thumbnails": 0, "sent": 0}]
    assert differs.stderr.splitlines()[-1].endswith("images reconcile --repair --stage dev")


def show_things(client: Client) -> None:
    shown = {
        "a.jpg": {"dalmatian": 0.9, "dog": 0.95, "animal": 0.96},
        "b.jpg": {"dog": 0.04, "seashore": 0.7},
        "=c.jpg": {"tabby": 0.6, "cat": 0.8, "animal": 0.8},
    }
    updates = [
        CatalogUpdate(
            "classified", BUCKET, key, "0A", "created", "", size=7, tags=tuple(Tag(*tag) for tag in tags.items())
        )
        for key, tags in shown.items()
    ]
    assert {outcome.state for outcome in CatalogStore(client, INDEX).apply(updates)} == {"applied"}
    client.request("POST", f"{INDEX}/_refresh")


def test_a_query_needs_no_quotes_and_its_answer_says_why(run: Run, client: Client) -> None:
    show_things(client)
    table = run("search", "a", "puppy", "-tabby", "--columns", "key,score")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["key", "score"],
        ["a.jpg", "0.950"],
        [],
        ["Hardly,", "if", "at", "all:"],
        ["key", "score"],
        ["b.jpg", "0.040"],
    ]
    assert table.stderr == "puppy: showing dog\n"
    found = lines(run("search", "cat | dog>0.9", "--json"))
    assert [(image["key"], image["weak"]) for image in found] == [("a.jpg", False), ("=c.jpg", False)]
    similar = run("search", "similar:a.jpg")
    assert "both show animal" in similar.stdout
    assert lines(run("search", "similar:a.jpg", "--json"))


def test_mistakes_in_a_query_are_pointed_at(run: Run, client: Client) -> None:
    show_things(client)
    wrong = run("search", "dog", "colr:red")
    assert wrong.exit_code == 1
    assert wrong.stderr.splitlines()[1:] == ["  dog colr:red", "      ^^^^^"]
    assert "did you mean color:?" in wrong.stderr
    assert run("search", "dog", "--min-scroe", "0.5").exit_code == 2
    assert "no image called 'x'" in run("search", "similar:x").stderr


def test_nothing_found_says_what_there_is(run: Run, client: Client) -> None:
    CatalogStore(client, INDEX).create_index()
    assert "The catalog is empty" in run("search", "dog").stderr
    assert "The catalog is empty" in run("tags").stderr
    assert "The catalog is empty" in run("export").stderr
    assert "The catalog is empty" in run("list").stderr
    show_things(client)
    nothing = run("search", "dalmatian", "seashore", "--json")
    assert (nothing.exit_code, nothing.stdout) == (3, "")
    assert "On their own there are: dalmatian (1), seashore (1)." in nothing.stderr


def test_tags_list_stats_and_facets(run: Run, client: Client) -> None:
    show_things(client)
    assert [row["tag"] for row in lines(run("tags", "--json"))] == [
        "animal",
        "cat",
        "dalmatian",
        "dog",
        "seashore",
        "tabby",
    ]
    assert run("tags", "zz").exit_code == 3
    assert "more than 1" in run("tags", "--limit", "1").stderr
    assert [row["key"] for row in lines(run("list", "--json"))] == ["=c.jpg", "a.jpg", "b.jpg"]
    assert [row["key"] for row in lines(run("list", "-cat", "--json"))] == ["a.jpg", "b.jpg"]
    (stats,) = lines(run("stats", "--json"))
    assert (stats["classified"], stats["bytes"]) == (3, 21)
    assert "classified" in run("stats").stdout
    facets = run("search", "animal", "--facets")
    assert "tags: animal 2, cat 1, dalmatian 1, dog 1, tabby 1" in facets.stdout
    assert lines(run("search", "animal", "--facets", "--json"))[-1]["facets"]["tags"][0] == {
        "tag": "animal",
        "images": 2,
    }


def test_export_is_complete_and_safe_for_spreadsheets(run: Run, client: Client) -> None:
    show_things(client)
    assert [row["key"] for row in lines(run("export"))] == ["=c.jpg", "a.jpg", "b.jpg"]
    exported = run("export", "--format", "csv", "--where", "animal")
    rows = list(csv.DictReader(exported.stdout.splitlines()))
    assert [row["key"] for row in rows] == ["'=c.jpg", "a.jpg"]
    assert rows[1]["tags"] == "dalmatian 0.9; dog 0.95; animal 0.96"
    assert "Exported 2 images." in exported.stderr
    assert run("export", "--where", "zzz").exit_code == 3


def test_an_export_that_breaks_off_says_so(run: Run, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(client, 150)
    ask = Aws.invoke

    def once(*arguments: Any) -> dict[str, Any]:
        monkeypatch.setattr(Aws, "invoke", lambda *_: {"error": "The function is away."})
        return ask(*arguments)

    monkeypatch.setattr(Aws, "invoke", once)
    broken = run("export")
    assert broken.exit_code == 4
    assert len(lines(broken)) == 100
    assert "Exported 100 of 151 images: what was printed is not complete. Export again." in broken.stderr
