"""What whoever is on call sees of a stage: what is worked out here from what AWS answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from tagstream.cli.dlq import _chosen
from tagstream.deployed.aws import Aws
from tagstream.operations.queues import queue_named
from tagstream.operations.state import _images
from tagstream.topics import Message

_NOTHING: dict[str, Any] = {
    "index": None,
    "indexes": [],
    "alias": "images",
    "behind_alias": [],
    "blocked": [],
    "images": {},
}


class Inspected:
    """A stage whose purge function says this of the catalog."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.state = state

    def invoke(self, *_: Any) -> Mapping[str, Any]:
        return self.state


@pytest.mark.parametrize(
    ("state", "photos_expected", "said"),
    [
        (_NOTHING, False, ""),
        (_NOTHING, True, "no index in OpenSearch"),
        (_NOTHING | {"indexes": ["a", "b"], "behind_alias": ["a", "b"]}, True, "leads to 2 indexes"),
        (_NOTHING | {"index": "a", "indexes": ["a"], "images": {"classified": 1}}, True, ""),
    ],
)
def test_an_index_that_is_lost_is_a_problem(state: Mapping[str, Any], photos_expected: bool, said: str) -> None:
    problems: list[str] = []
    _images(cast(Aws, Inspected(state)), problems, photos_expected=photos_expected)
    assert said in " ".join(problems)
    assert len(problems) == bool(said)


def test_ids_that_no_dead_letter_has_are_known_afterwards() -> None:
    missing = {"here", "gone"}
    chosen = _chosen(queue_named("ingest"), missing, ("here", "gone"), ())
    assert chosen is not None
    assert [chosen(Message(name, "receipt", "{}")) for name in ("other", "here")] == [False, True]
    assert missing == {"gone"}
