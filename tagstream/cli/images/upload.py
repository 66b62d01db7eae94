"""``tagstream images upload``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, Aws, aws_options, emit, json_option, progress
from tagstream.cli.images.shared import nothing_found, stack_output

__all__ = ["upload"]


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prefix", default="", help="Put before every key, such as 'holidays/'.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Uploads at a time.")
@json_option
@aws_options
def upload(paths: tuple[Path, ...], prefix: str, jobs: int, as_json: bool, aws: Aws) -> None:
    """Upload photos; they can be searched some seconds later.

    A file keeps its name as its key. Of a folder, every image in it and below goes up, under its name
    relative to the folder. What is in the bucket already under that key is replaced; the bucket keeps the
    older version.

    \b
    Examples:
      tagstream images upload cat.jpg
      tagstream images upload ~/Pictures/2026 --prefix 2026/
    """
    from tagstream.pipeline.uploads import find_uploads, upload_all

    uploads, left_out = find_uploads(paths, prefix=prefix)
    if left_out:
        click.echo(f"Left out {len(left_out)} files that are no images by name, such as {left_out[0]}.", err=True)
    if not uploads:
        nothing_found("There is nothing to upload.")
    bucket = stack_output(aws, "ingest", "BucketName")
    client = aws.client("s3", max_pool_connections=jobs)
    started, sent, failed = time.monotonic(), 0, []
    with progress("Uploading", total=len(uploads), unit="photos") as advance:
        for one, error in upload_all(client, bucket, uploads, workers=jobs):
            advance()
            row = {"path": str(one.path), "key": one.key, "s3_location": f"s3://{bucket}/{one.key}"}
            if error is None:
                sent += 1
            else:
                row["error"] = str(error)
                failed.append(row)
            if as_json:
                emit([row], as_json=True)
    if not as_json:
        emit(failed, as_json=False, columns=("path", "error"))
        seconds = time.monotonic() - started
        click.echo(f"Uploaded {sent} of {len(uploads)} to s3://{bucket}/{prefix} in {seconds:.1f} s.", err=True)
    if failed:
        sys.exit(DONE_IN_PART if sent else FAILED)
