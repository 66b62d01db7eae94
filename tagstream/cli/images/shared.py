"""What the commands of images share: the deployed functions, asked page by page, and how answers are listed and end."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import click

from tagstream.cli.common import NOTHING_FOUND, Aws, columns_option, emit
from tagstream.errors import CatalogError, ConfigurationError, QueryError

__all__ = [
    "IMAGE_FIELDS",
    "Asked",
    "answer_to",
    "ask",
    "facts_in_words",
    "image_columns",
    "images_at",
    "invoke",
    "limit_of",
    "limit_option",
    "list_images",
    "nothing_found",
    "say_if_more",
    "stack_output",
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
    "uploaded_at",
    "classified_at",
)
"""What an image that was found has, in --json and for --columns; ``score`` and ``tag`` are what it was found by."""

R = TypeVar("R")

_PAGE = 100
_LISTED = 20


def invoke(aws: Aws, capability: str, output: str, request: dict[str, Any]) -> dict[str, Any]:
    """Call a deployed function; raises :class:`CatalogError` with its error if it failed."""
    name = stack_output(aws, capability, output)
    # Longer than the functions may run, so that it is they who say what went wrong.
    client = aws.client("lambda", read_timeout=330)
    response = client.invoke(FunctionName=name, Payload=json.dumps(request).encode())
    answer = json.loads(response["Payload"].read() or b"null")
    if "FunctionError" in response:
        reason = answer.get("errorMessage") if isinstance(answer, dict) else answer
        raise CatalogError(f"function {name} failed: {reason}")
    if not isinstance(answer, dict):
        raise CatalogError(f"function {name} answered nothing of use: {answer!r}")
    return answer


def stack_output(aws: Aws, capability: str, output: str) -> str:
    outputs = aws.outputs(capability)
    if output not in outputs:
        raise ConfigurationError(
            f"stack tagstream-{aws.stage}-{capability} has no output {output}: deploy it again with this version"
        )
    return outputs[output]


class Asked(NamedTuple):
    """The answer to a question: how many images there are in ``total``; ``images``, fetched page by page as they are
    read; and ``about``, what the first page says of the question itself."""

    total: int
    images: Iterator[dict[str, Any]]
    about: dict[str, Any]


def answer_to(aws: Aws, request: dict[str, Any]) -> dict[str, Any]:
    """What the search function answers; raises :class:`QueryError` if the question makes no sense."""
    answer = _answer(aws, request)
    if "missing" in answer:
        raise CatalogError(answer["missing"])
    return answer


def images_at(aws: Aws, locations: Sequence[str]) -> list[dict[str, Any]]:
    """What the catalog has of some S3 locations, up to a hundred; nothing where there is no catalog yet."""
    return list(_answer(aws, {"query": "locations", "locations": list(locations)})["images"])


def _answer(aws: Aws, request: dict[str, Any]) -> dict[str, Any]:
    answer = invoke(aws, "search", "SearchFunctionName", request)
    if "error" in answer:
        raise QueryError(answer["error"])
    return answer


def ask(aws: Aws, request: dict[str, Any], limit: int | None) -> Asked:
    """Ask for up to ``limit`` images (None: all)."""

    def page(left: float, after: Any) -> dict[str, Any]:
        return answer_to(aws, request | {"limit": min(left, _PAGE), "after": after})

    wanted = math.inf if limit is None else limit
    first = page(wanted, None)

    def found() -> Iterator[dict[str, Any]]:
        answer, left = first, wanted
        while True:
            yield from answer["images"]
            left -= len(answer["images"])
            if left <= 0 or answer["after"] is None:
                return
            answer = page(left, answer["after"])

    return Asked(first["total"], found(), {name: value for name, value in first.items() if name != "images"})


def list_images(
    aws: Aws,
    request: dict[str, Any],
    *,
    limit: int | None,
    as_json: bool,
    columns: Sequence[str],
    none: str,
) -> None:
    """Print the answer to a question: a table of ``columns``, or with ``as_json`` every image there is.

    Where ``limit`` leaves some out, the last line says so; where there are none, it is ``none``, with exit code 3.
    """
    total, found, _ = ask(aws, request, limit_of(limit, as_json))
    if total == 0:
        nothing_found(none)
    if not as_json:
        found = (image | {"tags": top_tags(image)} for image in found)
    shown = emit(found, as_json=as_json, columns=columns, shortened="tags" if "tags" in columns else columns[-1])
    say_if_more(shown, total)


def top_tags(image: dict[str, Any], count: int = 3) -> str:
    """The narrowest words for it: that it is an animal, too, goes without saying."""
    leaves = [tag for tag in image.get("tags", []) if tag.get("kind", "leaf") == "leaf"]
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in leaves[:count])


def facts_in_words(image: Mapping[str, Any]) -> Iterator[str]:
    """What analysers say of an image, as lines to read."""
    origin = [
        f"taken {image['taken_at'].replace('T', ' ')}" if "taken_at" in image else "",
        f"with {image['camera']}" if "camera" in image else "",
        f"at {image['location']['lat']}, {image['location']['lon']}" if "location" in image else "",
    ]
    if any(origin):
        yield " ".join(filter(None, origin))
    look = [f"{entry['color']} {entry['share']:.0%}" for entry in image.get("colors", ())]
    look += [f"{name} {image[name]:.2f}" for name in ("brightness", "sharpness") if name in image]
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
