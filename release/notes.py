"""What the changelog says of a version, for its release: ``make notes TAG=v1.2.0``.

It is written into build/notes.md. A tag that is not the version in pyproject.toml, or a version of which CHANGELOG.md
says nothing, is an error: nothing should be published then.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

__all__ = ["NotesError", "main", "notes"]

ROOT = Path(__file__).resolve().parents[1]


class NotesError(Exception):
    """There is nothing to release; the message says why, and what to do."""


def notes(tag: str, version: str, changelog: str) -> str:
    """The section of ``changelog`` about ``version``, which has to be that of ``tag``, without its heading.

    >>> notes("v1.2.0", "1.2.0", "# Changelog\\n\\n## 1.2.0\\n\\n- New.\\n\\n## 1.1.0\\n\\n- Old.\\n")
    '- New.\\n'
    """
    if tag != f"v{version}":
        raise NotesError(
            f"tag {tag!r} is not of version {version} in pyproject.toml: use v{version}, or raise the version."
        )
    heading = rf"^## \[?{re.escape(version)}\]?(?: [^\n]*)?$"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise NotesError(
            f"CHANGELOG.md says nothing of {version}: give what is under 'Unreleased' the heading '## {version}'."
        )
    return found[1].strip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make notes", description=__doc__.partition("\n")[0])
    parser.add_argument("tag", help="such as v1.2.0")
    tag: str = parser.parse_args(arguments).tag
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        text = notes(tag, version, (ROOT / "CHANGELOG.md").read_text())
    except NotesError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    into = ROOT / "build" / "notes.md"
    into.parent.mkdir(exist_ok=True)
    into.write_text(text)
    print(f"{into.relative_to(ROOT)}: {len(text.splitlines())} lines on {version}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
