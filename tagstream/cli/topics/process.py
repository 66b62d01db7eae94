"""``tagstream topics process`` and ``order-check``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, aws_options, emit, json_option, progress
from tagstream.cli.signals import answered, exit_code
from tagstream.cli.topics.shared import client_of, complete_topic, compression_option, verbose_option
from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.topics.worker import Worker

__all__ = ["order_check", "process"]


@click.command()
@click.argument("input_topic", metavar="INPUT", shell_complete=complete_topic)
@click.argument("output_topic", metavar="OUTPUT", shell_complete=complete_topic)
@click.option("--step", "program", required=True, help="A step's name, a program's path, or a program on the PATH.")
@click.option("--settings", "settings_file", type=click.Path(path_type=Path), help="A file that the step is given.")
@click.option(
    "--workflow-id", default="", help="Given to the step; tells its outputs from others'. [default: its name]"
)
@click.option("--batch-size", type=click.IntRange(1), help="Lines that the step gets at once. [default: a parcel's]")
@compression_option
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Steps that run at once.")
@click.option(
    "--step-timeout",
    type=click.FloatRange(0, min_open=True),
    default=900.0,
    show_default=True,
    help="Seconds that the step may run before it is killed.",
)
@click.option(
    "--deadline",
    type=click.IntRange(1, 43_200),
    default=60,
    show_default=True,
    help="Seconds after which others take over what a killed worker held.",
)
@click.option(
    "--retry-delay",
    type=click.IntRange(0, 43_200),
    default=0,
    show_default=True,
    help="Seconds before a failed input is tried again.",
)
@click.option(
    "--idle-timeout",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    envvar="TAGSTREAM_IDLE_TIMEOUT",
    help="Seconds for which INPUT must be empty, in flight messages included: the end.",
)
@click.option("--forever", is_flag=True, help="Go on when INPUT is empty.")
@verbose_option
@json_option
@aws_options
def process(
    *,
    input_topic: str,
    output_topic: str,
    program: str,
    settings_file: Path | None,
    workflow_id: str,
    batch_size: int | None,
    compression: Any,
    workers: int,
    step_timeout: float,
    deadline: int,
    retry_delay: int,
    idle_timeout: float,
    forever: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Run a step over all messages of INPUT and publish what it makes of them to OUTPUT.

    A step is any program: STEP INPUT-FILE OUTPUT-FILE [SETTINGS [WORKFLOW-ID]]. Start as many of these as you like, on
    as many machines. An input whose step fails is tried again, and after two receives it is in INPUT-dead-letter with
    the reason in its attributes.

    The first Ctrl-C (or SIGTERM) lets running steps finish and gives the rest back at once; the second kills the steps
    and gives their input back as well. Exit codes: 0 INPUT is empty, 4 it is and inputs lie in its dead-letter
    topic, be it since an earlier run, 130 after Ctrl-C, 143 after SIGTERM.

    \b
    Examples:
      tagstream topics process smiles results --step ./score.py --settings score.yaml
      tagstream topics process photos tags --step classify --workers 2 --batch-size 50
      tagstream topics -v process smiles copies --step cp --forever
    """
    from tagstream.topics import ParcelSettings
    from tagstream.topics.names import dead_letter_name
    from tagstream.topics.step import Step
    from tagstream.topics.worker import Worker, WorkerSettings

    step = Step(
        program,
        settings_file=settings_file,
        workflow_id=workflow_id,
        timeout=step_timeout,
        environment=_environment(aws),
    )
    client = client_of(aws)
    settings = WorkerSettings(
        workers=workers,
        batch_size=batch_size,
        deadline=deadline,
        retry_delay=retry_delay,
        idle_timeout=None if forever else idle_timeout,
    )
    with _shown() as on_progress:
        worker = Worker(
            client,
            input_topic,
            output_topic,
            step,
            settings=settings,
            parcels=ParcelSettings(compression=compression),
            on_progress=on_progress,
        )
        with answered(*_answers(worker)) as signals:
            totals = worker.run()
    dead = None if signals else client.counts(input_topic).dead_lettered
    if as_json:
        emit([asdict(totals) | {"dead_letters": dead}], as_json=True)
    else:
        click.echo(str(totals))
    if signals:
        click.echo(
            "Interrupted. What was held is finished or given back: the same command goes on from there.", err=True
        )
        sys.exit(exit_code(signals[0]))
    # SQS' count may be late, ours knows nothing of earlier runs and of those that died.
    if lying := max(dead or 0, totals.dead_lettered):
        click.echo(
            f"{lying:,} inputs are in the dead-letter topic of {input_topic}, {totals.dead_lettered:,} of them since "
            f"this run: see why with 'tagstream topics peek {dead_letter_name(input_topic)}', and try them again with "
            f"'tagstream topics redrive {input_topic}'.",
            err=True,
        )
        sys.exit(DONE_IN_PART)


def _answers(worker: Worker) -> tuple[Callable[[], None], Callable[[], None]]:
    def drain() -> None:
        worker.drain()
        click.echo("Stopping: steps that run are finished, the rest is given back. Once more kills them.", err=True)

    def kill() -> None:
        worker.kill()
        click.echo("Killing the steps.", err=True)

    return drain, kill


def _environment(aws: Aws) -> Mapping[str, str]:
    """What leads a step to the same cloud as this command."""
    if aws.is_local:
        from tagstream.local.cloud import connection

        return connection().environment()
    given = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_REGION": aws.region,
        "AWS_PROFILE": aws.profile,
    }
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def _shown() -> Iterator[Any]:
    """The totals on one line of the terminal, renewed as they grow; nothing when standard error is none."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("Waiting for messages") as status:
        yield lambda totals: status.update(Text(str(totals)))


@click.command("order-check")
@click.option("--messages", type=click.IntRange(1), default=1000, show_default=True, help="Messages to each topic.")
@click.option("--groups", type=click.IntRange(1), default=10, show_default=True, help="Groups they belong to.")
@click.option("--consumers", type=click.IntRange(1), default=4, show_default=True, help="Threads that consume.")
@json_option
@aws_options
def order_check(*, messages: int, groups: int, consumers: int, as_json: bool, aws: Aws) -> None:
    """See what FIFO topics are for: the same messages through a standard and a FIFO topic, side by side.

    Makes both topics, sends numbered messages in groups (every tenth one twice), lets several consumers work on them,
    counts the pairs that were worked on in the wrong order within their group, the duplicates and the losses, and
    deletes both topics. Exit code 1 if the FIFO topic broke its promise.

    \b
    Examples:
      tagstream topics order-check
      tagstream topics order-check --messages 200 --groups 5 --json
      tagstream topics order-check --stage dev --profile work
    """
    from tagstream.topics.order_check import order_check as check

    client = client_of(aws)
    stopped = threading.Event()
    # No exception, which would leave a topic behind that is just being made.
    with (
        answered(stopped.set) as signals,
        progress("Receiving", total=2 * messages, unit="messages") as advance,
    ):
        reports = check(
            client,
            messages=messages,
            groups=groups,
            consumers=consumers,
            on_progress=advance,
            stopped=stopped.is_set,
        )
    columns = ("kind", "sent", "repeated", "received", "out_of_order", "duplicates", "lost", "seconds")
    emit([asdict(report) for report in reports], as_json=as_json, columns=columns)
    if signals:
        click.echo("Interrupted. Both topics are deleted.", err=True)
        sys.exit(exit_code(signals[0]))
    fifo = reports[-1]
    if fifo.out_of_order or fifo.duplicates or fifo.lost:
        click.echo("The FIFO topic did not keep its promise.", err=True)
        sys.exit(FAILED)
