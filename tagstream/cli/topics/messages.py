"""Commands that handle messages."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, NOTHING_FOUND, Aws, aws_options, emit, json_option
from tagstream.cli.topics.shared import client_of, pairs, topic_argument

if TYPE_CHECKING:
    from tagstream.topics import Message, Parcel

__all__ = ["acknowledge", "publish", "pull", "refresh"]


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
    """Publish MESSAGES, or each line of standard input as a message. Exit code 4 when only some were accepted.

    To publish many lines in few messages, and get exactly these back, use 'upload'.

    \b
    Examples:
      tagstream topics publish smiles CCO c1ccccc1
      tagstream topics publish updates.fifo "cat.jpg gone" --group cat.jpg
      seq 1000 | tagstream topics publish numbers
    """
    from tagstream.topics import Outgoing, PublishFailed

    if deduplication_id and len(messages) != 1:
        raise click.UsageError("--deduplication-id is for one message: others with the same id would be dropped.")
    bodies: Iterable[str] = messages or (line.rstrip("\n") for line in sys.stdin)
    outgoing = (Outgoing(body, attributes, group, deduplication_id, delay) for body in bodies)
    try:
        result = client_of(aws).publish_all(topic, outgoing)
    except PublishFailed as error:
        click.echo(f"Error: {error}", err=True)
        result = error.result
    failed = [{"message": f.message.body, "code": f.code, "reason": f.reason} for f in result.failed]
    if as_json:
        emit(
            [{"accepted": result.accepted, "failed": failed, "requests": result.requests, "billed": result.billed}],
            as_json=True,
        )
    else:
        click.echo(f"{result.accepted} accepted, {len(failed)} failed.")
        for failure in failed:
            click.echo(f"  {failure['message'][:80]!r}: {failure['code']}: {failure['reason']}", err=True)
    if failed:
        sys.exit(DONE_IN_PART if result.accepted else FAILED)


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
    for message in messages:
        parcel = _parcel(message)
        if as_json:
            click.echo(json.dumps(_row(message, parcel), ensure_ascii=False))
        else:
            content = message.body.encode() if parcel is None else parcel.content
            click.echo(content if content.endswith(b"\n") else content + b"\n", nl=False)
    sys.stdout.flush()
    if not messages:
        click.echo("No messages.", err=True)
        sys.exit(NOTHING_FOUND)
    if ack:
        _settled(client.acknowledge(topic, messages), len(messages), "acknowledged", quiet=True)


def _parcel(message: Message) -> Parcel | None:
    """The parcel in a message; what is damaged is shown as it is, and keeps nobody from the other messages."""
    from tagstream.topics import ParcelDamaged, unpack

    try:
        return unpack(message)
    except ParcelDamaged as error:
        click.echo(f"Warning: {error}", err=True)
        return None


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
@click.option("--seconds", type=click.IntRange(0, 43200), default=300, show_default=True, help="From now; 0 releases.")
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
