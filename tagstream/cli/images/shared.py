"""What the commands of images share: how answers are listed, and how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import click

from tagstream.cli.common import NOTHING_FOUND, columns_option, emit
from tagstream.deployed.catalog import Image, Images

__all__ = [
    "IMAGE_FIELDS",
    "cells",
    "facts_in_words",
    "image_columns",
    "limit_of",
    "limit_option",
    "list_images",
    "nothing_found",
    "say_if_more",
    "top_tags",
]

IMAGE_FIELDS = (
    "key",
    "score",
    "tag",
    "weak",
    "matches",
    "likeness",
    "why",
    "tags",
    "title",
    "s3_location",
    "bucket",
    "status",
    "reason",
    "width",
    "height",
    "size",
    "etag",
    "sequencer",
    "model",
    "vocabulary",
    "taken_at",
    "camera",
    "location",
    "colors",
    "brightness",
    "sharpness",
    "phash",
    "uploaded_at",
    "classified_at",
)
"""What an image that was found has, in --json and for --columns; ``score`` and ``tag`` are what it was found by."""

R = TypeVar("R")

_LISTED = 20


def list_images(found: Images, *, as_json: bool, columns: Sequence[str], none: str) -> None:
    """Print an answer: a table of ``columns``, or with ``as_json`` every image there is.

    Where a limit left some out, the last line says so; where there are none, it is ``none``, with exit code 3.
    """
    total = found.total
    if total == 0:
        nothing_found(none)
    images: Iterator[Image] = found
    if not as_json:
        images = map(cells, found)
    shown = emit(images, as_json=as_json, columns=columns, shortened="tags" if "tags" in columns else columns[-1])
    say_if_more(shown, total)


def top_tags(image: dict[str, Any], count: int = 3) -> str:
    """The narrowest words for it: that it is an animal, too, goes without saying."""
    leaves = [tag for tag in image.get("tags", []) if tag.get("kind", "leaf") == "leaf"]
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in leaves[:count])


def cells(image: Image) -> Image:
    """An image with its lists as texts that fit into a table."""
    made = image | {
        "tags": f"rejected: {image.get('reason')}" if image.get("status") == "rejected" else top_tags(image)
    }
    if "colors" in image:
        made["colors"] = ", ".join(_colors(image))
    if "location" in image:
        made["location"] = f"{image['location']['lat']}, {image['location']['lon']}"
    return made


def _colors(image: Mapping[str, Any]) -> list[str]:
    return [f"{entry['color']} {entry['share']:.0%}" for entry in image.get("colors", ())]


def facts_in_words(image: Mapping[str, Any]) -> Iterator[str]:
    """What analysers say of an image, as lines to read."""
    origin = [
        f"taken {image['taken_at'].replace('T', ' ')}" if "taken_at" in image else "",
        f"with {image['camera']}" if "camera" in image else "",
        f"at {image['location']['lat']}, {image['location']['lon']}" if "location" in image else "",
    ]
    if any(origin):
        yield " ".join(filter(None, origin))
    look = _colors(image) + [f"{name} {image[name]:.2f}" for name in ("brightness", "sharpness") if name in image]
    if look:
        yield ", ".join(look)


def nothing_found(message: str) -> None:
    click.echo(message, err=True)
    sys.exit(NOTHING_FOUND)


def image_columns(*default: str) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The option --columns of a command that lists images."""
    return columns_option(*IMAGE_FIELDS, default=default)


limit_option = click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"Images to list, at most.  [default: {_LISTED}; with --json all]",
)


def limit_of(limit: int | None, as_json: bool) -> int | None:
    """What --limit means: people get a screenful if they don't say, programs everything (None)."""
    return limit if limit is not None or as_json else _LISTED


def say_if_more(shown: int, total: int) -> None:
    if shown < total:
        click.echo(f"{shown} of {total}; --limit shows more.", err=True)
