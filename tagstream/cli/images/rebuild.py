"""``tagstream images rebuild``."""

from __future__ import annotations

import sys
from typing import Any

import click

from tagstream.cli.common import DONE_IN_PART, aws_options, emit, json_option, progress
from tagstream.cli.images.reconcile import compared
from tagstream.cli.images.retag import described, now_there, queues_of, rounds
from tagstream.cli.next_steps import typed
from tagstream.deployed.aws import Aws

__all__ = ["moved", "rebuild"]


@click.command()
@click.option("--from-photos", is_flag=True, help="Look at every photo anew, whatever the catalog has of it.")
@click.option("--abandon", is_flag=True, help="Take away what an interrupted run has left; nothing else is done.")
@click.option("--rate", type=click.FloatRange(min=1), default=20.0, show_default=True, help="Photos a second, at most.")
@json_option
@aws_options
def rebuild(*, from_photos: bool, abandon: bool, rate: float, as_json: bool, aws: Aws) -> None:
    """Make the catalog's index anew beside the one that is searched, and let it take its place.

    What the old one has is copied, with its order; then bucket and catalog are brought together: photos that it does
    not know are looked at, and images whose photo is gone are removed. With --from-photos every photo is. An index that
    was lost, or its alias, is made again in the same way.

    Searches, uploads and removals go on; for the moment of the change updates wait in their queue. Interrupted, the
    same command goes on. The old index stays, closed, until the next daily purge.

    \b
    Examples:
      tagstream images rebuild
      tagstream images rebuild --from-photos --rate 100
      tagstream images rebuild --abandon

    Exit code 4 if some photos could not be brought into it.
    """
    from tagstream.cli.topics.shared import client_of
    from tagstream.pipeline.retag import DEADLINE, begun

    topics, sqs, topic = client_of(aws), aws.client("sqs"), f"tagstream-{aws.stage}-rebuild"
    if abandon:
        left = aws.manage("abandon", "indexes")["indexes"]
        left += topics.delete_all([topic, f"{topic}-dead-letter"])
        click.echo(f"Taken away: {', '.join(left)}." if left else "Nothing was left of a rebuild.", err=True)
        return
    started = now_there(described(aws))
    index = None
    if topics.exists(topic):
        click.echo("The index is made: going on with the photos.", err=True)
    else:
        index = moved(aws, "rebuild")
        # That it is there says that the index is made: the same command goes on from here.
        topics.create(topic, exist_ok=True, max_receives=1000, visibility_timeout=DEADLINE)
        click.echo(f"The catalog is in {index}.", err=True)
    before = begun(sqs, topics.url(topic), "all", started) if from_photos else None
    run, photos = compared(aws, topics, topic, rate, looked_before=before)
    sent, tally, _ = rounds(run, photos, queues_of(aws), wait=True)
    if as_json:
        emit([{"index": index, "photos": tally.listed, "outdated": tally.outdated, "sent": sent}], as_json=True)
    if tally.outdated:
        click.echo(
            f"{tally.outdated:,} of {tally.listed:,} photos could not be brought into it, such as {tally.such}: "
            f"'{typed(aws, 'dlq peek ingest')}' may say why. The same command tries these again.",
            err=True,
        )
        sys.exit(DONE_IN_PART)
    topics.delete_all([topic, f"{topic}-dead-letter"])
    click.echo(f"The catalog is made anew: {tally.listed:,} photos, {sent:,} were looked at.", err=True)


def moved(aws: Aws, action: str) -> str:
    """Move the catalog to another index, step by step; the name of that one. ``action``: "reindex" or "rebuild"."""
    done: dict[str, Any] | None = None
    with progress("Copying", total=1.0) as advance:
        while done is None or done["state"] != "done":
            before = 0 if done is None else done["slice"]
            done = aws.manage(action, "slices", progress=done)
            # What was written meanwhile is copied from the beginning.
            advance(max(0, done["slice"] - before) / done["slices"])
    return str(done["index"])
