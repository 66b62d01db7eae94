"""What the tests of files over topics share: a plug to pull, small files, small parcels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tagstream.topics import (
    Parcel,
    Place,
    Topics,
    TopicSettings,
    outgoing,
)
from tagstream.topics.testing import Chaos, MemorySqs, VirtualClock


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
