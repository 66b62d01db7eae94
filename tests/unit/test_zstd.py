"""Parcels and files where zstd is missing: what is published is read by all, and what can't be read is not lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from tagstream.errors import MissingPackage
from tagstream.topics import Message, Parcel, ParcelSettings, Place, Topics, download, outgoing, process, unpack, upload
from tagstream.topics import zstd as installed
from tagstream.topics.testing import MemorySqs, VirtualClock

TEXT = b"CCO\nc1ccccc1\n" * 20_000


class Packages:
    """``take_away`` and ``bring`` whatever there is of zstd."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def take_away(self) -> None:
        for name in ("zstandard", "compression.zstd"):
            self._patch.setitem(sys.modules, name, None)
        installed.found.cache_clear()

    def bring(self) -> None:
        self._patch.undo()
        installed.found.cache_clear()


@pytest.fixture
def packages() -> Iterator[Packages]:
    with pytest.MonkeyPatch.context() as patch:
        found = Packages(patch)
        yield found
        found.bring()


@pytest.fixture
def topics() -> Topics:
    clock = VirtualClock()
    made = Topics(MemorySqs(clock=clock), clock=clock.now, sleep=clock.sleep)
    for name in ("smiles", "upper"):
        made.create(name)
    return made


def test_without_it_fast_parcels_are_such_as_everybody_reads(packages: Packages) -> None:
    packages.take_away()
    message = outgoing(Parcel("u", Place.of(0), TEXT))
    assert {"parcel-bz2", "parcel-zstd"} & message.attributes.keys() == {"parcel-bz2"}
    received = Message(id="m", receipt="r", body=message.body, attributes=message.attributes)
    assert unpack(received) == Parcel("u", Place.of(0), TEXT)
    packages.bring()
    assert unpack(received) == Parcel("u", Place.of(0), TEXT)


def test_a_download_without_it_says_what_to_install_and_goes_on_afterwards(
    packages: Packages, topics: Topics, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    upload(topics, "smiles", tmp_path / "in", settings=ParcelSettings(max_lines=10_000))
    packages.take_away()
    with pytest.raises(MissingPackage, match=r"parcel 0 of .* stays unacknowledged: .*'tagstream\[zstd\]'") as caught:
        download(topics, "smiles", tmp_path / "out", idle=0)
    assert caught.value.name == "zstandard"
    assert topics.counts("smiles").total == 4
    packages.bring()
    download(topics, "smiles", tmp_path / "out", idle=0)
    assert (tmp_path / "out").read_bytes() == TEXT


def test_a_worker_without_it_ends_and_another_does_the_work(packages: Packages, topics: Topics, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    upload(topics, "smiles", tmp_path / "in", settings=ParcelSettings(max_lines=10_000))
    packages.take_away()
    with pytest.raises(MissingPackage, match=r"'tagstream\[zstd\]'"):
        process(topics, "smiles", "upper", bytes.upper, idle_timeout=0)
    assert (topics.counts("smiles").total, topics.counts("smiles").dead_lettered) == (4, 0)
    packages.bring()
    assert process(topics, "smiles", "upper", bytes.upper, idle_timeout=0)[0] == 4
    download(topics, "upper", tmp_path / "out", idle=0)
    assert (tmp_path / "out").read_bytes() == TEXT.upper()


def test_a_file_that_can_not_be_read_without_it_is_told_before_anything_is_sent(
    packages: Packages, topics: Topics, tmp_path: Path
) -> None:
    (tmp_path / "in.zst").write_bytes(zstandard.compress(TEXT))
    packages.take_away()
    with pytest.raises(MissingPackage, match=r"'tagstream\[zstd\]'"):
        upload(topics, "smiles", tmp_path / "in.zst")
    assert topics.counts("smiles").total == 0
