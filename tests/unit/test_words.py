from __future__ import annotations

import doctest

import pytest

from tagstream.catalog.language import parse
from tagstream.catalog.ranking import understand
from tagstream.vocabulary import speech, spelling, words
from tagstream.vocabulary.words import Completion, Meaning, Words, load_words

SMALL = Words(
    b"3.0-test\ndog\thot dog\tsorrel horse\tgoose\tbathtub\trodent\n"
    b"bathtub\tbath|tub\t37\tn4\n"
    b"carpet\t\t40\ta4\n"
    b"dog\t\t51\tn0\n"
    b"geese\t\t34\t=goose\n"
    b"goose\t\t38\tn3\n"
    b"horse\t\t50\ta2\n"
    b"hotdog\thot dog\t45\tn1\n"
    b"justice\t\t49\t\n"
    b"mouse\t\t45\tb5\n"
    b"music\t\t55\tr2.61 r0.55\n"
    b"puppy\t\t40\tb0\n"
)


@pytest.mark.parametrize("module", [speech, spelling, words])
def test_examples(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(
    ("phrase", "meanings"),
    [
        ("dog", (Meaning("dog", "name", "dog"),)),
        ("DOGS", (Meaning("dog", "name", "dog"),)),
        ("horse", (Meaning("sorrel horse", "alias", "horse"),)),
        ("puppies", (Meaning("dog", "below", "puppy"),)),
        ("hot-dogs", (Meaning("hot dog", "name", "hot dog"),)),
        ("Hotdog", (Meaning("hot dog", "name", "hot dog"),)),
        ("geese", (Meaning("goose", "name", "goose"),)),
        ("gooose", (Meaning("goose", "spelling", "goose", 0.92),)),
        ("musci", (Meaning("sorrel horse", "spelling", "music", 0.9), Meaning("dog", "spelling", "music", 0.9))),
        ("justice", ()),
        ("hot", ()),
        ("", ()),
    ],
)
def test_what_a_word_means(phrase: str, meanings: tuple[Meaning, ...]) -> None:
    assert SMALL.meanings(phrase) == meanings


def test_related_tags_can_be_left_out() -> None:
    assert SMALL.meanings("music") == (
        Meaning("sorrel horse", "related", "sorrel horse", 0.61),
        Meaning("dog", "related", "dog", 0.55),
    )
    assert SMALL.meanings("music", related=False) == ()


def test_phrases_are_the_longest_known_and_small_words_are_left_out() -> None:
    assert SMALL.segment(["hot", "dogs", "on", "a", "horse"]) == ("hot dogs", "horse")
    assert SMALL.segment(["bath", "tub"]) == ("bath tub",)
    assert SMALL.segment(["car", "pet"]) == ("car", "pet")
    assert SMALL.segment(["unknown", "thing", "dog"]) == ("unknown", "thing", "dog")
    assert SMALL.segment(["on", "The"]) == ()


def test_completions_say_what_they_mean() -> None:
    assert SMALL.complete("ho") == (
        Completion("hot dog", Meaning("hot dog", "name", "hot dog")),
        Completion("horse", Meaning("sorrel horse", "alias", "horse")),
    )
    assert SMALL.complete("ho", 1) == SMALL.complete("ho")[:1]
    assert SMALL.complete("jus") == SMALL.complete("") == SMALL.complete("dog", 0) == ()


def test_near_words_go_further_than_what_is_taken_for_a_typo() -> None:
    assert SMALL.near("pupp") == ("puppy",)
    assert SMALL.meanings("hrze") == ()
    assert SMALL.near("hrze") == ("horse",)
    assert SMALL.near("dog") == SMALL.near("") == ()


@pytest.mark.parametrize(
    ("phrase", "tag"),
    [
        ("car", "car"),
        ("mountain", "mountain"),
        ("tiger", "tiger"),
        ("puppy", "dog"),
        ("automobile", "car"),
        ("elefant", "elephant"),
        ("strawbery", "strawberry"),
        ("dalmation", "dalmatian"),
        # Two letters that changed places, wherever they are in the word.
        ("huose", "house"),
        ("hrose", "sorrel horse"),
        ("tbale", "table"),
        ("wlof", "wolf"),
        # A common word whose letters changed places is meant before a rarer one that sounds the same (bride).
        ("brid", "bird"),
        ("dgo", "dog"),
        ("cta", "cat"),
        ("sail boat", "sailboat"),
        ("ski mask", "ski mask"),
        ("gas mask", "gas mask"),
        ("mask", "mask"),
        ("gull", "sea bird"),
        ("seagulls", "sea bird"),
        ("rhino", "mammal"),
        ("flower", "flower"),
        ("nutrition", "food"),
        ("people", "person"),
        ("stable", "building"),
        ("motorbike", "moped"),
        ("gloves", "mitten"),
        ("tiegr", "tiger"),
        ("piza", "pizza"),
        ("resturant", "restaurant"),
        ("wolves", "wolf"),
        ("buses", "bus"),
        ("tshirt", "t-shirt"),
        ("TVs", "television"),
    ],
)
def test_everyday_words_are_right_at_the_top(phrase: str, tag: str) -> None:
    assert load_words().meanings(phrase)[0].tag == tag


@pytest.mark.parametrize(
    "word",
    [
        "black",
        "big",
        "two",
        "running",
        "cute",
        "happy",
        "sleeping",
        "where",
        "have",
        "the",
        "has",
        "does",
        "small",
        "young",
        "old",
        "great",
        "national",
        "white",
        "electric",
        "deep",
        "western",
        "playing",
        "sitting",
        "three",
        "3",
        "10",
        "very",
        "my",
        "beautiful",
        "red",
        "walked",
        "taken",
        "jumping",
        "eats",
        "biggest",
        "darker",
        "smallest",
    ],
)
def test_words_that_name_nothing(word: str) -> None:
    assert load_words().says_nothing(word)
    assert not {meaning.how for meaning in load_words().meanings(word)} & {"name", "alias", "below", "spelling"}


@pytest.mark.parametrize(
    "word",
    [
        "dog",
        "dogs",
        "cooking",
        "wedding",
        "music",
        "painting",
        "building",
        "clothing",
        "sunset",
        "tree",
        "summer",
        "eyes",
        "hands",
        "gulls",
        "rats",
        "drink",
        "fly",
        "duck",
        "bear",
        "watch",
        "orange",
        "saw",
        "seal",
    ],
)
def test_words_that_name_something(word: str) -> None:
    assert not load_words().says_nothing(word) or word == "cooking"
    assert load_words().knows(word)


@pytest.mark.parametrize(
    "word",
    [
        "tree",
        "sky",
        "sunset",
        "cloud",
        "summer",
        "birthday",
        "pool",
        "swimming pool",
        "rover",
        "great",
        "shape",
        "selfie",
        "eric",
        "ebay",
    ],
)
def test_where_the_classes_have_nothing_no_word_is_forced_on_them(word: str) -> None:
    assert load_words().meanings(word) == ()
    assert load_words().knows(word)


def test_three_letters_are_put_right_only_where_two_changed_places() -> None:
    assert load_words().meanings("dgo")[0].said == "dog"
    for word in ("dgg", "xat", "qqq"):
        assert load_words().meanings(word) == ()


def test_relatives_are_near_in_meaning() -> None:
    relatives = load_words().relatives
    assert relatives("zebra")[0] == "equine"
    assert "siamese cat" in relatives("tabby cat")
    assert "dalmatian" not in relatives("bridegroom")
    assert relatives("nothing of the tree") == ()


@pytest.mark.parametrize(
    "text",
    ["x" * 2048, "dog " * 512, "\0", "\0dog", "🐶" * 500, "كلب", "\u202edog", "\ud800", "ﷺ" * 80, "=", "a\tb\nc", "{"],
)
def test_any_text_is_answered(text: str) -> None:
    for answer in (load_words().meanings(text), load_words().complete(text), load_words().near(text)):
        assert isinstance(answer, tuple)
    assert isinstance(load_words().segment(text.split()), tuple)
    assert load_words().says_nothing(text) in (True, False)
    assert load_words().knows(text) in (True, False)


@pytest.mark.parametrize("query", ["black dog", "red car", "white cat"])
def test_a_colour_and_a_thing_are_no_misspelt_animal(query: str) -> None:
    wanted = understand(parse(query), load_words()).wanted
    assert [term.phrase for term in wanted] == [query.split()[1], query]
    assert {meaning.how for term in wanted for meaning in term.meanings} <= {"name", "alias", "head", "modifier"}
