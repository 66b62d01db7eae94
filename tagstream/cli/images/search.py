"""``tagstream images search | show | rejected``: what the catalog knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from tagstream.cli.common import aws_options, emit, json_option
from tagstream.cli.images.answers import facets_in_words, in_vain, notes, reasons
from tagstream.cli.images.shared import (
    cells,
    facts_in_words,
    image_columns,
    limit_of,
    limit_option,
    list_images,
    nothing_found,
    say_if_more,
)
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog

__all__ = ["query_argument", "rejected", "search", "show"]

R = TypeVar("R")


def _tags_beginning_with(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell's completion: from the vocabulary, since asking the catalog takes too long."""
    from tagstream.vocabulary.words import load_words

    return [found.word for found in load_words().complete(incomplete)]


def query_argument(*, required: bool) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The words of a query, which need no quotes around them; the command gets them as one text, ``query``."""

    def joined(ctx: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> str:
        # "-fence" is a word of the language, and so every option that is unknown is taken for one.
        if unknown := next((word for word in words if word.startswith("--")), None):
            raise click.NoSuchOption(unknown, ctx=ctx)
        return " ".join(words)

    return click.argument(
        "query",
        nargs=-1,
        required=required,
        metavar="QUERY..." if required else "[QUERY...]",
        callback=joined,
        shell_complete=_tags_beginning_with,
    )


@click.command(context_settings={"ignore_unknown_options": True})
@query_argument(required=True)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only with at least this probability, 0 to 1.")
@click.option("--exact", is_flag=True, help="Only the tag of this name: no other words for it, nothing below it.")
@click.option("--no-related", is_flag=True, help="Without what is merely related to a word, as a seashore to an ocean.")
@click.option(
    "--weak-below",
    type=click.FloatRange(0, 1),
    envvar="TAGSTREAM_WEAK_BELOW",
    help="Show images with a lower score after all others.  [default: 0.2]",
)
@click.option("--facets", is_flag=True, help="Count tags, colours, cameras and years of all that was found.")
@image_columns("key", "score", "tag", "tags")
@limit_option
@json_option
@aws_options
def search(
    *,
    query: str,
    min_score: float | None,
    exact: bool,
    no_related: bool,
    weak_below: float | None,
    facets: bool,
    columns: Sequence[str],
    limit: int | None,
    as_json: bool,
    aws: Aws,
) -> None:
    """List the images that QUERY finds, the best first.

    \b
      dog beach           both             dog | cat           either
      -fence              not              "hot dog"           these words together
      dog>0.9             by score         (dog | cat) beach   brackets
      color:red  after:2025-06  before:2026  camera:canon  near:48.2,16.4,5km
      type:png  size:>5mb  title:holiday  -is:blurred  similar:KEY

    Words may be any that people use: 'puppy' finds dogs, 'sofa' couches. Put quotes around a query with | > < ( ) or
    ", which mean something else to the shell. All of the language is in docs/search.md.

    \b
    Examples:
      tagstream images search dog beach -fence
      tagstream images search '(dog | cat>0.9) color:white'
      tagstream images search pizza --min-score 0.9
      tagstream images search cat --columns key,width,height
      tagstream images search cat --json | jq -r .s3_location
    """
    asked = Catalog.over(aws).search(
        query,
        min_score=min_score,
        exact=exact,
        related=not no_related,
        weak_below=weak_below,
        facets=facets,
        limit=limit_of(limit, as_json),
    )
    if asked.total == 0:
        nothing_found(in_vain(query, asked.about))
    if as_json:
        shown = emit(asked, as_json=True)
        if facets:
            click.echo(json.dumps({"facets": asked.about["facets"]}, ensure_ascii=False))
    else:
        images = list(asked)
        shown = len(images)
        _print(images, columns)
        if facets:
            for line in facets_in_words(asked.about["facets"]):
                click.echo(line)
        for line in reasons(images):
            click.echo(line, err=True)
    for line in notes(asked.about.get("terms", ())):
        click.echo(line, err=True)
    say_if_more(shown, asked.total)


def _print(images: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    rows = [
        cells(image)
        | {
            "matches": ", ".join(f"{match['tag']} {match['score']:.2f}" for match in image["matches"]),
            "why": ", ".join(image.get("why", [])),
        }
        for image in images
    ]
    if any(row["why"] for row in rows):
        columns = [*(name for name in columns if name not in ("score", "tag", "tags")), "why"]
    # Of filters alone there is no score.
    columns = [name for name in columns if name not in ("score", "tag") or any(name in row for row in rows)] or columns
    shortened = "tags" if "tags" in columns else columns[-1]
    strong = [row for row in rows if not row["weak"]]
    weak = [row for row in rows if row["weak"]]
    emit(strong, as_json=False, columns=columns, shortened=shortened)
    if weak:
        click.echo(("\n" if strong else "") + "Hardly, if at all:")
        emit(weak, as_json=False, columns=columns, shortened=shortened)


@click.command()
@click.argument("title")
@click.option("--words", is_flag=True, help="Find TITLE as words in file names: 'cat' finds 'black-cat_2.jpg'.")
@limit_option
@json_option
@aws_options
def show(title: str, words: bool, limit: int | None, as_json: bool, aws: Aws) -> None:
    """Say what the image called TITLE shows, with all its tags.

    TITLE is a file name, whatever its case, or the image's whole key or S3 location.

    \b
    Examples:
      tagstream images show IMG_0012.jpg
      tagstream images show s3://photos/2026/IMG_0012.jpg
      tagstream images show --words cat
    """
    found = Catalog.over(aws).show(title, words=words, limit=limit_of(limit, as_json))
    if found.total == 0:
        nothing_found(f"There is no image called {title!r}.")
    if as_json:
        say_if_more(emit(found, as_json=True), found.total)
        return
    shown = 0
    for image in found:
        shown += 1
        if shown > 1:
            click.echo()
        click.echo(f"{image['title']}  {image.get('s3_location', '')}")
        if image["status"] == "rejected":
            click.echo(f"rejected: {image.get('reason')}")
            continue
        click.echo(f"{image.get('width')} x {image.get('height')} pixels, by {image.get('model')}")
        for line in facts_in_words(image):
            click.echo(line)
        emit(image["tags"], as_json=False, columns=("tag", "score"))
    say_if_more(shown, found.total)


@click.command()
@image_columns("key", "reason")
@limit_option
@json_option
@aws_options
def rejected(columns: Sequence[str], limit: int | None, as_json: bool, aws: Aws) -> None:
    """List what could not be classified, and why, newest first.

    \b
    Examples:
      tagstream images rejected
      tagstream images rejected --columns key,size,classified_at,reason
    """
    found = Catalog.over(aws).rejected(limit=limit_of(limit, as_json))
    list_images(found, as_json=as_json, columns=columns, none="Nothing was rejected.")
