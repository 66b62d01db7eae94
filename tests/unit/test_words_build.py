"""How words come to mean tags: the rules, on a small WordNet of our own, and the data that is shipped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from tagstream.errors import ConfigurationError
from tagstream.vocabulary import Tree, build, load_tree
from tagstream.vocabulary.build_words import everyday_words, irregular_plurals, make_words
from tagstream.vocabulary.relate import describes, related_tags
from tagstream.vocabulary.speech import Speech
from tagstream.vocabulary.tree import parse_tree
from tagstream.vocabulary.word_exceptions import ABOUT, MEANT, OFFENSIVE, SAME
from tagstream.vocabulary.wordnet import WordNet, find_wordnet
from tagstream.vocabulary.words import Words, load_words

DATA = Path(build.__file__).with_name("words.txt")

SYNSETS = {
    # field, words with how often each is met, definition, what is above it
    "animal": ("05", "animal 9", "a living thing that moves", ()),
    "dog": ("05", "dog 40,domestic_dog 0", "a pet that barks", ("animal",)),
    "beagle": ("05", "beagle 1", "a small hound", ("dog",)),
    "mountain dog": ("05", "mountain_dog 0", "a large dog of the mountains", ("dog",)),
    "puppy": ("05", "puppy 0", "a young dog", ("dog",)),
    "wolf": ("05", "wolf 3", "a grey hunter in packs", ("animal",)),
    "person": ("18", "person 90", "a human being", ()),
    "groom": ("18", "groom 1", "a man on his wedding day", ("person",)),
    "diver": ("18", "diver 1", "one who works under water", ("person",)),
    "fool": ("18", "fool 2,puppy 0", "one who knows little", ("person",)),
    "thing": ("06", "thing 5", "what can be touched", ()),
    "mug": ("06", "coffee_mug 0,mug 1", "a mug for serving coffee", ("thing",)),
    "winter squash": ("06", "winter_squash 0", "a vegetable with a hard rind", ("thing",)),
    "hot dog": ("06", "hot_dog 0,dog 0", "a sausage in a bun", ("thing",)),
    "bathtub": ("06", "bathtub 1,tub 0", "a large open container for washing", ("thing",)),
    "truth": ("07", "truth 50,hot_dog 3", "what is so", ()),
    "winter": ("28", "winter 9", "the cold season", ()),
    "coffee": ("10", "coffee 9", "a drink", ()),
    "bath": ("10", "bath 9", "washing", ()),
    "music": ("10", "music 9", "what one hears", ()),
}
CLASSES = ("beagle", "mountain dog", "wolf", "mug", "winter squash", "hot dog", "bathtub", "groom", "diver")


def small_wordnet(folder: Path) -> tuple[WordNet, dict[str, str]]:
    """WordNet's files with :data:`SYNSETS`, read; and the ids of these."""
    ids = dict.fromkeys(SYNSETS, "0" * 8)
    # Offsets have as many digits as zeros have: lines are as long the second time.
    for _ in range(2):
        data, at = "", 0
        for name, (field, words, definition, wider) in SYNSETS.items():
            listed = [word.split()[0] for word in words.split(",")]
            pointers = "".join(f" @ {ids[one]} n 0000" for one in wider)
            ids[name] = f"{at:08}"
            line = f"{ids[name]} {field} n {len(listed):02x} {' '.join(f'{word} 0' for word in listed)} "
            data += f"{line}{len(wider):03}{pointers} | {definition}\n"
            at = len(data)
    senses: dict[str, list[str]] = {}
    counts = ""
    for name, (field, words, _, _) in SYNSETS.items():
        for one in words.split(","):
            word, met = one.split()
            senses.setdefault(word, []).append(ids[name])
            counts += f"{word}%1:{field}:00:: 1 {met}\n"
    index = "".join(f"{word} n {len(of)} 0 {len(of)} 0 {' '.join(of)}\n" for word, of in senses.items())
    counts += "winter%2:30:00:: 1 1\nrun%2:38:00:: 1 50\nrun%1:04:00:: 1 9\ngroom%2:29:00:: 1 9\n"
    for file, text in (("data.noun", data), ("index.noun", index), ("cntlist.rev", counts)):
        (folder / file).write_text(text)
    for file, words in (
        ("index.adj", ("cute", "heavy")),
        ("index.adv", ("well",)),
        ("index.verb", ("run", "groom", "dog")),
    ):
        (folder / file).write_text("".join(f"{word} x 1 0 1 0 00000000\n" for word in words))
    (folder / "adj.exc").write_text("heavier heavy\n")
    (folder / "verb.exc").write_text("ran run\n")
    (folder / "noun.exc").write_text("mice mouse\nwolves wolf\nwolfen wolf\nmothers-in-law mother-in-law\n")
    return WordNet(folder), {name: f"n{offset}" for name, offset in ids.items()}


def frequency(word: str) -> float:
    return 1.0 if word in ("wolfen",) else 4.0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Words:
    folder = tmp_path_factory.mktemp("wordnet")
    wordnet, ids = small_wordnet(folder)
    names = {"mug": "coffee mug"}
    tree = parse_tree(build.make_tree(wordnet, {ids[one]: names.get(one, one) for one in CLASSES}, frequency))

    def related(words: Sequence[str]) -> Mapping[str, Sequence[tuple[str, float]]]:
        assert "dog" not in words, "it means a tag"
        return {word: [("wolf", 0.61), ("dog", 0.5)] for word in words if word == "music"}

    plurals = irregular_plurals(folder / "noun.exc")
    common = ("dogs", "dogma", "beagl")
    made = make_words(wordnet, tree, frequency, plurals, speech=Speech.read(folder), related=related, common=common)
    return Words(made.encode())


@pytest.mark.parametrize(
    ("word", "meanings"),
    [
        # The sausage is rare beside the animal; the fool is no photo of a puppy; a mountain dog shows no mountain.
        ("dog", [("dog", "name")]),
        ("domestic dog", [("dog", "alias")]),
        ("puppy", [("dog", "below")]),
        ("hot dog", [("hot dog", "name")]),
        ("mountain", []),
        ("mug", [("coffee mug", "alias")]),
        # Its definition says that the mug is for coffee; that of the squash has no winter.
        ("coffee", [("coffee mug", "modifier")]),
        ("winter", []),
        ("squash", [("winter squash", "head")]),
        ("music", [("wolf", "related"), ("dog", "related")]),
        ("truth", []),
        ("wolfen", [("wolf", "name")]),
    ],
)
def test_the_rules(made: Words, word: str, meanings: list[tuple[str, str]]) -> None:
    assert [(meaning.tag, meaning.how) for meaning in made.meanings(word)] == meanings


@pytest.mark.parametrize(
    ("word", "nothing"),
    [
        ("cute", True),
        ("heavier", True),
        ("well", True),
        ("running", True),
        ("ran", True),
        # Function words and numerals, which WordNet has not, or as nouns.
        ("where", True),
        ("two", True),
        ("2", True),
        # Grooms are people, but the corpus has far more who groom something.
        ("groom", False),
        # Verbs as well, and still names of what is to be seen; so are their plurals.
        ("dog", False),
        ("dogs", False),
        # A noun that no tag says; and no word at all.
        ("winter", False),
        ("truth", False),
        ("rex", False),
    ],
)
def test_what_says_nothing_about_a_photo(made: Words, word: str, nothing: bool) -> None:
    assert made.says_nothing(word) is nothing
    if nothing:
        assert made.meanings(word) == ()


def test_common_words_are_known_and_not_taken_for_others(made: Words) -> None:
    assert made.meanings("beagl") == ()
    assert made.meanings("beaglo")[0].said == "beagle"
    # Plurals are no words of their own.
    assert made.meanings("dogs")[0].said == "dog"


def test_compounds_may_be_written_apart(made: Words) -> None:
    assert made.segment(["bath", "tub"]) == ("bath tub",)
    assert made.meanings("bath tub")[0].tag == "bathtub"


def test_related_tags_share_more_than_a_part_of_the_name_and_are_not_below_one_another(tmp_path: Path) -> None:
    wordnet, ids = small_wordnet(tmp_path)
    tree = parse_tree(build.make_tree(wordnet, {ids[one]: one for one in CLASSES}, frequency))
    cosines = {"dog": 0.7, "beagle": 0.7, "wolf": 0.65, "winter squash": 0.9, "mug": 0.49, "bathtub": 0.52}
    tags = list(tree.concepts)

    def vectors(texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        if list(texts) == tags:
            return np.array([[cosines.get(tag, 0.0)] for tag in tags], np.float32)
        return np.ones((len(texts), 1), np.float32)

    # Winter squash only shares a word; beagles are dogs, which are as near; the mug and the tub are too far.
    assert related_tags(["winter"], tree, wordnet.definition, vectors) == {"winter": [("dog", 0.7), ("wolf", 0.65)]}
    assert describes("coffee", tree.concepts["mug"], wordnet.definition)


# The data that is shipped


def test_nobody_is_offered_what_offends() -> None:
    words = load_words()
    for word in OFFENSIVE:
        assert not any(meaning.tag == "person" for meaning in words.meanings(word)), word
        assert word not in {completion.word for completion in words.complete(word, 50)}, word
    for typo in ("cok", "dik", "asss", "bich", "fagot", "titt", "pusy", "niger", "spik", "whor", "slutt", "shitt"):
        said = {meaning.said for meaning in words.meanings(typo)} | set(words.near(typo, 20))
        assert said.isdisjoint(OFFENSIVE - {typo}), typo


def test_words_and_tree_are_of_one_version() -> None:
    assert load_words().version == load_tree().version
    assert load_words().tags == tuple(load_tree().concepts)


def test_every_tag_is_found_by_its_name() -> None:
    for tag in load_tree().concepts:
        first = load_words().meanings(tag)[0]
        assert (first.tag, first.how) in {(tag, "name"), ("sunglasses", "name")}, tag


def test_the_vocabulary_is_small() -> None:
    assert sum(path.stat().st_size for path in DATA.parent.glob("*.*") if path.suffix in (".txt", ".json")) < 1_000_000


def test_its_lines_are_sorted_and_complete() -> None:
    _, tags, *lines = DATA.read_text(encoding="utf-8").splitlines()
    keys = [line.split("\t")[0] for line in lines]
    known = set(keys)
    assert keys == sorted(known)
    one = re.compile(r"[nabhm](\d+)|r(\d+)\.\d\d|=(\w+)")
    for line in lines:
        for meaning in line.split("\t")[3].removeprefix("-").split():
            found = one.fullmatch(meaning)
            assert found, line
            assert found[3] in known if found[3] else int(found[1] or found[2]) < len(tags.split("\t")), line


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    pytest.importorskip("wordfreq", reason="needs requirements-vocabulary.txt")
    try:
        return WordNet(find_wordnet())
    except ConfigurationError as error:
        pytest.skip(str(error))


def shipped_relations(words: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """What the sentence model said when the data was made; the model itself takes minutes."""
    _, tags, *lines = DATA.read_text(encoding="utf-8").splitlines()
    names = tags.split("\t")
    means = {line.split("\t")[0]: line.split("\t")[3] for line in lines}
    found = {}
    for word in words:
        related = re.findall(r"\br(\d+)(\.\d\d)", means.get(word, ""))
        if related:
            found[word] = [(names[int(number)], float(cosine)) for number, cosine in related]
    return found


def test_the_same_input_makes_the_very_bytes_that_are_shipped(wordnet: WordNet) -> None:
    plurals = irregular_plurals(find_wordnet() / "noun.exc")
    speech = Speech.read(find_wordnet())
    frequency = build.word_frequency()
    made = make_words(
        wordnet,
        load_tree(),
        frequency,
        plurals,
        speech=speech,
        related=shipped_relations,
        common=build.common_words(),
    )
    assert made == DATA.read_text(encoding="utf-8")


def test_exceptions_name_what_there_is(wordnet: WordNet) -> None:
    tree: Tree = load_tree()
    for words in (MEANT, ABOUT):
        for word, tags in words.items():
            assert set(tags) <= tree.concepts.keys(), word
    assert all(one in wordnet.meanings and other in tree.by_wordnet_id for one, other in SAME.items())
    common: Callable[[str], float] = build.word_frequency()
    speech = Speech.read(find_wordnet())
    assert all(speech.says_nothing(word, noun=False) or word in wordnet.senses for word in ABOUT)
    assert ABOUT.keys() <= set(everyday_words(wordnet, common, speech))
