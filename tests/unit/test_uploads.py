from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tagstream.errors import ConfigurationError
from tagstream.pipeline.uploads import Upload, find_uploads, upload_all


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
        self.barrier = threading.Barrier(at_once, timeout=10)

    def upload_file(self, *arguments: str, **_: Any) -> None:
        _, _, key = arguments
        self.barrier.wait()
        if key == "bad":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        self.sent.append(key)


def test_failures_are_reported_and_the_rest_goes_on() -> None:
    bucket = Bucket(at_once=4)
    uploads = [Upload(Path(key), key) for key in ("a", "bad", "b", "c")]
    results = {upload.key: error for upload, error in upload_all(bucket, "photos", uploads, workers=4)}
    assert isinstance(results.pop("bad"), ClientError)
    assert results == {"a": None, "b": None, "c": None}
    assert sorted(bucket.sent) == ["a", "b", "c"]
