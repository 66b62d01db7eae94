"""``tagstream images classify``: what photos on this machine show, without any cloud."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, emit, json_option, model_option, progress

if TYPE_CHECKING:
    from tagstream.tags import Tag

__all__ = ["classify"]


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
@model_option
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How many tags of each kind.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Leave out less.")
@json_option
@click.pass_context
def classify(
    ctx: click.Context, paths: tuple[Path, ...], *, model: str | None, top: int, min_score: float, as_json: bool
) -> None:
    """Say what photos show, on this machine alone. Folders are searched for files, hidden ones left out.

    Tags are what the model tells apart ("tabby cat") and what these are all in all ("cat", "animal"), with the sum of
    their scores. JSON has each tag's kind (leaf or ancestor), its parents and its aliases.

    \b
    Examples:
      tagstream images classify cat.jpg
      tagstream images classify ~/Pictures --top 3 --json | jq -r 'select(any(.tags[]; .tag == "dog")) | .path'

    Exit code 4 if some files are no photos, 1 if none is.
    """
    from tagstream.analysis import analyse
    from tagstream.classifier import Classifier, best_tags, granted_cores
    from tagstream.classifier.models import default_model, find_model
    from tagstream.classifier.quiet import quiet
    from tagstream.errors import ImageRejected

    with quiet():
        classifier = Classifier(find_model(model or default_model()))
    files = list(_files(paths))

    def row(path: Path) -> dict[str, Any]:
        try:
            seen = classifier.recognise(path)
        except ImageRejected as error:
            return {"path": str(path), "status": "rejected", "reason": error.reason, "tags": []}
        except OSError as error:
            return {"path": str(path), "status": "failed", "reason": error.strerror or str(error), "tags": []}
        tags = best_tags(
            seen.scores, min_score=min_score, max_tags=top, ancestors=seen.ancestors, min_ancestor_score=min_score
        )
        facts = analyse(seen.photo).facts if seen.photo else {}
        return {
            "path": str(path),
            "status": "classified",
            "width": seen.width,
            "height": seen.height,
            "model": classifier.name,
            "vocabulary": seen.vocabulary,
            "tags": [_described(tag, known=bool(seen.ancestors)) for tag in tags],
            **facts,
        }

    done, rejected = [], 0
    with progress("Classifying", total=len(files)) as advance, ThreadPoolExecutor(granted_cores()) as pool:
        for result in pool.map(row, files):
            advance(1)
            if "reason" in result:
                rejected += 1
                click.echo(f"{result['path']}: {result['reason']}", err=True)
            if as_json:
                emit([result], as_json=True)
            elif "reason" not in result:
                leaves, ancestors = (_listed(result["tags"], kind, top) for kind in ("leaf", "ancestor"))
                done.append({"path": result["path"], "tags": leaves, "ancestors": ancestors})
    emit(done, as_json=False, columns=("path", "tags", "ancestors"))
    if rejected:
        ctx.exit(FAILED if rejected == len(files) else DONE_IN_PART)
    if not files:
        click.echo("there are no files in there", err=True)
        ctx.exit(FAILED)


def _described(tag: Tag, *, known: bool) -> dict[str, Any]:
    """A tag with what the vocabulary knows of it; a model of one's own may have tags that it does not know."""
    from tagstream.vocabulary import load_tree

    concept = load_tree().concepts.get(tag.tag) if known else None
    return asdict(tag) | {
        "parents": list(concept.parents) if concept else [],
        "aliases": list(concept.aliases) if concept else [],
    }


def _listed(tags: list[dict[str, Any]], kind: str, most: int) -> str:
    return ", ".join(f"{tag['tag']} {tag['score']:.2f}" for tag in [tag for tag in tags if tag["kind"] == kind][:most])


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files named, and those in the folders named, in order of their names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))
