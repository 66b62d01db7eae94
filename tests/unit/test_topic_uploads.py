"""Files into topics: read, measured and cut; what cannot go in is told before anything is sent."""

from __future__ import annotations

import gzip
import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError, TopicError
from tagstream.topics import (
    MessageTooLarge,
    ParcelSettings,
    PublishFailed,
    Topics,
    TopicSettings,
    download,
    upload,
)
from tagstream.topics.files import content_chunks
from tagstream.topics.parcels import MAX_PARCEL_BYTES
from tagstream.topics.progress import Progress
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tagstream.topics.uploads import new_upload_id
from tests.transfers import contents, make, written


@given(content=contents, lines=st.integers(1, 20), most=st.sampled_from([1, 10, 300]), block=st.integers(1, 100))
def test_chunks_are_whole_lines_within_the_limits(content: bytes, lines: int, most: int, block: int) -> None:
    chunks = list(content_chunks(io.BytesIO(content), lines, most))
    assert b"".join(chunks) == content
    assert all(chunk.endswith(b"\n") for chunk in chunks[:-1])
    for chunk in chunks:
        count = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        assert 1 <= count <= lines
        assert len(chunk) <= most or count == 1


def test_upload_ids_grow() -> None:
    ids = [new_upload_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("position", ["first", "middle", "last", "no newline"])
def test_a_line_too_long_is_named_before_anything_is_sent(tmp_path: Path, position: str) -> None:
    topics = make()
    long = b"x" * 2_000_000
    content = {
        "first": long + b"\nCCO\n",
        "middle": b"CCO\n" * 300_000 + long + b"\nCCO\n",
        "last": b"CCO\nCCO\n" + long + b"\n",
        "no newline": b"CCO\nCCO\n" + long,
    }[position]
    line = {"first": "1", "middle": "300,001", "last": "3", "no newline": "3"}[position]
    files = [written(tmp_path / "fine", b"CCO\n"), written(tmp_path / "bad", content)]
    with pytest.raises(MessageTooLarge, match=rf"bad, line {line}: longer than the 1,046,528 bytes"):
        upload(topics, "smiles", files)
    assert topics.counts("smiles").total == 0


@pytest.mark.parametrize("tail", [b"", b"\n"])
@pytest.mark.parametrize("before", [b"", b"short\n", b"y" * (MAX_PARCEL_BYTES - 1) + b"\n"])
def test_the_longest_line_fits_and_one_byte_more_does_not(tmp_path: Path, tail: bytes, before: bytes) -> None:
    topics = make()
    noise = random.Random(0).randbytes(MAX_PARCEL_BYTES).replace(b"\n", b".")
    fits = before + noise[: MAX_PARCEL_BYTES - len(tail)] + tail
    upload(topics, "smiles", [written(tmp_path / "in", fits)])
    download(topics, "smiles", tmp_path / "out", idle=0)
    assert (tmp_path / "out").read_bytes() == fits
    with pytest.raises(MessageTooLarge):
        upload(topics, "smiles", [written(tmp_path / "in", before + noise + b"." + tail)])
    assert topics.counts("smiles").total == 0


def test_compressed_files_are_read_as_what_is_in_them(tmp_path: Path) -> None:
    topics = make()
    text = b"CCO\nc1ccccc1\n" * 50_000
    half = len(text) // 2
    files = {
        "a.gz": gzip.compress(text),
        "b": gzip.compress(text[:half]) + gzip.compress(text[half:]),
        "c.zst": zstandard.compress(text),
        "d": zstandard.compress(text[:half]) + zstandard.compress(text[half:]),
        "e.zst": zstandard.compress(b""),
        "f.zst": b"\x50\x2a\x4d\x18\x04\x00\x00\x00size" + zstandard.compress(text),
    }
    for number, (name, content) in enumerate(files.items()):
        expected = b"" if name == "e.zst" else text
        sent = upload(topics, "smiles", [written(tmp_path / name, content)])
        assert sent.bytes == len(expected)
        target = tmp_path / f"out{number}"
        download(topics, "smiles", target, idle=0)
        assert target.read_bytes() == expected


@pytest.mark.parametrize("damage", ["truncated", "garbled", "followed by garbage"])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_broken_compressed_file_is_told_before_anything_is_sent(tmp_path: Path, kind: str, damage: str) -> None:
    topics = make()
    text = random.Random(0).randbytes(100_000).hex().encode()
    content = gzip.compress(text) if kind == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(text)
    middle = len(content) // 2
    content = {
        "truncated": content[:-100],
        "garbled": content[:middle] + bytes(100) + content[middle + 100 :],
        "followed by garbage": content + b"garbage",
    }[damage]
    with pytest.raises(ConfigurationError, match="bad"):
        upload(topics, "smiles", [written(tmp_path / "bad", content)])
    with pytest.raises(ConfigurationError, match="nowhere"):
        upload(topics, "smiles", [tmp_path / "nowhere"])
    assert topics.counts("smiles").total == 0


def test_progress_counts_what_was_accepted(tmp_path: Path) -> None:
    topics = make(Chaos(refusals=0.3))
    source = written(tmp_path / "in", b"CCO\n" * 1_234)
    steps: list[Progress] = []
    result = upload(topics, "smiles", [source], settings=ParcelSettings(max_lines=10), on_progress=steps.append)
    assert [step.lines for step in steps] == sorted(step.lines for step in steps)
    assert steps[-1] == Progress(1_234, 4_936, 124, result.requests, total_lines=1_234, total_bytes=4_936)
    steps.clear()
    download(topics, "smiles", tmp_path / "out", idle=1, on_progress=steps.append)
    assert (steps[-1].lines, steps[-1].bytes, steps[-1].messages) == (1_234, 4_936, 124)


def test_an_upload_that_is_not_accepted_whole_says_how_to_go_on(tmp_path: Path) -> None:
    clock = VirtualClock()
    topics = Topics(
        MemorySqs(clock=clock, chaos=Chaos(refusals=0.6)),
        settings=TopicSettings(attempts=1),
        clock=clock.now,
        sleep=clock.sleep,
    )
    topics.create("smiles", max_receives=100)
    source = written(tmp_path / "in", b"".join(b"%d\n" % n for n in range(200)))
    how = ParcelSettings(max_lines=10)
    with pytest.raises(PublishFailed, match="upload id 'mine'") as caught:
        upload(topics, "smiles", [source], settings=how, upload_id="mine")
    assert 0 < caught.value.result.accepted < 20
    assert caught.value.result.accepted + len(caught.value.result.failed) == 20
    for _ in range(30):
        try:
            upload(topics, "smiles", [source], settings=how, upload_id="mine")
        except PublishFailed:
            continue
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == source.read_bytes()
    with pytest.raises(ConfigurationError, match="upload id"):
        upload(topics, "smiles", [source], upload_id="no spaces")


def test_all_files_of_an_upload_together_choose_the_size_of_its_parcels(tmp_path: Path) -> None:
    topics = make()
    files = [written(tmp_path / f"in{number}", b"CCO\n" * 2_000) for number in range(50)]
    assert upload(topics, "smiles", files).messages == 50
    assert upload(topics, "smiles", files[:1]).messages == 20
    assert upload(topics, "smiles", files[:1], settings=ParcelSettings(batch_size=50)).messages == 40


def test_a_pipe_is_no_file_and_says_what_to_type(tmp_path: Path) -> None:
    topics = make()
    os.mkfifo(tmp_path / "pipe")
    for what in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ConfigurationError, match="standard input, with -"):
            upload(topics, "smiles", [what])
    assert topics.counts("smiles").total == 0


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_of_a_file_that_grows_meanwhile_goes_what_was_checked_and_the_rest_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pack: Callable[[bytes], bytes]
) -> None:
    topics = make()
    source = written(tmp_path / "in", pack(b"CCO\n" * 1_000))

    def grow(_: str) -> None:
        with source.open("ab") as file:
            file.write(pack(b"too late\n"))

    result = upload(topics, "smiles", [source], on_start=grow)
    assert (result.lines, result.bytes) == (1_000, 4_000)
    assert "grew while it was uploaded" in caplog.text
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"CCO\n" * 1_000


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path: Path) -> None:
    topics = make()
    source = written(tmp_path / "in", b"CCO\n" * 1_000)
    with pytest.raises(TopicError, match="became shorter"):
        upload(topics, "smiles", [source], on_start=lambda _: os.truncate(source, 400))


def fifo() -> Topics:
    clock = VirtualClock()
    topics = Topics(MemorySqs(clock=clock), clock=clock.now, sleep=clock.sleep)
    topics.create("smiles.fifo")
    return topics


def test_a_repetition_of_which_sqs_drops_everything_says_so_and_again_sends_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    topics = fifo()
    source = written(tmp_path / "in", b"CCO\n" * 250)
    assert upload(topics, "smiles.fifo", source, upload_id="mine").missing == 0
    download(topics, "smiles.fifo", tmp_path / "out", idle=1)
    assert caplog.text == ""
    repeated = upload(topics, "smiles.fifo", source, upload_id="mine")
    assert (repeated.messages, repeated.missing) == (3, 3)
    assert "SQS drops what it was sent under the same upload id within five minutes" in caplog.text
    assert topics.counts("smiles.fifo").total == 0
    again = upload(topics, "smiles.fifo", source, upload_id="mine", again=True)
    assert (again.messages, again.missing) == (3, 0)
    download(topics, "smiles.fifo", tmp_path / "out2", idle=1)
    assert (tmp_path / "out2").read_bytes() == source.read_bytes()


def test_an_interrupted_fifo_upload_is_repeated_without_doubling_and_without_alarm(tmp_path: Path) -> None:
    topics = fifo()
    source = written(tmp_path / "in", b"CCO\n" * 2_500)

    def interrupt(progress: Progress) -> None:
        if progress.messages == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(topics, "smiles.fifo", source, upload_id="mine", on_progress=interrupt)
    assert upload(topics, "smiles.fifo", source, upload_id="mine").missing == 0
    assert topics.counts("smiles.fifo").total == 25


@pytest.mark.parametrize("wrap", [str, Path, lambda path: [path], lambda path: (str(path),)])
def test_a_file_is_named_as_people_do(tmp_path: Path, wrap: Callable[[Path], Any]) -> None:
    topics = make()
    assert upload(topics, "smiles", wrap(written(tmp_path / "a", b"CCO\n"))).lines == 1


def test_what_is_no_upload_says_what_is_expected(tmp_path: Path) -> None:
    topics = make()
    source = written(tmp_path / "in", b"CCO\n")
    misuse: list[tuple[Callable[[], object], str]] = [
        (lambda: upload(topics, "smiles", 5), "takes a path, or a list of at least one: not an int"),  # type: ignore[arg-type]
        (lambda: upload(topics, "smiles", []), "not an empty list"),
        (lambda: upload(topics, "smiles", tmp_path), "is a folder, and an upload takes files"),
        (lambda: upload(topics, "smiles", tmp_path / "none"), "cannot be read"),
        (lambda: upload(topics, "smiles", source, upload_id="a b"), "an upload id has 1 to 70"),
        (lambda: upload(topics, "smiles", [None]), "takes paths: not None"),  # type: ignore[list-item]
        (lambda: upload(topics, "smiles", b"CCO"), "not bytes"),  # type: ignore[arg-type]
        (lambda: upload(topics, "smiles", ""), "not an empty text"),
        (lambda: upload(topics, "smiles", io.StringIO()), "not a StringIO"),  # type: ignore[arg-type]
        (lambda: upload(topics, source, "smiles"), "a topic is its name or its URL"),  # type: ignore[arg-type]
        (lambda: upload("smiles", "in", "x"), r"the first argument is a Topics"),  # type: ignore[arg-type]
        (lambda: upload(topics, "smiles", source, names=["a", "b"]), "as many names as files, 1: not 2"),
        (lambda: upload(topics, "smiles", source, settings={}), "ParcelSettings"),  # type: ignore[arg-type]
        (lambda: download(topics, "smiles", None), "takes the path of a file to write: not None"),  # type: ignore[arg-type]
        (lambda: download("smiles", "x", "y"), "the first argument is a Topics"),  # type: ignore[arg-type]
    ]
    for act, words in misuse:
        with pytest.raises(TopicError, match=words):
            act()
    assert topics.counts("smiles").total == 0


def test_dev_null_is_an_empty_file(tmp_path: Path) -> None:
    topics = make()
    assert upload(topics, "smiles", "/dev/null").messages == 1
    assert download(topics, "smiles", tmp_path / "out", idle=1).messages == 1
    assert (tmp_path / "out").read_bytes() == b""
