"""What a command that has ended tells people to type next, in words that work where they are."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tagstream.deployed.aws import Aws

__all__ = ["called_as", "photos_at_hand", "steps", "typed"]


def called_as() -> str:
    """This program as it can be typed: "tagstream" alone is not found where no virtual environment is activated."""
    return "tagstream" if shutil.which("tagstream") else shlex.quote(os.path.relpath(sys.argv[0]))


def typed(aws: Aws, command: str) -> str:
    """A command of this program for the same stage, as it can be typed."""
    return f"{called_as()} {command}" + ("" if aws.is_local else f" --stage {shlex.quote(aws.stage)}")


def photos_at_hand(demo: Path) -> str | None:
    """A folder of photos that is there, as it can be typed: the user's own, or the demo's; None if neither is."""
    own = Path.home() / "Pictures"
    if own.is_dir() and any(own.iterdir()):
        return "~/Pictures"
    return shlex.quote(os.path.relpath(demo)) if demo.is_dir() else None


def steps(typed: Sequence[tuple[str, str]]) -> str:
    """Commands below one another, each with what it means.

    >>> print(steps([("make up", "start it"), ("make down", "stop it")]))
      make up    # start it
      make down  # stop it
    """
    width = max(len(command) for command, _ in typed)
    return "\n".join(f"  {command:<{width}}  # {meaning}" for command, meaning in typed)
