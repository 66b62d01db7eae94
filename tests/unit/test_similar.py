"""What is like an image: the order, and the reasons."""

from __future__ import annotations

from typing import Any

import pytest

from tagstream.analysis.phash import bands
from tagstream.catalog.similar import frequencies_aggregation, least_likeness, likeness, similar_query, why


def image(tags: dict[str, float], colors: dict[str, float] | None = None, phash: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"id": str(tags), "tags": [{"tag": tag, "score": score} for tag, score in tags.items()]}
    if colors:
        made["colors"] = [{"color": color, "share": share} for color, share in colors.items()]
    return made | ({"phash": phash} if phash else {})


HASH, NEAR, FAR = "00ff00ff00ff00ff", "00ff00ff00ff00fe", "ff00ff00ff00ff00"
DALMATIAN = image({"dalmatian": 0.9, "dog": 0.95, "animal": 0.97}, {"white": 0.6, "black": 0.3}, HASH)
FREQUENCIES = {"dalmatian": 3, "dog": 200, "animal": 500}


def score(other: dict[str, Any]) -> float:
    return likeness(DALMATIAN, other, frequencies=FREQUENCIES, total=1000)


def test_a_copy_comes_first_then_what_shares_the_rarest_tags_then_colours() -> None:
    ranked = [
        image({"dalmatian": 0.9, "dog": 0.95, "animal": 0.97}, {"white": 0.6, "black": 0.3}, NEAR),
        image({"dalmatian": 0.9, "dog": 0.95, "animal": 0.97}, {"white": 0.6, "black": 0.3}, FAR),
        image({"dalmatian": 0.9, "dog": 0.95, "animal": 0.97}, {"green": 0.9}, FAR),
        image({"beagle": 0.9, "dog": 0.95, "animal": 0.97}, {"white": 0.6, "black": 0.3}, FAR),
        image({"beagle": 0.9, "dog": 0.95, "animal": 0.97}, {"green": 0.9}, FAR),
        image({"tabby": 0.9, "animal": 0.97}, {"green": 0.9}, FAR),
    ]
    scores = [score(one) for one in ranked]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    # A colour in common makes none similar.
    assert score(image({"pizza": 0.9}, {"white": 0.6}, FAR)) == 0


def test_the_score_on_both_sides_counts() -> None:
    assert score(image({"dalmatian": 0.9})) > score(image({"dalmatian": 0.2}))
    faint = image({"dalmatian": 0.1})
    assert likeness(faint, image({"dalmatian": 0.9})) < likeness(DALMATIAN, image({"dalmatian": 0.9}))


def test_without_frequencies_all_tags_count_alike() -> None:
    one, other = image({"dalmatian": 0.5}), image({"animal": 0.5})
    both = image({"dalmatian": 0.5, "animal": 0.5})
    assert likeness(both, one) == likeness(both, other) == pytest.approx(0.25)


def test_the_query_says_the_same() -> None:
    query = similar_query(DALMATIAN, frequencies=FREQUENCIES, total=1000)["bool"]
    assert query["must_not"] == [{"term": {"id": DALMATIAN["id"]}}]
    (needed,) = query["must"]
    *tags, looks = needed["bool"]["should"]
    assert needed["bool"]["minimum_should_match"] == 1
    assert [clause["constant_score"]["filter"] for clause in looks["bool"]["should"]] == [
        {"term": {"phash.bands": band}} for band in bands(HASH)
    ]
    assert [clause["constant_score"]["filter"] for clause in query["should"]] == [
        {"term": {"colors.color": color}} for color in ("white", "black")
    ]
    boosts = [clause["nested"]["query"]["function_score"]["query"]["constant_score"]["boost"] for clause in tags]
    # The rarest first.
    assert boosts == sorted(boosts, reverse=True)
    assert boosts[0] > 3 * boosts[-1]


def test_an_image_that_nothing_is_known_of_is_like_none() -> None:
    assert similar_query({"id": "a", "tags": []}) == {"match_none": {}}
    assert likeness({"id": "a"}, DALMATIAN) == 0
    assert why({"id": "a"}, DALMATIAN) == []


def test_a_tag_of_many_is_asked_for_once_and_at_most_ten_are() -> None:
    many = image({f"tag {number}": number / 100 for number in range(1, 40)})
    assert len(similar_query(many)["bool"]["must"][0]["bool"]["should"]) == 10
    twice = {"id": "a", "tags": [{"tag": "Dog", "score": 0.3}, {"tag": "dog", "score": 0.6}]}
    (clause,) = similar_query(twice)["bool"]["must"][0]["bool"]["should"]
    assert clause["nested"]["query"]["function_score"]["query"]["constant_score"]["boost"] == pytest.approx(0.6)


def test_of_an_image_without_tags_and_hash_the_colours_count() -> None:
    blue = image({}, {"blue": 0.9})
    assert likeness(blue, image({"pizza": 0.9}, {"blue": 0.5})) == pytest.approx(0.9)
    assert similar_query(blue)["bool"]["should"] == []


def test_the_frequencies_are_asked_for_as_the_index_spells_tags() -> None:
    asked = frequencies_aggregation(image({"Crème brûlée": 0.5, "Dog": 0.4}))
    assert list(asked["aggs"]["named"]["filters"]["filters"]) == ["creme brulee", "dog"]


def test_the_narrowest_word_is_the_first_reason() -> None:
    cat = {
        "tags": [
            {"tag": "tabby", "score": 0.7, "kind": "leaf"},
            {"tag": "Persian cat", "score": 0.1, "kind": "leaf"},
            {"tag": "animal", "score": 0.98, "kind": "ancestor"},
            {"tag": "feline", "score": 0.96, "kind": "ancestor"},
            {"tag": "cat", "score": 0.95, "kind": "ancestor"},
            {"tag": "wildcat", "score": 0.02, "kind": "ancestor"},
        ]
    }
    assert why(cat, cat) == [
        "both show tabby (0.70, 0.70)",
        "both show cat (0.95, 0.95)",
        "both show feline (0.96, 0.96)",
    ]
    lion = {"tags": [{"tag": "animal", "score": 0.9}, {"tag": "wildcat", "score": 0.9}]}
    # What one of both is hardly sure of is no reason beside what they are sure of.
    assert why(cat, lion) == ["both show animal (0.98, 0.90)"]
    assert why(cat, {"tags": [{"tag": "wildcat", "score": 0.9}]}) == ["both show wildcat (0.02, 0.90)"]


def test_what_has_hardly_anything_in_common_is_not_similar() -> None:
    least = least_likeness(DALMATIAN, frequencies=FREQUENCIES, total=1000)
    assert score(image({"beagle": 0.9, "dog": 0.5, "animal": 0.6})) > least
    assert score(image({"rocket": 0.9, "dog": 0.02, "animal": 0.09}, {"white": 0.2})) < least
    # A copy is, whatever it shows.
    assert score(image({"rocket": 0.9}, phash=NEAR)) > least
    assert least_likeness({"id": "a", "tags": []}) == 0


def test_reasons() -> None:
    assert why(DALMATIAN, image({"dog": 0.8, "cat": 0.1}, {"black": 0.5, "red": 0.5, "white": 0.1}, NEAR)) == [
        "nearly the same picture (1 of 64 bits differ)",
        "both show dog (0.95, 0.80)",
        "both have white and black",
    ]
    assert why(DALMATIAN, DALMATIAN)[0] == "the same picture"
    assert why(DALMATIAN, image({"pizza": 0.9}, {"red": 0.5}, FAR)) == []
