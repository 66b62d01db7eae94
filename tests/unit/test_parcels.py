"""Parcels: any bytes in, the same bytes out, and nothing else taken for one."""

from __future__ import annotations

import base64
import bz2
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError
from tagstream.topics import Message, Outgoing, Parcel, ParcelDamaged, ParcelSettings, Place, outgoing, unpack
from tagstream.topics.messages import MAX_BYTES, is_legal_text
from tagstream.topics.parcels import MAX_PARCEL_BYTES, Level

levels = st.builds(
    Level,
    index=st.integers(0, 10**12),
    variant=st.text("0123456789abcdefghijklmnopqrstuvwxyz", max_size=32),
    last=st.booleans(),
)
places = st.lists(levels, min_size=1, max_size=5).map(lambda found: Place(tuple(found)))


def received(message: Outgoing) -> Message:
    return Message(id="m", receipt="r", body=message.body, attributes=message.attributes)


@given(
    content=st.one_of(st.binary(max_size=20_000), st.text(max_size=5_000).map(str.encode)),
    encoding=st.sampled_from(["auto", "plain", "bz2"]),
    compression=st.sampled_from(["fast", "small", "none"]),
    place=places,
    fifo=st.booleans(),
)
def test_any_bytes_come_back(content: bytes, encoding: Any, compression: Any, place: Place, fifo: bool) -> None:
    parcel = Parcel("u", place, content)
    message = outgoing(parcel, ParcelSettings(encoding=encoding, compression=compression), fifo=fifo)
    assert unpack(received(message)) == parcel
    assert is_legal_text(message.body)
    assert message.size <= MAX_BYTES
    assert (message.group_id == "u") == fifo
    assert b"".join(parcel.lines()) == content
    assert len(parcel.lines()) == parcel.line_count


@given(place=places)
def test_places_are_read_as_they_are_written(place: Place) -> None:
    assert Place.parse(str(place)) == place


@given(st.text(max_size=30))
def test_what_is_no_place_is_refused(text: str) -> None:
    try:
        place = Place.parse(text)
    except ValueError:
        return
    assert Place.parse(str(place)) == place


def test_the_body_is_readable_where_that_costs_nothing() -> None:
    small, large = Parcel("u", Place.of(0), b"CCO\n" * 1_000), Parcel("u", Place.of(0), b"CCO\n" * 10_000)
    assert outgoing(small).body == "CCO\n" * 1_000
    assert outgoing(large).body == "10000 lines in attribute parcel-zstd"
    assert outgoing(large, ParcelSettings(compression="small")).body == "10000 lines in attribute parcel-bz2"
    assert outgoing(large).size < 1_000
    assert outgoing(large, ParcelSettings(compression="none")).body == "CCO\n" * 10_000
    assert outgoing(large, ParcelSettings(encoding="plain")).body == "CCO\n" * 10_000
    assert "parcel-bz2" in outgoing(small, ParcelSettings(encoding="bz2")).attributes


def test_the_fullest_parcel_fits_a_message_in_every_encoding() -> None:
    import random

    deepest = Place.parse(".".join(["999999999999~" + "z" * 32] * 5))
    noise = random.Random(0).randbytes(MAX_PARCEL_BYTES)
    for encoding in ("auto", "plain", "bz2"):
        for compression in ("fast", "small", "none"):
            how = ParcelSettings(encoding=encoding, compression=compression)  # type: ignore[arg-type]
            assert outgoing(Parcel("u" * 80, deepest, noise), how).size <= MAX_BYTES


@pytest.mark.parametrize("what", ["body", "lines", "checksum"])
def test_damage_is_found(what: str) -> None:
    message = outgoing(Parcel("u", Place.of(0), b"CCO\n"))
    attributes, body = dict(message.attributes), message.body
    if what == "body":
        body = "CCN\n"
    else:
        attributes |= {"parcel-lines": 2} if what == "lines" else {"parcel-checksum": "0" * 16}
    with pytest.raises(ParcelDamaged, match="parcel 0 of upload u"):
        unpack(Message(id="m", receipt="r", body=body, attributes=attributes))


def frame_that_claims(size: int) -> bytes:
    """A zstd frame whose header says that it holds so many bytes; it holds a few."""
    honest = zstandard.ZstdCompressor(write_content_size=False).compress(b"CCO\n" * 100)
    # Magic number, then: 8 bytes of content size, a single segment, no checksum, no dictionary.
    return honest[:4] + bytes([0b1110_0000]) + size.to_bytes(8, "little") + honest[6:]


@pytest.mark.parametrize("compression", ["fast", "small"])
@pytest.mark.parametrize("what", ["nonsense", "empty", "cut", "longer", "bomb", "claim", "unknown"])
def test_damage_of_what_was_compressed_is_found_and_a_bomb_not_unpacked(compression: Any, what: str) -> None:
    message = outgoing(Parcel("u", Place.of(0), b"CCO\n" * 10_000), ParcelSettings(compression=compression))
    name = "parcel-zstd" if compression == "fast" else "parcel-bz2"
    packed = bytes(message.attributes[name])  # type: ignore[arg-type]
    pack = zstandard.compress if compression == "fast" else bz2.compress
    damaged = {
        "nonsense": packed[:4] + b" nonsense",
        "empty": b"",
        "cut": packed[:-5],
        "longer": packed + packed,
        "bomb": pack(b"\n" * 50_000_000),
        "claim": frame_that_claims(1 << 60),
        "unknown": zstandard.ZstdCompressor(write_content_size=False).compress(b"\n" * 50_000_000),
    }[what]
    with pytest.raises(ParcelDamaged, match="parcel 0 of upload u"):
        unpack(Message(id="m", receipt="r", body=message.body, attributes=dict(message.attributes) | {name: damaged}))


OLD = json.loads((Path(__file__).parents[1] / "data" / "old-parcels.json").read_text())


@pytest.mark.parametrize("old", OLD, ids=lambda old: str(old["what"]))
def test_parcels_of_earlier_versions_are_read(old: dict[str, Any]) -> None:
    """As they were written before there was a choice of compression."""
    attributes = {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
        for name, value in old["attributes"].items()
    }
    content = base64.b64decode(old["content"])
    found = unpack(Message(id="m", receipt="r", body=old["body"], attributes=attributes))
    assert found == Parcel(old["upload"], Place.parse(old["sequence"]), content)


@pytest.mark.parametrize(
    "change",
    [{"parcel-upload": None}, {"parcel-upload": "no spaces"}, {"parcel-sequence": "17.x"}, {"parcel-upload": 7}],
)
def test_what_others_put_there_is_no_parcel(change: dict[str, Any]) -> None:
    message = outgoing(Parcel("u", Place.of(0), b"CCO\n"))
    attributes = {name: value for name, value in (dict(message.attributes) | change).items() if value is not None}
    assert unpack(Message(id="m", receipt="r", body="CCO", attributes=attributes)) is None
    assert unpack(Message(id="m", receipt="r", body="CCO")) is None


WRONG: tuple[dict[str, Any], ...] = ({"compression": "zip"}, {"batch_size": 0})


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"max_lines": 0}, {"max_bytes": 0}, {"max_bytes": MAX_BYTES}, {"encoding": "zip"}, *WRONG):
        with pytest.raises(ConfigurationError):
            ParcelSettings(**wrong)  # type: ignore[arg-type]


@given(lines=st.integers(0, 10**10), batch_size=st.none() | st.integers(1, 10**6))
def test_the_size_chosen_by_the_file_keeps_workers_busy_and_batches_whole(lines: int, batch_size: int | None) -> None:
    size = ParcelSettings(batch_size=batch_size).lines_for(lines)
    assert 1 <= size <= 20_000
    assert size >= min(100, batch_size or 100)
    assert size <= (batch_size or size)
    if 100 * 20 <= lines <= 1_000_000:
        assert -(-lines // size) >= 20
    if batch_size is None and lines <= 1_000_000:
        assert lines <= 50 * size


def test_small_makes_parcels_no_larger_than_bzip2_sorts_at_once() -> None:
    assert ParcelSettings(compression="small").bytes_at_most < 900_000
    assert ParcelSettings(compression="small", max_bytes=1_000).bytes_at_most == 1_000
    assert ParcelSettings().bytes_at_most == MAX_PARCEL_BYTES
