"""Where files lie: in the checkout that this is a part of, or, where it was installed, in the user's cache."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["CHECKOUT", "cache", "made"]

_BESIDE = Path(__file__).resolve().parents[1]

CHECKOUT = _BESIDE if (_BESIDE / "cdk.json").is_file() else None
"""The repository's root, with the stacks; None where Tagstream was installed as a package."""


def cache() -> Path:
    """The user's folder for what can be made again: ``tagstream`` in $XDG_CACHE_HOME or ~/.cache; it may be missing."""
    for variable, parts in (("XDG_CACHE_HOME", ()), ("HOME", (".cache",))):
        base = os.environ.get(variable)
        if base and Path(base).is_dir():
            return Path(base, *parts, "tagstream")
    return Path(tempfile.gettempdir(), f"tagstream-{os.getuid()}")


def made() -> Path:
    """Where what is built and fetched is kept: ``build`` of the checkout, or the cache."""
    return cache() if CHECKOUT is None else CHECKOUT / "build"
