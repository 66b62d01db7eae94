"""A catalog of the first mapping, with tags without ancestors, is moved and tagged anew while it is searched."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from tests.documents import ROOT
from tests.e2e.conftest import Pipeline, deployed, eventually

OLD_INDEX, ALIAS = "imagerepository-v1", "imagerepository"


@pytest.fixture
def pipeline(tmp_path_factory: pytest.TempPathFactory, least_privilege: bool) -> Iterator[Pipeline]:
    """A cloud of its own: an older index is what no other test reckons with."""
    yield from deployed(tmp_path_factory, "migration", least_privilege=least_privilege)


def made_old(client: OpenSearch) -> list[str]:
    """Put the catalog back to what it was before tags had kinds; the keys of the images in it."""
    (name,) = client.indices.get_alias(name=ALIAS)
    client.indices.refresh(index=name)
    documents = [hit["_source"] for hit in client.search(index=name, body={"size": 1000})["hits"]["hits"]]
    client.indices.create(index=OLD_INDEX, body=json.loads((ROOT / "tests/data/mapping-v1.json").read_text()))
    known = set(client.indices.get_mapping(index=OLD_INDEX)[OLD_INDEX]["mappings"]["properties"])
    for document in documents:
        old = {field: value for field, value in document.items() if field in known}
        old["tags"] = [
            {"tag": tag["tag"], "score": tag["score"]} for tag in document["tags"] if tag.get("kind") != "ancestor"
        ]
        client.index(index=OLD_INDEX, id=document["id"], body=old)
    swap = [{"remove_index": {"index": name}}, {"add": {"index": OLD_INDEX, "alias": ALIAS}}]
    client.indices.update_aliases(body={"actions": swap})
    client.indices.refresh(index=OLD_INDEX)
    return [document["key"] for document in documents if document["status"] == "classified"]


def test_an_old_catalog_is_moved_and_tagged_anew_searched_all_the_while(
    pipeline: Pipeline, photos: dict[str, Path]
) -> None:
    for key, photo in (("old/cat.png", "chelsea.png"), ("old/eagle.jpg", "eagle.jpg")):
        pipeline.put(key, photos[photo])
        pipeline.searchable(key)
    pipeline.put("old/notes.jpg", b"no photo")
    pipeline.searchable("old/notes.jpg")
    pipeline.settled()
    client = OpenSearch(pipeline.connection.search_url)
    try:
        keys = made_old(client)
    finally:
        client.close()
    assert {"old/cat.png", "old/eagle.jpg"} <= set(keys)

    def found(words: str) -> set[str]:
        return {image["key"] for image in pipeline.ask(query="search", q=words, limit=100)["images"]}

    assert "old/eagle.jpg" in found("bald eagle")
    missed: list[str] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            if "old/eagle.jpg" not in found("bald eagle"):
                missed.append("old/eagle.jpg")

    searching = threading.Thread(target=search)
    searching.start()
    try:
        moved = pipeline.run("images", "reindex")
        assert moved.returncode == 0, moved.stderr
        counted = pipeline.run("images", "retag", "--dry-run", "--json")
        outdated = json.loads(counted.stdout)
        assert outdated["outdated"] >= len(keys)
        pipeline.put("old/uploaded-meanwhile.jpg", photos["drum.jpg"])
        retagged = pipeline.run("images", "retag", "--rate", "50", "--json")
    finally:
        done.set()
        searching.join(timeout=60)
    assert retagged.returncode == 0, retagged.stderr
    told: dict[str, Any] = json.loads(retagged.stdout)
    assert told["outdated"] == 0
    assert told["sent"] >= len(keys)
    assert not missed

    for key in keys:
        image = pipeline.image(key)
        assert image is not None, key
        assert image["vocabulary"], key
    assert "old/eagle.jpg" in found("animal")
    assert "old/cat.png" in found("animal")
    assert eventually(lambda: pipeline.image("old/uploaded-meanwhile.jpg"), "what was uploaded meanwhile")
    (rejected,) = [one for one in pipeline.ask(query="rejected")["images"] if one["key"] == "old/notes.jpg"]
    assert rejected["status"] == "rejected"
    assert pipeline.dead_letters() == 0

    again = pipeline.run("images", "retag", "--where", "animal")
    assert again.returncode == 0, again.stderr
    assert again.stderr.splitlines()[-1].endswith("0 were looked at again.")
    wrong = pipeline.run("images", "retag", "--model", "inception-v3")
    assert wrong.returncode == 1
    assert "-c model=inception-v3" in wrong.stderr
