"""Tables for people: on a terminal of any width, and in a pipe."""

from __future__ import annotations

import sys
from typing import Any

import click
import pytest

from tagstream.cli.common import emit

ROWS = [
    {"key": f"2026/holidays/IMG_{number:04}.jpg", "score": 0.927, "tag": "strawberry", "tags": "strawberry 0.93, " * 3}
    for number in range(3)
]


def shown(capsys: pytest.CaptureFixture[str], rows: list[dict[str, Any]], **options: Any) -> list[str]:
    emit(rows, as_json=False, **options)
    return click.unstyle(capsys.readouterr().out).splitlines()


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output is a terminal of 80 columns; called in the test, whose capture has an output of its own."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")


def test_a_row_is_a_line_of_80_columns_and_the_key_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    lines = shown(capsys, ROWS, shortened="tags")
    assert len(lines) == 1 + len(ROWS)
    assert max(len(line.rstrip()) for line in lines) <= 80
    for row, line in zip(ROWS, lines[1:], strict=True):
        assert line.startswith(f"{row['key']}  0.927  strawberry  strawberry 0.93")
        assert line.rstrip().endswith("…")


def test_what_is_longer_than_the_terminal_is_folded_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    key = "a/" * 200
    lines = shown(capsys, [{"key": key, "reason": "x" * 30}], shortened="reason")
    assert max(map(len, lines)) <= 80
    assert "".join(line.split("  ")[0].strip() for line in lines[1:]) == key


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, [{"key": "k" * 1024, "reason": "[bold]" + "r" * 3000}], shortened="reason")
    assert len(lines) == 2
    assert lines[1].split() == ["k" * 1024, "[bold]" + "r" * 3000]


def test_numbers_stand_right_also_where_some_are_missing(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [{"photo": "a", "sharpness": 0.5}, {"photo": "b", "sharpness": None}, {"photo": "c"}]
    lines = shown(capsys, [*rows, {"photo": "d", "sharpness": 10}])
    assert [line.rstrip() for line in lines] == [
        "photo  sharpness",
        "a          0.500",
        "b",
        "c",
        "d             10",
    ]
