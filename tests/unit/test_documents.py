"""What documents say, held against the code; that what they say to type works is tried by other tiers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, json_names, undocumented

# Words for what another field of the table says already.
_SYNONYMS = {"error", "problem", "state", "photo", "upload", "megabytes", "licenses", "filename"}


def test_one_word_for_one_thing() -> None:
    assert json_names() & _SYNONYMS == set()
    assert {"key", "path", "status", "reason", "tags", "topic"} <= json_names()


def test_names_that_are_not_explained_are_noticed() -> None:
    rows = [{"key": "a", "tags": [{"tag": "cat", "score": 0.9, "colour": "red"}], "attributes": {"any": 1}, "eror": 1}]
    assert undocumented(rows) == {"colour", "eror"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_stand_in_blocks_that_are_tried(document: Path) -> None:
    """In fences of ``console``: no other kind of block has something to type, and none is made by indenting."""
    text = document.read_text()
    typed = re.compile(r"^\s*(?:\$ |npx |make |tagstream |aws |\.venv/bin/)", re.MULTILINE)
    outside = re.sub(r"^```console\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    fenced = re.findall(r"^```(?!mermaid)\w*\n(.*?)^```$", outside, re.MULTILINE | re.DOTALL)
    indented = re.findall(
        r"^ {4,}\S.*$", re.sub(r"^```.*?^```$", "", outside, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    assert [block for block in [*fenced, *indented] if typed.search(block)] == []


def test_the_readme_tells_the_costs_that_the_table_has() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    told = re.search(
        r"`dev` costs (about \$\d+) a month and `prod` (about \$\d+), .* photos cost (about \$\d+)", readme
    )
    assert told is not None
    table = (ROOT / "docs" / "infrastructure.md").read_text().partition("## What it costs")[2]
    assert f"| **a month** | **nothing** | **{told[1]}** | **{told[2]}** |" in table
    assert f"**{told[3]}**" in table


def test_the_table_of_stacks_has_them_all() -> None:
    table = (ROOT / "docs" / "infrastructure.md").read_text()
    listed = set(re.findall(r"^\| `tagstream-<stage>-(\w+)` \|", table, re.MULTILINE))
    made = set(re.findall(r'common\("(\w+)"\)', (ROOT / "stacks" / "application.py").read_text()))
    assert listed == made
