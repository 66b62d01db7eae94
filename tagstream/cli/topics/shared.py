"""What the commands of topics share: the client, the arguments, questions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.topics import Topics

__all__ = [
    "client_of",
    "complete_topic",
    "compression_option",
    "confirm",
    "pairs",
    "topic_argument",
    "verbose_option",
    "yes_option",
]


def client_of(aws: Aws) -> Topics:
    from tagstream.topics import Topics

    # More connections than batches in flight, and longer than the longest poll of 20 s.
    return Topics(aws.client("sqs", max_pool_connections=20, read_timeout=60))


def complete_topic(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    with suppress(Exception):  # whatever is wrong, it must not end up in somebody's prompt
        wanted = {name: ctx.params.get(name) for name in ("stage", "endpoint_url", "region", "profile")}
        aws = Aws(**(wanted | {"stage": wanted["stage"] or "local"}))
        from tagstream.topics.names import is_deployed

        return [name for name in client_of(aws).list_topics(incomplete) if not is_deployed(name)][:100]
    return []


topic_argument = click.argument("topic", shell_complete=complete_topic)
compression_option = click.option(
    "--compression",
    type=click.Choice(["fast", "small", "none"]),
    default="fast",
    show_default=True,
    help="fast takes least time and money in all; small costs a third fewer requests; none is readable for others.",
)


def _say_more(ctx: click.Context, _parameter: click.Parameter, verbose: bool) -> None:
    root = logging.getLogger()
    if verbose and root.level > logging.INFO:
        ctx.call_on_close(lambda level=root.level: root.setLevel(level))
        root.setLevel(logging.INFO)


# As of the group: for what takes long, people type it at the end.
verbose_option = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_say_more,
    help="Say what happens, with the time, on standard error.",
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Don't ask.")


def confirm(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def pairs(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, content = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE")
        pairs[name] = content
    return pairs
