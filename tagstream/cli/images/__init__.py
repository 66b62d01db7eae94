"""``tagstream images``: photos into the bucket, out of it, and found by what they show."""

from __future__ import annotations

import click

from tagstream.cli.lazy import Lazy

__all__ = ["images"]

_COMMANDS = {
    "classify": "tagstream.cli.images.classify:classify",
    "duplicates": "tagstream.cli.images.duplicates:duplicates",
    "export": "tagstream.cli.images.contents:export",
    "list": "tagstream.cli.images.contents:list_",
    "rebuild": "tagstream.cli.images.rebuild:rebuild",
    "reconcile": "tagstream.cli.images.reconcile:reconcile",
    "reindex": "tagstream.cli.images.maintain:reindex",
    "rejected": "tagstream.cli.images.search:rejected",
    "retag": "tagstream.cli.images.retag:retag",
    "rm": "tagstream.cli.images.maintain:rm",
    "search": "tagstream.cli.images.search:search",
    "show": "tagstream.cli.images.search:show",
    "stats": "tagstream.cli.images.contents:stats",
    "tags": "tagstream.cli.images.contents:tags",
    "upload": "tagstream.cli.images.upload:upload",
}


@click.command(cls=Lazy, commands=_COMMANDS)
def images() -> None:
    """Upload, find, classify and remove photos.

    \b
    Examples:
      tagstream images upload ~/Pictures
      tagstream images search hot dog --min-score 0.9
      tagstream images search cat --json | jq -r .s3_location
      tagstream images show IMG_0012.jpg
      tagstream images duplicates
      tagstream images rm IMG_0012.jpg

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 done in part.
    """
