"""Commands that transfer files."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, aws_options, emit, json_option
from tagstream.cli.topics.claims import only_download_of
from tagstream.cli.topics.shared import client_of, compression_option, topic_argument, verbose_option
from tagstream.deployed.aws import Aws

if TYPE_CHECKING:
    from tagstream.topics import DownloadResult
    from tagstream.topics.progress import Progress

__all__ = ["download", "upload"]

_GAPS_SHOWN = 20


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@topic_argument
@click.option(
    "--lines", type=click.IntRange(1), help="Lines a parcel, at most.  [default: by the file: 100 to 20,000, see below]"
)
@click.option(
    "--batch-size", type=click.IntRange(1), help="Lines that a step will get at once: no parcel is larger than that."
)
@compression_option
@click.option("--encoding", type=click.Choice(["auto", "plain", "bz2"]), default="auto", hidden=True)
@click.option(
    "--decompress/--no-decompress", default=True, help="Read gzip and zstd files as what is in them (default)."
)
@click.option("--upload-id", help="Repeat an interrupted upload: what is there already is dropped by 'download'.")
@click.option(
    "--again",
    is_flag=True,
    help="With --upload-id, to a FIFO topic: also what SQS would drop as sent within 5 minutes.",
)
@verbose_option
@json_option
@aws_options
def upload(
    *,
    files: Sequence[str],
    topic: str,
    lines: int | None,
    batch_size: int | None,
    compression: Any,
    encoding: Any,
    decompress: bool,
    upload_id: str | None,
    again: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Publish every line of FILES in parcels; 'download' gives back the same bytes in the same order.

    Files compressed by gzip or zstd are read as what is in them; - is standard input. Nothing is sent when a line is
    too long for a message. Exit code 4 when not everything was accepted, or is in the topic.

    A million lines or more go in parcels of 20,000, fewer in 20 to 50 parcels, so that as many workers have something
    to do, but in no less than 100 lines each. A step is given a parcel at a time: say --batch-size if that is too much.

    Ctrl-C (exit code 130) and SIGTERM (143) end it with a last line that says how to go on.

    \b
    Examples:
      tagstream topics upload inputs.txt smiles
      tagstream topics upload part-*.txt.gz smiles --compression small
      tagstream topics upload photos.txt photos --batch-size 50
      zstdcat huge.zst | tagstream topics upload - smiles
    """
    from tagstream.topics import ParcelSettings, PublishFailed
    from tagstream.topics import upload as upload_files

    if list(files).count("-") > 1:
        raise click.UsageError("standard input can be read once: give - once.")
    if again and upload_id is None:
        raise click.UsageError("--again repeats an upload: give its --upload-id.")
    client = client_of(aws)
    client.url(topic)

    started: list[str] = []

    def on_start(id_: str) -> None:
        started.append(id_)
        click.echo(f"Upload {id_}: if it is interrupted, repeat the command with --upload-id {id_}.", err=True)

    with _standard_input(files) as paths:
        try:
            with _transfer("Uploading") as on_progress:
                result = upload_files(
                    client,
                    topic,
                    paths,
                    settings=ParcelSettings(
                        max_lines=lines, batch_size=batch_size, compression=compression, encoding=encoding
                    ),
                    upload_id=upload_id,
                    again=again,
                    decompress=decompress,
                    names=["standard input" if file == "-" else click.format_filename(file) for file in files],
                    on_start=on_start,
                    on_progress=on_progress,
                )
        except PublishFailed as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(DONE_IN_PART if error.result.accepted else FAILED)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(
                f"Repeat the command with --upload-id {started[0]} to go on." if started else "Nothing was sent."
            )
            raise
    if as_json:
        told = asdict(result)
        emit([{"files": told.pop("uploads")} | told], as_json=True)
    else:
        click.echo(
            f"{result.lines:,} lines, {result.bytes:,} bytes, {result.messages:,} messages, "
            f"{result.requests:,} requests (billed as {result.billed:,})."
        )
        for uploaded in result.uploads:
            click.echo(f"  {uploaded.file}: upload {uploaded.upload_id}, {uploaded.lines:,} lines")
    if result.missing:
        click.echo(
            f"About {result.missing:,} of {result.messages:,} messages are not in {topic}, which may have dropped them "
            "as repetitions: add --again to send them nevertheless.",
            err=True,
        )
        sys.exit(DONE_IN_PART)


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


@click.command()
@topic_argument
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--idle",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    envvar="TAGSTREAM_IDLE_TIMEOUT",
    help="Seconds without news: the end.",
)
@click.option(
    "--visibility-timeout", type=click.IntRange(1, 43200), default=60, show_default=True, help="Seconds to store ten."
)
@click.option("--partial", is_flag=True, help="Write the file even when parcels are missing.")
@click.option("--overwrite", is_flag=True, help="Replace FILE when it exists.")
@click.option("--shared", is_flag=True, help="Also while another download takes a part of TOPIC into another file.")
@verbose_option
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
    shared: bool,
    as_json: bool,
    aws: Aws,
) -> None:
    """Take all messages out of TOPIC and write their lines to FILE, in order and without duplicates; - is standard
    output.

    Exit code 4, and a list, when parcels are missing or messages in other hands: what came is kept beside FILE, and the
    same command goes on from there, as it does after a kill, after Ctrl-C (exit code 130) and after SIGTERM (143).

    \b
    Examples:
      tagstream topics download smiles outputs.txt
      tagstream topics download smiles-dead-letter outputs.txt --idle 5
      tagstream topics download smiles outputs.txt --partial
      tagstream topics download smiles - --idle 5 | sort | uniq -c
    """
    from tagstream.topics import DownloadIncomplete
    from tagstream.topics import download as download_file

    to_output = str(file) == "-"
    if to_output and as_json:
        raise click.UsageError("standard output has the lines: --json needs a file.")
    client = client_of(aws)
    if to_output:
        # On the disk first, as any other: what is acknowledged must not get lost with a pipe.
        file = Path(f".{topic.rsplit('/', 1)[-1]}.tagstream-stdout")
        if file.exists():
            raise click.UsageError(f"{file} has what an earlier download could not print: move it away first.")
    try:
        with only_download_of(client.url(topic), file, shared=shared), _transfer("Downloading") as on_progress:
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
        # The error has told the first ones.
        _tell_gaps(error.gaps, as_json, told=5)
        sys.exit(DONE_IN_PART)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"What came is kept beside {file}: the same command goes on from there.")
        raise
    if to_output:
        _print(file)
    if as_json:
        emit([asdict(result)], as_json=True)
    else:
        _tell(result, topic, None if to_output else file)
    if result.gaps or result.damaged or result.left:
        sys.exit(DONE_IN_PART)


def _tell(result: DownloadResult, topic: str, file: Path | None) -> None:
    where = "" if file is None else f" in {click.format_filename(file)}"
    told = f"{result.lines:,} lines, {result.bytes:,} bytes from {result.messages:,} messages{where}."
    click.echo(told, err=file is None)
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
    if not result.messages:
        click.echo(f"  No messages came: {topic} has none to give.", err=True)
    if result.gaps:
        _tell_gaps(result.gaps, False)


def _print(file: Path) -> None:
    """Give the file to standard output, and keep it where that does not take everything."""
    try:
        with file.open("rb") as content:
            shutil.copyfileobj(content, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BaseException:
        click.echo(f"All lines are in {file}.", err=True)
        raise
    file.unlink()


def _tell_gaps(gaps: Sequence[str], as_json: bool, told: int = 0) -> None:
    if as_json:
        emit([{"gaps": list(gaps)}], as_json=True)
        return
    for gap in gaps[told:_GAPS_SHOWN]:
        click.echo(f"  {gap}", err=True)
    if len(gaps) > _GAPS_SHOWN:
        click.echo(f"  and {len(gaps) - _GAPS_SHOWN:,} more: --json lists them.", err=True)


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
