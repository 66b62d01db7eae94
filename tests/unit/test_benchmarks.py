"""What the benchmarks make of their measurements; the measuring itself is `make bench`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import fresh
from benchmarks.measure import interleaved
from benchmarks.report import (
    Results,
    Row,
    Skipped,
    compared,
    document,
    faster,
    limited,
    noted,
    plot,
    table,
)
from benchmarks.vocabulary import average_precision, common_nouns, measured
from tagstream.tags import Tag
from tests.unit.test_words_build import small_wordnet

MACHINE = {"cpu": "a processor", "cores": 2, "int8_instructions": ["AVX VNNI"]}


def test_faster_is_how_often_our_median_fits_into_the_references() -> None:
    row = faster("fast", [10.0, 11.0, 500.0], [30.0, 33.0, 1.0], target=2.0)
    assert (row.ours, row.reference, row.better) == (11.0, 30.0, "higher")
    assert row.ratio == pytest.approx(30 / 11)


@pytest.mark.parametrize(
    ("ratio", "target", "better", "met"),
    [
        (2.0, 2.0, "higher", True),
        (1.99, 2.0, "higher", False),
        (0.5, 0.5, "lower", True),
        (0.51, 0.5, "lower", False),
        (3.0, None, "higher", None),
        (None, None, "lower", None),
    ],
)
def test_a_target_is_met(ratio: float | None, target: float | None, better: str, met: bool | None) -> None:
    assert Row("row", 1.0, 1.0, "ms", ratio, target, better).met is met  # type: ignore[arg-type]


def test_a_limit_is_compared_as_a_share_of_the_reference() -> None:
    row = limited("bundle", 121.0, 250.0, unit="MiB", at_most=120.0)
    assert row.ratio == pytest.approx(0.484)
    assert row.target == pytest.approx(0.48)
    assert row.met is False
    assert limited("bundle", 120.0, 250.0, unit="MiB", at_most=120.0).met is True


def test_one_photo_that_disagrees_is_a_miss() -> None:
    assert compared("agreement", 40, 40, unit="photos", at_least=1.0).met is True
    assert compared("agreement", 39, 40, unit="photos", at_least=1.0).met is False


def test_the_json_has_every_row_in_the_agreed_form() -> None:
    rows = [faster("fast", [1.0], [3.0], target=2.0), noted("memory", 100.0, unit="MB")]
    content = json.loads(document(Results(rows, [Skipped("int8", "no instructions")], ["a note"]), MACHINE, 20))
    assert content["rows"] == [
        {
            "name": "fast",
            "ours": 1.0,
            "reference": 3.0,
            "unit": "ms",
            "ratio": 3.0,
            "target": 2.0,
            "better": "higher",
        },
        {
            "name": "memory",
            "ours": 100.0,
            "reference": None,
            "unit": "MB",
            "ratio": None,
            "target": None,
            "better": "lower",
        },
    ]
    assert content["skipped"] == [{"name": "int8", "why": "no instructions"}]
    assert content["machine"]["int8_instructions"] == ["AVX VNNI"]


def test_the_table_says_what_was_reached_missed_and_not_measured() -> None:
    rows = [
        faster("fast", [1.0], [3.0], target=2.0),
        faster("slow", [1.0], [1.5], target=2.0),
        limited("bundle", 100.0, 250.0, unit="MiB", at_most=120.0),
    ]
    lines = table(Results(rows, [Skipped("int8", "no instructions")], ["a note"])).splitlines()
    by_name = {line.split()[0]: line for line in lines}
    assert "reached" in by_name["fast"]
    assert "3 \N{MULTIPLICATION SIGN}" in by_name["fast"]
    assert "MISSED" in by_name["slow"]
    assert "≤ 48 %" in by_name["bundle"]
    assert "not measured" in by_name["int8"]
    assert "no instructions" in "\n".join(lines)
    assert lines[-1] == "a note"


def test_every_contestant_has_its_turn_in_every_round_and_none_is_always_first() -> None:
    calls: list[tuple[str, int]] = []

    def contestant(name: str) -> float:
        return float(ord(name))

    def turn(name: str, round_: int) -> float:
        calls.append((name, round_))
        return contestant(name)

    times = interleaved({"a": lambda n: turn("a", n), "b": lambda n: turn("b", n)}, 3, warm_ups=1)
    assert times == {"a": [97.0] * 3, "b": [98.0] * 3}
    assert calls == [("b", 2), ("a", 2), ("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]


def test_the_plot_is_a_picture_and_rows_without_target_need_none(tmp_path: Path) -> None:
    # Matplotlib is installed for benchmarks only.
    from PIL import Image

    rows = [faster("fast", [1.0], [3.0], target=2.0), limited("bundle", 100.0, 250.0, unit="MiB", at_most=120.0)]
    plot(Results(rows), MACHINE, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 600
    plot(Results([noted("memory", 100.0, unit="MB")]), MACHINE, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_average_precision_counts_what_is_not_found() -> None:
    assert average_precision([True, True], 2) == 1
    assert average_precision([False, True], 1) == 0.5
    assert average_precision([True], 2) == 0.5
    assert average_precision([], 3) == 0


def test_a_noun_is_ranked_as_a_search_ranks_it() -> None:
    photos = [
        [Tag("guard dog", 0.9)],
        [Tag("beagle", 0.3), Tag("dog", 0.4, "ancestor")],
        [Tag("tabby cat", 0.9), Tag("cat", 0.9, "ancestor")],
        [Tag("beagle", 0.6), Tag("dog", 0.8, "ancestor")],
        [Tag("hot dog", 0.99)],
    ]
    answer = measured("dogs", photos, [False, True, False, True, False], min_score=0.5)
    assert (answer.right, answer.average_precision, answer.recall) == (2, 1.0, 1.0)
    worse = measured("dogs", photos, [False, True, True, False, False], min_score=0.5, related=False)
    # The better dog is none; the cat is not found.
    assert (worse.average_precision, worse.recall, worse.precision) == (0.25, 0.5, 0.0)


def test_no_photo_may_count_that_nothing_finds() -> None:
    answer = measured("zebra", [[Tag("beagle", 0.9)]], [True], min_score=0.5)
    assert (answer.average_precision, answer.recall, answer.precision) == (0.0, 0.0, None)


def test_common_nouns_are_those_that_the_photos_show(tmp_path: Path) -> None:
    wordnet, ids = small_wordnet(tmp_path)
    photos = [ids["beagle"], ids["beagle"], ids["wolf"], ids["bathtub"], ids["bathtub"], ids["winter squash"]]
    common = {"dog": 5.0, "wolf": 4.0, "beagle": 3.6, "bathtub": 3.0, "animal": 5.0, "winter": 5.0}
    # Wolves are on one photo only, bathtubs are rare, animals are on half of the photos, winter cannot be seen.
    assert common_nouns(wordnet, lambda noun: common.get(noun, 0.0), photos) == ["dog", "beagle"]


def test_the_time_of_a_fresh_machine_is_told_by_stages() -> None:
    lines = [(1.0, "Making .venv with Python 3.13.1 …"), (3.0, "Installing packages (a minute) …"), (4.0, "a warning")]
    found = fresh.stages(lines, end=10.0)
    assert found == {"start": 1.0, "Making .venv with Python 3.13.1": 2.0, "Installing packages": 7.0}
    ours = fresh.Run("abc", found, cpu=5.0, downloaded=2_000_000, disk=1_000_000)
    assert ours.seconds == 10.0
    reference = fresh.Run("def", {"start": 40.0}, cpu=10.0, downloaded=None, disk=4_000_000)
    told = fresh.report(ours, reference)
    assert "7.0 s  Installing packages" in told
    assert "2 MB fetched, 1 MB on the disk" in told
    assert "not counted" in told
    assert told.endswith("abc takes 25% of the time of def, 50% of its processor and 25% of its disk.")
    assert "takes" not in fresh.report(ours, None)


def test_a_file_with_two_names_takes_its_place_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    once = fresh.taken(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert fresh.taken(tmp_path) == once >= 100_000


def test_a_run_that_takes_too_long_or_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("late:\n\t@echo begun; sleep 60 & sleep 60\n")
    with fresh._ends("make late", tmp_path, {"PATH": "/usr/bin:/bin"}, within=0.5) as process:
        told = "".join(process.stdout or ())
    assert process.returncode != 0, told
