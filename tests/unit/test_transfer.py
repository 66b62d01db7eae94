"""Files over topics: exact, whatever SQS does, and whenever somebody pulls the plug."""

from __future__ import annotations

import itertools
import tempfile
import tracemalloc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagstream.topics import (
    DownloadResult,
    ParcelSettings,
    Topics,
    download,
    outgoing,
    parcels_of,
    upload,
)
from tagstream.topics.parcels import MAX_PARCEL_BYTES
from tagstream.topics.testing import Chaos
from tests.transfers import Killer, Plug, chaos, contents, make, written


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    contents=st.lists(contents, min_size=1, max_size=3),
    lines=st.integers(1, 50),
    most=st.sampled_from([10, 300, MAX_PARCEL_BYTES]),
    encoding=st.sampled_from(["auto", "plain", "bz2"]),
    compression=st.sampled_from(["fast", "small", "none"]),
    chaos=chaos,
    upload_kills=st.lists(st.integers(0, 8), max_size=2),
    download_kills=st.lists(st.integers(0, 12), max_size=4),
)
def test_upload_and_download_are_the_identity(  # noqa: PLR0917 - hypothesis names them
    contents: list[bytes],
    lines: int,
    most: int,
    encoding: Any,
    compression: Any,
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
        how = ParcelSettings(max_lines=lines, max_bytes=most, encoding=encoding, compression=compression)
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


@pytest.mark.parametrize("compression", ["fast", "small", "none"])
def test_what_is_large_comes_back_whole_however_it_was_compressed(tmp_path: Path, compression: Any) -> None:
    topics = make(Chaos(duplicates=0.5, reorder=True))
    source = written(tmp_path / "in", b"".join(b"c1ccc(N%d)cc1 %d\n" % (n % 977, n) for n in range(130_000)))
    sent = upload(topics, "smiles", [source], settings=ParcelSettings(compression=compression))
    assert 20 <= sent.messages <= 50
    download(topics, "smiles", tmp_path / "out", idle=1)
    assert (tmp_path / "out").read_bytes() == source.read_bytes()


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
