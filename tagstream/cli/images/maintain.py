"""``tagstream images rm | reindex``: what changes the bucket or the catalog."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, NOTHING_FOUND, aws_options, emit, json_option
from tagstream.cli.images.rebuild import moved
from tagstream.deployed.aws import Aws
from tagstream.errors import ConfigurationError

__all__ = ["reindex", "rm"]


@click.command()
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("--all-versions", is_flag=True, help="For good: every version that the bucket has of them.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@json_option
@aws_options
def rm(*, keys: tuple[str, ...], all_versions: bool, yes: bool, as_json: bool, aws: Aws) -> None:
    """Remove images from the bucket, and so from the catalog.

    KEY is an image's key in the bucket, or its S3 location. The bucket keeps the older versions, unless --all-versions
    deletes them, too: that can't be undone, and takes s3:DeleteObjectVersion, which no policy of a stage gives to
    people. Thumbnails go with the image. That there was an image of this key the catalog forgets after tombstone_days.

    \b
    Examples:
      tagstream images rm 2026/IMG_0012.jpg
      tagstream images rm 2026/IMG_0012.jpg --all-versions
      tagstream images search cat --json | jq -r .key | xargs -d '\\n' tagstream images rm --yes
    """
    bucket = aws.output("ingest", "BucketName")
    client = aws.client("s3")
    wanted = list(dict.fromkeys(_key(name, bucket) for name in keys))
    if all_versions:
        _remove_for_good(client, bucket, wanted, yes=yes, as_json=as_json)
        return
    there = [key for key in wanted if _exists(client, bucket, key)]
    rows: list[dict[str, Any]] = [
        {"key": key, "status": "missing", "reason": "no such image"} for key in wanted if key not in set(there)
    ]
    if there and not yes:
        what = repr(there[0]) if len(there) == 1 else f"{len(there)} images"
        click.confirm(f"Remove {what} from s3://{bucket}?", abort=True, err=True)
    removed = 0
    for start in range(0, len(there), 1000):
        batch = [{"Key": key} for key in there[start : start + 1000]]
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": batch})
        done = [{"key": entry["Key"], "status": "removed"} for entry in answer.get("Deleted", [])]
        removed += len(done)
        rows += done if as_json else []
        rows += [
            {"key": entry["Key"], "status": "failed", "reason": entry["Message"]} for entry in answer.get("Errors", [])
        ]
    emit(rows, as_json=as_json, columns=("key", "reason"))
    if not as_json:
        click.echo(f"Removed {removed} of {len(wanted)}.", err=True)
    if removed < len(wanted):
        sys.exit(DONE_IN_PART if removed else FAILED if there else NOTHING_FOUND)


def _remove_for_good(client: Any, bucket: str, wanted: list[str], *, yes: bool, as_json: bool) -> None:
    there = [key for key in wanted if any(_versions(client, bucket, key))]
    if there and not yes:
        what = repr(there[0]) if len(there) == 1 else f"{len(there)} images"
        click.confirm(f"Delete every version of {what} in s3://{bucket}, for good?", abort=True, err=True)
    rows: list[dict[str, Any]] = []
    deleted = 0
    for key in wanted:
        if key not in there:
            rows.append({"key": key, "status": "missing", "reason": "no such image"})
            continue
        failed = None
        # Markers last: without them, an older version would come up again until it is deleted as well.
        for markers in (False, True):
            versions = [version for version, is_marker in _versions(client, bucket, key) if is_marker is markers]
            for start in range(0, len(versions), 1000):
                objects = [{"Key": key, "VersionId": version} for version in versions[start : start + 1000]]
                answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects})
                deleted += len(answer.get("Deleted", ()))
                failed = next((entry["Message"] for entry in answer.get("Errors", ())), failed)
        if failed is not None:
            rows.append({"key": key, "status": "failed", "reason": failed})
        elif any(_versions(client, bucket, key)):
            rows.append({"key": key, "status": "failed", "reason": "somebody uploads it meanwhile"})
        elif as_json:
            rows.append({"key": key, "status": "removed"})
    emit(rows, as_json=as_json, columns=("key", "reason"))
    left = [row for row in rows if row["status"] == "failed"]
    if not as_json:
        click.echo(
            f"Deleted {deleted:,} versions of {len(there) - len(left)} of {len(wanted)} images, for good. That they "
            "were there is remembered for tombstone_days; logs and OpenSearch's snapshots keep what they have.",
            err=True,
        )
    if left or len(there) < len(wanted):
        sys.exit(DONE_IN_PART if deleted else FAILED if there else NOTHING_FOUND)


def _versions(client: Any, bucket: str, key: str) -> Iterator[tuple[str, bool]]:
    """The versions of an object, and whether each is but a delete marker."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        for kind in ("Versions", "DeleteMarkers"):
            yield from ((one["VersionId"], kind == "DeleteMarkers") for one in page.get(kind, ()) if one["Key"] == key)


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


@click.command()
@aws_options
def reindex(aws: Aws) -> None:
    """Move the catalog to a new version of its index, after a deploy that changed the mapping.

    Searching and indexing go on meanwhile; for the last moments updates wait in their queue. Interrupted, it
    can simply be started again.
    """
    click.echo(f"The catalog is in {moved(aws, 'reindex')}.", err=True)
