"""``tagstream models``: which models there are, how one is built, and how its scores are made to mean what they say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from tagstream.cli.common import DONE_IN_PART, FAILED, emit, json_option, model_option, progress
from tagstream.machine import default_models, int8_instructions

if TYPE_CHECKING:
    from tagstream.classifier.calibration import Bin, Calibration

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, build and calibrate the models that classify.

    \b
    Examples:
      tagstream models list
      tagstream models build
      tagstream models build efficientnet-lite2
      tagstream models build inception-v3 --weights inception_v3_weights_tf_dim_ordering_tf_kernels.h5
      tagstream models build efficientnet-lite0 --quantize int8 --samples ~/Pictures
      tagstream models calibrate --labelled ~/labelled
    """


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are ready, checked against their checksums, and those that can be built.

    The last line says which is used where none is named: what the processor runs best, or what TAGSTREAM_MODEL says.
    """
    from tagstream.classifier.models import MODELS, built_models, checked, default_model, installed_models
    from tagstream.errors import ModelError

    rows: list[dict[str, Any]] = []
    known = {folder.name: (folder, info) for folder, info in built_models()}
    for name, folder in installed_models().items():
        if name not in known:
            known[name] = (folder, checked(folder))
    for name, (folder, info) in sorted(known.items()):
        row: dict[str, Any] = {"model": name, "status": "ready"}
        if isinstance(info, ModelError):
            row |= {"status": "damaged", "reason": str(info)}
        else:
            row |= {
                "input_size": info.input_size,
                "quantization": info.quantization,
                "size": (folder / "model.tflite").stat().st_size,
                "weights": info.weights,
                "licence": info.licence,
                "source": info.source,
                "sha256": info.tflite_sha256,
                "path": str(folder),
            }
        rows.append(row)
    for name, spec in MODELS.items():
        if name not in known:
            rows.append(
                {
                    "model": name,
                    "status": "not built",
                    "input_size": spec.input_size,
                    "licence": spec.licence,
                    "source": spec.source,
                }
            )
    columns = ["model", "status", "input_size", "quantization", "size", "weights", "licence"]
    if any("reason" in row for row in rows):
        columns.append("reason")
    default = default_model()
    if as_json:
        rows = [row | {"default": row["model"] == default} for row in rows]
    else:
        rows = [row | ({"size": f"{row['size'] / 1e6:.1f} MB"} if "size" in row else {}) for row in rows]
    emit(rows, as_json=as_json, columns=columns)
    if not as_json:
        click.echo(f"\nThe default on this machine is {default}: {_why(default)}.", err=True)


def _why(default: str) -> str:
    """Why a model is the default here, by all that decides it."""
    names, instructions = default_models(), int8_instructions()
    if len(names) == 1:
        return "TAGSTREAM_MODEL says so"
    able = f"the processor has {', '.join(instructions)}" if instructions else "the processor has nothing for int8"
    return able if default == names[0] else f"{able}, but {names[0]} is not there"


@models.command()
@click.argument("name", required=False)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of weights instead of the published: Keras' .h5 for inception-v3, PyTorch's .pth for the others.",
)
@click.option(
    "--quantize",
    type=click.Choice(["fp16", "int8", "none"]),
    default="fp16",
    show_default=True,
    help="fp16 halves the file and changes nothing else; int8 is faster on some CPUs and changes some answers.",
)
@click.option(
    "--samples",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of photos that int8 is calibrated on; the published weights need none.",
)
@click.option("--force", is_flag=True, help="Build again what stands ready.")
def build(name: str | None, weights: Path | None, quantize: str, samples: Path | None, force: bool) -> None:
    """Build model NAME: efficientnet-lite0, efficientnet-lite2 or inception-v3, or one of these with -int8 behind it;
    without NAME, the default on this machine.

    It comes into build/models of the checkout, or, where Tagstream was installed, into ~/.cache/tagstream/models.

    --quantize int8 makes a model of its own beside the others, NAME-int8, and can be said by that name; none makes
    NAME-fp32. Inception-V3 is built by
    TensorFlow (pip install tensorflow); using a model never needs it.
    """
    from tagstream.classifier.build import Quantization, build_model
    from tagstream.classifier.models import MODELS, find_model

    if name is None:
        if weights or samples or quantize != "fp16":
            raise click.UsageError(
                "NAME is missing: --weights, --quantize and --samples are for a model that is named."
            )
        (name, *_) = default_models()
        if name.removesuffix("-int8") not in MODELS:
            # TAGSTREAM_MODEL names one of somebody's own, which has to be there.
            click.echo(str(find_model(name)))
            return
    if (plain := name.removesuffix("-int8")) in MODELS and plain != name:
        name, quantize = plain, "int8"
    made = build_model(
        name,
        weights=weights,
        quantize=cast(Quantization, quantize),
        samples=sorted(path for path in samples.rglob("*") if path.is_file()) if samples else (),
        force=force,
        report=lambda step: click.echo(f"{name}: {step}", err=True),
    )
    click.echo(str(made))


@models.command()
@click.option(
    "--labelled",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER|CSV",
    help="A folder with a folder of photos for each label, or a CSV file with the columns path and label.",
)
@model_option
@click.option("--diagram", type=click.Path(dir_okay=False, path_type=Path), help="Where the diagram goes, a .png.")
@click.option("--dry-run", is_flag=True, help="Measure only: leave the model as it is.")
@json_option
@click.pass_context
def calibrate(
    ctx: click.Context, *, labelled: Path, model: str | None, diagram: Path | None, dry_run: bool, as_json: bool
) -> None:
    """Fit the temperature that makes a model's scores mean what they say, on photos whose label is known.

    A label is one of the model's tags (labels.txt in its folder) or a WordNet id. Hundreds of photos like those to be
    classified, none of which the net was trained on, are best; 50 are needed. What is printed was measured on photos
    that the temperature was not fitted on. It is kept in model.json and used from the next start (or deploy) on; which
    tag comes first does not change, and a new build of the model forgets it.

    \b
    Examples:
      tagstream models calibrate --labelled ~/labelled --dry-run
      tagstream models calibrate --labelled labels.csv --model efficientnet-lite2 --diagram reliability.png

    Exit codes: 4 if photos were left out, 1 if nothing was kept since it would not help.
    """
    from tagstream.classifier import calibration
    from tagstream.classifier.models import default_model, find_model, keep_temperature, of_ones_own

    folder = find_model(model or default_model())
    scores, right, left_out = _scored(folder, labelled)
    result = calibration.calibrate(scores, right)
    if as_json:
        emit([{"model": folder.name, "temperature": result.temperature} | result.record()], as_json=True)
    else:
        _print_reliability(result)
    if diagram is not None:
        calibration.draw(result, folder.name, diagram)
        click.echo(f"The diagram is {diagram}.", err=True)
    at_an_end = not calibration.COLDEST * 1.01 < result.temperature < calibration.HOTTEST / 1.01
    if not result.helps or at_an_end:
        why = (
            "the labels hardly agree with the model" if at_an_end else "photos it was not fitted on are told no better"
        )
        click.echo(f"Nothing was kept: at temperature {result.temperature:.3g}, {why}.", err=True)
        ctx.exit(FAILED)
    if dry_run:
        click.echo(f"The temperature would be {result.temperature:.3f}; without --dry-run it is kept.", err=True)
    else:
        folder = of_ones_own(folder)
        keep_temperature(folder, round(result.temperature, 4), result.record())
        click.echo(f"Kept temperature {result.temperature:.3f} in {folder / 'model.json'}.", err=True)
    if left_out:
        click.echo(f"{left_out} photos were left out, as said above.", err=True)
        ctx.exit(DONE_IN_PART)


def _scored(folder: Path, labelled: Path) -> tuple[Any, Any, int]:
    """The scores of all labelled photos as the net gives them, the number of their class, and how many are left out."""
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    import numpy as np

    from tagstream.classifier import Classifier, granted_cores
    from tagstream.classifier.calibration import MOST_PHOTOS, class_numbers, labelled_photos
    from tagstream.classifier.quiet import quiet
    from tagstream.errors import ImageRejected

    with quiet():
        classifier = Classifier(folder)
    # What is fitted is the temperature of the net itself, whatever was fitted before.
    classifier.info = replace(classifier.info, temperature=1.0)
    numbers = class_numbers(classifier.labels, classifier.wordnet_ids)
    photos, unknown = [], Counter[str]()
    for path, label in labelled_photos(labelled):
        number = numbers.get(label.casefold())
        if number is None:
            unknown[label] += 1
        else:
            photos.append((path, number))
    for label, count in unknown.most_common(10):
        click.echo(f"{label!r} is no label of {folder.name}: {count} photos left out", err=True)
    if len(unknown) > 10:
        click.echo(f"… and {len(unknown) - 10} other labels", err=True)
    if len(photos) > MOST_PHOTOS:
        click.echo(f"Of {len(photos)} photos, {MOST_PHOTOS} are used, evenly chosen.", err=True)
        photos = [photos[number * len(photos) // MOST_PHOTOS] for number in range(MOST_PHOTOS)]

    def score(path: Path) -> Any:
        try:
            return classifier.scores(classifier.decode(path).pixels).astype(np.float32)
        except ImageRejected as error:
            return error.reason
        except OSError as error:
            return error.strerror or str(error)

    scores, right, left_out = [], [], unknown.total()
    with progress("Classifying", total=len(photos)) as advance, ThreadPoolExecutor(granted_cores()) as pool:
        for (path, number), answer in zip(photos, pool.map(score, [path for path, _ in photos]), strict=True):
            advance(1)
            if isinstance(answer, str):
                left_out += 1
                click.echo(f"{path}: {answer}", err=True)
            else:
                scores.append(answer)
                right.append(number)
    stacked = np.array(scores, np.float64).reshape(len(scores), len(classifier.labels))
    return stacked, np.array(right, np.int64), left_out


def _print_reliability(result: Calibration) -> None:
    afterwards = {one.low: one for one in result.bins_after}
    beforehand = {one.low: one for one in result.bins_before}
    rows = [
        {"best score": f"{low:.1f} to {low + 0.1:.1f}"}
        | _shares("before", beforehand.get(low))
        | _shares("after", afterwards.get(low))
        for low in sorted(beforehand.keys() | afterwards.keys())
    ]
    emit(rows, as_json=False)
    summary = [
        {"": "before", "right": result.before.accuracy, "NLL": result.before.nll, "ECE": result.before.ece},
        {
            "": "after, on held-out photos",
            "right": result.after.accuracy,
            "NLL": result.after.nll,
            "ECE": result.after.ece,
        },
    ]
    click.echo()
    emit(summary, as_json=False)
    folds = ", ".join(f"{fold:.3f}" for fold in result.folds)
    click.echo(f"\n{result.photos} photos of {result.classes} classes; temperatures of the five folds: {folds}")


def _shares(when: str, one: Bin | None) -> dict[str, Any]:
    if one is None:
        return {f"photos {when}": 0, f"mean score {when}": None, f"right {when}": None}
    return {f"photos {when}": one.photos, f"mean score {when}": one.score, f"right {when}": one.right}
