"""Searches in the query language, on a real OpenSearch API: who is found, in which order, and why."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tagstream.catalog import mapping
from tagstream.catalog.client import Client
from tagstream.catalog.queries import parse_request, search_of
from tagstream.catalog.store import CatalogStore
from tagstream.catalog.updates import CatalogUpdate
from tagstream.errors import QueryError
from tagstream.tags import Tag, kept_score
from tests.words import FewWords

INDEX = "imagerepository"

IMAGES: list[tuple[str, dict[str, float], dict[str, Any]]] = [
    (
        "a/rex.jpg",
        {"dog": 0.95, "seashore": 0.3},
        {"size": 6_000_000, "taken_at": "2025-06-01T10:00:00", "sharpness": 0.75},
    ),
    (
        "b/fido.PNG",
        {"dog": 0.6, "seashore": 0.6, "fence": 0.3},
        {"size": 1000, "taken_at": "2025-05-31T23:59:59", "sharpness": 0.1},
    ),
    ("c/faint.jpg", {"dog": 0.05, "cat": 0.9, "fence": 0.05}, {"camera": "Canon EOS 5D", "brightness": 0.125}),
    ("d/lunch.jpeg", {"hot dog": 0.99}, {"colors": [{"color": "red", "share": 0.4}]}),
    ("e/alps.jpg", {"mountain": 0.3, "bernese mountain dog": 0.1}, {"location": {"lat": 48.2, "lon": 16.4}}),
    ("f/bike.jpg", {"mountain bike": 0.97}, {"location": {"lat": 48.3, "lon": 16.4}}),
    ("g/bernese.jpg", {"bernese mountain dog": 0.88, "dog": 0.9}, {}),
    ("h/train.jpg", {"railroad car": 0.9, "car wheel": 0.5}, {}),
    ("i/auto.jpg", {"car": 0.2}, {"colors": [{"color": "blue", "share": 0.2}]}),
    ("j/tower.jpg", {"water tower": 0.9}, {}),
    # Labels of somebody's own model.
    ("k/guard.jpg", {"Guard Dog": 0.3}, {}),
    ("l/house.jpg", {"dog house number": 0.9}, {}),
    ("m/glacier.jpg", {"Glaciers": 0.5}, {}),
    ("n/signal.jpg", {"red light": 0.8}, {}),
    ("o/goldie.jpg", {"Golden Retriever": 0.7}, {}),
    ("p/lunch.jpg", {"hot-dog": 0.8}, {}),
    ("q/night.jpg", {"Traffic-Lights (Red)": 0.6}, {}),
]


@pytest.fixture
def catalog(opensearch: OpenSearch, client: Client) -> CatalogStore:
    made = CatalogStore(client, INDEX, vocabulary=FewWords)
    body = mapping.settings_and_mappings()
    opensearch.indices.create(index=mapping.index_name(INDEX), body=body | {"aliases": {INDEX: {}}})
    for key, tags, more in IMAGES:
        _put(opensearch, key, tags, **more)
    _put(opensearch, "gone.jpg", {"dog": 1.0}, status="removed")
    opensearch.indices.refresh(index=INDEX)
    return made


def _put(opensearch: OpenSearch, key: str, tags: dict[str, float], **more: Any) -> None:
    title = key.rpartition("/")[2]
    known = {"id": key, "key": key, "title": title, "status": "classified"}
    listed = [{"tag": tag, "score": score} for tag, score in tags.items()]
    opensearch.index(index=INDEX, id=key, body=known | {"tags": listed} | more)


def ask(catalog: CatalogStore, text: str, **more: Any) -> dict[str, Any]:
    return catalog.search(parse_request({"query": "search", "q": text} | more))


def keys(answer: dict[str, Any]) -> str:
    """First letters of the keys, and a line before those that are weak."""
    shown = "".join(("|" if image["weak"] else "") + image["key"][0] for image in answer["images"])
    first, *weak = shown.split("|")
    return first + ("|" + "".join(weak) if weak else "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Whole tags by score, then labels that end with the word, then those that have it somewhere; weak ones last.
        ("dog", "agbkl|ce"),
        ("DOG", "agbkl|ce"),
        ("hot dog", "dp"),
        ('"hot dog"', "dp"),
        ("puppy", "agb|c"),
        ("dgo", "agb|c"),
        ("car", "ih"),
        ("automobile", "i"),
        ("mountain", "ef"),
        ("water", ""),
        ("glacier", "m"),
        ("guard dog", "k"),
        # Whatever the label has between its words, and in whichever case.
        ("red light", "n"),
        ("Red_Lights", "n"),
        ("redlight", ""),
        ("light", "nq"),
        ("traffic light", "q"),
        ("-light -dog", "cdefhijlmopq"),
        # A label that is a tag of the vocabulary, by a model whose tags have nothing above them.
        ("golden retriever", "o"),
        ("retrievers", "o"),
        ("retriever>0.7", ""),
        # Both: the sum of the roots puts the even one first.
        ("dog beach", "ba"),
        ("a dog on the beach", "ba"),
        ("dog ocean", "ba"),
        ("dog | cat", "agcbkl|e"),
        ("(dog | cat) fence", "b|c"),
        ("dog -fence", "agkl|ce"),
        # What names nothing is left out, on either side; a colour is one of the photo's.
        ("two cute puppy", "agb|c"),
        ("(happy | dog) -big", "agbkl|ce"),
        ("red hot dog", "d"),
        ("blue car", "i"),
        ("red", "d"),
        ("-red | dog", "agbcefhijklmnopq"),
        # No dog is known to be red, and nothing says sunset: the dogs come all the same.
        ("red dog", "agbkl|ce"),
        ("sunset beach", "ba"),
        ("red sunset car", "ih"),
        # But a thing that has a tag is wanted, and so is what is no word at all, or quoted.
        ("cat mountain", ""),
        ("dog xyzzy", ""),
        ('"cute" dog', ""),
        ("happy", ""),
        ("dog -beach", "gkl|ce"),
        ("-dog", "cdefhijlmnopq"),
        ("-(dog | cat)", "defhijlmnopq"),
        ("dog>0.9", "a"),
        ("dog>=0.9", "agl"),
        ("dog<0.5", "k|ce"),
        ("-dog<0.5 dog", "agbl"),
        ("beach dog>0.5", "ba"),
        # Filters.
        ("type:png", "b"),
        ("type:jpg dog", "agkl|ce"),
        ("type:jpeg hot dog", "dp"),
        ("size:>5mb", "a"),
        ("size:<=1kb", "b"),
        ("after:2025-06", "a"),
        ("before:2025-06", "b"),
        ("after:2025 before:2026", "ab"),
        ("after:2026", ""),
        ("color:red|blue", "di"),
        ("color:blue car", "i"),
        ("-color:red | dog", "agbcefhijklmnopq"),
        ("camera:eos", "c"),
        ('camera:"canon eos"', "c"),
        ("near:48.2,16.4,5km", "e"),
        ("near:48.2,16.4,20km", "ef"),
        ("is:sharp", "a"),
        ("is:blurred dog", "b"),
        # What was not measured is not known to be blurred.
        ("dog>0.5 -is:blurred", "agl"),
        ("sharpness:>0.05", "ab"),
        ("sharpness:>10% sharpness:<0.75", ""),
        ("is:dark|bright", "c"),
        ("brightness:>=12.5%", "c"),
        ("title:fido", "b"),
        ("title:rex | title:fido", "ab"),
    ],
)
def test_who_is_found_in_which_order(catalog: CatalogStore, text: str, found: str) -> None:
    answer = ask(catalog, text)
    assert keys(answer) == found
    assert answer["total"] == len(found.replace("|", ""))


def test_labels_of_own_models_are_words_in_the_catalog(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    tags = (Tag("Walk_dont_walk", 0.9), Tag("golden_retriever", 0.5))
    update = CatalogUpdate("classified", "photos", "walk.jpg", "0A", "created", "2026-01-01T00:00:00Z", tags=tags)
    assert catalog.apply([update])[0].state == "applied"
    opensearch.indices.refresh(index=INDEX)
    (image,) = ask(catalog, '"walk dont walk"')["images"]
    assert (image["key"], image["tag"], image["matches"][0]["how"]) == ("walk.jpg", "Walk dont walk", "name")
    assert keys(ask(catalog, "retriever")) == "ow"
    assert keys(ask(catalog, "walk")) == "w"


def test_options(catalog: CatalogStore) -> None:
    assert keys(ask(catalog, "ocean", related=False)) == ""
    assert keys(ask(catalog, "ocean", min_score=0.5)) == "b"
    assert keys(ask(catalog, "dog | beach>0.5", min_score=0.9)) == "agbl"
    assert keys(ask(catalog, "dog", exact=True)) == "agb|c"
    assert keys(ask(catalog, "puppy", exact=True)) == ""
    assert keys(ask(catalog, "Guard dog", exact=True)) == "k"
    assert keys(ask(catalog, "dog", weak_below=0.7)) == "agl|bcke"
    assert keys(ask(catalog, "dog", weak_below=0)) == "agbckel"


def test_why(catalog: CatalogStore) -> None:
    answer = ask(catalog, "puppy ocean")
    assert [(term["term"], [meaning["tag"] for meaning in term["means"]]) for term in answer["terms"]] == [
        ("puppy", ["dog"]),
        ("ocean", ["seashore"]),
    ]
    first = answer["images"][0]
    assert (first["key"], first["score"], first["tag"], first["weak"]) == ("b/fido.PNG", 0.6, "dog", False)
    assert first["matches"] == [
        {"term": "puppy", "tag": "dog", "score": 0.6, "how": "below", "said": "puppy", "similarity": 1.0},
        {"term": "ocean", "tag": "seashore", "score": 0.6, "how": "related", "said": "seashore", "similarity": 0.71},
    ]


def notes(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(term["term"], term["note"]) for term in answer["terms"] if "note" in term]


def test_words_that_are_no_terms_have_a_note(catalog: CatalogStore) -> None:
    nothing = "left out, since it says nothing about what a photo shows"
    assert notes(ask(catalog, "two cute puppy")) == [("two", nothing), ("cute", nothing)]
    assert notes(ask(catalog, "blue car")) == [("blue", "read as color:blue")]
    answer = ask(catalog, "red sunset car")
    assert [note.partition(",")[0] for _, note in notes(answer)] == ["left out", "left out"]
    assert [term["term"] for term in answer["terms"]] == ["car", "red", "sunset"]
    assert notes(ask(catalog, "happy")) == [("happy", "says nothing about what a photo shows")]
    assert notes(ask(catalog, "sunset")) == [("sunset", "the vocabulary has no tag for it")]
    assert notes(ask(catalog, "dog")) == notes(ask(catalog, '"cute" dog')) == []


def test_pages_of_a_looser_search_follow_each_other(catalog: CatalogStore) -> None:
    for text, found in (("red dog", "agbklce"), ("sunset dog", "agbklce")):
        seen, after = "", None
        while True:
            answer = ask(catalog, text, limit=2, after=after)
            seen += keys(answer).replace("|", "")
            after = answer["after"]
            if after is None:
                break
        assert seen == found


def test_a_list_has_what_its_query_says_and_no_more(catalog: CatalogStore) -> None:
    def listed(text: str) -> str:
        answer = catalog.search(parse_request({"query": "list", "q": text}))
        return "".join(image["key"][0] for image in answer["images"])

    assert listed("cute cat") == "c"
    assert listed("red dog") == listed("sunset dog") == ""


def test_what_no_photo_says_is_said(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    assert ask(catalog, "after:2026")["unsaid"] == []
    opensearch.delete_by_query(index=INDEX, body={"query": {"exists": {"field": "location"}}}, refresh=True)
    assert ask(catalog, "near:1,2")["unsaid"] == ["no photo of this catalog says where it was taken"]
    assert ask(catalog, "near:1,2 dog | after:2030")["unsaid"] == ["no photo of this catalog says where it was taken"]


def test_nothing_found_offers_what_is_near_in_meaning(catalog: CatalogStore) -> None:
    wall = {"term": "wall", "near": True, "tags": [{"tag": "fence", "images": 1}, {"tag": "seashore", "images": 2}]}
    assert ask(catalog, "wall")["suggestions"] == [wall]
    # A word that is spelt right and has no tag is near to nothing, whatever looks like it.
    assert ask(catalog, "sunset")["suggestions"] == []
    assert ask(catalog, "glacial")["suggestions"] == []


def test_nothing_found_says_what_there_is(catalog: CatalogStore) -> None:
    misspelt = ask(catalog, "dogg")
    assert misspelt["total"] == 0
    assert misspelt["catalog"] == len(IMAGES)
    assert misspelt["suggestions"][0]["near"]
    assert misspelt["suggestions"][0]["tags"][0] == {"tag": "dog", "images": 3}
    too_much = ask(catalog, "cat mountain")
    assert too_much["suggestions"] == [
        {"term": "cat", "near": False, "tags": [{"tag": "cat", "images": 1}]},
        {
            "term": "mountain",
            "near": False,
            "tags": [{"tag": "mountain", "images": 1}, {"tag": "mountain bike", "images": 1}],
        },
    ]
    own = ask(catalog, "glacir")
    assert own["suggestions"] == [{"term": "glacir", "near": True, "tags": [{"tag": "glaciers", "images": 1}]}]
    unheard = ask(catalog, "xyzzy")
    assert unheard["suggestions"] == []
    assert unheard["common"][0] == {"tag": "dog", "images": 3}


def test_an_empty_catalog_says_so(client: Client) -> None:
    catalog = CatalogStore(client, INDEX, vocabulary=FewWords)
    assert "no index" in ask(catalog, "dog")["missing"]
    catalog.create_index()
    assert ask(catalog, "dog")["catalog"] == 0


def test_facets(catalog: CatalogStore) -> None:
    found = ask(catalog, "dog | cat | car", facets=True, limit=1)
    assert found["facets"]["tags"][0] == {"tag": "dog", "images": 3}
    assert found["facets"]["colors"] == [{"color": "blue", "images": 1}]
    assert [(entry["camera"].lower(), entry["images"]) for entry in found["facets"]["cameras"]] == [("canon eos 5d", 1)]
    assert found["facets"]["years"] == [{"year": "2025", "images": 2}]
    assert "facets" not in ask(catalog, "dog")


def test_tags_of_this_catalog(catalog: CatalogStore) -> None:
    def tags(**more: Any) -> list[tuple[str, int]]:
        answer = catalog.search(parse_request({"query": "tags"} | more))
        return [(entry["tag"], entry["images"]) for entry in answer["tags"]]

    assert tags()[:3] == [("dog", 3), ("seashore", 2), ("bernese mountain dog", 1)]
    assert tags(prefix="do") == [("dog", 3), ("bernese mountain dog", 1), ("dog house number", 1), ("guard dog", 1), ("hot dog", 1), ("hot-dog", 1)]  # fmt: skip # noqa: E501
    assert tags(prefix="Moun") == [("bernese mountain dog", 1), ("mountain", 1), ("mountain bike", 1)]
    assert tags(prefix="dog", min_score=0.9) == [("dog", 2), ("dog house number", 1), ("hot dog", 1)]  # fmt: skip
    assert tags(prefix="light") == [("red light", 1), ("traffic-lights (red)", 1)]
    assert tags(prefix='.*["') == []
    limited = catalog.search(parse_request({"query": "tags", "limit": 2}))
    assert (len(limited["tags"]), limited["more"], limited["images"]) == (2, True, len(IMAGES))


def test_stats_and_list(catalog: CatalogStore) -> None:
    stats = catalog.search(parse_request({"query": "stats"}))
    assert (stats["classified"], stats["rejected"], stats["bytes"]) == (len(IMAGES), 0, 6_001_000)
    assert stats["last_taken"].startswith("2025-06-01T10:00:00")
    listed = catalog.search(parse_request({"query": "list"}))
    assert [image["key"] for image in listed["images"]] == [key for key, _, _ in IMAGES]
    some = catalog.search(parse_request({"query": "list", "q": "dog | cat", "limit": 2}))
    assert [image["key"][0] for image in some["images"]] == ["a", "b"]
    rest = catalog.search(parse_request({"query": "list", "q": "dog | cat", "after": some["after"]}))
    assert [image["key"][0] for image in rest["images"]] == ["c", "e", "g", "k", "l"]


def test_versions_come_in_the_order_of_the_keys_and_in_pages(catalog: CatalogStore, opensearch: OpenSearch) -> None:
    names = ["ä/1", "b", "B", "a b", "中", "😀", "z"]
    updates = [CatalogUpdate("classified", "photos", name, "0A", "created", "", etag=name) for name in names]
    other = CatalogUpdate("classified", "others", "c", "0A", "created", "")
    bad = CatalogUpdate("rejected", "photos", "bad", "0B", "created", "", reason="no", rejected_by="us")
    gone = CatalogUpdate("removed", "photos", "gone", "0A", "removed", "")
    assert {one.state for one in catalog.apply([*updates, other, bad, gone])} == {"applied"}
    opensearch.indices.refresh(index=INDEX)
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = catalog.search(
            parse_request({"query": "versions", "bucket": "photos", "limit": 3, "after": after}),
        )
        found += page["images"]
        after = page["after"]
        if after is None:
            break
    assert [image["key"] for image in found] == sorted([*names, "bad"])
    assert next(image for image in found if image["key"] == "bad") == {
        "key": "bad",
        "status": "rejected",
        "sequencer": "0B",
        "rejected_by": "us",
    }
    assert all(image["etag"] == image["key"] for image in found if image["key"] != "bad")
    some = catalog.search(parse_request({"query": "versions", "bucket": "photos", "q": "title:z"}))
    assert ([image["key"] for image in some["images"]], some["after"]) == (["z"], None)
    everything = catalog.search(parse_request({"query": "versions", "bucket": "photos", "removed": True, "limit": 100}))
    assert [image["key"] for image in everything["images"]] == sorted([*names, "bad", "gone"])


QUERIES = [
    "dog",
    "car",
    "dog beach",
    "dog | cat beach",
    "hot dog>0.3 car | (dog fence mountain)",
    "car dog beach cat",
    "xyz dog",
]


@pytest.mark.parametrize("limit", [7, 100])
def test_pages_are_in_the_order_that_the_answers_give_reasons_for(
    opensearch: OpenSearch, client: Client, limit: int
) -> None:
    """What OpenSearch sorts by is worked out again from the tags: both must agree, for many tags and close scores."""
    chance = random.Random(7)
    catalog = CatalogStore(client, INDEX, vocabulary=FewWords)
    catalog.create_index()
    names = [*FewWords.tags, "xyz", "big XYZ", "xyz thing", "big-xyz", "XYZs-of-old", "hot-dog"]
    everything = {}
    lines: list[dict[str, Any]] = []
    for number in range(60):
        tags = {
            name: chance.choice([0.05, 0.1, 0.3, 0.30001, 0.9, chance.random()]) for name in chance.sample(names, 6)
        }
        key = f"{number:03}.jpg"
        listed = [{"tag": tag, "score": kept_score(score)} for tag, score in tags.items()]
        everything[key] = listed
        document = {"id": key, "key": key, "title": key, "status": "classified", "tags": listed}
        lines += [{"index": {"_index": INDEX, "_id": key}}, document]
    assert not opensearch.bulk(body=lines)["errors"]
    opensearch.indices.refresh(index=INDEX)
    for text in QUERIES:
        request = parse_request({"query": "search", "q": text, "limit": limit})
        search = search_of(request, FewWords())
        assert search is not None
        found = {key: search.found(tags) for key, tags in everything.items()}
        expected = [key for key in found if found[key].matches]
        answered: list[dict[str, Any]] = []
        after = None
        while True:
            page = ask(catalog, text, limit=limit, after=after)
            assert page["total"] == len(expected), text
            answered += page["images"]
            after = page["after"]
            if after is None:
                break
        assert sorted(image["key"] for image in answered) == sorted(expected), text
        values = [found[image["key"]].value for image in answered]
        assert values == sorted(values, reverse=True), text
        if len(search.wanted) == 1:
            # Of those that fit as well, best score first.
            whole = [image for image in answered if image["matches"][0]["how"] == "name"]
            order = [(found[image["key"]].value, image["score"]) for image in whole]
            assert order == sorted(order, reverse=True), text
        weak = [image["weak"] for image in answered]
        assert weak == sorted(weak), text


def test_the_old_index_is_searched_all_the_same(opensearch: OpenSearch, client: Client) -> None:
    """Of the first version of the mapping: tags with name and score alone, no colours, places or cameras."""
    body = mapping.settings_and_mappings()
    properties = body["mappings"]["properties"]
    new = ("vocabulary", "taken_at", "camera", "location", "colors", "brightness", "sharpness", "phash")
    for name in new:
        properties.pop(name, None)
    properties["tags"]["properties"] = {name: properties["tags"]["properties"][name] for name in ("tag", "score")}
    opensearch.indices.create(index=f"{INDEX}-v1", body=body | {"aliases": {INDEX: {}}})
    _put(opensearch, "a.jpg", {"dog": 0.9})
    opensearch.indices.refresh(index=INDEX)
    catalog = CatalogStore(client, INDEX, vocabulary=FewWords)
    assert keys(ask(catalog, "puppy", facets=True)) == "a"
    for nothing in ("near:1,1", "color:red", "camera:eos", "after:2020", "dog near:1,1"):
        assert keys(ask(catalog, nothing)) == ""
    assert keys(ask(catalog, "dog | near:1,1")) == "a"
    assert catalog.search(parse_request({"query": "stats"}))["classified"] == 1


def test_similar(catalog: CatalogStore) -> None:
    answer = ask(catalog, "similar:rex.jpg")
    assert {"b", "g"} <= set(keys(answer))
    assert "both show dog (0.95, 0.90)" in next(image for image in answer["images"] if image["key"][0] == "g")["why"]
    assert answer["images"][0]["likeness"] >= answer["images"][-1]["likeness"]
    assert "a" not in keys(answer)
    assert "c" not in keys(answer)
    assert all(image["likeness"] > 0.5 for image in answer["images"])
    assert keys(ask(catalog, "similar:a/rex.jpg -fence title:bernese")) == "g"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dog | similar:rex.jpg", "neither '-' nor"),
        ("-similar:rex.jpg", "neither '-' nor"),
        ("similar:rex.jpg similar:fido.PNG", "one similar:KEY"),
        ("similar:nobody.jpg", "no image called 'nobody.jpg'"),
    ],
)
def test_what_cannot_be_similar_is_said(catalog: CatalogStore, text: str, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence):
        ask(catalog, text)
