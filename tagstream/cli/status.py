"""``tagstream status``, ``tagstream pause`` and ``tagstream resume``."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from tagstream.cli.common import FAILED, aws_options, emit, json_option
from tagstream.cli.next_steps import typed
from tagstream.cli.topics.shared import client_of
from tagstream.deployed.aws import Aws, told

if TYPE_CHECKING:
    from tagstream.operations.state import State

__all__ = ["pause", "resume", "status"]

_NAMES = ("ingest", "catalog", "steps")


@click.command(short_help="What a stage is doing, at a glance.")
@click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
@click.option(
    "--every", type=click.FloatRange(1), default=5.0, show_default=True, help="Seconds between two looks, with --watch."
)
@json_option
@aws_options
def status(*, watch: bool, every: float, as_json: bool, aws: Aws) -> None:
    """What a stage is doing: photos in the bucket and in the catalog, what waits, what was given up, what rings.

    Exit code 1 if something needs a person: dead letters, a paused queue, an alarm, a catalog that does not answer.

    \b
    Examples:
      tagstream status
      tagstream status --stage prod --watch
      tagstream status --json | jq '.queues[] | select(.waiting > 1000)'
    """
    from tagstream.operations.state import look

    topics = client_of(aws)
    before: State | None = None
    while True:
        try:
            state = look(aws, topics)
        except Exception as error:
            said = told(error)
            if not watch or said is None:
                raise
            click.echo(f"Not to be seen now: {said}", err=True)
            time.sleep(every)
            continue
        if as_json:
            emit([state.as_json()], as_json=True)
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            _show(state, before)
        wrong = _wrong(state, aws)
        if not as_json:
            click.echo(wrong or "All is well.", err=bool(wrong))
        if not watch:
            sys.exit(FAILED if wrong else 0)
        before = state
        sys.stdout.flush()
        time.sleep(every)


def _show(state: State, before: State | None) -> None:
    click.echo(f"Stage {state.stage}, {state.at}")
    dated = f" (as of {state.objects_at})" if state.objects_at else ""
    click.echo(f"  photos in the bucket  {_number(state.objects)}{dated}")
    click.echo(f"  classified            {_number(state.classified)}{_rate(state, before)}")
    click.echo(f"  rejected              {_number(state.rejected)}")
    click.echo(f"  removed, remembered   {_number(state.removed)}")
    if state.costs:
        calls, held = state.costs.get("invocations", 0), state.costs.get("gigabyte_seconds", 0)
        click.echo(f"  functions, last day   {calls:,.0f} invocations, {held:,.0f} GB-seconds")
    if state.domain:
        click.echo(f"  OpenSearch            {_domain(state.domain)}")
    click.echo()
    rows = [
        {
            "queue": queue.queue,
            "waiting": queue.waiting,
            "in_flight": queue.in_flight,
            "dead_letters": queue.dead,
            "oldest": None if queue.oldest_seconds is None else f"{queue.oldest_seconds:,.0f} s",
            "": "paused" if queue.paused else "",
        }
        for queue in state.queues
    ]
    emit(rows, as_json=False)
    for name in state.alarms:
        click.echo(f"  ALARM {name}")
    for problem in state.problems:
        click.echo(f"  {problem}")


def _domain(domain: Mapping[str, float]) -> str:
    colour = "red" if domain.get("red") else "yellow" if domain.get("yellow") else "green"
    parts = [
        f"{domain[name]:,.0f}{unit}"
        for name, unit in (
            ("nodes", " nodes"),
            ("free_mb", " MB free"),
            ("memory_percent", " % of memory"),
            ("cpu_percent", " % of processor"),
        )
        if name in domain
    ]
    return ", ".join([colour, *parts])


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _rate(state: State, before: State | None) -> str:
    if before is None or state.indexed is None or before.indexed is None:
        return ""
    seconds = max(state.seconds - before.seconds, 0.001)
    return f"  ({(state.indexed - before.indexed) / seconds:+.1f} a second)"


def _wrong(state: State, aws: Aws) -> str:
    """What a person has to do about it, as the last line; nothing if all is well."""
    dead = [queue.queue for queue in state.queues if queue.dead]
    paused = [queue.queue for queue in state.queues if queue.paused]
    if state.problems:
        return f"Something is wrong: {typed(aws, 'doctor')}"
    if paused:
        return f"Nothing takes messages from {' and '.join(paused)}: {typed(aws, 'resume')}"
    if dead:
        return f"Dead letters: {typed(aws, f'dlq peek {dead[0]}')}"
    if state.alarms:
        return "Alarms ring: docs/runbook.md says what to do about each."
    return ""


queues_argument = click.argument("queues", nargs=-1, type=click.Choice(_NAMES), metavar="[ingest|catalog|steps]…")


@click.command(short_help="Let messages wait: nothing takes them from the queues.")
@queues_argument
@aws_options
def pause(*, queues: tuple[str, ...], aws: Aws) -> None:
    """Let the messages of these queues, or of all, wait. Uploads and searches go on.

    What a function has in hand it finishes. Messages wait as long as their queue keeps them (queue_days, four days
    unless set otherwise), and are lost then: 'tagstream images reconcile' finds what they were about.
    The next deploy of a stage does not resume it; 'tagstream resume' does.

    \b
    Examples:
      tagstream pause
      tagstream pause catalog --stage prod
    """
    _switch(queues, aws, on=False)
    click.echo(f"Messages wait from now on. To go on: {typed(aws, ' '.join(['resume', *queues]))}", err=True)


@click.command(short_help="Let messages be worked off again.")
@queues_argument
@aws_options
def resume(*, queues: tuple[str, ...], aws: Aws) -> None:
    """Let the messages of these queues, or of all, be worked off again after a pause.

    \b
    Examples:
      tagstream resume
      tagstream resume catalog --stage prod
    """
    _switch(queues, aws, on=True)


def _switch(queues: tuple[str, ...], aws: Aws, *, on: bool) -> None:
    from tagstream.operations.mappings import switch
    from tagstream.operations.queues import queue_named

    topics = client_of(aws)
    for name in queues or _NAMES:
        queue = queue_named(name)
        changed = switch(aws, topics, queue, on=on)
        said = ("resumed" if on else "paused") if changed else ("at work already" if on else "paused already")
        counts = topics.counts(queue.url(aws, topics))
        waiting = counts.visible + counts.delayed
        click.echo(f"{name:<8} {said}, {waiting:,} {'message waits' if waiting == 1 else 'messages wait'}")
