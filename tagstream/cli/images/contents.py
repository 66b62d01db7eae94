"""``tagstream images tags | list | stats | export``: what the catalog has."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

import click

from tagstream.cli.common import DONE_IN_PART, aws_options, emit, json_option
from tagstream.cli.images.answers import in_vain
from tagstream.cli.images.search import query_argument
from tagstream.cli.images.shared import (
    image_columns,
    limit_of,
    limit_option,
    list_images,
    nothing_found,
)
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog
from tagstream.errors import TagstreamError

__all__ = ["csv_cell", "export", "list_", "stats", "tags"]

_MOST_TAGS = 1000
_IN_A_CELL = ("tag", "score", "color", "share")
_CSV_COLUMNS = (
    "key",
    "s3_location",
    "status",
    "tags",
    "score",
    "tag",
    "width",
    "height",
    "size",
    "taken_at",
    "camera",
    "location",
    "colors",
    "brightness",
    "sharpness",
    "model",
    "vocabulary",
    "uploaded_at",
    "classified_at",
    "reason",
)


@click.command()
@click.argument("prefix", default="")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Count images from this score on.  [default: 0.2]")
@click.option(
    "--limit", type=click.IntRange(1, _MOST_TAGS), help="Tags to list, at most.  [default: 20; with --json 1000]"
)
@json_option
@aws_options
def tags(*, prefix: str, min_score: float | None, limit: int | None, as_json: bool, aws: Aws) -> None:
    """List the tags of this catalog, with the number of images that show each.

    With PREFIX only those that have a word which begins with it.

    \b
    Examples:
      tagstream images tags
      tagstream images tags re
      tagstream images tags --json --min-score 0.5 | jq -r .tag
    """
    wanted = limit or (_MOST_TAGS if as_json else 20)
    answer = Catalog.over(aws).tags(prefix, min_score=min_score, limit=wanted)
    if not answer["images"]:
        nothing_found(in_vain(prefix, {"catalog": 0}))
    if not answer["tags"]:
        nothing_found(f"No tag here has a word that begins with {prefix!r}.")
    emit(answer["tags"], as_json=as_json, columns=("tag", "images"))
    if answer["more"]:
        click.echo(f"There are more than {wanted}; --limit shows more.", err=True)


@click.command(name="list", context_settings={"ignore_unknown_options": True})
@query_argument(required=False)
@image_columns("key", "tags")
@limit_option
@json_option
@aws_options
def list_(*, query: str, columns: Sequence[str], limit: int | None, as_json: bool, aws: Aws) -> None:
    """List all images, rejected ones too, or those that QUERY finds, in the order of their keys.

    \b
    Examples:
      tagstream images list
      tagstream images list type:png --json | jq -r .key
    """
    found = Catalog.over(aws).images(query or None, limit=limit_of(limit, as_json))
    none = f"There is no image for {query!r}." if query else in_vain("", {"catalog": 0})
    list_images(found, as_json=as_json, columns=columns, none=none)


@click.command()
@json_option
@aws_options
def stats(*, as_json: bool, aws: Aws) -> None:
    """Say how much there is: images, bytes, tags, models, times.

    \b
    Examples:
      tagstream images stats
      tagstream images stats --json | jq .classified
    """
    answer = Catalog.over(aws).stats()
    if as_json:
        emit([answer], as_json=True)
        return
    rows = [{"": name.replace("_", " "), "value": _in_words(value)} for name, value in answer.items()]
    emit([row for row in rows if row["value"]], as_json=False)


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count:,}" for name, count in value.items())
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*", value):
        # Cameras write local time, and so nothing is said of zones.
        return value[:19].replace("T", " ")
    return f"{value:,}" if isinstance(value, int) else str(value or "")


@click.command()
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--where", metavar="QUERY", help="Only images that this query finds, as for 'images search'.")
@aws_options
def export(*, form: str, where: str | None, aws: Aws) -> None:
    """Print what the catalog has of every image, in the order of their keys.

    jsonl is one JSON object a line with everything; csv has a header and a column for each of the main fields.
    A cell that a spreadsheet would take for a formula has an apostrophe before it.

    Exit code 4 says that images are missing in what was printed.

    \b
    Examples:
      tagstream images export > catalog.jsonl
      tagstream images export --format csv --where 'dog after:2025' > dogs.csv
    """
    asked = Catalog.over(aws).images(where)
    if asked.total == 0:
        nothing_found(in_vain(where or "", {"catalog": 0} if where is None else {}))
    write = _csv_writer() if form == "csv" else _write_json
    count = 0
    try:
        for image in asked:
            write(image)
            count += 1
    except TagstreamError as error:
        click.echo(f"Error: {error}", err=True)
    if count < asked.total:
        _say_incomplete(count, asked.total)
        sys.exit(DONE_IN_PART)
    click.echo(f"Exported {count} images.", err=True)


def _say_incomplete(count: int, total: int) -> None:
    click.echo(f"Exported {count} of {total} images: what was printed is not complete. Export again.", err=True)


def _write_json(image: Mapping[str, Any]) -> None:
    click.echo(json.dumps(image, ensure_ascii=False))


def _csv_writer() -> Callable[[Mapping[str, Any]], None]:
    line = StringIO(newline="")
    writer = csv.writer(line)

    def write_row(cells: Iterable[Any]) -> None:
        writer.writerow(cells)
        click.echo(line.getvalue(), nl=False)
        line.seek(0)
        line.truncate()

    write_row(_CSV_COLUMNS)
    return lambda image: write_row([csv_cell(image.get(name)) for name in _CSV_COLUMNS])


def csv_cell(value: Any) -> str | float:
    """A value in a cell. Texts that begin as formulas do get an apostrophe: spreadsheets run formulas.

    >>> csv_cell("=HYPERLINK(1)"), csv_cell(-0.5), csv_cell([{"tag": "dog", "score": 0.9}])
    ("'=HYPERLINK(1)", -0.5, 'dog 0.9')
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    if isinstance(value, list):
        value = "; ".join(" ".join(str(entry[name]) for name in _IN_A_CELL if name in entry) for entry in value)
    elif isinstance(value, dict):
        value = ",".join(str(part) for part in value.values())
    text = str(value)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) or text[:1] in ("\t", "\r", "\n") else text
