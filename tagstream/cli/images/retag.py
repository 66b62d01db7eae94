"""``tagstream images retag``."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, aws_options, emit, json_option, progress
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog
from tagstream.errors import ConfigurationError

if TYPE_CHECKING:
    from tagstream.pipeline.retag import Photo, Retag, Tally

__all__ = ["retag"]

_ROUNDS = 3


@click.command()
@click.option("--model", help="Fail unless this model is deployed; it is what looks at the photos.")
@click.option("--where", metavar="QUERY", help="Only photos that this search finds.  [default: every photo]")
@click.option("--all", "everything", is_flag=True, help="Also what this model and vocabulary looked at already.")
@click.option("--rate", type=click.FloatRange(min=1), default=20.0, show_default=True, help="Photos a second, at most.")
@click.option("--dry-run", is_flag=True, help="Only count what would be looked at again.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Stay until the catalog says so, and check.")
@json_option
@aws_options
def retag(
    *,
    model: str | None,
    where: str | None,
    everything: bool,
    rate: float,
    dry_run: bool,
    wait: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Look again at the photos that are in the bucket already, with the model and vocabulary that are deployed.

    After a deploy with another model or a newer vocabulary, this brings every photo up to date, and passes over those
    that are. It also finds photos whose notification was lost. Uploads and searches go on meanwhile: what is sent waits
    in the queue that uploads go through, but never more than 1,000 at once. Interrupted, the same command goes on.

    \b
    Examples:
      tagstream images retag
      tagstream images retag --model efficientnet-lite2 --rate 100
      tagstream images retag --where "dog before:2025" --all
      tagstream images retag --dry-run

    Exit code 4 if some photos could not be brought up to date.
    """
    from tagstream.cli.topics.shared import client_of
    from tagstream.pipeline.retag import DEADLINE, Looked, Retag, inventory

    about = aws.invoke("ingest", "ClassifyFunctionName", {"action": "describe"})
    looked = Looked(about["model"], about.get("vocabulary"))
    if model not in (None, looked.model):
        raise ConfigurationError(
            f"the deployed model is {looked.model}: deploy the other one first, with -c model={model}."
        )
    bucket = aws.output("ingest", "BucketName")
    queues = [
        aws.output(capability, output).rsplit("/", 1)[1]
        for capability, output in (("ingest", "IngestQueueUrl"), ("catalog", "CatalogQueueUrl"))
    ]
    topics, s3, catalog = client_of(aws), aws.client("s3"), Catalog.over(aws)
    started = datetime.now(UTC)

    def documents(locations: Sequence[str]) -> list[dict[str, Any]]:
        return catalog.at(locations)

    def photos() -> Iterator[Sequence[Photo]]:
        return inventory(s3, bucket) if where is None else _found(catalog, where)

    def run(*, everything: bool = False) -> Retag:
        return Retag(topics, topic, queues[0], bucket, documents, looked, rate, started, everything)

    topic = f"tagstream-{aws.stage}-retag"
    told = f"{looked.model}, vocabulary {looked.vocabulary}" if looked.vocabulary else looked.model
    if dry_run:
        tally = run(everything=everything).count(photos())
        if as_json:
            emit([{"photos": tally.listed, "outdated": tally.outdated, "sent": 0}], as_json=True)
        click.echo(f"{tally.outdated} of {tally.listed} photos would be looked at again by {told}.", err=True)
        return
    # A parcel may come back often: nothing is wrong with those that a run was killed over.
    topics.create(topic, exist_ok=True, max_receives=1000, visibility_timeout=DEADLINE)
    sent, tally = _rounds(run, photos, queues, everything=everything, wait=wait)
    if as_json:
        emit([{"photos": tally.listed, "outdated": tally.outdated, "sent": sent}], as_json=True)
    if not wait:
        click.echo(f"{sent} of {tally.listed} photos are on their way to {told}.", err=True)
    elif tally.outdated:
        click.echo(
            f"{tally.outdated} of {tally.listed} photos could not be brought up to date, such as {tally.such}: look at "
            "the dead letters of the ingest queue and at the log of the classify function.",
            err=True,
        )
        sys.exit(DONE_IN_PART)
    else:
        topics.delete_all([topic, f"{topic}-dead-letter"])
        click.echo(f"{tally.listed} photos are up to date ({told}); {sent} were looked at again.", err=True)


def _rounds(
    run: Callable[..., Retag],
    photos: Callable[[], Iterator[Sequence[Photo]]],
    queues: Sequence[str],
    *,
    everything: bool,
    wait: bool,
) -> tuple[int, Tally]:
    """Send what is outdated until a round finds nothing, a few times; how many were sent, and what is left then."""
    sent = 0
    for number in range(_ROUNDS):
        # What the first round sent is up to date after it, or has failed.
        current = run(everything=everything and number == 0)
        try:
            with progress("Looking again", unit="photos") as advance:
                current.run(photos(), _by_difference(advance))
            if not wait or not (current.tally.sent or current.tally.outdated):
                return sent + current.tally.sent, current.tally
            with progress("Waiting for the queues") as advance:
                current.wait(queues, lambda _left: advance(0))
        except KeyboardInterrupt:
            click.echo(f"{sent + current.tally.sent} photos are on their way; the same command goes on.", err=True)
            raise
        sent += current.tally.sent
    return sent, run().count(photos())


def _found(catalog: Catalog, where: str) -> Iterator[Sequence[Photo]]:
    """The photos that a search finds, as the catalog knows them, in pages."""
    from tagstream.pipeline.retag import Photo

    found = catalog.images(where)
    while page := list(itertools.islice(found, 1000)):
        yield [
            Photo(
                image["key"], image.get("etag", ""), image.get("size", 0), datetime.fromisoformat(image["uploaded_at"])
            )
            for image in page
            if image.get("uploaded_at")
        ]


def _by_difference(advance: Callable[[int], object]) -> Callable[[Tally], None]:
    """A report that takes tallies, for a progress bar that takes steps."""
    shown = 0

    def report(tally: Tally) -> None:
        nonlocal shown
        advance(tally.sent - shown)
        shown = tally.sent

    return report
