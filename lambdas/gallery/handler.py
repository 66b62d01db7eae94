"""The gallery function: serves the files of the web page, which lie in its bundle. It may do nothing else."""

from __future__ import annotations

import base64
import functools
import json
import os
from pathlib import Path
from typing import Any

from tagstream.gallery import Site

_HERE = Path(__file__).resolve().parent


@functools.cache
def _site() -> Site:
    """Of the files beside this one; in the repository they have a folder at the top."""
    beside = _HERE / "gallery"
    return Site(beside if beside.is_dir() else _HERE.parents[1] / "gallery", json.loads(os.environ["GALLERY_CONFIG"]))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - AWS passes two
    """Answers API Gateway's requests, payload format 2.0; without packages, so that a cold start is none to speak of.

    ``GALLERY_CONFIG`` is the JSON that ``/config.json`` answers (docs/gallery.md).
    """
    answer = _site().answer(event["requestContext"]["http"]["method"], event["rawPath"], event.get("headers") or {})
    return {
        "statusCode": answer.status,
        "headers": dict(answer.headers),
        "body": base64.b64encode(answer.body).decode(),
        "isBase64Encoded": True,
    }
