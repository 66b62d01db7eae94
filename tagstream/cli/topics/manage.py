"""Commands that make, show, empty and delete topics."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import click

from tagstream.cli.common import NOTHING_FOUND, aws_options, emit, json_option
from tagstream.cli.topics.shared import client_of, complete_topic, confirm, pairs, topic_argument, yes_option
from tagstream.deployed.aws import Aws

__all__ = ["clear", "create", "create_queue", "delete", "info", "list_", "purge", "update", "waiting"]


@click.command("list")
@click.argument("prefix", default="")
@click.option("--counts", is_flag=True, help="With approximate numbers of messages: two more requests a topic.")
@click.option("--all", "everything", is_flag=True, help="The queues of the deployed stacks as well.")
@json_option
@aws_options
def list_(prefix: str, counts: bool, everything: bool, as_json: bool, aws: Aws) -> None:
    """List all topics, or those whose name starts with PREFIX. Exit code 3 when there are none.

    \b
    Examples:
      tagstream topics list
      tagstream topics list smiles --counts
      tagstream topics list --json | jq -r .url
    """
    client = client_of(aws)
    urls = client.urls(prefix)
    names = sorted(urls) if everything else _own(urls)

    def row(name: str) -> dict[str, Any]:
        counted = asdict(client.counts(name)) if counts else {}
        if as_json:
            return {"topic": name, "url": urls[name]} | ({"counts": counted} if counts else {})
        return {"topic": name} | counted

    shown = emit(map(row, names), as_json=as_json)
    if len(names) < len(urls):
        click.echo(f"{len(urls) - len(names)} queues of the deployed stacks are not shown: --all shows them.", err=True)
    if not shown:
        click.echo("No topics.", err=True)
        sys.exit(NOTHING_FOUND)


def _own(names: Iterable[str]) -> list[str]:
    """Without the queues of the deployed stacks, which are the stacks' to change and to delete."""
    from tagstream.topics.names import is_deployed

    return sorted(name for name in names if not is_deployed(name))


@click.command()
@topic_argument
@click.option("--exist-ok", is_flag=True, help="Keep what exists as it is, messages included.")
@click.option(
    "--max-receives",
    type=click.IntRange(1, 1000),
    default=2,
    show_default=True,
    help="Receives without an acknowledgement, after which a message is a dead letter.",
)
@click.option(
    "--visibility-timeout",
    type=click.IntRange(0, 43200),
    default=300,
    show_default=True,
    help="Seconds to acknowledge.",
)
@click.option("--high-throughput/--no-high-throughput", default=True, help="Of FIFO topics: limits per group.")
@click.option(
    "-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Any of SQS."
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

    With --exist-ok what exists stays as it is, and a topic without a dead-letter topic is given one.

    A name that ends in .fifo makes a FIFO topic. AWS gives a deleted name free again after 60 seconds: replacing waits.

    \b
    Examples:
      tagstream topics create smiles
      tagstream topics create smiles --exist-ok
      tagstream topics create updates.fifo --visibility-timeout 60
      tagstream topics create smiles --attribute MessageRetentionPeriod=1209600
    """
    from tagstream.topics.errors import InvalidTopic, TopicExists
    from tagstream.topics.names import check_name, dead_letter_name, is_deployed

    problems = check_name(topic, with_dead_letters=True)
    if problems:
        raise InvalidTopic(topic, problems)
    client = client_of(aws)
    existing = [] if exist_ok else [name for name in (topic, dead_letter_name(topic)) if client.exists(name)]
    if existing and is_deployed(topic):
        raise TopicExists(
            f"topic {topic!r} belongs to a stack, which would lose what it is tied to: 'topics purge' empties it.",
            topic=topic,
        )
    if existing:
        held = sum(client.counts(name).total for name in existing)
        confirm(f"{' and '.join(existing)} exist, with about {held} messages. Replace, and lose these?", yes)
    with waiting("Waiting until AWS gives the name free", 60) as on_wait:
        client.create(
            topic,
            exist_ok=exist_ok,
            max_receives=max_receives,
            visibility_timeout=visibility_timeout,
            high_throughput=high_throughput,
            attributes=attributes,
            on_wait=on_wait,
        )
    click.echo(f"{topic} and {client.dead_letter_topic(topic)} are there.")


@click.command()
@topic_argument
@click.option("--max-receives", type=click.IntRange(1, 1000), help="Receives, after which a message is a dead letter.")
@click.option("--visibility-timeout", type=click.IntRange(0, 43200), help="Seconds to acknowledge.")
@click.option(
    "-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Any of SQS."
)
@aws_options
def update(
    topic: str, max_receives: int | None, visibility_timeout: int | None, attributes: dict[str, str], aws: Aws
) -> None:
    """Change attributes of TOPIC, and keep its messages. On AWS it may take a minute until the change is everywhere.

    \b
    Examples:
      tagstream topics update smiles --visibility-timeout 600
      tagstream topics update smiles --max-receives 5 -a MessageRetentionPeriod=1209600
    """
    if visibility_timeout is not None:
        attributes = {**attributes, "VisibilityTimeout": str(visibility_timeout)}
    if not attributes and max_receives is None:
        raise click.UsageError("there is nothing to change: give --max-receives, --visibility-timeout or --attribute.")
    client_of(aws).update(topic, attributes, max_receives=max_receives)
    changed = [*sorted(attributes), *(["maxReceiveCount"] if max_receives is not None else [])]
    click.echo(f"{topic} has other {', '.join(changed)} now.")


@click.command("create-queue")
@click.argument("name")
@click.option(
    "-a", "--attribute", "attributes", multiple=True, metavar="NAME=VALUE", callback=pairs, help="Any of SQS."
)
@json_option
@aws_options
def create_queue(name: str, attributes: dict[str, str], as_json: bool, aws: Aws) -> None:
    """Make one queue, without a dead-letter topic. The attributes are checked before anything is asked of AWS.

    \b
    Example:
      tagstream topics create-queue raw -a VisibilityTimeout=60 -a DelaySeconds=5
    """
    url = client_of(aws).create_queue(name, attributes)
    click.echo(json.dumps({"topic": name, "url": url}) if as_json else url)


@click.command()
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
    from tagstream.topics.names import dead_letter_name

    client = client_of(aws)
    for name in names:
        held = client.counts(name).total  # a missing topic is told before anything is asked
        confirm(f"Delete {name} with about {held} messages?", yes)
        client.delete(name)
        click.echo(f"Deleted {name}.")
        if dead_letter:
            with suppress(TopicNotFound):
                client.delete(dead_letter_name(name.rsplit("/", 1)[-1]))
                click.echo(f"Deleted {dead_letter_name(name.rsplit('/', 1)[-1])}.")


@click.command()
@click.argument("prefix", default="")
@click.option("--all", "everything", is_flag=True, help="Every queue of the account and region but the stacks' own.")
@yes_option
@json_option
@aws_options
def clear(prefix: str, everything: bool, yes: bool, as_json: bool, aws: Aws) -> None:
    """Delete all topics whose name starts with PREFIX, dead-letter topics too. It cannot be undone.

    The queues of the deployed stacks are left: 'npx cdk destroy' deletes them.

    \b
    Examples:
      tagstream topics clear test-
      tagstream topics clear --all
    """
    if not prefix and not everything:
        raise click.UsageError("an empty prefix would delete every queue: give a prefix, or --all.")
    if prefix and everything:
        raise click.UsageError("give a prefix or --all, not both.")
    client = client_of(aws)
    found = client.list_topics(prefix)
    names = _own(found)
    if len(names) < len(found):
        click.echo(f"{len(found) - len(names)} queues of the deployed stacks stay.", err=True)
    if not names:
        click.echo("No topics.", err=True)
        sys.exit(NOTHING_FOUND)
    if not yes:
        click.echo("\n".join(names), err=True)
    confirm(f"Delete these {len(names)} queues with all their messages?", yes)
    # What was shown, and nothing that has come since.
    deleted = client.delete_all(names)
    if as_json:
        emit(({"topic": name} for name in deleted), as_json=True)
    else:
        click.echo(f"Deleted {len(deleted)} queues.")


@click.command()
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
    client = client_of(aws)
    confirm(f"Remove about {client.counts(topic).total} messages from {topic}?", yes)
    with waiting("Waiting for the purge to end", 60) as on_wait:
        client.purge(topic, on_wait=on_wait if wait else None)
    click.echo(f"{topic} is {'empty' if wait else 'being emptied'}.")


@click.command()
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
    client = client_of(aws)
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


@contextmanager
def waiting(description: str, seconds: float) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]:.0f} s"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=seconds, left=seconds, visible=False)
        yield lambda left: bar.update(task, completed=seconds - left, left=left, visible=True)
