"""``tagstream local demo``: everything once, from an empty cloud to answers, with nothing left running."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from tagstream.catalog.meant import Shows
from tagstream.cli.common import emit, progress
from tagstream.cli.next_steps import called_as, steps
from tagstream.errors import ConfigurationError, LocalCloudError
from tagstream.local import project
from tagstream.local.cloud import HOME, Connection, LocalCloud
from tagstream.local.photos import PHOTOS, fetch
from tagstream.pipeline.uploads import Upload, find_uploads, upload_all
from tagstream.places import CHECKOUT, made

__all__ = ["run", "what_next"]

_PATIENCE = 120.0
"""Seconds without any news of any photo after which the rest is given up."""


@dataclass
class _Shown:
    """A photo on its way: when it was in the bucket (monotonic), and its document once it can be searched."""

    upload: Upload
    expected: frozenset[str] | None
    uploaded: float = 0.0
    seconds: float | None = None
    image: dict[str, Any] = field(default_factory=dict)
    found_by: str | None = None

    @property
    def tags(self) -> list[dict[str, Any]]:
        return list(self.image.get("tags") or [])

    @property
    def rejected(self) -> bool:
        return self.image.get("status") == "rejected"

    @property
    def guessed(self) -> bool:
        """Whether whatever the model says of it is a guess: it has no word for what this photo shows."""
        return self.expected is not None and not self.expected

    @property
    def problem(self) -> str | None:
        """Why this photo fails the demo; None if it doesn't."""
        if self.seconds is None:
            return "did not become searchable"
        if self.expected is None and (self.rejected or not self.tags):
            # Somebody's own folder may hold what is no photo, or shows nothing that the model has a word for.
            return None
        if self.guessed:
            return f"is rejected: {self.image['reason']}" if self.rejected else None
        if self.found_by is None:
            wanted = " or ".join(sorted(self.expected)) if self.expected else self.tags[0]["tag"]
            return f"is not found by {wanted}" + (f": {self.image['reason']}" if self.rejected else "")
        return None


def run(folder: Path | None = None) -> bool:
    """Show everything, with the demo's photos or those in ``folder``; whether every photo was found as it should."""
    project.ready(_say)
    began = time.monotonic()
    photos = _photos(folder)
    HOME.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="demo-", dir=HOME))
    try:
        with LocalCloud(directory, logs=HOME / "logs-demo", report=_say) as cloud:
            cloud.deploy()
            catalog = _Catalog(cloud.connection)
            _upload(cloud.connection, photos)
            _wait(catalog, photos)
            _look_up(catalog, photos)
            _print(photos)
            questions = _questions(photos, own=folder is not None)
            answered = _ask(cloud.connection, questions)
            _say("\nStopping the local cloud …")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    problems = [f"{shown.upload.key} {shown.problem}" for shown in photos if shown.problem]
    for problem in problems:
        _say(f"Failed: {problem}.")
    if problems:
        _say(f"What the functions said is in {HOME / 'logs-demo' / 'cloud.log'}")
    elif answered:
        _say(f"Done in {time.monotonic() - began:.0f} s: {_summary(photos)}. Nothing is left running.\n")
        _say(what_next(folder, questions))
    return answered and not problems


def _say(line: str) -> None:
    click.echo(line, err=True)


def _photos(folder: Path | None) -> list[_Shown]:
    if folder is not None:
        uploads, _ = find_uploads([folder])
        if not uploads:
            raise ConfigurationError(f"there are no photos in {folder}")
        return [_Shown(upload, None) for upload in uploads]
    _say("Getting the photos (25 MB the first time) …")
    paths = fetch(made() / "photos")
    return [_Shown(Upload(path, path.name), photo.tags) for path, photo in zip(paths, PHOTOS, strict=True)]


def _upload(connection: Connection, photos: list[_Shown]) -> None:
    bucket = connection.outputs("ingest")["BucketName"]
    by_key = {shown.upload.key: shown for shown in photos}
    _say(f"Uploading {len(photos)} photos to s3://{bucket} …")
    client = connection.client("s3", max_pool_connections=8)
    with progress("Uploading", total=len(photos), unit="photos") as advance:
        for outcome in upload_all(client, bucket, [shown.upload for shown in photos]):
            if outcome.error is not None:
                raise LocalCloudError(
                    f"{outcome.upload.path} could not be uploaded: {outcome.error}"
                ) from outcome.error
            by_key[outcome.upload.key].uploaded = time.monotonic()
            advance()


class _Catalog:
    """The catalog, asked through the deployed search function."""

    def __init__(self, connection: Connection) -> None:
        self._function = connection.outputs("search")["SearchFunctionName"]
        self._lambda = connection.client("lambda")

    def ask(self, **request: Any) -> dict[str, Any]:
        response = self._lambda.invoke(FunctionName=self._function, Payload=json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(response["Payload"].read())
        if "FunctionError" in response or "error" in answer:
            raise LocalCloudError(f"the search function failed: {answer}")
        return answer

    def image(self, key: str) -> dict[str, Any] | None:
        found = self.ask(query="title", title=key)["images"]
        return next((image for image in found if image["key"] == key), None)

    def keys(self, tag: str) -> set[str]:
        """The keys of all images that have exactly this tag."""
        keys: set[str] = set()
        after = None
        while True:
            answer = self.ask(query="tag", tag=tag, exact=True, limit=100, after=after)
            keys |= {image["key"] for image in answer["images"]}
            after = answer["after"]
            if after is None:
                return keys


def _wait(catalog: _Catalog, photos: list[_Shown]) -> None:
    """Ask the search function for each photo until it knows it, or nothing has come for a long time."""
    _say("Waiting until each is searchable …")
    left = list(photos)
    last_news = time.monotonic()
    with progress("Searchable", total=len(photos), unit="photos") as advance:
        while left and time.monotonic() - last_news < _PATIENCE:
            for shown in list(left):
                image = catalog.image(shown.upload.key)
                if image is not None:
                    last_news = time.monotonic()
                    shown.image, shown.seconds = image, last_news - shown.uploaded
                    left.remove(shown)
                    advance()
            if left:
                time.sleep(0.05)


def _look_up(catalog: _Catalog, photos: list[_Shown]) -> None:
    """Search by the tags that should find each photo, and note which did."""
    known: dict[str, set[str]] = {}
    for shown in photos:
        own = [tag["tag"] for tag in shown.tags]
        for tag in own[:1] if shown.expected is None else [tag for tag in own if tag in shown.expected]:
            if tag not in known:
                known[tag] = catalog.keys(tag)
            if shown.upload.key in known[tag]:
                shown.found_by = tag
                break


def _print(photos: list[_Shown]) -> None:
    rows = [
        {
            "photo": shown.upload.key,
            "top tags and scores": f"rejected: {shown.image['reason']}"
            if shown.rejected
            else ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in shown.tags[:3]),
            "seconds": "never" if shown.seconds is None else f"{shown.seconds:.1f}",
        }
        for shown in photos
    ]
    click.echo()
    emit(rows, as_json=False)


def _questions(photos: list[_Shown], *, own: bool) -> list[list[str]]:
    """The kinds of question that get an answer; none if no photo has a tag."""
    if not own:
        return [
            # What it is in general, another word for it, a misspelt one, two at once; then all of one photo.
            ["search", "dog"],
            ["search", "food"],
            ["search", "furniture"],
            ["search", "dalmation"],
            ["search", "bird | building"],
            ["show", "coffee.png"],
            ["search", "strawberry", "--min-score", "0.8"],
        ]
    tagged = [shown for shown in photos if shown.tags]
    if not tagged:
        return []
    best = max(tagged, key=lambda shown: float(shown.tags[0]["score"]))
    tag, score = best.tags[0]["tag"], float(best.tags[0]["score"])
    # Rounded down, so that the photo itself is among the answers.
    least = f"{int(score * 10) / 10:.1f}"
    # A model's own label may have signs in it that mean something in a query.
    query = str(Shows(tuple(tag.split()), quoted=not tag.replace(" ", "").isalnum()))
    return [["search", query], ["show", best.upload.key], ["search", query, "--min-score", least]]


def what_next(folder: Path | None, questions: list[list[str]]) -> str:
    """What to type for a cloud that stays, with the same photos in it; the last question is asked again."""
    command = called_as()
    photos = shlex.quote(os.path.relpath(folder or made() / "photos"))
    typed = [
        (f"{command} local up", "start a cloud that stays" + (" (or: make up)" if CHECKOUT else "")),
        (f"{command} images upload {photos} --wait", "the same photos, until they can be searched"),
        *((f"{command} images {shlex.join(asked)}", "found by what they show") for asked in questions[-1:]),
        (f"{command} local down", "stop it and delete what it holds"),
    ]
    return f"What next:\n\n{steps(typed)}"


def _ask(connection: Connection, questions: list[list[str]]) -> bool:
    """Ask with the command line itself; whether each got an answer."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TAGSTREAM_"))}
    environment |= connection.environment()
    answered = True
    for arguments in questions:
        click.echo(f"\n$ {shlex.join(['tagstream', 'images', *arguments])}")
        sys.stdout.flush()
        command = [sys.executable, "-c", "from tagstream.cli import main; main()", "images", *arguments]
        answered &= subprocess.run(command, env=environment, check=False).returncode == 0
    return answered


def _summary(photos: list[_Shown]) -> str:
    rejected = sum(shown.rejected for shown in photos)
    untagged = sum((shown.guessed or not shown.tags) and not shown.rejected for shown in photos)
    parts = [f"{sum(shown.found_by is not None for shown in photos)} of {len(photos)} photos found by what they show"]
    parts += [f"{rejected} rejected"] if rejected else []
    parts += [f"{untagged} with nothing that the model has a word for"] if untagged else []
    return ", ".join(parts)
