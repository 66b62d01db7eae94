"""What the commands of images share: the deployed functions, asked page by page, and how answers end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from tagstream.cli.common import NOTHING_FOUND, Aws
from tagstream.errors import CatalogError, ConfigurationError, QueryError

__all__ = ["ask", "invoke", "limit_option", "nothing_found", "say_if_more", "stack_output", "top_tags"]

_PAGE = 100


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


def ask(aws: Aws, request: dict[str, Any], limit: int) -> tuple[int, Iterator[dict[str, Any]]]:
    """How many images there are, and up to ``limit`` of them, fetched page by page as they are read."""

    def page(size: int, after: Any) -> dict[str, Any]:
        answer = invoke(aws, "search", "SearchFunctionName", request | {"limit": size, "after": after})
        if "error" in answer:
            raise QueryError(answer["error"])
        return answer

    first = page(min(limit, _PAGE), None)

    def found() -> Iterator[dict[str, Any]]:
        answer, left = first, limit
        while True:
            yield from answer["images"]
            left -= len(answer["images"])
            if left <= 0 or answer["after"] is None:
                return
            answer = page(min(left, _PAGE), answer["after"])

    return first["total"], found()


def top_tags(image: dict[str, Any], count: int = 3) -> str:
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in image.get("tags", [])[:count])


def nothing_found(message: str) -> None:
    click.echo(message, err=True)
    sys.exit(NOTHING_FOUND)


limit_option = click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Images to list, at most."
)


def say_if_more(shown: int, total: int) -> None:
    if shown < total:
        click.echo(f"{shown} of {total}; --limit shows more.", err=True)
