"""What every command shares: the AWS options, output for people and for pipes, errors and exit codes."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from tagstream.cli.signals import Interrupted, begin, exit_code, finish
from tagstream.deployed.aws import Aws, in_words
from tagstream.errors import TagstreamError

__all__ = [
    "DONE_IN_PART",
    "FAILED",
    "INTERRUPTED",
    "NOTHING_FOUND",
    "Failures",
    "aws_options",
    "columns_option",
    "emit",
    "json_option",
    "model_option",
    "progress",
]

FAILED = 1
NOTHING_FOUND = 3
DONE_IN_PART = 4
INTERRUPTED = exit_code(signal.SIGINT)

_PIPE_WIDTH = 100_000
_SHORTEST = 12
"""Characters that are left of a column that is cut."""

P = ParamSpec("P")
R = TypeVar("R")


class Failures(click.Group):
    """Turns the product's errors, AWS' errors and signals into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            begin()
            try:
                return self._invoke(ctx)
            finally:
                finish()
        except KeyboardInterrupt as interrupt:
            _end(interrupt)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TagstreamError as error:
            click.echo(f"Error: {error}", err=True)
        except click.Abort as error:
            # Click makes one exception of Ctrl-C, of the end of standard input, and of a question answered with no.
            if isinstance(error.__context__, KeyboardInterrupt):
                click.echo(err=True)
                _end(error.__context__)
            if isinstance(error.__context__, EOFError):
                click.echo("\nError: there is nobody to answer: give --yes to go ahead.", err=True)
            else:
                click.echo("Nothing was done.", err=True)
            sys.exit(FAILED)
        except BrokenPipeError:
            # The reader (`head`, say) has what it wants; keep the interpreter's last flush quiet too.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except Exception as error:
            message = in_words(error)
            if message is None:
                raise
            click.echo(f"Error: {message}", err=True)
        sys.exit(FAILED)


def _end(interrupt: KeyboardInterrupt) -> NoReturn:
    """With what the command says about going on, which is in the notes, as its last line."""
    click.echo(" ".join(["Interrupted.", *getattr(interrupt, "__notes__", ())]), err=True)
    sys.exit(exit_code(interrupt.number) if isinstance(interrupt, Interrupted) else INTERRUPTED)


def aws_options(command: Callable[..., R]) -> Callable[..., R]:
    """Adds --stage, --endpoint-url, --region and --profile; the command gets them as ``aws: Aws``."""

    @click.option("--stage", default="local", show_default=True, envvar="TAGSTREAM_STAGE", help="The deployed stage.")
    @click.option("--endpoint-url", envvar="AWS_ENDPOINT_URL", help="Another endpoint than AWS' own.")
    @click.option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], help="The AWS region.")
    @click.option("--profile", envvar="AWS_PROFILE", help="A profile of ~/.aws/config.")
    @functools.wraps(command)
    def wrapper(
        *args: Any,
        stage: str,
        endpoint_url: str | None,
        region: str | None,
        profile: str | None,
        **kwargs: Any,
    ) -> R:
        aws = Aws(stage, endpoint_url, region, profile)
        context = click.get_current_context()
        if aws.is_local and context.get_parameter_source("region") is ParameterSource.COMMANDLINE:
            raise click.UsageError("the local cloud has no regions: --region needs a --stage or --profile of AWS.")
        return command(*args, aws=aws, **kwargs)

    return wrapper


# Eager: what else was typed is looked at when this is known.
json_option = click.option("--json", "as_json", is_flag=True, is_eager=True, help="One JSON object a line, for pipes.")
model_option = click.option(
    "--model", help="A model's name, or its folder.  [default: what suits this machine: 'tagstream models list']"
)


def columns_option(*known: str, default: Sequence[str]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Adds --columns, checked against the names that are known; the command gets them as ``columns: Sequence[str]``."""

    def checked(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Sequence[str]:
        if value is None:
            return default
        if ctx.params.get("as_json"):
            raise click.UsageError("--columns is for the table; with --json each line has every field.", ctx)
        names = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            what = f"There is no column {unknown[0]!r}" if unknown else "No column is named"
            raise click.BadParameter(f"{what}; there are {', '.join(known)}.")
        return list(dict.fromkeys(names))

    return click.option(
        "--columns",
        metavar="NAME,…",
        callback=checked,
        help=f"The table's columns, of {', '.join(known)}.  [default: {','.join(default)}]",
    )


def emit(
    rows: Iterable[Mapping[str, Any]],
    *,
    as_json: bool,
    columns: Sequence[str] = (),
    title: str | None = None,
    shortened: str | None = None,
) -> int:
    """Print rows as a table for people or as one JSON object a line; returns how many.

    ``columns`` chooses and orders the table's columns; JSON always has every field, and is printed row by row
    as ``rows`` gives them. ``shortened`` is the column that is cut where a terminal is too narrow for them all.
    """
    if as_json:
        count = 0
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
            count += 1
        return count
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = list(rows)
    if not listed:
        return 0
    names = list(columns) or list(listed[0])
    heads = [name.replace("_", " ") for name in names]
    # Text, not markup: a file may be called "[red].jpg".
    cells = [[Text(_cell(row.get(name))) for name in names] for row in listed]
    # A pipe has no width: what reads it wants a row a line.
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    widths = [max(cell_len(head), *(row[at].cell_len for row in cells)) for at, head in enumerate(heads)]
    for at, (name, head) in enumerate(zip(names, heads, strict=True)):
        values = [row[name] for row in listed if row.get(name) is not None]
        numeric = bool(values) and all(isinstance(value, int | float) for value in values)
        if name == shortened:
            others = sum(widths) - widths[at] + 2 * (len(names) - 1)
            room = max(console.width - others, cell_len(head), _SHORTEST)
            table.add_column(head, overflow="ellipsis", no_wrap=True, max_width=room)
        else:
            table.add_column(head, justify="right" if numeric else "left", overflow="fold")
    for row_cells in cells:
        table.add_row(*row_cells)
    console.print(table)
    return len(listed)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def progress(description: str, *, total: float | None = None, unit: str = "") -> Any:
    """A rich progress bar on standard error; silent when that is no terminal.

    Used as ``with progress("Uploading", total=9) as advance: advance(1)``.
    """
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    @contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
            task = shown.add_task(description, total=total)
            yield lambda steps=1: shown.advance(task, steps)

    return bar()
