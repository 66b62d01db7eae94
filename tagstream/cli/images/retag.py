"""``tagstream images retag``."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, aws_options, emit, json_option, progress
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog
from tagstream.errors import ConfigurationError

if TYPE_CHECKING:
    from tagstream.pipeline.retag import Known, Looked, Retag, Tally

__all__ = ["described", "is_dated", "looks_of", "now_there", "queues_of", "retag", "rounds"]

_ROUNDS = 3


@click.command()
@click.option("--model", help="Fail unless this model is deployed; it is what looks at the photos.")
@click.option("--where", metavar="QUERY", help="Only photos that this search finds.  [default: every photo]")
@click.option("--all", "everything", is_flag=True, help="Also what this model and vocabulary looked at already.")
@click.option("--rejected", is_flag=True, help="Also what this model, with the same limits, has rejected already.")
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
    rejected: bool,
    rate: float,
    dry_run: bool,
    wait: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Look again at the photos that are in the bucket already, with the model and vocabulary that are deployed.

    After a deploy with another model or a newer vocabulary, this brings every photo up to date, and passes over those
    that are. It also finds photos whose notification was lost. Uploads and searches go on meanwhile: what is sent waits
    in the queue that uploads go through, but never more than 1,000 at once.

    Interrupted, the same command goes on, with --all and --rejected too. If something else is deployed meanwhile, it
    says so and brings every photo up to date with that.

    \b
    Examples:
      tagstream images retag
      tagstream images retag --model efficientnet-lite2 --rate 100
      tagstream images retag --where "dog before:2025" --all
      tagstream images retag --dry-run

    Exit code 4 if some photos could not be brought up to date.
    """
    from tagstream.cli.topics.shared import client_of
    from tagstream.pipeline.retag import DEADLINE, Retag, begun, ended, inventory, joined

    about = described(aws)
    looks = functools.partial(looks_of, aws, model)
    looks()
    bucket = aws.output("ingest", "BucketName")
    queues = queues_of(aws)
    topics, s3, sqs, catalog = client_of(aws), aws.client("s3"), aws.client("sqs"), Catalog.over(aws)
    started = now_there(about)

    def photos() -> Iterator[Sequence[Known]]:
        found = catalog.versions(bucket, where, removed=where is None)
        return joined(inventory(s3, bucket), found) if where is None else _found(found)

    topic = f"tagstream-{aws.stage}-retag"
    if not dry_run:
        # A parcel may come back often: nothing is wrong with those that a run was killed over.
        topics.create(topic, exist_ok=True, max_receives=1000, visibility_timeout=DEADLINE)

    def since(what: str) -> datetime:
        first = begun(sqs, topics.url(topic), what, started) if topics.exists(topic) else started
        if first < started:
            click.echo(
                f"Going on with what was begun at {first:%Y-%m-%d %H:%M} UTC; to begin anew, delete the topic {topic}.",
                err=True,
            )
        return first

    run = functools.partial(
        Retag,
        topics,
        topic,
        queues[0],
        bucket,
        looks,
        rate,
        started,
        since("all") if everything else None,
        since("rejected") if rejected else None,
        dated=is_dated(aws),
    )
    if dry_run:
        current = run()
        tally = current.count(photos())
        if as_json:
            emit([{"photos": tally.listed, "outdated": tally.outdated, "sent": 0}], as_json=True)
        told = f"{tally.outdated} of {tally.listed} photos would be looked at again by {current.looked}."
        click.echo(told, err=True)
        return
    sent, tally, looked = rounds(run, photos, queues, wait=wait)
    if as_json:
        emit([{"photos": tally.listed, "outdated": tally.outdated, "sent": sent}], as_json=True)
    if not wait:
        ended(sqs, topics.url(topic))
        click.echo(f"{sent} of {tally.listed} photos are on their way to {looked}.", err=True)
    elif tally.outdated:
        click.echo(
            f"{tally.outdated} of {tally.listed} photos could not be brought up to date, such as {tally.such}: look at "
            "the dead letters of the ingest queue and at the log of the classify function. The same command tries "
            "these again.",
            err=True,
        )
        sys.exit(DONE_IN_PART)
    else:
        topics.delete_all([topic, f"{topic}-dead-letter"])
        click.echo(f"{tally.listed} photos are up to date ({looked}); {sent} were looked at again.", err=True)


def is_dated(aws: Aws) -> bool:
    """Whether sequencers begin with the time, as S3's do; the emulator counts on from its start."""
    return aws.stage != "local"


def queues_of(aws: Aws) -> list[str]:
    """The queues that a photo goes through, by name."""
    return [
        aws.output(capability, output).rsplit("/", 1)[1]
        for capability, output in (("ingest", "IngestQueueUrl"), ("catalog", "CatalogQueueUrl"))
    ]


def described(aws: Aws) -> dict[str, Any]:
    return aws.invoke("ingest", "ClassifyFunctionName", {"action": "describe"})


def now_there(about: Mapping[str, Any]) -> datetime:
    """The time by the function's clock, which documents have their times from."""
    return datetime.fromisoformat(about["time"]) if "time" in about else datetime.now(UTC)


def looks_of(aws: Aws, model: str | None) -> Looked:
    """What the deployed function looks with; raises ConfigurationError if that is not ``model``."""
    from tagstream.pipeline.retag import Looked

    about = described(aws)
    if model not in (None, about["model"]):
        raise ConfigurationError(
            f"the deployed model is {about['model']}: deploy the other one first, with -c model={model}."
        )
    return Looked.of(about)


def rounds(
    run: Callable[[], Retag],
    photos: Callable[[], Iterator[Sequence[Known]]],
    queues: Sequence[str],
    *,
    wait: bool,
) -> tuple[int, Tally, Looked]:
    """Send what is outdated until a round finds nothing, a few times.

    How many were sent, what is left then, and what has looked at them.
    """
    sent, left = 0, _ROUNDS
    try:
        while left:
            current = run()
            try:
                with progress("Looking again", unit="photos") as advance:
                    current.run(photos(), _by_difference(advance))
                if not wait or not (current.tally.sent or current.tally.outdated or current.changed):
                    return sent + current.tally.sent, current.tally, current.looked
                with progress("Waiting for the queues") as advance:
                    current.wait(queues, functools.partial(_ignored, advance))
            finally:
                sent += current.tally.sent
            current.ask_again()
            if current.changed:
                click.echo(
                    f"Meanwhile {current.looked} was deployed: every photo is brought up to date with that.", err=True
                )
            left = _ROUNDS if current.changed else left - 1
        last = run()
        return sent, last.count(photos()), last.looked
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{sent} photos are on their way: the same command goes on.")
        raise


def _found(documents: Iterator[Mapping[str, Any]]) -> Iterator[Sequence[Known]]:
    """The photos that a search finds, as the catalog knows them, in pages."""
    from tagstream.pipeline.retag import Photo

    while page := list(itertools.islice(documents, 1000)):
        yield [
            (
                Photo(one["key"], one.get("etag", ""), one.get("size", 0), datetime.fromisoformat(one["uploaded_at"])),
                one,
            )
            for one in page
            if one.get("uploaded_at")
        ]


def _by_difference(advance: Callable[[int], object]) -> Callable[[Tally], None]:
    """A report that takes tallies, for a progress bar that takes steps."""
    shown = 0

    def report(tally: Tally) -> None:
        nonlocal shown
        advance(tally.sent - shown)
        shown = tally.sent

    return report


def _ignored(advance: Callable[[int], object], _left: int) -> None:
    """Nobody knows how much is left; that the bar moves says that something waits."""
    advance(0)
