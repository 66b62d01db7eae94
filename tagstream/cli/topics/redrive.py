"""``tagstream topics redrive``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, NOTHING_FOUND, aws_options, emit, json_option
from tagstream.cli.common import progress as bar_of
from tagstream.cli.signals import answered, exit_code
from tagstream.cli.topics.shared import client_of, complete_topic, topic_argument, verbose_option
from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.topics import RedriveResult

__all__ = ["failures", "moved", "redrive", "tell_failures"]

_REASONS_SHOWN = 5


@click.command()
@topic_argument
@click.option(
    "--to", "to", metavar="OTHER", shell_complete=complete_topic, help="The topic they go to.  [default: TOPIC]"
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Messages a second, at most.")
@click.option(
    "--idle", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds without another one: the end."
)
@verbose_option
@json_option
@aws_options
def redrive(*, topic: str, to: str | None, rate: float | None, idle: float, as_json: bool, aws: Aws) -> None:
    """Publish TOPIC's dead letters to TOPIC again, so that they are processed once more, and delete them there.

    Takes what is there at the start: what fails again meanwhile is left. Each message is published before it is
    deleted: killed half-way, type the same again, and nothing is lost. Some may be there twice then: 'download' drops
    parcels that are. FIFO topics keep their groups and order.

    Exit codes: 0 all are moved, 3 there were none, 4 some are left, 130 after Ctrl-C, 143 after SIGTERM.

    \b
    Examples:
      tagstream topics redrive smiles
      tagstream topics redrive smiles --rate 10
      tagstream topics redrive smiles --to smiles-slowly
    """
    from tagstream.topics import redrive as move

    client = client_of(aws)
    result, signals = moved(
        lambda on_progress, stopped: move(
            client, topic, to, rate=rate, idle=idle, on_progress=on_progress, stopped=stopped
        )
    )
    _tell(result, topic, as_json)
    if signals:
        click.echo("Interrupted: the same command goes on.", err=True)
        sys.exit(exit_code(signals[0]))
    if result.left:
        sys.exit(DONE_IN_PART)
    if not result.moved:
        sys.exit(NOTHING_FOUND)


def moved(
    move: Callable[[Callable[[int, int], None], Callable[[], bool]], RedriveResult],
) -> tuple[RedriveResult, Sequence[int]]:
    """What ``move(on_progress, stopped)`` has moved, with a bar meanwhile, and the signals that have stopped it.

    Ends the program where publishing failed altogether.
    """
    from tagstream.topics import PublishFailed

    count = 0
    stopped = threading.Event()
    # No exception, which might come between publishing a message and deleting it.
    with answered(stopped.set) as signals, bar_of("Redriving", unit="messages") as advance:

        def on_progress(done: int, _total: int) -> None:
            nonlocal count
            advance(done - count)
            count = done

        try:
            return move(on_progress, stopped.is_set), signals
        except PublishFailed as error:
            click.echo(
                f"Error: {error} {count} were moved before; the others are still among the dead letters: type the same "
                "again.",
                err=True,
            )
            sys.exit(DONE_IN_PART if count else FAILED)


def failures(result: RedriveResult) -> list[dict[str, str]]:
    """What was not accepted, as JSON has it."""
    return [{"id": one.message.id, "code": one.code, "reason": one.reason} for one in result.failed]


def tell_failures(failed: Sequence[Mapping[str, str]]) -> None:
    """The same for people: the first of them, and how many there are besides."""
    for failure in failed[:_REASONS_SHOWN]:
        click.echo(f"  not moved: {failure['id']}: {failure['code']}: {failure['reason']}", err=True)
    if len(failed) > _REASONS_SHOWN:
        click.echo(f"  and {len(failed) - _REASONS_SHOWN:,} more were not moved", err=True)


def _tell(result: RedriveResult, topic: str, as_json: bool) -> None:
    failed = failures(result)
    if as_json:
        told = {
            "topic": topic,
            "dead_letter_topic": result.dead_letter_topic,
            "to": result.to,
            "moved": result.moved,
            "came_back": result.came_back,
            "left": result.left,
            "failed": failed,
        }
        emit([told], as_json=True)
    elif not result.moved and not result.left:
        click.echo(f"No dead letters in {result.dead_letter_topic}.", err=True)
    else:
        click.echo(f"{result.moved:,} messages moved from {result.dead_letter_topic} to {result.to}.")
    tell_failures(failed)
    if result.left:
        why = "failed again meanwhile" if result.came_back else "came meanwhile, or are in other hands"
        click.echo(
            f"About {result.left:,} messages are in {result.dead_letter_topic}: they {why}. "
            f"'tagstream topics peek {result.dead_letter_topic}' shows why they failed.",
            err=True,
        )
