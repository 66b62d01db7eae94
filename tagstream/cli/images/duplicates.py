"""``tagstream images duplicates``: which images are the same picture."""

from __future__ import annotations

from typing import Any

import click

from tagstream.cli.common import aws_options, emit, json_option, progress
from tagstream.cli.images.shared import nothing_found
from tagstream.deployed.aws import Aws
from tagstream.deployed.catalog import Catalog

__all__ = ["duplicates"]


@click.command()
@click.option(
    "--bits",
    type=click.IntRange(0, 7),
    default=6,
    show_default=True,
    help="How many of the 64 bits of their perceptual hashes may differ; 0 finds the nearest only.",
)
@click.option("--exact", is_flag=True, help="Only those that are equal byte for byte.")
@json_option
@aws_options
def duplicates(*, bits: int, exact: bool, as_json: bool, aws: Aws) -> None:
    """List the images that are the same picture: copies, resized or recompressed ones, some cropped a little.

    Of each picture the image to keep is the one of most pixels, then of most bytes, then the oldest. Nothing is
    removed: look first, different photos of one thing can look the same.

    \b
    Examples:
      tagstream images duplicates
      tagstream images duplicates --exact --json | jq -r .key | xargs -d '\\n' tagstream images rm
    """
    from tagstream.catalog import duplicates as pictures

    images = Catalog.over(aws).images()
    total = images.total
    unknown = 0

    def looked_at() -> Any:
        nonlocal unknown
        with progress("Reading the catalog", total=total, unit="images") as advance:
            for image in images:
                advance()
                unknown += "phash" not in image
                yield {name: value for name, value in image.items() if not (exact and name == "phash")}

    groups = list(pictures.duplicates(looked_at(), bits=bits))
    if not groups:
        nothing_found(f"None of {total} images is a copy of another.{_unknown(unknown, exact=exact)}")
    rows: list[dict[str, Any]] = [
        {"key": copy.key, "keep": group.keep, "size": copy.size, "bits": copy.bits}
        for group in groups
        for copy in group.copies
    ]
    if as_json:
        emit(rows, as_json=True)
        return
    shown = [{"keep": row["keep"], "copy": row["key"], "alike": _alike(row["bits"])} for row in rows]
    emit(shown, as_json=False, columns=("keep", "copy", "alike"))
    size = sum(row["size"] for row in rows)
    click.echo(
        f"{len(rows)} could go, {size / 1e6:,.1f} MB, of {len(groups)} pictures.{_unknown(unknown, exact=exact)}",
        err=True,
    )


def _alike(bits: int | None) -> str:
    return "byte for byte" if bits is None else f"{bits} of 64 bits differ"


def _unknown(count: int, *, exact: bool) -> str:
    """What could be compared by its bytes alone: photos of one shade, or classified before there were hashes."""
    return f" Of {count} without a perceptual hash only the bytes were compared." if count and not exact else ""
