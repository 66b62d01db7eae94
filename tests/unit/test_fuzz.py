"""A bounded run of `make fuzz`, and that it would notice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tagstream.errors import ImageRejected
from tests import fuzz

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:::PIL\."),
    pytest.mark.skipif(os.name != "posix", reason="measures memory as POSIX does"),
]


def test_mutants_are_decoded_or_rejected_within_the_bounds(tmp_path: Path) -> None:
    results = fuzz.run(seed=random.randrange(1_000_000), photos=tmp_path, count=150, folder=tmp_path / "at work")
    assert sum(results.values()) == 150
    assert min(results.values()) > 10
    assert list((tmp_path / "at work").iterdir()) == []


def test_every_seed_is_a_photo_in_its_own_right(tmp_path: Path) -> None:
    assert {name: fuzz.judge(photo) for name, photo in fuzz.seeds(tmp_path).items()} == dict.fromkeys(
        fuzz.seeds(tmp_path), "decoded"
    )


def prints(*_: object, **__: object) -> None:
    os.write(2, b"Fax4Decode: Uncompressed data")
    raise ImageRejected("damaged")


def test_what_is_printed_to_a_file_descriptor_is_an_offence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "decode", prints)
    with pytest.raises(fuzz.Offence, match="printed b'Fax4Decode"):
        fuzz.judge(b"a photo")


def test_a_photo_that_breaks_a_promise_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "mutant", lambda *_: b"kept")
    monkeypatch.setattr(fuzz, "peak_memory", iter([0, 10**12]).__next__)
    with pytest.raises(fuzz.Offence, match="it took 1,000,000 MB"):
        fuzz.run(seed=1, photos=tmp_path, count=5, folder=tmp_path / "at work")
    assert [path.read_bytes() for path in (tmp_path / "at work").iterdir()] == [b"kept"]


@pytest.mark.parametrize("length", [0, 15, 16, 17, 40])
def test_a_file_of_any_length_can_be_mutated(length: int) -> None:
    """However short it has become by the changes before."""
    for seed in range(2000):
        fuzz.mutant(bytes(length), random.Random(seed))
