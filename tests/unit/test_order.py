from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagstream.catalog.order import newer, position

sequencers = st.text("0123456789abcdefABCDEF", max_size=20)


@given(sequencers, sequencers)
def test_sequencers_compare_as_numbers_after_padding_on_the_right(one: str, other: str) -> None:
    width = max(len(one), len(other))
    padded = [int(text.ljust(width, "0") or "0", 16) for text in (one, other)]
    assert newer(one, other) == (padded[0] > padded[1])


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("0055AED6DCD90281E5", "0055AED6DCD90281E6"),
        ("0055AED6DCD90281E5", "0055AED6DCD90281E501"),
        ("0055aed6dcd90281e5", "0055AED6DCD90281F"),
        ("9", "A"),
        ("", "1"),
    ],
)
def test_newer(earlier: str, later: str) -> None:
    assert newer(later, earlier)
    assert not newer(earlier, later)


def test_the_sequencer_decides_before_the_time() -> None:
    assert position("0B", "2026-01-01T00:00:00Z") > position("0A", "2027-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-01-01T00:00:00.001Z", "2026-01-01T00:00:00.002Z"),
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:01Z"),
        (None, "2026-01-01T00:00:00Z"),
        ("no time at all", "2026-01-01T00:00:00Z"),
    ],
)
def test_of_one_event_the_later_look_is_newer(earlier: str | None, later: str) -> None:
    assert position("0A", later) > position("0A", earlier)
