from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto import mock_aws
from PIL import Image
from urllib3 import HTTPResponse

from tagstream.errors import ConfigurationError
from tagstream.pipeline.uploads import Upload, etag_of, find_uploads, is_photo, upload_all


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_keys_are_relative_to_the_folder(tmp_path: Path) -> None:
    deep, single = write(tmp_path / "album/2026/ö +.JPG"), write(tmp_path / "x/single.bin")
    write(tmp_path / "album/.DS_Store")
    write(tmp_path / "album/.trash/a.jpg")
    notes = write(tmp_path / "album/notes.txt")
    assert find_uploads([tmp_path / "album", single], prefix="p/") == (
        [Upload(deep, "p/2026/ö +.JPG"), Upload(single, "p/single.bin")],
        [notes],
    )


def test_a_file_given_twice_goes_up_once(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jpg")
    assert find_uploads([file, tmp_path])[0] == [Upload(file, "a.jpg")]


def test_two_files_for_one_key_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"would both become 'a\.jpg'"):
        find_uploads([write(tmp_path / "1/a.jpg"), write(tmp_path / "2/a.jpg")])


def test_names_that_make_no_key_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jpg")
    assert len(find_uploads([file], prefix="x" * 1019)[0][0].key) == 1024
    with pytest.raises(ConfigurationError, match="1025 bytes"):
        find_uploads([file], prefix="x" * 1020)
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))
    latin.write_bytes(b"x")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        find_uploads([latin])


def refused(request: Any, **_: Any) -> AWSResponse:
    """What S3 answers whom it lets do nothing."""
    told = BytesIO(b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    return AWSResponse(request.url, 403, {}, HTTPResponse(told, preload_content=False))


def test_failures_are_reported_and_the_rest_goes_on(aws_bucket: Any, tmp_path: Path) -> None:
    """Four of them at once: each waits in its request until the others are there."""
    barrier = threading.Barrier(4, timeout=60)

    def arrive(params: Any, **_: Any) -> Any:
        barrier.wait()
        parsed = {"Error": {"Code": "AccessDenied", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return (AWSResponse("", 403, {}, None), parsed) if params["url_path"].endswith("/bad") else None

    aws_bucket.meta.events.register_first("before-call.s3.PutObject", arrive)
    uploads = [Upload(write(tmp_path / key), key) for key in ("a", "bad", "b", "c")]
    gone = Upload(tmp_path / "gone", "gone")
    outcomes = {
        outcome.upload.key: outcome for outcome in upload_all(aws_bucket, "photos", [*uploads, gone], workers=4)
    }
    assert isinstance(outcomes.pop("bad").error, ClientError)
    assert isinstance(outcomes.pop("gone").error, OSError)
    assert {key: (outcome.status, outcome.error) for key, outcome in outcomes.items()} == dict.fromkeys(
        ("a", "b", "c"), ("uploaded", None)
    )
    assert [one["Key"] for one in aws_bucket.list_objects_v2(Bucket="photos")["Contents"]] == ["a", "b", "c"]


def test_what_is_no_mistake_of_a_file_ends_the_upload(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        list(upload_all(object(), "photos", [Upload(write(tmp_path / "a"), "a")]))


def made(folder: Path, keys: Iterable[str]) -> list[Upload]:
    """A file for each key, with the key in it."""
    folder.mkdir(exist_ok=True)
    uploads = [Upload(folder / str(number), key) for number, key in enumerate(keys)]
    for upload in uploads:
        upload.path.write_text(upload.key)
    return uploads


@pytest.fixture
def asked(aws_bucket: Any) -> Counter[str]:
    """How often each operation was asked for."""
    counted: Counter[str] = Counter()
    aws_bucket.meta.events.register("before-call.s3", lambda model, **_: counted.update([model.name]))
    return counted


@pytest.fixture
def small_pages(aws_bucket: Any) -> None:
    """S3 gives 50 keys to a page, and not 1,000."""
    aws_bucket.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 50}
    )


@pytest.mark.usefixtures("small_pages")
def test_what_is_there_is_listed(aws_bucket: Any, asked: Counter[str], tmp_path: Path) -> None:
    """Keys of every kind, in no order, and among others: a page tells of many, and no file is asked for."""
    names = ["ö +&", "\U0001f600", "\uffee", "a/b?c", "A%20", "z"]
    uploads = made(tmp_path, (f"p/{name}{number}" for number in range(10) for name in names))
    for other in ("p", "o/0", "q/0", "p/A%200x", "p/zz"):
        aws_bucket.put_object(Bucket="photos", Key=other, Body=b"")
    asked.clear()
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads[::3])} == {"uploaded"}
    assert asked == {"ListObjectsV2": 1, "PutObject": 20}
    asked.clear()
    statuses = {one.upload.key: one.status for one in upload_all(aws_bucket, "photos", uploads)}
    assert [statuses[upload.key] for upload in uploads] == ["unchanged", "uploaded", "uploaded"] * 20
    assert asked == {"ListObjectsV2": 1, "PutObject": 40}
    asked.clear()
    uploads[7].path.write_text("other")
    statuses = {one.upload.key: one.status for one in upload_all(aws_bucket, "photos", uploads)}
    assert {key for key, status in statuses.items() if status != "unchanged"} == {uploads[7].key}
    assert asked["PutObject"] == 1
    # Of the second page fewer are left than are worth one.
    assert asked["ListObjectsV2"] == 1
    assert asked["HeadObject"] < 20


@pytest.mark.usefixtures("small_pages")
def test_pages_follow_one_another(aws_bucket: Any, asked: Counter[str], tmp_path: Path) -> None:
    uploads = made(tmp_path, map(str, range(150)))
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"uploaded"}
    asked.clear()
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"unchanged"}
    assert asked == {"ListObjectsV2": 3}


@pytest.mark.usefixtures("small_pages")
def test_few_files_among_many_objects_are_asked_for_one_by_one(
    aws_bucket: Any, asked: Counter[str], tmp_path: Path
) -> None:
    for number in range(100):
        aws_bucket.put_object(Bucket="photos", Key=f"{number:03}", Body=b"")
    uploads = made(tmp_path, (f"{number:03}" for number in range(0, 300, 10)))
    asked.clear()
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"uploaded"}
    assert asked == {"ListObjectsV2": 1, "HeadObject": 25, "PutObject": 30}
    asked.clear()
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads[:19])} == {"unchanged"}
    assert asked == {"HeadObject": 19}


def test_who_may_not_list_asks_and_who_may_not_look_uploads(
    aws_bucket: Any, asked: Counter[str], tmp_path: Path
) -> None:
    uploads = made(tmp_path, map(str, range(20)))
    aws_bucket.meta.events.register_first("before-send.s3.ListObjectsV2", refused)
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"uploaded"}
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"unchanged"}
    aws_bucket.meta.events.register_first("before-send.s3.HeadObject", refused)
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads)} == {"uploaded"}
    assert asked["PutObject"] == 40


def test_only_before_large_objects_s3_is_asked(aws_bucket: Any, tmp_path: Path) -> None:
    expected: dict[str, str | None] = {}
    aws_bucket.meta.events.register(
        "before-sign.s3",
        lambda request, **_: expected.update({request.url.rpartition("/")[2]: request.headers.get("Expect")}),
    )
    uploads = made(tmp_path, ("empty", "small", "large"))
    for upload, size in zip(uploads, (0, 2 * 2**20 - 1, 2 * 2**20), strict=True):
        upload.path.write_bytes(b"x" * size)
    assert {one.status for one in upload_all(aws_bucket, "photos", uploads, again=True)} == {"uploaded"}
    assert expected == {"empty": None, "small": None, "large": "100-continue"}


@pytest.mark.parametrize("size", [0, 1, 8 * 2**20 - 1, 8 * 2**20, 8 * 2**20 + 1])
def test_the_etag_is_that_of_s3(aws_bucket: Any, tmp_path: Path, size: int) -> None:
    """As moto computes it of what was sent, in one part or in several; and so a second upload sends nothing."""
    file = tmp_path / "photo.tif"
    file.write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    upload = Upload(file, "photo.tif")
    (first,) = upload_all(aws_bucket, "photos", [upload])
    assert (first.status, first.error) == ("uploaded", None)
    assert aws_bucket.head_object(Bucket="photos", Key="photo.tif")["ETag"].strip('"') == first.etag == etag_of(file)
    assert [one.status for one in upload_all(aws_bucket, "photos", [upload])] == ["unchanged"]
    assert [one.status for one in upload_all(aws_bucket, "photos", [upload], again=True)] == ["uploaded"]
    file.write_bytes(b"y" * size + b"y")
    assert [one.status for one in upload_all(aws_bucket, "photos", [upload])] == ["uploaded"]


@pytest.fixture
def aws_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="photos")
        yield client


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF"])
def test_photos_of_every_format_are_known_by_their_beginning(format: str) -> None:
    if format == "HEIF":
        pi_heif = pytest.importorskip("pillow_heif")
        pi_heif.register_heif_opener()
    buffer = BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format)
    assert is_photo(buffer.getvalue()[:64])


@pytest.mark.parametrize(
    "content",
    [b"", b"BL", b"Dear diary, today", b"%PDF-1.7", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"\0\0\0\x18ftypmp42isom"],
)
def test_what_is_no_photo_is_told_by_its_beginning(content: bytes) -> None:
    assert not is_photo(content)
