"""The query language: what is meant, and what is said to those who mistype it."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagstream.catalog.language import MAX_TEXT, parse
from tagstream.catalog.meant import (
    All,
    Camera,
    Color,
    Either,
    Measured,
    Near,
    Not,
    Query,
    Shows,
    Similar,
    Size,
    Taken,
    Title,
    Type,
)
from tagstream.errors import QueryError


def shows(text: str, **more: object) -> Shows:
    return Shows(tuple(text.split()), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("dog", shows("dog")),
        ("dog beach", shows("dog beach")),
        ("dog, beach", shows("dog beach")),
        ("dog | cat", Either((shows("dog"), shows("cat")))),
        ("dog|cat", Either((shows("dog"), shows("cat")))),
        ("dog beach | cat", Either((shows("dog beach"), shows("cat")))),
        ("(dog | cat) beach", All((Either((shows("dog"), shows("cat"))), shows("beach")))),
        ("dog (on (a beach))", shows("dog on a beach")),
        ("-fence", Not(shows("fence"))),
        ("dog -fence wall", All((shows("dog"), Not(shows("fence")), shows("wall")))),
        ("-(dog cat)", Not(shows("dog cat"))),
        ("ice-cream", shows("ice-cream")),
        ('"hot dog"', shows("hot dog", quoted=True)),
        ("“hot  dog”", shows("hot dog", quoted=True)),
        ('big "hot dog" sauce', All((shows("big"), shows("hot dog", quoted=True), shows("sauce")))),
        ("dog>0.9", shows("dog", comparison=">", score=0.9)),
        ("dog >= .9", shows("dog", comparison=">=", score=0.9)),
        ("dog<90%", shows("dog", comparison="<", score=0.9)),
        ("hot dog>0.9 cat", All((shows("hot dog", comparison=">", score=0.9), shows("cat")))),
        ('"hot dog"<=1', shows("hot dog", quoted=True, comparison="<=", score=1.0)),
        ("color:red", Color("red")),
        ("COLOUR:Grey", Color("gray")),
        ("color:red|blue dog", All((Either((Color("red"), Color("blue"))), shows("dog")))),
        ("color:red | blue", Either((Color("red"), shows("blue")))),
        ("-color:red", Not(Color("red"))),
        ("after:2025-6 before:2026", All((Taken("after", "2025-06"), Taken("before", "2026")))),
        ("after:2024-02-29", Taken("after", "2024-02-29")),
        ('camera:"EOS 5D"', Camera("EOS 5D")),
        ("near:48.2,16.4,5km", Near(48.2, 16.4, 5.0)),
        ("near:-48,-16.4,500m", Near(-48.0, -16.4, 0.5)),
        ("near:1,2", Near(1.0, 2.0, 1.0)),
        ("type:.PNG", Type("png")),
        ("type:jpeg|png", Either((Type("jpg"), Type("png")))),
        ("size:>5mb", Size(">", 5_000_000)),
        ("size:<=1.5KiB", Size("<=", 1536)),
        ("sharpness:>0.3", Measured("sharpness", ">", 0.3)),
        ("Brightness:<=20%", Measured("brightness", "<=", 0.2)),
        ("is:sharp", Measured("sharpness", ">=", 0.3)),
        ("-is:Blurry", Not(Measured("sharpness", "<", 0.3))),
        ("color:Tan", Color("brown")),
        ("is:dark|bright", Either((Measured("brightness", "<", 0.2), Measured("brightness", ">=", 0.7)))),
        ("title:holiday", Title("holiday")),
        ('title:"say \\"cheese\\""', Title('say "cheese"')),
        ("similar:2026/a-b.jpg", Similar("2026/a-b.jpg")),
        ("(similar:s3://photos/a.jpg)", Similar("s3://photos/a.jpg")),
        ("🐈 猫", shows("🐈 猫")),
        ("👩\u200d🚀", shows("👩\u200d🚀")),
    ],
)
def test_what_is_meant(text: str, meant: Query) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ("dog colr:red", "colr:", "did you mean color:?"),
        ("http://x", "http:", "there are after:, before:, brightness:, camera:"),
        ("color:blu", "blu", "did you mean blue?"),
        ("color:mauve", "mauve", "there are black, white"),
        ("dog color:", "color:", "Say which: there are"),
        ("after:2025-13", "2025-13", "write after:2025, after:2025-06"),
        ("before:0000", "0000", "no such day"),
        ("before:june", "june", "write before:2025"),
        ("camera:", "camera:", 'such as camera:"EOS 5D"'),
        ("title:  ", "title:", "such as title:holiday"),
        ("near:48.2", "48.2", "such as near:48.2,16.4,5km"),
        ("near:100,1,1km", "100,1,1km", "Latitudes go from -90"),
        ("near:1,1,99999km", "1,1,99999km", "from 1m to 20040km"),
        ("type:*", "*", "such as type:png"),
        ("dog>1.5", "1.5", "A score is a number from 0 to 1, such as 0.9."),
        ("dog>95", "95", "did you mean 0.95?"),
        ("dog>150%", "150%", "A score is a number from 0 to 1, such as 0.9."),
        ("sharpness:0.3", "0.3", "write, for example, sharpness:>0.3."),
        ("sharpness:>2", ">2", "Sharpness is a number from 0 to 1, such as 0.9."),
        ("brightness:>", ">", "Brightness is a number from 0 to 1"),
        ("is:", "is:", "there are is:blurred, is:sharp, is:dark, is:bright"),
        ("is:blured", "blured", "did you mean is:blurred?"),
        ("is:fast", "fast", "Nothing is 'fast' here"),
        ("size:5mb", "5mb", "write, for example, size:>5mb"),
        ("size:>5ib", ">5ib", "write, for example, size:>5mb"),
        ("size:>999999999999999gb", ">999999999999999gb", "No file"),
        ("dog>90", "90", "did you mean 0.9?"),
        ("dog>x", "x", "from 0 to 1"),
        ("dog>", ">", "such as dog>0.9"),
        ("dog=0.9", "=", "dog>=0.9"),
        (">0.9", ">", "put the word before it"),
        ("(dog", "(", "never closed"),
        ("cat dog)", ")", "never opened"),
        ("cat ()", ")", "nothing between these brackets"),
        ('dog "hot', '"', "never closed"),
        ('dog ""', '""', "nothing between these quotes"),
        ("dog | ", "|", "one of them is missing"),
        ("| dog", "|", "one of them is missing"),
        ("dog - cat", "-", "such as -fence"),
        ("--dog", "-", "such as -fence"),
        ("dog\0", "\0", r"U\+0000"),
        ("\u202edog", "\u202e", r"U\+202E"),
        ("dog \ud800", "\ud800", r"U\+D800"),
    ],
)
def test_mistakes_are_pointed_at(text: str, place: str, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence) as raised:
        parse(text)
    assert raised.value.at is not None
    start, end = raised.value.at
    assert text[start:end] == place
    assert "\n" not in raised.value.sentence
    _, shown, carets = str(raised.value).split("\n")
    if place.isprintable():
        assert shown[carets.index("^") :].startswith(place)


def test_carets_stand_under_wide_characters() -> None:
    with pytest.raises(QueryError) as raised:
        parse("猫🐈 colr:red")
    assert str(raised.value).endswith("\n  猫🐈 colr:red\n" + " " * 7 + "^^^^^")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "say what the photo shows"),
        (" \t\n", "say what the photo shows"),
        (" , ", "say what the photo shows"),
        ("(" * 1000, "at most 8 deep"),
        ("(" * 500 + "a" + ")" * 499, "at most 8 deep"),
        ("-(" * 500, "at most 8 deep"),
        ("x" * 2048, "at most 1000 characters, and this one 2048"),
        ("é" * 1_000_000, "at most 1000 characters"),
        ("a " * 500, "at most 32 words and filters"),
        ('"' + "a " * 400 + '"', "at most 32 words and filters"),
        ("color:" + "red|" * 200 + "red", "at most 32 words and filters"),
        ("a|" * 499 + "a", "at most 32 words and filters"),
        ("\0" * 1000, "invisible character"),
    ],
)
def test_hostile_queries_are_answered_at_once(text: str, sentence: str) -> None:
    began = time.process_time()
    with pytest.raises(QueryError, match=sentence) as raised:
        parse(text)
    assert time.process_time() - began < 1
    assert len(str(raised.value)) < 500


# Pieces that mean something, so that most texts get far, and any text at all.
_PIECES = st.sampled_from(
    [
        *"()|-\"<>=:,\\ ", *"\0🐈“\u200d\ud800", ">=", "dog", "hot", "-cat", "0.9", "90%", "color:", "red", "near:1,2",
        "size:>", "5mb", "title:", "similar:", "after:", "2025-06", "type:", "camera:",
    ]
)  # fmt: skip
_TEXTS = st.lists(_PIECES, max_size=30).map("".join) | st.text(max_size=MAX_TEXT + 1)


@given(_TEXTS)
def test_any_text_is_parsed_or_refused_and_what_is_parsed_can_be_written_down(text: str) -> None:
    try:
        meant = parse(text)
    except QueryError:
        return
    assert parse(str(meant)) == meant


@pytest.mark.parametrize(
    ("spoken", "written"),
    [
        ("dog or cat", "dog | cat"),
        ("Dogs WITHOUT a fence", "Dogs -fence"),
        ("bird not (duck or goose)", "bird -(duck | goose)"),
        ('lunch without "hot dog"', 'lunch -"hot dog"'),
        ("dog and cat", "dog and cat"),
        ("notebook orchid", "notebook orchid"),
        ('"dog or cat"', '"dog or cat"'),
    ],
)
def test_what_people_say_is_what_they_mean(spoken: str, written: str) -> None:
    assert str(parse(spoken)) == written


_SPOKEN = ("or", "not", "without")
_WORDS = st.from_regex(r"[a-zé猫0-9][a-z'.*-]{0,8}", fullmatch=True).filter(lambda word: word not in _SPOKEN)
_VISIBLE = st.characters(exclude_categories=["C", "Z"])
_VALUES = st.text(_VISIBLE | st.just(" "), min_size=1, max_size=12).filter(str.strip)
_SCORES = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 1e-9])
_LEAVES = st.one_of(
    st.builds(
        lambda words, quoted, condition: Shows(tuple(words), quoted, *condition),
        st.lists(_WORDS, min_size=1, max_size=2),
        st.booleans(),
        st.just((None, None)) | st.tuples(st.sampled_from([">", ">=", "<", "<="]), _SCORES),
    ),
    st.builds(Color, st.sampled_from(["red", "gray"])),
    st.builds(Taken, st.sampled_from(["after", "before"]), st.dates().map(str)),
    st.builds(
        lambda *numbers: Near(*(round(number, 6) + 0.0 for number in numbers)),
        st.floats(-90, 90),
        st.floats(-180, 180),
        st.floats(0.001, 20_000),
    ),
    st.builds(Size, st.sampled_from([">", "<="]), st.integers(0, 10**14)),
    st.builds(Type, st.sampled_from(["png", "jpg"])),
    st.builds(Title, _VALUES),
    st.builds(Camera, _VALUES),
    st.builds(Similar, _VALUES),
)


@given(st.recursive(_LEAVES, lambda inner: st.lists(inner, min_size=2, max_size=3).map(tuple), max_leaves=6), st.data())
def test_what_can_be_meant_can_be_written_down(leaves: object, data: st.DataObject) -> None:
    def query(part: object) -> Query:
        if not isinstance(part, tuple):
            made = part
        else:
            made = data.draw(st.sampled_from([All, Either]))(tuple(query(inner) for inner in part))
        return Not(made) if not isinstance(made, Not) and data.draw(st.booleans()) else made  # type: ignore[arg-type]

    # Parsing puts together what stands together; from then on nothing changes any more.
    meant = parse(str(query(leaves)))
    assert parse(str(meant)) == meant


@given(_LEAVES)
def test_every_word_and_filter_can_be_written_down(leaf: Query) -> None:
    assert parse(str(leaf)) == leaf


def test_the_examples_of_the_documents_are_understood() -> None:
    text = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    table = text.partition("## The language")[2].partition("\nEverything can be combined")[0]
    examples = re.findall(r"^\| `(.*?)` \|", table, re.MULTILINE)
    assert len(examples) > 15
    for example in examples:
        query = example.replace("\\|", "|")
        assert parse(str(parse(query))) == parse(query)
    (mistake,) = re.findall(r"^```text\nError: (.*?)^```$", text, re.MULTILINE | re.DOTALL)
    with pytest.raises(QueryError) as raised:
        parse("dog colr:red")
    assert str(raised.value) == mistake.rstrip("\n")
