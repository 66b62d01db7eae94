"""``python -m benchmarks [--only NAME] [--rounds N] [--check]``."""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

import click

from benchmarks.measure import say
from benchmarks.report import Results, Skipped, document, machine, plot, table

# Name, the function that measures it, and what it measures. A function takes the number of rounds.
GROUPS = {
    "single": ("benchmarks.classification:single", "one photo on one core"),
    "batch": ("benchmarks.classification:batch", "eight photos on two cores"),
    "thumbnails": ("benchmarks.thumbnails:thumbnails", "a photo with its thumbnails, and without"),
    "agreement": ("benchmarks.classification:agreement", "the fast path's answers"),
    "bundle": ("benchmarks.bundle:bundle", "the classify function's bundle: size, cold start, memory"),
    "starts": ("benchmarks.starts:starts", "cold starts of the functions that ask OpenSearch"),
    "catalog": ("benchmarks.catalog:catalog", "the catalog function's requests"),
    "search": ("benchmarks.search:search", "searches, and what a document needs (OPENSEARCH_URL for a real one)"),
    "uploads": ("benchmarks.uploads:uploads", "the CPU that uploading small photos takes"),
    "pipeline": ("benchmarks.pipeline:pipeline", "upload to searchable through the local cloud"),
    "simulation": ("benchmarks.replay:simulation", "the simulation's rates, against the local cloud's"),
    "web": ("benchmarks.web:web", "requests to the HTTP API through the local cloud (OPENSEARCH_URL for a real one)"),
    "gallery": ("benchmarks.gallery:gallery", "the gallery in Chromium: first sight, layout shift, script"),
    "vocabulary": ("benchmarks.vocabulary:vocabulary", "the vocabulary's size, and the time to read and use it"),
    "capacity": ("benchmarks.capacity:capacity", "what an image needs: tags, messages, disk (OPENSEARCH_URL)"),
    "topics": ("benchmarks.topics:topics", "files over topics, and the worker"),
}
LEAST_ROUNDS = 20


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only", multiple=True, type=click.Choice(list(GROUPS)), help="Measure this part only; may be given repeatedly."
)
@click.option(
    "--rounds",
    default=LEAST_ROUNDS,
    show_default=True,
    type=click.IntRange(min=1),
    help="Of which the medians are taken; fewer than 20 are for trying things.",
)
@click.option("--check", is_flag=True, help="Exit with 1 if a target is missed.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the JSON goes, and the plot beside it.  [default: build/bench.json, or bench-NAME.json with --only]",
)
def main(only: tuple[str, ...], rounds: int, check: bool, output: Path | None) -> None:
    """Measure Tagstream against its targets; print a table, write JSON and a plot.

    Exits with 0 although targets are missed (see --check), and with 1 if something could not be measured at all.
    """
    names = [name for name in GROUPS if name in only or not only]
    path = output or Path("build") / f"{'-'.join(['bench', *(names if only else [])])}.json"
    about = machine()
    results, failed = Results(), False
    for name in names:
        place, what = GROUPS[name]
        say(f"{name}: {what}")
        started = time.monotonic()
        try:
            module, function = place.split(":")
            part: Results = getattr(importlib.import_module(module), function)(rounds)
        except Exception as error:  # noqa: BLE001 - one part's trouble leaves the others their say; the exit code tells
            traceback.print_exc()
            part, failed = Results(skipped=[Skipped(name, f"failed: {error}")]), True
        results.rows += part.rows
        results.skipped += part.skipped
        results.notes += part.notes
        say(f"  took {time.monotonic() - started:.0f} s")
    if about["load"][0] > about["cores"] / 2:
        results.notes.append(f"The machine was busy with other things (load {about['load'][0]}): expect noise.")
    if rounds < LEAST_ROUNDS:
        results.notes.append(f"Medians of {rounds} rounds only.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(results, about, rounds))
    plot(results, about, path.with_suffix(".png"))
    print()
    print(f"{about['cpu']}, {about['cores']} cores, int8: {', '.join(about['int8_instructions']) or 'no instructions'}")
    print(f"The default model here: {about['default_model']}")
    print(table(results))
    print(f"\nWritten: {path}, {path.with_suffix('.png')}")
    missed = any(row.met is False for row in results.rows)
    sys.exit(1 if failed or (check and missed) else 0)


if __name__ == "__main__":
    main()
