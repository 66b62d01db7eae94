"""Commands that handle messages."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, NOTHING_FOUND, aws_options, emit, json_option
from tagstream.cli.topics.shared import client_of, pairs, topic_argument
from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.topics import Message, Outgoing, Parcel, PublishResult

__all__ = ["acknowledge", "peek", "publish", "pull", "refresh"]

_FAILURES_SHOWN = 20


@click.command()
@topic_argument
@click.argument("messages", nargs=-1)
@click.option("--group", help="The message group (FIFO topics need one).")
@click.option("--deduplication-id", help="For FIFO topics; without, the content's hash.")
@click.option("--delay", type=click.IntRange(0, 900), default=0, help="Seconds until it can be received.")
@click.option("-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=pairs, help="On each.")
@json_option
@aws_options
def publish(
    *,
    topic: str,
    messages: Sequence[str],
    group: str | None,
    deduplication_id: str | None,
    delay: int,
    attributes: dict[str, str],
    as_json: bool,
    aws: Aws,
) -> None:
    """Publish MESSAGES, or each line of standard input (-) as a message, and print the ids that SQS gave them.

    Exit code 4 when only some were accepted.

    To publish many lines in few messages, and get exactly these back, use 'upload'.

    \b
    Examples:
      tagstream topics publish smiles CCO c1ccccc1
      tagstream topics publish updates.fifo "cat.jpg gone" --group cat.jpg
      seq 1000 | tagstream topics publish numbers
    """
    from tagstream.topics import Outgoing, PublishFailed

    if list(messages) == ["-"]:
        messages = ()
    if deduplication_id and len(messages) != 1:
        raise click.UsageError("--deduplication-id is for one message: others with the same id would be dropped.")
    bodies: Iterable[str] = messages or (
        # What is no UTF-8 is refused by itself, and keeps nobody else from being published.
        line.rstrip(b"\n").decode(errors="surrogateescape")
        for line in sys.stdin.buffer
    )
    outgoing = (Outgoing(body, attributes, group, deduplication_id, delay) for body in bodies)
    ids: list[str] = []

    def on_batch(batch: PublishResult, _accepted: Sequence[Outgoing]) -> None:
        if as_json:
            ids.extend(batch.ids)
            return
        for id_ in batch.ids:
            click.echo(id_)

    try:
        result = client_of(aws).publish_all(topic, outgoing, on_batch=on_batch)
    except PublishFailed as error:
        click.echo(f"Error: {error}", err=True)
        result = error.result
    failed = [{"body": _printable(f.message.body), "code": f.code, "reason": f.reason} for f in result.failed]
    if as_json:
        counted = {"accepted": result.accepted, "requests": result.requests, "billed": result.billed}
        emit([counted | {"ids": ids, "failed": failed}], as_json=True)
    else:
        click.echo(f"{result.accepted} accepted, {len(failed)} failed.", err=True)
        for failure in failed[:_FAILURES_SHOWN]:
            click.echo(f"  {failure['body'][:80]!r}: {failure['code']}: {failure['reason']}", err=True)
        if len(failed) > _FAILURES_SHOWN:
            click.echo(f"  and {len(failed) - _FAILURES_SHOWN:,} more: --json lists all.", err=True)
    if failed:
        sys.exit(DONE_IN_PART if result.accepted else FAILED)


def _printable(text: str) -> str:
    """With bytes that are no UTF-8 as \\xff."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@click.command()
@topic_argument
@click.option("--min", "least", type=click.IntRange(0), default=1, show_default=True, help="Wait for so many.")
@click.option("--max", "most", type=click.IntRange(1), default=10, show_default=True, help="Take no more.")
@click.option("--timeout", type=click.FloatRange(0), default=20.0, show_default=True, help="Seconds to wait.")
@click.option("--visibility-timeout", type=click.IntRange(0, 43200), help="Seconds until they come back.")
@click.option("--ack", is_flag=True, help="Acknowledge them when they are printed: they are gone then.")
@json_option
@aws_options
def pull(
    *,
    topic: str,
    least: int,
    most: int,
    timeout: float,
    visibility_timeout: int | None,
    ack: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Receive messages and print them; parcels as their lines. Exit code 3 when none came.

    Without --ack they come back after the visibility timeout, and each receive counts towards the dead-letter topic.
    Why a message is a dead letter, where somebody has said so, goes to standard error.

    \b
    Examples:
      tagstream topics pull smiles --ack
      tagstream topics pull smiles --max 100 --json | tee held.jsonl
      tagstream topics acknowledge smiles < held.jsonl
    """
    if least > most:
        raise click.UsageError("--min is more than --max.")
    client = client_of(aws)
    messages = client.pull(
        topic, min_messages=least, max_messages=most, timeout=timeout, visibility_timeout=visibility_timeout
    )
    _show(messages, as_json)
    if not messages:
        click.echo("No messages.", err=True)
        sys.exit(NOTHING_FOUND)
    if ack:
        _settled(client.acknowledge(topic, messages), len(messages), "acknowledged", quiet=True)


@click.command()
@topic_argument
@click.option("--max", "most", type=click.IntRange(1), default=10, show_default=True, help="Show no more.")
@click.option("--timeout", type=click.FloatRange(0), default=1.0, show_default=True, help="Seconds to wait for one.")
@click.option("--count", is_flag=True, help="Also where a look counts as a receive.")
@json_option
@aws_options
def peek(*, topic: str, most: int, timeout: float, count: bool, as_json: bool, aws: Aws) -> None:
    """Look at messages and leave them where they are. Exit code 3 when none are to be seen.

    SQS counts each look as a receive. In dead-letter topics and others without a dead-letter topic nothing follows from
    that. Elsewhere the last receive that is allowed makes a message a dead letter: there, peek looks with --count only.

    \b
    Examples:
      tagstream topics peek smiles-dead-letter
      tagstream topics peek smiles-dead-letter --max 100 --json | jq -r .failure
    """
    messages = client_of(aws).peek(topic, max_messages=most, timeout=timeout, count=count)
    _show(messages, as_json)
    if not messages:
        click.echo("No messages that are not in other hands.", err=True)
        sys.exit(NOTHING_FOUND)


def _show(messages: Sequence[Message], as_json: bool) -> None:
    """Print messages, parcels as their lines; what is damaged as it is, with one warning for all of them."""
    from tagstream.topics import ParcelDamaged, unpack

    damaged: list[ParcelDamaged] = []
    for message in messages:
        parcel = None
        try:
            parcel = unpack(message)
        except ParcelDamaged as error:
            damaged.append(error)
        if as_json:
            click.echo(json.dumps(_row(message, parcel), ensure_ascii=False))
            continue
        content = message.body.encode() if parcel is None else parcel.content
        click.echo(content if content.endswith(b"\n") else content + b"\n", nl=False)
        if isinstance(reason := message.attributes.get("failure"), str):
            click.echo(f"  {message.id} is a dead letter: {reason}", err=True)
    sys.stdout.flush()
    if damaged:
        more = f" And {len(damaged) - 1:,} more." if len(damaged) > 1 else ""
        click.echo(f"Warning: {damaged[0]}{more}", err=True)


def _row(message: Message, parcel: Parcel | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": message.id,
        "receipt": message.receipt,
        "receive_count": message.receive_count,
        "sent_at": message.sent_at,
    }
    for name in ("group_id", "deduplication_id", "sequence_number"):
        if getattr(message, name) is not None:
            row[name] = getattr(message, name)
    row |= {name: message.attributes[name] for name in ("failure", "failure_output") if name in message.attributes}
    row["attributes"] = {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in message.attributes.items()
        if parcel is None or not name.startswith("parcel-")
    }
    if parcel is None:
        return row | {"body": message.body}
    row |= {"upload_id": parcel.upload_id, "sequence": str(parcel.place), "lines": parcel.line_count}
    try:
        return row | {"content": parcel.content.decode()}
    except UnicodeDecodeError:
        return row | {"content_base64": base64.b64encode(parcel.content).decode()}


@click.command()
@topic_argument
@click.argument("receipts", nargs=-1)
@aws_options
def acknowledge(topic: str, receipts: Sequence[str], aws: Aws) -> None:
    """Delete received messages by their RECEIPTS, or by what 'pull --json' printed, from standard input.

    \b
    Examples:
      tagstream topics acknowledge smiles < held.jsonl
    """
    held = _held(receipts)
    _settled(client_of(aws).acknowledge(topic, held), len(held), "acknowledged")


@click.command()
@topic_argument
@click.argument("receipts", nargs=-1)
@click.option(
    "--seconds",
    "--ack-deadline",
    "seconds",
    type=click.IntRange(0, 43200),
    default=300,
    show_default=True,
    help="From now; 0 releases.",
)
@aws_options
def refresh(topic: str, receipts: Sequence[str], seconds: int, aws: Aws) -> None:
    """Set when received messages come back, by their RECEIPTS or by what 'pull --json' printed, from standard input.

    \b
    Examples:
      tagstream topics refresh smiles --seconds 600 < held.jsonl
      tagstream topics refresh smiles --seconds 0 < held.jsonl
    """
    held = _held(receipts)
    _settled(client_of(aws).refresh_deadline(topic, held, seconds), len(held), "refreshed")


def _held(receipts: Sequence[str]) -> list[Message]:
    from tagstream.topics import Message

    if not receipts:
        try:
            receipts = [json.loads(line)["receipt"] for line in sys.stdin if line.strip()]
        except (ValueError, KeyError, TypeError) as error:
            raise click.UsageError("standard input has not what 'pull --json' prints.") from error
    return [Message(id=receipt, receipt=receipt, body="") for receipt in receipts]


def _settled(failed: Sequence[Any], count: int, word: str, *, quiet: bool = False) -> None:
    if not quiet or failed:
        click.echo(f"{count - len(failed)} {word}, {len(failed)} failed.", err=quiet)
    for failure in failed:
        click.echo(f"  {failure.message.id}: {failure.code}: {failure.reason}", err=True)
    if failed:
        sys.exit(DONE_IN_PART if len(failed) < count else FAILED)
