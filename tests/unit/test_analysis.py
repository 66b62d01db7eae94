"""Analysers: what each says of pictures whose answer is known, and that none of them can lose a photo."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import XKCD_COLORS
from PIL import Image, ImageFilter

from tagstream.analysis import ANALYSERS, FIELDS, Field, Photo, analyse, brightness, colors, phash, sharpness
from tagstream.analysis.analyse import check_facts
from tagstream.analysis.fields import number


def plain(color: Any, size: tuple[int, int] = (320, 240)) -> Image.Image:
    return Image.new("RGB", size, color)


def waves(size: tuple[int, int] = (640, 480), seed: float = 0) -> Image.Image:
    """A smooth picture with detail of every size, another one for every seed."""
    chance = np.random.default_rng(int(seed * 1000))
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for detail in (4, 16, 64, 256):
        coarse = chance.uniform(0, 255, (max(2, size[1] * detail // size[0]), detail, 3)).astype(np.uint8)
        picture += np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.float32) / 4
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def names(picture: Image.Image) -> list[str]:
    return [entry["color"] for entry in colors.facts(Photo(picture)).get("colors", ())]


@pytest.mark.parametrize(
    ("name", "rgb"),
    [
        ("black", "#000000"),
        ("black", "#101214"),
        ("white", "#ffffff"),
        ("white", "#f4f3ef"),
        ("gray", "#808080"),
        ("gray", "#b0b0ae"),
        ("red", "#ff0000"),
        ("red", "#b3121d"),
        ("orange", "#ff8c00"),
        ("orange", "#f28500"),
        ("brown", "#8b4513"),
        ("brown", "#5c3a1e"),
        ("yellow", "#ffff00"),
        ("yellow", "#f7d417"),
        ("green", "#008000"),
        ("green", "#4c8c3a"),
        ("green", "#00ff00"),
        ("turquoise", "#40e0d0"),
        ("turquoise", "#008b8b"),
        ("blue", "#0000ff"),
        ("blue", "#1f4e9e"),
        ("blue", "#87ceeb"),
        ("purple", "#800080"),
        ("purple", "#7b4fa3"),
        ("pink", "#ffc0cb"),
        ("pink", "#ff69b4"),
        # Wood, sand, skin and fur: X11's tan and burlywood, sand and light brown of xkcd's, oak, pine, cardboard.
        *(("brown", rgb) for rgb in ("#d2b48c", "#deb887", "#cba560", "#ad8150", "#b8945f", "#d9b382", "#b59a72")),
        *(("brown", rgb) for rgb in ("#8d5524", "#c19a6b", "#a6814c", "#94503c", "#8b2e16", "#664c28")),
        ("orange", "#ffb07c"),
        ("orange", "#e8721c"),
        ("orange", "#fd5800"),
        ("red", "#800000"),
        ("red", "#dc143c"),
        ("yellow", "#e8d14a"),
        ("yellow", "#ffd700"),
        ("yellow", "#f0e68c"),
        ("white", "#f5f5dc"),
        ("white", "#fffff0"),
        ("white", "#faebd7"),
        ("green", "#808000"),
        ("green", "#6b7a2e"),
        ("green", "#98fb98"),
        ("blue", "#01153e"),
        ("blue", "#95d0fc"),
        ("blue", "#3b5575"),
        ("purple", "#580f41"),
        ("purple", "#c79fef"),
        ("pink", "#d58a94"),
        ("gray", "#708090"),
        ("gray", "#c5c9c7"),
    ],
)
def test_colours_have_the_names_that_people_give_them(name: str, rgb: str) -> None:
    assert names(plain(rgb)) == [name]


def test_most_colours_are_called_as_people_called_them() -> None:
    """Of xkcd's survey, the names that end with one of ours: "dusty rose pink" is pink."""
    same = {"grey": "gray", "teal": "turquoise", "aqua": "turquoise", "cyan": "turquoise", "violet": "purple"}
    expected = {}
    for said, rgb in XKCD_COLORS.items():
        last = said.removeprefix("xkcd:").replace("/", " ").split()[-1]
        if (name := same.get(last, last)) in colors.COLORS:
            expected[rgb] = name
    assert len(expected) > 500
    right = [names(plain(rgb, (16, 16))) == [name] for rgb, name in expected.items()]
    # "Purple blue" and "blue purple" are what is left.
    assert sum(right) / len(right) > 0.85


def test_colours_are_sorted_by_their_share() -> None:
    picture = plain("#0000ff")
    picture.paste((255, 0, 0), (0, 0, 320, 60))
    assert colors.facts(Photo(picture)) == {
        "colors": [{"color": "blue", "share": 0.75}, {"color": "red", "share": 0.25}]
    }
    picture.paste((255, 255, 0), (0, 0, 10, 10))
    assert names(picture) == ["blue", "red"]


def test_a_thing_on_a_plain_ground_counts_before_the_ground() -> None:
    picture = plain("white")
    picture.paste((200, 20, 30), (140, 100, 180, 140))
    assert names(picture) == ["red", "white"]
    # In a street, so small a thing is none of its colours.
    street = plain("#808080")
    street.paste((200, 20, 30), (140, 100, 180, 140))
    assert names(street) == ["gray"]


def test_brightness_is_the_mean() -> None:
    assert brightness.facts(Photo(plain("black"))) == {"brightness": 0.0}
    assert brightness.facts(Photo(plain("white"))) == {"brightness": 1.0}
    half = plain("black")
    half.paste((255, 255, 255), (0, 0, 160, 240))
    assert brightness.facts(Photo(half))["brightness"] == pytest.approx(0.5, abs=0.01)


def test_the_more_a_photo_is_blurred_the_less_sharp_it_is() -> None:
    real = [
        Image.open(path).convert("RGB") for path in Path("build/photos").glob("*") if path.suffix in (".jpg", ".png")
    ]
    # Drawn ones, where the real ones have not been fetched.
    for picture in [*real, waves(), waves(seed=1)]:
        measured = [
            sharpness.facts(Photo(picture.filter(ImageFilter.GaussianBlur(radius))))["sharpness"]
            for radius in (0, 1, 2, 4, 8)
        ]
        assert measured == sorted(measured, reverse=True)
        assert measured[0] > 0.6
        assert measured[1] < measured[0] - 0.15
        assert measured[2] < 0.3
        assert measured[-1] < 0.1


def test_one_sharp_thing_before_a_blurred_background_is_sharp() -> None:
    picture = waves()
    blurred = picture.filter(ImageFilter.GaussianBlur(8))
    portrait = blurred.copy()
    portrait.paste(picture.crop((200, 120, 440, 360)), (200, 120))
    assert sharpness.facts(Photo(portrait))["sharpness"] > 0.4
    assert sharpness.facts(Photo(plain("gray")))["sharpness"] == 0


def test_copies_have_nearly_the_same_hash_and_other_pictures_another() -> None:
    hashes = [phash.facts(Photo(waves(seed=seed)))["phash"] for seed in range(8)]
    smaller = phash.facts(Photo(waves(seed=0).resize((400, 300))))["phash"]
    assert phash.distance(smaller, hashes[0]) <= 4
    others = [phash.distance(one, other) for i, one in enumerate(hashes) for other in hashes[:i]]
    assert min(others) > 16


def test_a_plain_picture_has_no_hash() -> None:
    assert phash.facts(Photo(plain("white"))) == {}


@pytest.mark.parametrize("size", [(1, 1), (1, 2047), (2047, 1), (7, 3), (33, 5), (43, 44), (60, 60)])
def test_pictures_of_any_shape_are_analysed(size: tuple[int, int]) -> None:
    analysis = analyse(Photo(plain("red", size)))
    assert analysis.notes == ()
    assert [entry["color"] for entry in analysis.facts["colors"]] == ["red"]
    check_facts(analysis.facts)


class Failing:
    """An analyser that does not do as it should."""

    FIELDS = (number("mood", 0, 1), number("weather", 0, 1))

    def __init__(self, says: Any) -> None:
        self.says = says

    def facts(self, _photo: Any) -> Mapping[str, Any]:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "says",
    [
        ValueError("a net is out of sorts\nand says so"),
        MemoryError(),
        RecursionError(),
        {"mood": 2},
        {"mood": math.nan},
        {"mood": True},
        {"undeclared": 1},
        None,
        {"mood": 0.5, "weather": "fine"},
    ],
)
def test_an_analyser_that_fails_costs_its_own_facts_only(says: Any) -> None:
    analysis = analyse(Photo(plain("red")), analysers=(Failing(says), brightness))
    assert analysis.facts == brightness.facts(Photo(plain("red")))
    (note,) = analysis.notes
    assert note.startswith("without mood, weather: ")
    assert "\n" not in note


def test_fields_can_be_left_out() -> None:
    analysis = analyse(Photo(plain("red")), without={"brightness"})
    assert "brightness" not in analysis.facts
    assert analysis.notes == ()


def test_no_two_analysers_say_the_same_field() -> None:
    declared = [one.name for analyser in ANALYSERS for one in analyser.FIELDS]
    assert len(declared) == len(set(declared)) == len(FIELDS)


def strange() -> Iterator[Any]:
    yield from (None, [], "facts", {"unheard": 1})
    for name in FIELDS:
        for value in (None, True, math.nan, math.inf, -1, 1e999, "", "\0", "x" * 1000, "\ud800", [], {}, [1], [[]]):
            # A list of no colours is a list of colours.
            if (name, value) != ("colors", []):
                yield {name: value}
    yield {"location": {"lat": 91, "lon": 0}}
    yield {"location": {"lat": 1, "lon": 1, "alt": 1}}
    yield {"taken_at": "2026-02-31T00:00:00"}
    yield {"colors": [{"color": "mauve", "share": 0.5}]}
    yield {"colors": [{"color": "red", "share": 1.5}]}


@pytest.mark.parametrize("facts", list(strange()), ids=repr)
def test_what_no_analyser_says_is_refused(facts: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_facts(facts)


def test_fields_are_known_without_the_libraries_of_pictures() -> None:
    code = "import sys, tagstream.catalog.mapping; print([m for m in ('numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_field_says_where_it_is_in_the_index() -> None:
    assert all(isinstance(one, Field) and one.mapping for one in FIELDS.values())
