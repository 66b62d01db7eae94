"""``tagstream images upload``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, aws_options, emit, json_option, progress
from tagstream.cli.images.shared import nothing_found
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog

if TYPE_CHECKING:
    from tagstream.pipeline.uploads import Outcome, Upload

__all__ = ["upload"]


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--prefix", default="", help="Put before every key, such as 'holidays/'.")
@click.option("-j", "--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="Uploads at a time.")
@click.option("--force", is_flag=True, help="Upload what is there unchanged as well.")
@click.option("--wait", is_flag=True, help="Wait until all of them can be searched, or were rejected.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds that --wait waits at most."
)
@json_option
@aws_options
def upload(
    paths: tuple[Path, ...],
    *,
    prefix: str,
    jobs: int,
    force: bool,
    wait: bool,
    timeout: float,
    as_json: bool,
    aws: Aws,
) -> None:
    """Upload photos; they can be searched some seconds later.

    A file keeps its name as its key. Of a folder, every image in it and below goes up, under its name
    relative to the folder. What is in the bucket already under that key is passed over if it is the same, and
    replaced otherwise; the bucket keeps the older version. So an upload that was interrupted goes on when it is
    repeated.

    \b
    Examples:
      tagstream images upload cat.jpg
      tagstream images upload ~/Pictures/2026 --prefix 2026/
      tagstream images upload ~/Pictures --wait

    Exit code 4 if some could not be uploaded, or with --wait were rejected or did not become searchable in time;
    1 if none could.
    """
    from tagstream.pipeline.uploads import find_uploads, upload_all

    uploads, left_out = find_uploads(paths, prefix=prefix)
    if left_out:
        click.echo(f"Left out {len(left_out)} files that are no images by name, such as {left_out[0]}.", err=True)
    if not uploads:
        nothing_found("There is nothing to upload.")
    _warn(uploads)
    bucket = aws.output("ingest", "BucketName")
    client = aws.client("s3", max_pool_connections=jobs)
    started = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        with progress("Uploading", total=len(uploads), unit="photos") as advance:
            for outcome in upload_all(client, bucket, uploads, workers=jobs, again=force):
                outcomes.append(outcome)
                advance()
                if as_json and not (wait and outcome.etag):
                    emit([_row(outcome, bucket)], as_json=True)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"{_told(outcomes, len(uploads))}; the same command goes on with the rest.")
        raise
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if not as_json:
        emit([_row(outcome, bucket) for outcome in failed], as_json=False, columns=("path", "reason"))
        seconds = time.monotonic() - started
        click.echo(f"{_told(outcomes, len(uploads))} to s3://{bucket}/{prefix} in {seconds:.1f} s.", err=True)
    there = [outcome for outcome in outcomes if outcome.etag]
    found = _wait(aws, bucket, there, timeout, as_json=as_json) if wait and there else len(there)
    if found < len(uploads):
        sys.exit(DONE_IN_PART if found else FAILED)


def _warn(uploads: Sequence[Upload]) -> None:
    from tagstream.pipeline.uploads import looks_like_a_photo

    strange = [one.path for one in uploads if not looks_like_a_photo(one.path)]
    if len(strange) == 1:
        click.echo(f"Warning: {strange[0]} is no photo by its content; it will be rejected.", err=True)
    elif strange:
        message = f"{len(strange)} files are no photos by their content, such as {strange[0]}; they will be rejected."
        click.echo(f"Warning: {message}", err=True)


def _told(outcomes: Iterable[Outcome], total: int) -> str:
    count = Counter(outcome.status for outcome in outcomes)
    told = f"Uploaded {count['uploaded']} of {total}"
    return told + (f" ({count['unchanged']} were there unchanged)" if count["unchanged"] else "")


def _row(outcome: Outcome, bucket: str) -> dict[str, Any]:
    one = outcome.upload
    row = {"path": str(one.path), "key": one.key, "s3_location": f"s3://{bucket}/{one.key}", "status": outcome.status}
    return row if outcome.error is None else row | {"reason": str(outcome.error)}


def _wait(aws: Aws, bucket: str, outcomes: Sequence[Outcome], timeout: float, *, as_json: bool) -> int:
    """Wait until the catalog has what was uploaded, say what was rejected and what is missing; how many are found."""
    from tagstream.pipeline.arrivals import arrivals

    left = {f"s3://{bucket}/{outcome.upload.key}": outcome for outcome in outcomes}
    expected = {location: outcome.etag or "" for location, outcome in left.items()}
    rejected: list[dict[str, Any]] = []
    try:
        with progress("Searchable", total=len(left), unit="photos") as advance:
            for image in arrivals(Catalog.over(aws).at, expected, timeout=timeout):
                row = _row(left.pop(image["s3_location"]), bucket) | {"status": image["status"]}
                if image["status"] == "rejected":
                    row["reason"] = image.get("reason")
                    rejected.append(row)
                elif as_json:
                    row["tags"] = image["tags"]
                advance()
                if as_json:
                    emit([row], as_json=True)
    except KeyboardInterrupt as interrupt:
        told = f"{len(outcomes) - len(left)} of {len(outcomes)} can be searched so far"
        interrupt.add_note(f"All are uploaded, {told}: the same command goes on waiting.")
        raise
    missing = [_row(outcome, bucket) | {"status": "missing"} for outcome in left.values()]
    if as_json:
        emit(missing, as_json=True)
    else:
        emit(rejected, as_json=False, columns=("key", "reason"), title="Rejected:")
    found = len(outcomes) - len(left) - len(rejected)
    told = f"{found} of {len(outcomes)} can be searched" + (f", {len(rejected)} were rejected" if rejected else "")
    if missing:
        such = f"{len(missing)} are not in the catalog after {timeout:g} s, such as {missing[0]['key']}"
        click.echo(f"{told}, {such}: the same command goes on waiting.", err=True)
    else:
        click.echo(f"{told}.", err=True)
    return found
