"""``tagstream dlq``: the dead letters of the pipeline's queues."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, NOTHING_FOUND, aws_options, emit, json_option
from tagstream.cli.next_steps import typed
from tagstream.cli.signals import exit_code
from tagstream.cli.topics.manage import waiting
from tagstream.cli.topics.redrive import failures, moved, tell_failures
from tagstream.cli.topics.shared import client_of, confirm, yes_option
from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.operations.queues import Queue
    from tagstream.topics import Message, RedriveResult, Topics

__all__ = ["dlq"]

_NAMES = ("ingest", "catalog", "steps", "steps-output")
_LOOKS = 10

queue_argument = click.argument("queue", type=click.Choice(_NAMES), metavar="|".join(_NAMES))


@click.group(short_help="Dead letters: what failed too often, why, and once more.")
def dlq() -> None:
    """What failed so often that its queue gave it up: look at it, put it back, or throw it away.

    Every queue of a stage has dead letters of its own: ingest (events of photos), catalog (updates of the catalog),
    steps (parcels) and steps-output (results that nobody could take). SQS keeps them for 14 days.

    \b
    Examples:
      tagstream dlq list --stage prod
      tagstream dlq peek ingest
      tagstream dlq redrive ingest --rate 10
    """


@dlq.command("list", short_help="How many dead letters each queue has.")
@json_option
@aws_options
def list_(*, as_json: bool, aws: Aws) -> None:
    """How many dead letters each queue has, and since when, of the first that are to be seen.

    \b
    Examples:
      tagstream dlq list
      tagstream dlq list --stage prod --json | jq -r 'select(.dead_letters > 0).queue'
    """
    from tagstream.operations.queues import QUEUES

    topics = client_of(aws)
    rows = []
    for queue in QUEUES:
        dead = _dead_letters(queue, aws, topics)
        count = topics.counts(dead).total
        seen = topics.peek(dead, max_messages=_LOOKS, timeout=0) if count else []
        oldest = _when(min(message.sent_at for message in seen)) if seen else None
        rows.append({"queue": queue.name, "dead_letters": count, "oldest": oldest, "what": queue.words})
    emit(rows, as_json=as_json)
    if not as_json:
        full = next((row["queue"] for row in rows if row["dead_letters"]), None)
        click.echo(f"Why: {typed(aws, f'dlq peek {full}')}" if full else "Nothing was given up.", err=True)


@dlq.command(short_help="Which they are, and why they failed.")
@queue_argument
@click.option("--max", "most", type=click.IntRange(1, 1000), default=10, show_default=True, help="Show no more.")
@json_option
@aws_options
def peek(*, queue: str, most: int, as_json: bool, aws: Aws) -> None:
    """Look at dead letters and leave them where they are: what each is about, and why it failed.

    The reason is what the message itself says, or the last error about it in the log of the queue's function, as long
    as the log is kept. Exit code 3 when there are none.

    \b
    Examples:
      tagstream dlq peek ingest
      tagstream dlq peek ingest --max 100 --json | jq -r '.about[]'
    """
    from tagstream.operations.queues import about, log_group, queue_named, reasons

    topics, found = client_of(aws), queue_named(queue)
    messages = topics.peek(_dead_letters(found, aws, topics), max_messages=most, timeout=1.0)
    if not messages:
        click.echo(f"The {queue} queue has no dead letters that are not in other hands.", err=True)
        sys.exit(NOTHING_FOUND)
    why = reasons(aws, found, messages)
    rows: list[dict[str, Any]] = [
        {
            "id": message.id,
            "sent": _when(message.sent_at),
            "receives": message.receive_count,
            "about": about(found, message),
            "reason": why.get(message.id),
        }
        for message in messages
    ]
    if as_json:
        emit(rows, as_json=True)
        return
    for row in rows:
        click.echo(f"{row['id']}  {row['sent']}  {', '.join(row['about']) or 'nothing'}")
        click.echo(f"  {row['reason'] or 'why is not recorded: its function ended without a word, or its log is gone'}")
    function = found.function_name(aws)
    if function is not None:
        click.echo(f"\nThe whole log: {log_group(aws, function)}", err=True)
    click.echo(f"Once more: {typed(aws, f'dlq redrive {queue}')}   or --id {rows[0]['id']}", err=True)


@dlq.command(short_help="Put them back into their queue.")
@queue_argument
@click.option(
    "--id",
    "ids",
    multiple=True,
    metavar="ID",
    help="Only the message of this id, as peek shows it; more of them: again.",
)
@click.option(
    "--key", "keys", multiple=True, metavar="PATTERN", help="Only photos whose key is like this, such as 'cats/*'."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="No more than so many.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Messages a second, at most.")
@click.option(
    "--idle", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds without another one: the end."
)
@json_option
@aws_options
def redrive(
    *,
    queue: str,
    ids: tuple[str, ...],
    keys: tuple[str, ...],
    limit: int | None,
    rate: float | None,
    idle: float,
    as_json: bool,
    aws: Aws,
) -> None:
    """Put dead letters back into their queue, so that they are worked on once more.

    Each is published before it is deleted: killed half-way, type the same again, and nothing is lost; what is there
    twice does no harm. Takes what is there at the start: what fails again meanwhile is left. Of the catalog's FIFO
    queue, the updates of each photo keep their order: one that is behind another that stays, stays as well. An update
    that a newer one has overtaken meanwhile changes nothing, since each carries its place (the sequencer).

    Exit codes: 0 all are moved, 3 there were none, 4 some of them are left, 130 after Ctrl-C, 143 after SIGTERM.

    \b
    Examples:
      tagstream dlq redrive ingest
      tagstream dlq redrive ingest --key 'holiday/*' --rate 10
      tagstream dlq redrive catalog --limit 1
    """
    from tagstream.operations.queues import queue_named
    from tagstream.topics import redrive as move

    found, topics = queue_named(queue), client_of(aws)
    missing = set(ids)
    url, chosen = found.url(aws, topics), _chosen(found, missing, ids, keys)
    result, signals = moved(
        lambda on_progress, stopped: move(
            topics, url, rate=rate, only=chosen, most=limit, idle=idle, on_progress=on_progress, stopped=stopped
        )
    )
    _tell(result, found, as_json, aws)
    if signals:
        click.echo("Interrupted: the same command goes on.", err=True)
        sys.exit(exit_code(signals[0]))
    # A limit may be why they were not met.
    if missing and not limit:
        behind = ", or behind another update of the same photo, which has to go first" if queue == "catalog" else ""
        click.echo(f"Not among the dead letters{behind}: {', '.join(sorted(missing))}", err=True)
    if result.failed or (missing and result.moved and not limit) or (result.left and not (ids or keys or limit)):
        sys.exit(DONE_IN_PART)
    if not result.moved:
        sys.exit(NOTHING_FOUND)


@dlq.command(short_help="Delete them for good.")
@queue_argument
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait the 60 s that a purge takes on AWS.")
@yes_option
@aws_options
def purge(*, queue: str, wait: bool, yes: bool, aws: Aws) -> None:
    """Delete all dead letters of a queue. It cannot be undone, and asks before it does.

    Photos stay in the bucket, and what the catalog has of them stays as well.

    \b
    Example:
      tagstream dlq purge ingest --yes
    """
    from tagstream.operations.queues import queue_named

    topics, found = client_of(aws), queue_named(queue)
    dead = _dead_letters(found, aws, topics)
    count = topics.counts(dead).total
    confirm(f"Delete about {count:,} dead letters of the {queue} queue of stage {aws.stage}?", yes)
    with waiting("Waiting for the purge to end", 60) as on_wait:
        topics.purge(dead, on_wait=on_wait if wait and not aws.is_local else None)
    click.echo(f"About {count:,} dead letters of the {queue} queue {'are' if wait else 'are being'} deleted.")


def _dead_letters(queue: Queue, aws: Aws, topics: Topics) -> str:
    from tagstream.errors import ConfigurationError

    name = topics.dead_letter_topic(queue.url(aws, topics))
    if name is None:
        raise ConfigurationError(
            f"the {queue.name} queue of stage {aws.stage} has no dead-letter queue any more: somebody has changed it. "
            "Deploy the stage again."
        )
    return name


def _chosen(
    queue: Queue, missing: set[str], ids: tuple[str, ...], keys: tuple[str, ...]
) -> Callable[[Message], bool] | None:
    """Which messages are wanted; those that are met are ``missing`` no more."""
    from tagstream.operations.queues import about

    if not ids and not keys:
        return None

    def chosen(message: Message) -> bool:
        missing.discard(message.id)
        return message.id in ids or any(fnmatchcase(key, like) for key in about(queue, message) for like in keys)

    return chosen


def _tell(result: RedriveResult, queue: Queue, as_json: bool, aws: Aws) -> None:
    failed = failures(result)
    if as_json:
        told: dict[str, Any] = {"queue": queue.name, "moved": result.moved, "came_back": result.came_back}
        emit([told | {"left": result.left, "failed": failed}], as_json=True)
    elif not result.moved and not failed:
        none = "None of the {}'s dead letters was to be moved." if result.left else "The {} has no dead letters."
        click.echo(none.format(f"{queue.name} queue"), err=True)
    else:
        messages = "message is" if result.moved == 1 else "messages are"
        click.echo(f"{result.moved:,} {messages} in the {queue.name} queue again.")
    tell_failures(failed)
    if result.left:
        again = ", some of which failed again meanwhile" if result.came_back else ""
        click.echo(
            f"About {result.left:,} dead letters are left{again}: {typed(aws, f'dlq peek {queue.name}')}", err=True
        )


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
