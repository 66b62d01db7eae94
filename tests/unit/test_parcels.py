"""Parcels: any bytes in, the same bytes out, and nothing else taken for one."""

from __future__ import annotations

import bz2
from typing import Any

import pytest
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
    place=places,
    fifo=st.booleans(),
)
def test_any_bytes_come_back(content: bytes, encoding: Any, place: Place, fifo: bool) -> None:
    parcel = Parcel("u", place, content)
    message = outgoing(parcel, ParcelSettings(encoding=encoding), fifo=fifo)
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
    assert outgoing(large).body == "10000 lines in attribute parcel-bz2"
    assert outgoing(large).size < 1_000
    assert outgoing(large, ParcelSettings(encoding="plain")).body == "CCO\n" * 10_000
    assert "parcel-bz2" in outgoing(small, ParcelSettings(encoding="bz2")).attributes


def test_the_fullest_parcel_fits_a_message_in_every_encoding() -> None:
    import random

    deepest = Place.parse(".".join(["999999999999~" + "z" * 32] * 5))
    noise = random.Random(0).randbytes(MAX_PARCEL_BYTES)
    for encoding in ("auto", "plain", "bz2"):
        message = outgoing(Parcel("u" * 80, deepest, noise), ParcelSettings(encoding=encoding))  # type: ignore[arg-type]
        assert message.size <= MAX_BYTES


@pytest.mark.parametrize("what", ["body", "lines", "checksum", "bz2", "cut", "bomb"])
def test_damage_is_found(what: str) -> None:
    content = b"CCO\n" * 10_000 if what in ("bz2", "cut", "bomb") else b"CCO\n"
    message = outgoing(Parcel("u", Place.of(0), content))
    attributes, body = dict(message.attributes), message.body
    if what == "body":
        body = "CCN\n"
    elif what == "lines":
        attributes["parcel-lines"] = 2
    elif what == "checksum":
        attributes["parcel-checksum"] = "0" * 16
    elif what == "bz2":
        attributes["parcel-bz2"] = b"BZh9 nonsense"
    elif what == "cut":
        attributes["parcel-bz2"] = bytes(attributes["parcel-bz2"])[:-5]  # type: ignore[arg-type]
    else:
        attributes["parcel-bz2"] = bz2.compress(b"\n" * 50_000_000)
    with pytest.raises(ParcelDamaged, match="parcel 0 of upload u"):
        unpack(Message(id="m", receipt="r", body=body, attributes=attributes))


@pytest.mark.parametrize(
    "change",
    [{"parcel-upload": None}, {"parcel-upload": "no spaces"}, {"parcel-sequence": "17.x"}, {"parcel-upload": 7}],
)
def test_what_others_put_there_is_no_parcel(change: dict[str, Any]) -> None:
    message = outgoing(Parcel("u", Place.of(0), b"CCO\n"))
    attributes = {name: value for name, value in (dict(message.attributes) | change).items() if value is not None}
    assert unpack(Message(id="m", receipt="r", body="CCO", attributes=attributes)) is None
    assert unpack(Message(id="m", receipt="r", body="CCO")) is None


def test_settings_that_cannot_be_are_refused() -> None:
    for wrong in ({"max_lines": 0}, {"max_bytes": 0}, {"max_bytes": MAX_BYTES}, {"encoding": "zip"}):
        with pytest.raises(ConfigurationError):
            ParcelSettings(**wrong)  # type: ignore[arg-type]
