from __future__ import annotations

from typing import Any

import pytest

from tagstream.catalog.queries import Request, answer, parse_request, search_body, search_of
from tagstream.errors import QueryError
from tagstream.vocabulary.words import load_words


def test_defaults() -> None:
    assert parse_request({"query": "tag", "tag": " cat "}) == Request("tag", "cat", None, False, 20, None)
    assert parse_request({"query": "title", "title": " a.jpg"}) == Request("title", " a.jpg", None, True, 20, None)
    assert parse_request({"query": "rejected", "limit": None, "after": None}) == Request("rejected", exact=False)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (None, "must be a JSON object"),
        ([], "must be a JSON object"),
        ({}, "'query' must be one of"),
        ({"query": ["tag"]}, "'query' must be one of"),
        ({"query": "colour"}, "'query' must be one of"),
        ({"query": "tag"}, "'tag' must be a text"),
        ({"query": "tag", "tag": "  "}, "'tag' must be a text"),
        ({"query": "tag", "tag": {"x": 1}}, "'tag' must be a text"),
        ({"query": "tag", "tag": "x" * 3000}, "at most 2048 characters"),
        ({"query": "tag", "tag": "\ud800"}, "'tag' must be a text"),
        ({"query": "tag", "tag": "cat", "title": "x"}, "has no field 'title'"),
        ({"query": "title", "title": "x", "min_score": 0.5}, "has no field 'min_score'"),
        ({"query": "tag", "tag": "cat", "min_score": 90}, "from 0 to 1"),
        ({"query": "tag", "tag": "cat", "min_score": "0.9"}, "from 0 to 1"),
        ({"query": "tag", "tag": "cat", "min_score": True}, "from 0 to 1"),
        ({"query": "tag", "tag": "cat", "min_score": float("nan")}, "from 0 to 1"),
        ({"query": "tag", "tag": "cat", "limit": 0}, "from 1 to 100"),
        ({"query": "tag", "tag": "cat", "limit": 101}, "from 1 to 100"),
        ({"query": "tag", "tag": "cat", "limit": 1.0}, "from 1 to 100"),
        ({"query": "tag", "tag": "cat", "limit": True}, "from 1 to 100"),
        ({"query": "tag", "tag": "cat", "exact": "no"}, "true or false"),
        ({"query": "tag", "tag": "cat", "after": "x"}, "'after' must be"),
        ({"query": "tag", "tag": "cat", "after": [0.5]}, "'after' must be"),
        ({"query": "tag", "tag": "cat", "after": ["0.5", "id"]}, "'after' must be"),
        ({"query": "tag", "tag": "cat", "after": [0.5, None]}, "'after' must be"),
        ({"query": "tag", "tag": "cat", "after": [0.5, "\ud800"]}, "'after' must be"),
        ({"query": "title", "title": "cat", "after": [0.5, "id"]}, "'after' must be"),
        ({"query": "search"}, "'q' must be a text"),
        ({"query": "search", "sort": "newest", "q": " "}, "'q' must be a text"),
        ({"query": "search", "q": "cat", "sort": "oldest"}, "'best' or 'newest'"),
        ({"query": "search", "q": "cat", "sort": True}, "'best' or 'newest'"),
        ({"query": "list", "sort": "newest"}, "has no field 'sort'"),
        ({"query": "under"}, "'prefix' must be a text"),
        ({"query": "under", "prefix": "up/", "after": [0.5, "id"]}, "'after' must be"),
    ],
)
def test_bad_requests_get_a_sentence(request_: Any, sentence: str) -> None:
    with pytest.raises(QueryError, match=sentence):
        parse_request(request_)


def test_name_and_score_are_asked_of_the_same_tag() -> None:
    body = search_body(Request("tag", "pizza", min_score=0.9))
    nested = [clause["nested"] for clause in body["query"]["bool"]["filter"] if "nested" in clause]
    assert [clause["path"] for clause in nested] == ["tags"]
    assert nested[0]["query"] == {
        "bool": {"filter": [{"match_phrase": {"tags.tag": "pizza"}}, {"range": {"tags.score": {"gte": 0.9}}}]}
    }
    # Sorted by the score of that tag, not by the image's best one.
    assert body["sort"][0]["tags.score"]["nested"] == {"path": "tags", "filter": nested[0]["query"]}


def test_a_page_that_is_full_but_the_last_has_no_next_one() -> None:
    def response(count: int) -> dict[str, Any]:
        hits = [{"_source": {"title": str(n), "secret": 1}, "sort": [n, str(n)]} for n in range(count)]
        return {"hits": {"total": {"value": 7}, "hits": hits}}

    query = Request("rejected", limit=2)
    assert search_body(query)["size"] == 3
    assert answer(query, response(2)) == {"total": 7, "images": [{"title": "0"}, {"title": "1"}], "after": None}
    assert answer(query, response(3))["after"] == [1, "1"]


@pytest.mark.parametrize(
    ("text", "label", "how"),
    [
        ("red_light", "Red Light", "name"),
        ("RED LIGHTS", "Red-Light", "name"),
        ("light", "big-red-lights", "head"),
        ("light", "light (red)", "modifier"),
        ("berries", "goose berries", "head"),
        ("light", "lighthouse-keeper", None),
        ("retriever", "Golden Retriever", "head"),
        ("retrievers", "golden-retriever", "head"),
        ("golden retriever", "GOLDEN-RETRIEVER", "name"),
        ("dog", "hot-dog", None),
        ("dog", "Hot Dog", None),
        ("puppy", "dog", "below"),
        ("cat", "my cat", "head"),
        ('"c++ (book)"', "c++ (book)", "name"),
        ("a" * 950, "a" * 950, "name"),
    ],
)
def test_labels_of_own_models_are_found_by_their_words(text: str, label: str, how: str | None) -> None:
    search = search_of(parse_request({"query": "search", "q": text}), load_words())
    assert search is not None
    matches = search.found([{"tag": label, "score": 0.9}]).matches
    assert [match.how for match in matches] == ([how] if how else [])
