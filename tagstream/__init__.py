"""Tagstream: photos in a bucket become searchable by what they show; files over SQS topics become jobs.

``tagstream.run_image_recognition("drum.jpg")`` says what a photo shows, ``tagstream.Catalog(stage="dev")`` asks the
catalog of a deployed stage, :mod:`tagstream.topics` is PubSub over SQS (docs/python.md). The names below are imported
when they are first used; ``__init__.pyi`` tells type checkers what they are.
"""

from __future__ import annotations

import importlib

__all__ = [
    "AwsError",
    "Catalog",
    "CatalogError",
    "ConfigurationError",
    "ImageRejected",
    "MissingPackage",
    "ModelError",
    "QueryError",
    "TagstreamError",
    "run_image_recognition",
]
_HOMES = {"Catalog": "tagstream.deployed.catalog", "run_image_recognition": "tagstream.classifier"}


def __getattr__(name: str) -> object:
    if name == "__version__":
        # Not at the top: it would be a part of every cold start.
        return importlib.import_module("importlib.metadata").version("tagstream")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "tagstream.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
