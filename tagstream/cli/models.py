"""``tagstream models``: which models there are, and how one is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

from tagstream.cli.common import emit, json_option

__all__ = ["models"]


@click.group()
def models() -> None:
    """List and build the models that classify.

    \b
    Examples:
      tagstream models list
      tagstream models build efficientnet-lite2
      tagstream models build inception-v3 --weights inception_v3_weights_tf_dim_ordering_tf_kernels.h5
      tagstream models build efficientnet-lite0 --quantize int8 --samples ~/Pictures
    """


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that are ready, checked against their checksums, and those that can be built."""
    from tagstream.classifier.models import MODELS, MODELS_DIR, built_models
    from tagstream.errors import ModelError

    rows: list[dict[str, Any]] = []
    for folder, info in built_models():
        row: dict[str, Any] = {"name": folder.name, "state": "ready"}
        if isinstance(info, ModelError):
            row |= {"state": "damaged", "problem": str(info)}
        else:
            row |= {
                "input": info.input_size,
                "quantization": info.quantization,
                "megabytes": round((folder / "model.tflite").stat().st_size / 1e6, 1),
                "weights": info.weights,
                "licence": info.licence,
                "source": info.source,
                "sha256": info.tflite_sha256,
                "path": str(folder),
            }
        rows.append(row)
    for name, spec in MODELS.items():
        if not (MODELS_DIR / name).is_dir():
            rows.append(
                {
                    "name": name,
                    "state": "not built",
                    "input": spec.input_size,
                    "licence": spec.licence,
                    "source": spec.source,
                }
            )
    columns = ["name", "state", "input", "quantization", "megabytes", "weights", "licence"]
    if any("problem" in row for row in rows):
        columns.append("problem")
    emit(rows, as_json=as_json, columns=columns)


@models.command()
@click.argument("name")
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
    help="A folder of photos that int8 is calibrated on.  [default: build/photos]",
)
@click.option("--force", is_flag=True, help="Build again what stands ready.")
def build(name: str, weights: Path | None, quantize: str, samples: Path | None, force: bool) -> None:
    """Build model NAME into build/models: efficientnet-lite0, efficientnet-lite2 or inception-v3.

    int8 makes a model of its own beside the others, NAME-int8; none makes NAME-fp32. Needs TensorFlow
    (pip install -r requirements-models.txt); using a model does not.
    """
    from tagstream.classifier.build import Quantization, build_model
    from tagstream.classifier.models import MODELS_DIR

    folder = samples or MODELS_DIR.parent / "photos"
    made = build_model(
        name,
        weights=weights,
        quantize=cast(Quantization, quantize),
        samples=sorted(path for path in folder.rglob("*") if path.is_file()),
        force=force,
        report=lambda step: click.echo(f"{name}: {step}", err=True),
    )
    click.echo(str(made))
