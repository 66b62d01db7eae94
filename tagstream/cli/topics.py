"""``tagstream topics``: PubSub over SQS, from the command line."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, NOTHING_FOUND, Aws, aws_options, emit, json_option

if TYPE_CHECKING:
    from tagstream.topics import Message, Parcel, Topics
    from tagstream.topics.transfer import Progress

__all__ = ["topics"]

_ELSEWHERE = {
    "process": ("tagstream.cli.topics_process", "process"),
    "order-check": ("tagstream.cli.topics_process", "order_check"),
}


class _Topics(click.Group):
    """The commands of this module, and those of others when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module, name = _ELSEWHERE[cmd_name]
            command = getattr(import_module(module), name)
            if not isinstance(command, click.Command):
                raise TypeError(f"{cmd_name} is no command")
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Topics)
@click.option("-v", "--verbose", is_flag=True, help="Say what happens, with the time, on standard error.")
def topics(verbose: bool) -> None:
    """Publish, pull, upload, process and download over SQS.

    A topic is an SQS queue with its dead-letter queue. A parcel is one message that carries many lines.

    \b
    Examples:
      tagstream topics create smiles
      tagstream topics upload inputs.txt smiles
      tagstream topics info smiles
      tagstream topics download smiles outputs.txt
      tagstream topics -v clear test- --yes
    """
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO if verbose else logging.WARNING
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)


def _client(aws: Aws) -> Topics:
    from tagstream.topics import Topics

    # More connections than batches in flight, and longer than the longest poll of 20 s.
    return Topics(aws.client("sqs", max_pool_connections=20, read_timeout=60))


def complete_topic(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    with suppress(Exception):  # whatever is wrong, it must not end up in somebody's prompt
        wanted = {name: ctx.params.get(name) for name in ("stage", "endpoint_url", "region", "profile")}
        aws = Aws(**(wanted | {"stage": wanted["stage"] or "local"}))
        return _client(aws).list_topics(incomplete)[:100]
    return []


topic_argument = click.argument("topic", shell_complete=complete_topic)
yes_option = click.option("-y", "--yes", is_flag=True, help="Don't ask.")


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _pairs(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        pairs[name] = content
    return pairs


# Topics themselves


@topics.command("list")
@click.argument("prefix", default="")
@click.option("--counts", is_flag=True, help="With approximate numbers of messages: two more requests a topic.")
@json_option
@aws_options
def list_(prefix: str, counts: bool, as_json: bool, aws: Aws) -> None:
    """List all topics, or those whose name starts with PREFIX. Exit code 3 when there are none.

    \b
    Examples:
      tagstream topics list
      tagstream topics list smiles --counts
    """
    client = _client(aws)

    def row(name: str) -> dict[str, Any]:
        return {"topic": name, **(asdict(client.counts(name)) if counts else {})}

    rows = [row(name) for name in client.list_topics(prefix)] if not as_json else map(row, client.list_topics(prefix))
    if not emit(rows, as_json=as_json):
        click.echo("No topics.", err=True)
        sys.exit(NOTHING_FOUND)


@topics.command()
@topic_argument
@click.option("--exist-ok", is_flag=True, help="Keep what exists as it is, messages included.")
@click.option("--max-receives", type=click.IntRange(1, 1000), default=2, show_default=True, help="Then: dead letter.")
@click.option(
    "--visibility-timeout",
    type=click.IntRange(0, 43200),
    default=300,
    show_default=True,
    help="Seconds to acknowledge.",
)
@click.option("--high-throughput/--no-high-throughput", default=True, help="Of FIFO topics: limits per group.")
@click.option(
    "-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Any of SQS."
)
@yes_option
@aws_options
def create(
    *,
    topic: str,
    exist_ok: bool,
    max_receives: int,
    visibility_timeout: int,
    high_throughput: bool,
    attributes: dict[str, str],
    yes: bool,
    aws: Aws,
) -> None:
    """Make TOPIC and its dead-letter topic; replace both when they exist, messages lost.

    A name that ends in .fifo makes a FIFO topic. AWS gives a deleted name free again after 60 seconds: replacing waits.

    \b
    Examples:
      tagstream topics create smiles
      tagstream topics create smiles --exist-ok
      tagstream topics create updates.fifo --visibility-timeout 60
      tagstream topics create smiles --attribute MessageRetentionPeriod=1209600
    """
    from tagstream.topics.client import dead_letter_name

    client = _client(aws)
    existing = [] if exist_ok else [name for name in (topic, dead_letter_name(topic)) if client.exists(name)]
    if existing:
        held = sum(client.counts(name).total for name in existing)
        _confirm(f"{' and '.join(existing)} exist, with about {held} messages. Replace, and lose these?", yes)
    with _waiting("Waiting until AWS gives the name free", 60) as on_wait:
        client.create(
            topic,
            exist_ok=exist_ok,
            max_receives=max_receives,
            visibility_timeout=visibility_timeout,
            high_throughput=high_throughput,
            attributes=attributes,
            on_wait=on_wait,
        )
    click.echo(f"{topic} and {dead_letter_name(topic)} are there.")


@topics.command("create-queue")
@click.argument("name")
@click.option(
    "-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Any of SQS."
)
@json_option
@aws_options
def create_queue(name: str, attributes: dict[str, str], as_json: bool, aws: Aws) -> None:
    """Make one queue, without a dead-letter topic. The attributes are checked before anything is asked of AWS.

    \b
    Example:
      tagstream topics create-queue raw -a VisibilityTimeout=60 -a DelaySeconds=5
    """
    url = _client(aws).create_queue(name, attributes)
    click.echo(json.dumps({"name": name, "url": url}) if as_json else url)


@topics.command()
@click.argument("names", nargs=-1, required=True, metavar="TOPIC|URL...", shell_complete=complete_topic)
@click.option("--dead-letter", is_flag=True, help="The dead-letter topics too.")
@yes_option
@aws_options
def delete(names: Sequence[str], dead_letter: bool, yes: bool, aws: Aws) -> None:
    """Delete topics by name or URL, messages included. It cannot be undone.

    \b
    Examples:
      tagstream topics delete smiles --dead-letter
      tagstream topics delete https://sqs.eu-west-1.amazonaws.com/123456789012/smiles --yes
    """
    from tagstream.topics import TopicNotFound
    from tagstream.topics.client import dead_letter_name

    client = _client(aws)
    for name in names:
        held = client.counts(name).total  # a missing topic is told before anything is asked
        _confirm(f"Delete {name} with about {held} messages?", yes)
        client.delete(name)
        click.echo(f"Deleted {name}.")
        if dead_letter:
            with suppress(TopicNotFound):
                client.delete(dead_letter_name(name.rsplit("/", 1)[-1]))
                click.echo(f"Deleted {dead_letter_name(name.rsplit('/', 1)[-1])}.")


@topics.command()
@click.argument("prefix", default="")
@click.option("--all", "everything", is_flag=True, help="Every queue of the account and region.")
@yes_option
@json_option
@aws_options
def clear(prefix: str, everything: bool, yes: bool, as_json: bool, aws: Aws) -> None:
    """Delete all topics whose name starts with PREFIX, dead-letter topics too. It cannot be undone.

    \b
    Examples:
      tagstream topics clear test-
      tagstream topics clear --all
    """
    if not prefix and not everything:
        raise click.UsageError("an empty prefix would delete every queue: give a prefix, or --all.")
    if prefix and everything:
        raise click.UsageError("give a prefix or --all, not both.")
    client = _client(aws)
    names = client.list_topics(prefix)
    if not names:
        click.echo("No topics.", err=True)
        sys.exit(NOTHING_FOUND)
    if not yes:
        click.echo("\n".join(names), err=True)
    _confirm(f"Delete these {len(names)} queues with all their messages?", yes)
    # What was shown, and nothing that has come since.
    deleted = client.delete_all(names)
    if as_json:
        emit(({"topic": name} for name in deleted), as_json=True)
    else:
        click.echo(f"Deleted {len(deleted)} queues.")


@topics.command()
@topic_argument
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait the 60 s that a purge takes on AWS.")
@yes_option
@aws_options
def purge(topic: str, wait: bool, yes: bool, aws: Aws) -> None:
    """Empty TOPIC and keep it, with its attributes. It cannot be undone.

    On AWS a purge takes up to 60 seconds, in which new messages may be swept away as well.

    \b
    Example:
      tagstream topics purge smiles-dead-letter --yes
    """
    client = _client(aws)
    _confirm(f"Remove about {client.counts(topic).total} messages from {topic}?", yes)
    with _waiting("Waiting for the purge to end", 60) as on_wait:
        client.purge(topic, on_wait=on_wait if wait else None)
    click.echo(f"{topic} is {'empty' if wait else 'being emptied'}.")


@topics.command()
@topic_argument
@json_option
@aws_options
def info(topic: str, as_json: bool, aws: Aws) -> None:
    """Show a topic's URL, approximate numbers of messages and attributes.

    SQS' numbers are approximate, and become consistent about a minute after the last message was sent.

    \b
    Examples:
      tagstream topics info smiles
      tagstream topics info smiles --json | jq .counts.visible
    """
    client = _client(aws)
    url, counts, attributes = client.url(topic), client.counts(topic), client.attributes(topic)
    if as_json:
        told = {"topic": topic, "url": url, "counts": asdict(counts), "attributes": attributes}
        emit([told], as_json=True)
        return
    rows = [{"what": "url", "value": url}]
    rows += [{"what": name.replace("_", " "), "value": _about(value)} for name, value in asdict(counts).items()]
    rows += [{"what": name, "value": value} for name, value in sorted(attributes.items())]
    emit(rows, as_json=False, title=topic)


def _about(value: int | None) -> str:
    return "no dead-letter topic" if value is None else f"about {value:,}"


# Messages


@topics.command()
@topic_argument
@click.argument("messages", nargs=-1)
@click.option("--group", help="The message group (FIFO topics need one).")
@click.option("--deduplication-id", help="For FIFO topics; without, the content's hash.")
@click.option("--delay", type=click.IntRange(0, 900), default=0, help="Seconds until it can be received.")
@click.option("-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="On each.")
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
        result = _client(aws).publish_all(topic, outgoing)
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


@topics.command()
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
    client = _client(aws)
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
    row |= {"upload": parcel.upload_id, "sequence": str(parcel.place), "lines": parcel.line_count}
    try:
        return row | {"content": parcel.content.decode()}
    except UnicodeDecodeError:
        return row | {"content_base64": base64.b64encode(parcel.content).decode()}


@topics.command()
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
    _settled(_client(aws).acknowledge(topic, held), len(held), "acknowledged")


@topics.command()
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
    _settled(_client(aws).refresh_deadline(topic, held, seconds), len(held), "refreshed")


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


# Files


@topics.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@topic_argument
@click.option("--lines", type=click.IntRange(1), default=1000, show_default=True, help="A parcel; more cost less.")
@click.option(
    "--encoding",
    type=click.Choice(["auto", "plain", "bz2"]),
    default="auto",
    show_default=True,
    help="auto costs least; plain stays readable for other consumers.",
)
@click.option(
    "--decompress/--no-decompress", default=True, help="Read gzip and zstd files as what is in them (default)."
)
@click.option("--upload-id", help="Repeat an interrupted upload: what is there already is dropped by 'download'.")
@json_option
@aws_options
def upload(
    *,
    files: Sequence[str],
    topic: str,
    lines: int,
    encoding: Any,
    decompress: bool,
    upload_id: str | None,
    as_json: bool,
    aws: Aws,
) -> None:
    """Publish every line of FILES in parcels; 'download' gives back the same bytes in the same order.

    Files compressed by gzip or zstd are read as what is in them; - is standard input. Nothing is sent when a line is
    too long for a message. Exit code 4 when not everything was accepted.

    \b
    Examples:
      tagstream topics upload inputs.txt smiles
      tagstream topics upload part-*.txt.gz smiles --lines 10000
      zstdcat huge.zst | tagstream topics upload - smiles
    """
    from tagstream.topics import ParcelSettings, PublishFailed
    from tagstream.topics import upload as upload_files

    client = _client(aws)
    client.url(topic)

    started: list[str] = []
    with _standard_input(files) as paths:
        try:
            with _transfer("Uploading") as on_progress:
                result = upload_files(
                    client,
                    topic,
                    paths,
                    settings=ParcelSettings(max_lines=lines, encoding=encoding),
                    upload_id=upload_id,
                    decompress=decompress,
                    names=["standard input" if file == "-" else file for file in files],
                    on_start=started.append,
                    on_progress=on_progress,
                )
        except PublishFailed as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(DONE_IN_PART if error.result.accepted else FAILED)
        except KeyboardInterrupt:
            if started:
                click.echo(f"Repeat the same command with --upload-id {started[0]} to go on.", err=True)
            raise
    if as_json:
        emit([asdict(result)], as_json=True)
    else:
        click.echo(
            f"{result.lines:,} lines, {result.bytes:,} bytes, {result.messages:,} messages, "
            f"{result.requests:,} requests (billed as {result.billed:,})."
        )
        for uploaded in result.uploads:
            click.echo(f"  {uploaded.file}: upload {uploaded.upload_id}, {uploaded.lines:,} lines")


@contextmanager
def _standard_input(files: Sequence[str]) -> Iterator[list[str]]:
    """Standard input cannot be read twice, and the lines are checked before anything is sent: it is put on disk."""
    if "-" not in files:
        yield list(files)
        return
    with tempfile.NamedTemporaryFile(prefix="tagstream-") as held:
        shutil.copyfileobj(sys.stdin.buffer, held)
        held.flush()
        yield [held.name if file == "-" else file for file in files]


@topics.command()
@topic_argument
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--idle", type=click.FloatRange(0), default=20.0, show_default=True, help="Seconds without news: the end."
)
@click.option(
    "--visibility-timeout", type=click.IntRange(1, 43200), default=60, show_default=True, help="Seconds to store ten."
)
@click.option("--partial", is_flag=True, help="Write the file even when parcels are missing.")
@click.option("--overwrite", is_flag=True, help="Replace FILE when it exists.")
@json_option
@aws_options
def download(
    *,
    topic: str,
    file: Path,
    idle: float,
    visibility_timeout: int,
    partial: bool,
    overwrite: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Take all messages out of TOPIC and write their lines to FILE, in order and without duplicates.

    Exit code 4, and a list, when parcels are missing: what came is kept beside FILE, and the same command goes on from
    there, as it does after a kill.

    \b
    Examples:
      tagstream topics download smiles outputs.txt
      tagstream topics download smiles-dead-letter outputs.txt --idle 5
      tagstream topics download smiles outputs.txt --partial
    """
    from tagstream.topics import DownloadIncomplete
    from tagstream.topics import download as download_file

    client = _client(aws)
    try:
        with _transfer("Downloading") as on_progress:
            result = download_file(
                client,
                topic,
                file,
                idle=idle,
                visibility_timeout=visibility_timeout,
                partial=partial,
                overwrite=overwrite,
                on_progress=on_progress,
            )
    except DownloadIncomplete as error:
        click.echo(f"Error: {error}", err=True)
        _tell_gaps(error.gaps, as_json)
        sys.exit(DONE_IN_PART)
    except KeyboardInterrupt:
        click.echo(f"What came is kept beside {file}: the same command goes on from there.", err=True)
        raise
    if as_json:
        emit([asdict(result)], as_json=True)
    else:
        click.echo(f"{result.lines:,} lines, {result.bytes:,} bytes from {result.messages:,} messages in {file}.")
        for count, words in (
            (result.duplicates, "duplicates dropped"),
            (result.alternatives, "parcels dropped for others of the same place"),
            (result.foreign, "messages without parcels' attributes, at the end"),
            (result.damaged, "damaged parcels left in the topic"),
            (result.newlines_added, "newlines added between uploads"),
            (result.left, "messages still in the topic, in other hands (approximately)"),
        ):
            if count:
                click.echo(f"  {count:,} {words}", err=True)
    if result.gaps:
        _tell_gaps(result.gaps, False)
    if result.gaps or result.damaged:
        sys.exit(DONE_IN_PART)


def _tell_gaps(gaps: Sequence[str], as_json: bool) -> None:
    if as_json:
        emit([{"gaps": list(gaps)}], as_json=True)
        return
    for gap in gaps:
        click.echo(f"  {gap}", err=True)


# Progress


@contextmanager
def _transfer(description: str) -> Iterator[Callable[[Progress], None]]:
    """A bar of lines, with bytes and requests beside it; silent when standard error is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=None, detail="")

        def on_progress(progress: Progress) -> None:
            detail = f"{progress.lines:,} lines · {progress.bytes / 1e6:,.1f} MB · {progress.requests:,} requests"
            bar.update(task, completed=progress.lines, total=progress.total_lines or None, detail=detail)

        yield on_progress


@contextmanager
def _waiting(description: str, seconds: float) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]:.0f} s"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=seconds, left=seconds, visible=False)
        yield lambda left: bar.update(task, completed=seconds - left, left=left, visible=True)
