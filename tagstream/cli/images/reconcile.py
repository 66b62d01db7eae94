"""``tagstream images reconcile``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from tagstream.cli.common import DONE_IN_PART, aws_options, emit, json_option
from tagstream.cli.images.retag import described, is_dated, looks_of, now_there, queues_of, rounds
from tagstream.cli.next_steps import typed
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog

if TYPE_CHECKING:
    from tagstream.pipeline.retag import Known, Retag, Tally
    from tagstream.topics import Topics

__all__ = ["compared", "reconcile"]

_IN_WORDS = {
    "missing": "photos that the catalog does not know",
    "changed": "photos of which it knows another version",
    "gone": "images of the catalog that are no more in the bucket",
    "thumbnails": "photos without all of their thumbnails",
}


@click.command()
@click.option("--repair", is_flag=True, help="Bring the catalog to what the bucket is.")
@click.option("--rate", type=click.FloatRange(min=1), default=20.0, show_default=True, help="Photos a second, at most.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until the catalog says so, and check.")
@json_option
@aws_options
def reconcile(*, repair: bool, rate: float, wait: bool, as_json: bool, aws: Aws) -> None:
    """Hold the catalog against the bucket, and say in what they differ.

    Finds photos whose notification was lost, or whose document is (all of them, if the index was deleted), other
    versions, images whose photo was removed unnoticed, and missing thumbnails. With --repair, the same notifications
    go to the pipeline again, in order, while uploads, searches and removals go on; nothing newer is overwritten.

    Reads both lists page by page, whatever their size. Interrupted, the same command goes on.

    \b
    Examples:
      tagstream images reconcile
      tagstream images reconcile --repair --rate 100
      tagstream images reconcile --stage prod --json | jq .missing

    Exit code 4 if they differ; with --repair, if they still do.
    """
    from tagstream.cli.topics.shared import client_of
    from tagstream.pipeline.retag import DEADLINE

    topics, topic = client_of(aws), f"tagstream-{aws.stage}-reconcile"
    run, photos = compared(aws, topics, topic, rate)
    if not repair:
        tally = run().count(photos())
        _tell(tally, 0, as_json)
        if tally.outdated:
            click.echo(f"To bring them together: {typed(aws, 'images reconcile --repair')}", err=True)
            sys.exit(DONE_IN_PART)
        click.echo(f"Bucket and catalog agree: {tally.listed:,} photos.", err=True)
        return
    topics.create(topic, exist_ok=True, max_receives=1000, visibility_timeout=DEADLINE)
    sent, tally, _ = rounds(run, photos, queues_of(aws), wait=wait)
    _tell(tally, sent, as_json)
    if not wait:
        click.echo(f"{sent:,} notifications are on their way.", err=True)
    elif tally.outdated:
        click.echo(
            f"{tally.outdated:,} could not be brought together, such as {tally.such}: "
            f"'{typed(aws, 'dlq peek ingest')}' may say why. The same command tries these again.",
            err=True,
        )
        sys.exit(DONE_IN_PART)
    else:
        topics.delete_all([topic, f"{topic}-dead-letter"])
        click.echo(f"Bucket and catalog agree: {tally.listed:,} photos, {sent:,} were looked at again.", err=True)


def compared(
    aws: Aws, topics: Topics, topic: str, rate: float, *, looked_before: datetime | None = None
) -> tuple[Callable[[], Retag], Callable[[], Iterator[Sequence[Known]]]]:
    """A run over what bucket and catalog differ in, and over both lists side by side; each can be had anew.

    With ``looked_before`` every photo that was last looked at before that is among what is to be sent.
    """
    from tagstream.pipeline.retag import DIFFERENCES, Retag, inventory, joined

    bucket, s3, catalog = aws.output("ingest", "BucketName"), aws.client("s3"), Catalog.over(aws)
    run = functools.partial(
        Retag,
        topics,
        topic,
        queues_of(aws)[0],
        bucket,
        functools.partial(looks_of, aws, None),
        rate,
        now_there(described(aws)),
        looked_before,
        looked_before,
        only=DIFFERENCES if looked_before is None else None,
        dated=is_dated(aws),
    )
    return run, lambda: joined(inventory(s3, bucket), catalog.versions(bucket, removed=True), gone=True)


def _tell(tally: Tally, sent: int, as_json: bool) -> None:
    if as_json:
        counted = {name: tally.why[name] for name in _IN_WORDS}
        emit([{"photos": tally.listed, **counted, "sent": sent}], as_json=True)
        return
    for name, words in _IN_WORDS.items():
        if tally.why[name]:
            click.echo(f"{tally.why[name]:>9,} {words}")
    if tally.such:
        click.echo(f"          such as {tally.such}")
