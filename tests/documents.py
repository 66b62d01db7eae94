"""What README and docs tell people to type, read out of their fenced blocks, and what they say that it prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

# What goes to AWS: tests/infra/test_documents.py runs it up to the first call that needs credentials.
NEEDS_AN_ACCOUNT = re.compile(
    r"npx cdk |make (bootstrap|delivery|deploy|destroy|diff|rollback) |.* --stage (dev|prod)\b"
)

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s{2,}#.*$")


@dataclass(frozen=True)
class Typed:
    """A command, as a shell takes it, the lines that it is said to print, and where that stands."""

    command: str
    printed: tuple[str, ...]
    where: str


def blocks(document: Path, language: str) -> Iterator[tuple[int, str]]:
    """The number of the first line and the text of each fenced block of a language.

    >>> (line, text), *_ = blocks(ROOT / "README.md", "console")
    >>> text.startswith("$ ")
    True
    """
    source = document.read_text()
    for found in _BLOCK.finditer(source):
        if found[1] == language:
            yield source.count("\n", 0, found.start(2)) + 1, found[2]


def commands(document: Path) -> list[Typed]:
    """What is typed after ``$``; lines after ``>`` go on with it, and all others are what it prints."""
    typed: list[Typed] = []
    for first, text in blocks(document, "console"):
        command: list[str] = []
        printed: list[str] = []
        where = ""
        for number, line in enumerate(text.splitlines(), first):
            if line.startswith("$ "):
                if command:
                    typed.append(Typed("\n".join(command), tuple(printed), where))
                command, printed, where = [_COMMENT.sub("", line[2:])], [], f"{document.name}:{number}"
            elif line.startswith("> ") and not printed:
                command.append(line[2:])
            else:
                assert command, f"{document.name}:{number}: a console block begins with '$ '"
                printed.append(line)
        if command:
            typed.append(Typed("\n".join(command), tuple(printed), where))
    return typed


def json_names() -> set[str]:
    """The names that docs/command-line.md explains, of the fields in what --json prints."""
    table = (ROOT / "docs" / "command-line.md").read_text().partition("| name | what it holds |")[2]
    return {
        name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }


def undocumented(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names in rows that --json printed which docs/command-line.md does not explain; attributes have their own."""
    found: set[str] = set()
    for row in rows:
        found |= row.keys()
        for name, value in row.items():
            below = value if isinstance(value, list) else [value]
            if name not in {"attributes", "before", "after"}:
                found |= undocumented(item for item in below if isinstance(item, dict))
    return found - json_names()


def alike(line: str) -> str:
    """A printed line without what differs from run to run: numbers, ids, the width of columns, bucket names.

    >>> alike("cat.jpg   0.927  s3://photos-1e58a3f6e2d99/cat.jpg") == alike("cat.jpg 0.931 s3://photos-00a1b2c3d4e5/cat.jpg")
    True
    """
    line = re.sub(r"s3://[^/\s]+", "s3://BUCKET", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", "ID", line)
    return " ".join(re.sub(r"\d[\d,.]*\d|\d", "0", line).split())
