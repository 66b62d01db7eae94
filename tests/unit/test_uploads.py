from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from PIL import Image

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


class Bucket:
    """A client whose uploads of ``bad`` fail, and that notes how many run at once."""

    def __init__(self, at_once: int) -> None:
        self.sent: list[str] = []
        self.barrier = threading.Barrier(at_once, timeout=60)

    def head_object(self, **_: str) -> None:
        refused = {"Error": {"Code": "403", "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        raise ClientError(refused, "HeadObject")

    def upload_file(self, *arguments: str, **_: Any) -> None:
        _, _, key = arguments
        self.barrier.wait()
        if key == "bad":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        self.sent.append(key)


def test_failures_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    bucket = Bucket(at_once=4)
    uploads = [Upload(write(tmp_path / key), key) for key in ("a", "bad", "b", "c")]
    gone = Upload(tmp_path / "gone", "gone")
    outcomes = {outcome.upload.key: outcome for outcome in upload_all(bucket, "photos", [*uploads, gone], workers=4)}
    assert isinstance(outcomes.pop("bad").error, ClientError)
    assert isinstance(outcomes.pop("gone").error, OSError)
    assert {key: (outcome.status, outcome.error) for key, outcome in outcomes.items()} == dict.fromkeys(
        ("a", "b", "c"), ("uploaded", None)
    )
    assert sorted(bucket.sent) == ["a", "b", "c"]


def test_what_is_no_mistake_of_a_file_ends_the_upload(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        list(upload_all(object(), "photos", [Upload(write(tmp_path / "a"), "a")]))


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
