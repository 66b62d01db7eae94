"""Files over topics: exact, whatever SQS does, and whenever somebody pulls the plug."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import random
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError, TopicError
from tagstream.topics import (
    DownloadIncomplete,
    DownloadRefused,
    DownloadResult,
    MessageTooLarge,
    Outgoing,
    Parcel,
    ParcelSettings,
    Place,
    PublishFailed,
    Topics,
    TopicSettings,
    download,
    outgoing,
    parcels_of,
    upload,
)
from tagstream.topics.files import content_chunks
from tagstream.topics.parcels import MAX_PARCEL_BYTES
from tagstream.topics.progress import Progress
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock
from tagstream.topics.uploads import new_upload_id


class Plug(BaseException):
    """What a test pulls: not even ``except Exception`` holds it."""


class Killer:
    """Ends everything at the n-th call of some operations."""

    def __init__(self, *operations: str) -> None:
        self._operations = operations
        self.left: int | None = None

    def __call__(self, operation: str, _: Mapping[str, Any]) -> None:
        if operation in self._operations and self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Plug


def make(chaos: Chaos | None = None, killer: Killer | None = None) -> Topics:
    clock = VirtualClock()
    sqs = MemorySqs(clock=clock, chaos=chaos, intercept=killer)
    topics = Topics(sqs, settings=TopicSettings(attempts=20), clock=clock.now, sleep=clock.sleep)
    topics.create("smiles", max_receives=1000)
    return topics


def put(topics: Topics, *parcels: Parcel) -> None:
    assert topics.publish_all("smiles", map(outgoing, parcels)).accepted == len(parcels)


def parcel(place: str, content: bytes, upload_id: str = "u") -> Parcel:
    return Parcel(upload_id, Place.parse(place), content)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# The property

chaos = st.builds(
    Chaos,
    duplicates=st.sampled_from([0.0, 0.3, 1.0]),
    reorder=st.booleans(),
    refusals=st.sampled_from([0.0, 0.2]),
    throttles=st.sampled_from([0.0, 0.1]),
    lost_answers=st.sampled_from([0.0, 0.2]),
    seed=st.integers(0, 1_000_000),
)
contents = st.one_of(
    st.binary(max_size=2_000),
    st.lists(st.sampled_from([b"CCO\n", b"\n", b"\r\n", b"x", b"\x00", b"c1ccccc1 benzene\n"]), max_size=400).map(
        b"".join
    ),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    contents=st.lists(contents, min_size=1, max_size=3),
    lines=st.integers(1, 50),
    most=st.sampled_from([10, 300, MAX_PARCEL_BYTES]),
    encoding=st.sampled_from(["auto", "plain", "bz2"]),
    chaos=chaos,
    upload_kills=st.lists(st.integers(0, 8), max_size=2),
    download_kills=st.lists(st.integers(0, 12), max_size=4),
)
def test_upload_and_download_are_the_identity(  # noqa: PLR0917 - hypothesis names them
    contents: list[bytes],
    lines: int,
    most: int,
    encoding: Any,
    chaos: Chaos,
    upload_kills: list[int],
    download_kills: list[int],
) -> None:
    """Duplicated, reordered, delivered again, answers lost, both ends killed and started again: the same bytes."""
    killer = Killer("SendMessageBatch", "ReceiveMessage", "DeleteMessageBatch", "GetQueueAttributes")
    topics = make(chaos, killer)
    with tempfile.TemporaryDirectory() as folder:
        sources = [written(Path(folder, f"in{number}"), content) for number, content in enumerate(contents)]
        target = Path(folder, "out")
        how = ParcelSettings(max_lines=lines, max_bytes=most, encoding=encoding)
        for kill in upload_kills:
            killer.left = kill
            try:
                upload(topics, "smiles", sources, settings=how, upload_id="again", decompress=False)
            except Plug:
                continue
            finally:
                killer.left = None
        upload(topics, "smiles", sources, settings=how, upload_id="again", decompress=False)
        result: DownloadResult | None = None
        for kill in download_kills:
            killer.left = kill
            try:
                result = download(topics, "smiles", target, idle=5)
                break
            except Plug:
                assert not target.exists()
            finally:
                killer.left = None
        result = result or download(topics, "smiles", target, idle=5)
        # One file after the other, each but the last ended by a newline where it had none.
        whole = b""
        for content in contents:
            whole += b"\n" if whole and not whole.endswith(b"\n") and content else b""
            whole += content
        assert target.read_bytes() == whole
        assert result.bytes == len(whole)
        assert result.gaps == ()
        assert result.foreign == result.alternatives == result.damaged == 0
        assert {path.name for path in Path(folder).iterdir()} == {*(source.name for source in sources), "out"}
        assert topics.counts("smiles").total == 0


def test_idle_time_that_no_float_can_show_to_have_passed_ends_as_well(tmp_path: Path) -> None:
    # 5.189953880041537 + 5 - 5.189953880041537 is less than 5, by so little that adding it changes nothing.
    clock = VirtualClock()
    clock.sleep(5.189953880041537)
    killer = Killer("ReceiveMessage")
    topics = Topics(MemorySqs(clock=clock, intercept=killer), clock=clock.now, sleep=clock.sleep)
    topics.create("smiles")
    killer.left = 50
    assert download(topics, "smiles", tmp_path / "out", idle=5).lines == 0


@given(content=contents, lines=st.integers(1, 20), most=st.sampled_from([1, 10, 300]), block=st.integers(1, 100))
def test_chunks_are_whole_lines_within_the_limits(content: bytes, lines: int, most: int, block: int) -> None:
    chunks = list(content_chunks(io.BytesIO(content), ParcelSettings(max_lines=lines, max_bytes=most)))
    assert b"".join(chunks) == content
    assert all(chunk.endswith(b"\n") for chunk in chunks[:-1])
    for chunk in chunks:
        count = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
        assert 1 <= count <= lines
        assert len(chunk) <= most or count == 1


# Gaps, alternatives, damage


def test_gaps_are_listed_and_what_came_is_kept_for_the_next_try(tmp_path: Path) -> None:
    topics = make()
    put(topics, *(parcel(str(number), b"%d\n" % number) for number in (0, 1, 4, 7)))
    put(topics, parcel("0", b"x\n", "v"), parcel("2$", b"z\n", "v"))
    target = tmp_path / "out"
    with pytest.raises(DownloadIncomplete, match="download again") as caught:
        download(topics, "smiles", target, idle=1)
    assert caught.value.gaps == (
        "upload u: parcels 2 to 3 missing",
        "upload u: parcels 5 to 6 missing",
        "upload u: everything after parcel 7 missing",
        "upload v: parcel 1 missing",
    )
    assert not target.exists()
    assert topics.counts("smiles").total == 0
    put(topics, *(parcel(place, place[0].encode() + b"\n") for place in ("2", "3", "5", "6", "8$")))
    put(topics, parcel("1", b"y\n", "v"))
    result = download(topics, "smiles", target, idle=1)
    assert target.read_bytes() == b"0\n1\n2\n3\n4\n5\n6\n7\n8\nx\ny\nz\n"
    assert (result.uploads, result.messages, result.lines) == (2, 12, 12)
    assert list(tmp_path.iterdir()) == [target]


def test_a_partial_file_is_written_when_asked_for(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("1", b"1\n"), parcel("3", b"3\n"))
    result = download(topics, "smiles", tmp_path / "out", idle=1, partial=True)
    assert (tmp_path / "out").read_bytes() == b"1\n3\n"
    assert len(result.gaps) == 3


def test_what_is_dead_lettered_completes_the_file(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0", b"0\n"))
    topics.publish("smiles-dead-letter", outgoing(parcel("1$", b"1\n")))
    with pytest.raises(DownloadIncomplete, match="1 messages are in smiles-dead-letter"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    download(topics, "smiles-dead-letter", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"0\n1\n"


def test_missing_parcels_in_other_hands_are_waited_for(tmp_path: Path) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"0\n", b"1\n", b"2\n"]))
    topics.pull("smiles", max_messages=2, visibility_timeout=200)
    started = topics.now()
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"0\n1\n2\n"
    assert 200 <= topics.now() - started <= 210


def test_those_who_hold_parcels_for_ever_are_not(tmp_path: Path) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"0\n", b"1\n"]))
    topics.pull("smiles", max_messages=1, visibility_timeout=40_000)
    with pytest.raises(DownloadIncomplete, match="1 messages are in other hands"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert topics.now() <= 310


def test_parts_stand_for_their_parcel(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0.1~a$", b"b\n"), parcel("0.0~a", b"a\n"), parcel("1$.0.1$", b"d\n"), parcel("1$.0.0", b"c\n"))
    with pytest.raises(DownloadIncomplete) as caught:
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert caught.value.gaps == ("upload u: parcel 1: everything after part 0 missing",)
    put(topics, parcel("1$.1$", b""))
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"a\nb\nc\nd\n"


def test_of_two_runs_over_a_parcel_the_complete_one_is_taken_whole(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0.0~a", b"half a\n"), parcel("0.0~b", b"b0\n"), parcel("0.1~b$", b"b1\n"))
    put(topics, parcel("1$.0~d$", b"second\n"), parcel("1$.0~c$", b"first\n"))
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"b0\nb1\nfirst\n"
    assert result.alternatives == 2


def test_a_parcel_and_its_parts_are_not_doubled(tmp_path: Path) -> None:
    topics = make()
    whole = parcel("0$", b"a\nb\nc\n")
    put(topics, *whole.parts(2), whole)
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"a\nb\nc\n"
    assert result.alternatives == 2


@pytest.mark.parametrize("again", [[b"a\n", b"b\nc\n"], [b"a\nb\n"], [b"other\n", b"file\n", b"!\n"]])
def test_two_contents_under_one_id_are_never_mixed_silently(tmp_path: Path, again: list[bytes]) -> None:
    topics = make()
    put(topics, *parcels_of("u", [b"a\nb\n", b"c\n"]), *parcels_of("u", again))
    with pytest.raises(DownloadIncomplete, match="under the same id"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert not (tmp_path / "out").exists()
    result = download(topics, "smiles", tmp_path / "out", idle=1, partial=True)
    assert result.alternatives >= 1
    assert len(result.gaps) >= 1


def test_killed_right_after_the_file_was_written_it_leaves_nothing_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = make()
    put(topics, parcel("0$", b"old\n"))
    monkeypatch.setattr("tagstream.topics.spool.Spool.remove", lambda _: None)
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.undo()
    put(topics, parcel("0$", b"new\n", "v"))
    download(topics, "smiles", tmp_path / "out", idle=1, overwrite=True)
    assert (tmp_path / "out").read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_what_is_no_file_is_never_overwritten(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out")
    with pytest.raises(DownloadRefused, match="exists"):
        download(make(), "smiles", tmp_path / "out", idle=1, overwrite=True)


def test_a_disk_that_takes_nothing_is_a_clear_error(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"C\n"))
    (tmp_path / ".out.tagstream-part").mkdir()
    with pytest.raises(TopicError, match="nothing is lost"):
        download(topics, "smiles", tmp_path / "out", idle=1)
    (tmp_path / ".out.tagstream-part").rmdir()
    assert download(topics, "smiles", tmp_path / "out", idle=1).lines == 1


def test_damaged_parcels_stay_in_the_topic(tmp_path: Path) -> None:
    topics = make()
    good = outgoing(parcel("0$", b"CCO\n"))
    topics.publish("smiles", Outgoing("CCN\n", good.attributes))
    put(topics, parcel("0", b"x\n", "v"))
    with pytest.raises(DownloadIncomplete):
        download(topics, "smiles", tmp_path / "out", idle=1)
    assert topics.counts("smiles").total == 1
    put(topics, parcel("1$", b"y\n", "v"))
    result = download(topics, "smiles", tmp_path / "out", idle=70)
    assert result.damaged == 1
    assert result.left == 1
    assert (tmp_path / "out").read_bytes() == b"x\ny\n"


# Strangers and several uploads


def test_what_others_put_there_comes_last_a_line_each(tmp_path: Path) -> None:
    topics = make()
    topics.publish_all("smiles", [Outgoing("one"), Outgoing("two\n"), Outgoing("three\nfour")])
    put(topics, parcel("0$", b"no newline"))
    topics.publish("smiles", Outgoing("odd", {"parcel-upload": "u", "parcel-sequence": "?", "parcel-checksum": "0"}))
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    got = (tmp_path / "out").read_bytes()
    assert got.startswith(b"no newline\n")
    assert sorted(got.splitlines()[1:]) == [b"four", b"odd", b"one", b"three", b"two"]
    assert (result.foreign, result.newlines_added, result.lines) == (4, 1, 6)


def test_uploads_come_one_after_the_other_in_their_order(tmp_path: Path) -> None:
    topics = make(Chaos(reorder=True, duplicates=0.5))
    files = [written(tmp_path / f"{n:02d}", b"%d a\n%d b\n%d c" % (n, n, n)) for n in range(12)]
    first = upload(topics, "smiles", files[:11], settings=ParcelSettings(max_lines=1))
    upload(topics, "smiles", files[11:])
    assert len({uploaded.upload_id for uploaded in first.uploads}) == 11
    result = download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == b"\n".join(path.read_bytes() for path in files)
    assert (result.uploads, result.newlines_added) == (12, 11)


def test_upload_ids_grow() -> None:
    ids = [new_upload_id() for _ in range(1_000)]
    assert ids == sorted(set(ids))


# Refusals


def test_an_existing_file_is_not_overwritten_unasked_and_nothing_is_taken(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"new\n"))
    target = written(tmp_path / "out", b"old\n")
    with pytest.raises(DownloadRefused, match="exists"):
        download(topics, "smiles", target, idle=0)
    with pytest.raises(DownloadRefused, match="existing folder"):
        download(topics, "smiles", tmp_path / "no" / "out", idle=0)
    assert topics.counts("smiles").visible == 1
    download(topics, "smiles", target, idle=0, overwrite=True)
    assert target.read_bytes() == b"new\n"


def test_two_downloads_do_not_write_the_same_file(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0$", b"x\n"))
    other = sqlite3.connect(tmp_path / ".out.tagstream-spool", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DownloadRefused, match="another download"):
        download(topics, "smiles", tmp_path / "out", idle=0)
    other.execute("ROLLBACK")
    other.close()
    download(topics, "smiles", tmp_path / "out", idle=0)


def test_the_unfinished_download_of_another_topic_is_not_mixed_in(tmp_path: Path) -> None:
    topics = make()
    put(topics, parcel("0", b"x\n"))
    with pytest.raises(DownloadIncomplete):
        download(topics, "smiles", tmp_path / "out", idle=0)
    topics.create("other")
    with pytest.raises(DownloadRefused, match="'smiles'"):
        download(topics, "other", tmp_path / "out", idle=0)
    (tmp_path / ".out.tagstream-spool").write_bytes(b"no database, whatever its name says" * 100)
    with pytest.raises(DownloadRefused, match="no spool"):
        download(topics, "smiles", tmp_path / "out", idle=0)


# What is uploaded


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


# Memory


class Sink:
    """An SQS that takes everything and keeps nothing."""

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": f"https://sink/{QueueName}"}

    def send_message_batch(self, *, Entries: Iterable[Mapping[str, Any]], **_: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


class Source:
    """An SQS that makes parcels up as they are received."""

    def __init__(self, count: int) -> None:
        self._parcels = iter(enumerate(parcels_of("u", (b"%030d\n" % n * 1_000 for n in range(count)))))

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": f"https://source/{QueueName}"}

    def receive_message(self, **_: Any) -> dict[str, Any]:
        messages = []
        for number, made in itertools.islice(self._parcels, 10):
            entry = outgoing(made).to_entry()
            messages.append(
                {
                    "MessageId": str(number),
                    "ReceiptHandle": str(number),
                    "Body": entry["MessageBody"],
                    "MessageAttributes": entry["MessageAttributes"],
                }
            )
        return {"Messages": messages}

    def delete_message_batch(self, *, Entries: Iterable[Mapping[str, Any]], **_: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return {"Attributes": dict.fromkeys(names, "0")}


def peak(action: Any) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat_whatever_the_size(tmp_path: Path) -> None:
    def up(lines: int) -> int:
        source = written(tmp_path / f"in{lines}", b"%030d\n" % 7 * lines)
        return peak(lambda: upload(Topics(Sink()), "smiles", [source]))

    def down(parcels: int) -> int:
        return peak(lambda: download(Topics(Source(parcels)), "smiles", tmp_path / f"out{parcels}", idle=0))

    up(40_000), down(40)  # what is loaded and cached once
    assert up(800_000) - up(200_000) < 6_000_000  # of 18,600,000 bytes more
    assert down(600) - down(100) < 1_000_000
