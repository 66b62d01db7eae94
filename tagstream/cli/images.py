"""``tagstream images``: photos into the bucket, out of it, and found by what they show."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tagstream.cli.classify import classify
from tagstream.cli.common import (
    DONE_IN_PART,
    FAILED,
    NOTHING_FOUND,
    Aws,
    aws_options,
    emit,
    json_option,
    progress,
)
from tagstream.errors import CatalogError, ConfigurationError, QueryError

__all__ = ["images"]

_PAGE = 100


@click.group()
def images() -> None:
    """Upload, find, classify and remove photos.

    \b
    Examples:
      tagstream images upload ~/Pictures
      tagstream images search "hot dog" --min-score 0.9
      tagstream images search cat --json | jq -r .s3_location
      tagstream images show IMG_0012.jpg
      tagstream images rm IMG_0012.jpg

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 done in part.
    """


def _invoke(aws: Aws, capability: str, output: str, request: dict[str, Any]) -> dict[str, Any]:
    """Call a deployed function; raises :class:`CatalogError` with its error if it failed."""
    name = _output(aws, capability, output)
    # Longer than the functions may run, so that it is they who say what went wrong.
    client = aws.client("lambda", read_timeout=330)
    response = client.invoke(FunctionName=name, Payload=json.dumps(request).encode())
    answer = json.loads(response["Payload"].read() or b"null")
    if "FunctionError" in response:
        reason = answer.get("errorMessage") if isinstance(answer, dict) else answer
        raise CatalogError(f"function {name} failed: {reason}")
    if not isinstance(answer, dict):
        raise CatalogError(f"function {name} answered nothing of use: {answer!r}")
    return answer


def _output(aws: Aws, capability: str, output: str) -> str:
    outputs = aws.outputs(capability)
    if output not in outputs:
        raise ConfigurationError(
            f"stack tagstream-{aws.stage}-{capability} has no output {output}: deploy it again with this version"
        )
    return outputs[output]


def _ask(aws: Aws, request: dict[str, Any], limit: int) -> tuple[int, Iterator[dict[str, Any]]]:
    """How many images there are, and up to ``limit`` of them, fetched page by page as they are read."""

    def page(size: int, after: Any) -> dict[str, Any]:
        answer = _invoke(aws, "search", "SearchFunctionName", request | {"limit": size, "after": after})
        if "error" in answer:
            raise QueryError(answer["error"])
        return answer

    first = page(min(limit, _PAGE), None)

    def found() -> Iterator[dict[str, Any]]:
        answer, left = first, limit
        while True:
            yield from answer["images"]
            left -= len(answer["images"])
            if left <= 0 or answer["after"] is None:
                return
            answer = page(min(left, _PAGE), answer["after"])

    return first["total"], found()


def _top_tags(image: dict[str, Any], count: int = 3) -> str:
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in image.get("tags", [])[:count])


def _nothing_found(message: str) -> None:
    click.echo(message, err=True)
    sys.exit(NOTHING_FOUND)


_limit_option = click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="Images to list, at most."
)


@images.command()
@click.argument("tag")
@click.option("--min-score", type=click.FloatRange(0, 1), help="Only with at least this probability, 0 to 1.")
@click.option("--exact", is_flag=True, help="Only the tag itself: 'dog' is no 'hot dog' then.")
@_limit_option
@json_option
@aws_options
def search(*, tag: str, min_score: float | None, exact: bool, limit: int, as_json: bool, aws: Aws) -> None:
    """List the images that show TAG, the best score first.

    TAG matches whole words of a tag, in their order, whatever their case or plural: 'cat' finds
    'Egyptian cat' but no 'catamaran', and 'hot dogs' finds 'hot dog'.

    \b
    Examples:
      tagstream images search waterfall
      tagstream images search pizza --min-score 0.9
      tagstream images search cat --limit 1000 --json | jq -r .s3_location
    """
    request = {"query": "tag", "tag": tag, "min_score": min_score, "exact": exact}
    total, found = _ask(aws, request, limit)
    if total == 0:
        _nothing_found(f"No image shows {tag!r}" + ("." if min_score is None else f" with a score of {min_score}."))
    if as_json:
        emit(found, as_json=True)
        return
    rows = [image | {"all tags": _top_tags(image)} for image in found]
    emit(rows, as_json=False, columns=("title", "score", "tag", "all tags", "s3_location"))
    _say_if_more(len(rows), total)


@images.command()
@click.argument("title")
@click.option("--words", is_flag=True, help="Find TITLE as words in file names: 'cat' finds 'black-cat_2.jpg'.")
@_limit_option
@json_option
@aws_options
def show(title: str, words: bool, limit: int, as_json: bool, aws: Aws) -> None:
    """Say what the image called TITLE shows, with all its tags.

    TITLE is a file name, whatever its case, or the image's whole key or S3 location.

    \b
    Examples:
      tagstream images show IMG_0012.jpg
      tagstream images show s3://photos/2026/IMG_0012.jpg
      tagstream images show --words cat
    """
    total, found = _ask(aws, {"query": "title", "title": title, "exact": not words}, limit)
    if total == 0:
        _nothing_found(f"There is no image called {title!r}.")
    if as_json:
        emit(found, as_json=True)
        return
    shown = 0
    for image in found:
        shown += 1
        if shown > 1:
            click.echo()
        click.echo(f"{image['title']}  {image.get('s3_location', '')}")
        if image["status"] == "rejected":
            click.echo(f"rejected: {image.get('reason')}")
            continue
        click.echo(f"{image.get('width')} x {image.get('height')} pixels, by {image.get('model')}")
        emit(image["tags"], as_json=False, columns=("tag", "score"))
    _say_if_more(shown, total)


@images.command()
@_limit_option
@json_option
@aws_options
def rejected(limit: int, as_json: bool, aws: Aws) -> None:
    """List what could not be classified, and why, newest first."""
    total, found = _ask(aws, {"query": "rejected"}, limit)
    if total == 0:
        _nothing_found("Nothing was rejected.")
    rows = emit(found, as_json=as_json, columns=("title", "reason", "classified_at", "s3_location"))
    if not as_json:
        _say_if_more(rows, total)


def _say_if_more(shown: int, total: int) -> None:
    if shown < total:
        click.echo(f"{shown} of {total}; --limit shows more.", err=True)


@images.command()
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
    from tagstream.uploads import find_uploads, upload_all

    uploads, left_out = find_uploads(paths, prefix=prefix)
    if left_out:
        click.echo(f"Left out {len(left_out)} files that are no images by name, such as {left_out[0]}.", err=True)
    if not uploads:
        _nothing_found("There is nothing to upload.")
    bucket = _output(aws, "ingest", "BucketName")
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


@images.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@json_option
@aws_options
def rm(keys: tuple[str, ...], yes: bool, as_json: bool, aws: Aws) -> None:
    """Remove images from the bucket, and so from the catalog.

    KEY is an image's key in the bucket, or its S3 location. The bucket keeps the older versions.

    \b
    Examples:
      tagstream images rm 2026/IMG_0012.jpg
      tagstream images search cat --json | jq -r .key | xargs -d '\\n' tagstream images rm --yes
    """
    bucket = _output(aws, "ingest", "BucketName")
    client = aws.client("s3")
    wanted = list(dict.fromkeys(_key(name, bucket) for name in keys))
    there = [key for key in wanted if _exists(client, bucket, key)]
    rows: list[dict[str, Any]] = [{"key": key, "error": "no such image"} for key in wanted if key not in set(there)]
    if there and not yes:
        what = repr(there[0]) if len(there) == 1 else f"{len(there)} images"
        click.confirm(f"Remove {what} from s3://{bucket}?", abort=True, err=True)
    removed = 0
    for start in range(0, len(there), 1000):
        batch = [{"Key": key} for key in there[start : start + 1000]]
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": batch})
        done = [{"key": entry["Key"]} for entry in answer.get("Deleted", [])]
        removed += len(done)
        rows += done if as_json else []
        rows += [{"key": entry["Key"], "error": entry["Message"]} for entry in answer.get("Errors", [])]
    emit(rows, as_json=as_json, columns=("key", "error"))
    if not as_json:
        click.echo(f"Removed {removed} of {len(wanted)}.", err=True)
    if removed < len(wanted):
        sys.exit(DONE_IN_PART if removed else FAILED if there else NOTHING_FOUND)


def _key(name: str, bucket: str) -> str:
    if not name.startswith("s3://"):
        return name
    if not name.startswith(f"s3://{bucket}/"):
        raise ConfigurationError(f"{name} is not in this stage's bucket, s3://{bucket}/")
    return name.removeprefix(f"s3://{bucket}/")


def _exists(client: Any, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey", "NotFound"}:
            raise
        return False
    return True


@images.command()
@aws_options
def reindex(aws: Aws) -> None:
    """Move the catalog to a new version of its index, after a deploy that changed the mapping.

    Searching and indexing go on meanwhile; for the last moments updates wait in their queue. Interrupted, it
    can simply be started again.
    """
    moved: dict[str, Any] | None = None
    with progress("Reindexing", total=1.0) as advance:
        while moved is None or moved["state"] != "done":
            before = 0 if moved is None else moved["slice"]
            moved = _invoke(aws, "catalog", "PurgeFunctionName", {"action": "reindex", "progress": moved})
            advance((moved["slice"] - before) / moved["slices"])
    click.echo(f"The catalog is in {moved['index']}.", err=True)


images.add_command(classify)
