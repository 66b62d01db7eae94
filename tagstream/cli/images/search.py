"""``tagstream images search | show | rejected``: what the catalog knows."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tagstream.cli.common import Aws, aws_options, emit, json_option
from tagstream.cli.images.shared import (
    ask,
    facts_in_words,
    image_columns,
    limit_of,
    limit_option,
    list_images,
    nothing_found,
    say_if_more,
)

__all__ = ["rejected", "search", "show"]


@click.command()
@click.argument("tag")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only with at least this probability, 0 to 1.")
@click.option("--exact", is_flag=True, help="Only the tag itself: 'dog' is no 'hot dog' then.")
@image_columns("key", "score", "tag", "tags")
@limit_option
@json_option
@aws_options
def search(
    *,
    tag: str,
    min_score: float | None,
    exact: bool,
    columns: Sequence[str],
    limit: int | None,
    as_json: bool,
    aws: Aws,
) -> None:
    """List the images that show TAG, the best score first.

    TAG matches whole words of a tag, in their order, whatever their case or plural: 'cat' finds
    'Egyptian cat' but no 'catamaran', and 'hot dogs' finds 'hot dog'.

    \b
    Examples:
      tagstream images search waterfall
      tagstream images search pizza --min-score 0.9
      tagstream images search cat --columns key,width,height
      tagstream images search cat --json | jq -r .s3_location
    """
    request = {"query": "tag", "tag": tag, "min_score": min_score, "exact": exact}
    none = f"No image shows {tag!r}" + ("." if min_score is None else f" with a score of {min_score}.")
    list_images(aws, request, limit=limit, as_json=as_json, columns=columns, none=none)


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
    total, found = ask(aws, {"query": "title", "title": title, "exact": not words}, limit_of(limit, as_json))
    if total == 0:
        nothing_found(f"There is no image called {title!r}.")
    if as_json:
        say_if_more(emit(found, as_json=True), total)
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
    say_if_more(shown, total)


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
    request = {"query": "rejected"}
    list_images(aws, request, limit=limit, as_json=as_json, columns=columns, none="Nothing was rejected.")
