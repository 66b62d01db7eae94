"""Classification: one photo, a batch, and whether the fast path says what the slow one says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from benchmarks.measure import Contestant, cores, interleaved, say
from benchmarks.photos import enlarged, originals
from benchmarks.report import Results, Skipped, compared, faster, noted
from tagstream.classifier.models import load_classes
from tagstream.machine import int8_instructions

__all__ = ["agreement", "batch", "single"]

# Of which the targets are, whatever the default on this machine is.
DEFAULT = "efficientnet-lite0"
# The default on AWS, and wherever the processor has instructions for it, built as int8.
ON_AWS = "efficientnet-lite2"
MODELS = Path("build/models")
# What only a benchmark needs stays out of the list of models: full precision, and random weights.
SPARE_MODELS = Path("build/bench-models")
TIMED_PHOTOS = 5  # different ones, taken in turn
BATCH = 8
# Least score of the best tag for a photo to count: below, the net itself does not know.
SURE = 0.5


def builder() -> Callable[..., str]:
    """Builds models, in a process that may import TensorFlow."""

    def run(name: str, quantize: str, random_weights: bool, root: str) -> str:
        from tagstream.classifier.build import build_model

        return str(
            build_model(name, quantize=quantize, random_weights=random_weights, root=Path(root))  # type: ignore[arg-type]
        )

    return run


def build(name: str, quantize: str, *, spare: bool = False, random_weights: bool = False) -> str:
    """The folder of a model, which is built where it is missing."""
    with Contestant("benchmarks.classification:builder", on=sorted(os.sched_getaffinity(0))) as make:
        folder: str = make.answer(name, quantize, random_weights, str(SPARE_MODELS if spare else MODELS))[1]
    return folder


def recogniser(model: str) -> Callable[[str], dict[str, float]]:
    """Tagstream's own way: the public function."""
    from tagstream.classifier.classifier import run_image_recognition

    return lambda path: run_image_recognition(path, model=model)


def analyser(model: str) -> Callable[[str], dict[str, Any]]:
    """The classify function's work on a photo: what it shows, and what it says besides."""
    from tagstream.analysis import analyse
    from tagstream.classifier.classifier import Classifier
    from tagstream.classifier.models import find_model

    classifier = Classifier(find_model(model))

    def run(path: str) -> dict[str, Any]:
        seen = classifier.recognise(Path(path))
        if seen.photo is None:
            raise RuntimeError("nothing was handed on to the analysers")
        analysis = analyse(seen.photo)
        if analysis.notes:
            raise RuntimeError(f"an analyser failed: {analysis.notes}")
        return {"scores": seen.scores} | dict(analysis.facts)

    return run


def plain(model: str) -> Callable[[str], list[float]]:
    """The plain way with the model in a folder, prepared as that model wants it."""
    from benchmarks import classic
    from tagstream.classifier.models import load_info

    info = load_info(Path(model))
    run = classic.plain(str(Path(model) / "model.tflite"), info.input_size, info.crop, info.mean, info.std)
    if info.output == "probabilities":
        return run

    def probabilities(path: str) -> list[float]:
        import numpy

        logits = numpy.asarray(run(path), numpy.float64)
        powers = numpy.exp(logits - logits.max())
        scores: list[float] = (powers / powers.sum()).tolist()
        return scores

    return probabilities


def least(model: str) -> Callable[[str], None]:
    """What no way to a photo's tags can leave out: the JPEG decoded as small as the net would take it, and the net."""
    import numpy
    from PIL import Image

    from tagstream.classifier.classifier import Classifier
    from tagstream.classifier.models import find_model

    classifier = Classifier(find_model(model))
    size = classifier.info.input_size
    pixels = numpy.zeros((size, size, 3), numpy.uint8)

    def run(path: str) -> None:
        with Image.open(path) as photo:
            # At a quarter or an eighth of each side, nearly all that is left is entropy decoding.
            photo.draft("RGB", (size, size))
            photo.load()
        classifier.scores(pixels)

    return run


def single(rounds: int) -> Results:
    """One photo at a time on one core, all contestants by turns on the same photos."""
    results = Results()
    photos = originals()[:TIMED_PHOTOS]
    say("  building the models that are missing ...")
    factories = {
        "classic": ("benchmarks.classic:classic",),
        "lite0": ("benchmarks.classification:recogniser", build(DEFAULT, "fp16")),
        "lite0 and facts": ("benchmarks.classification:analyser", build(DEFAULT, "fp16")),
        "lite2 int8": ("benchmarks.classification:recogniser", build(ON_AWS, "int8")),
        "lite0 least": ("benchmarks.classification:least", build(DEFAULT, "fp16")),
        "lite0 plain": ("benchmarks.classification:plain", build(DEFAULT, "none", spare=True)),
        "inception": (
            "benchmarks.classification:recogniser",
            build("inception-v3", "fp16", spare=True, random_weights=True),
        ),
        "inception int8": (
            "benchmarks.classification:recogniser",
            build("inception-v3", "int8", spare=True, random_weights=True),
        ),
    }
    taken: dict[int, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        run = {name: stack.enter_context(Contestant(*made, on=cores(1))) for name, made in factories.items()}
        for megapixels in (2, 12):
            paths = [str(path) for path in enlarged(photos, megapixels)]
            say(f"  {rounds} rounds of {len(run)} contestants on {megapixels}-megapixel photos ...")

            def turn(contestant: Contestant, paths: list[str] = paths) -> Callable[[int], float]:
                return lambda round_: 1e3 * contestant(paths[round_ % len(paths)])

            taken[megapixels] = interleaved({name: turn(contestant) for name, contestant in run.items()}, rounds)

    for megapixels, target in ((2, 11.0), (12, 6.5)):
        times = taken[megapixels]
        results.rows.append(
            faster(
                f"{megapixels}-megapixel JPEG, {DEFAULT}, 1 core, against 2016's way",
                times["lite0"],
                times["classic"],
                target=target,
            )
        )
        results.rows.append(
            faster(
                f"{megapixels}-megapixel JPEG, the limit: entropy decoding and {DEFAULT} alone, against 2016's way",
                times["lite0 least"],
                times["classic"],
                target=None,
            )
        )
    for megapixels, target in ((2, 2.0), (12, 2.6)):
        times = taken[megapixels]
        results.rows.append(
            faster(
                f"{megapixels}-megapixel JPEG, inception-v3 fp16, 1 core, against 2016's way",
                times["inception"],
                times["classic"],
                target=target,
            )
        )
    for megapixels in (2, 12):
        times = taken[megapixels]
        results.rows.append(
            faster(
                f"{megapixels}-megapixel JPEG with colours, sharpness, hash and EXIF, against its tags alone",
                times["lite0 and facts"],
                times["lite0"],
                target=0.9,
            )
        )
    instructions = int8_instructions()
    for contestant, model, targets in (
        ("lite2 int8", f"{ON_AWS} int8", (11.0, 6.5)),
        ("inception int8", "inception-v3 int8", (6.0, 5.0)),
    ):
        for megapixels, target in zip((2, 12), targets, strict=True):
            name = f"{megapixels}-megapixel JPEG, {model}, 1 core, against 2016's way"
            times = taken[megapixels]
            held = target if instructions else None
            results.rows.append(faster(name, times[contestant], times["classic"], target=held))
            if not instructions:
                results.skipped.append(Skipped(name, "this processor has no int8 instructions, so no target is set"))
    if instructions:
        results.notes.append(f"int8 runs on {', '.join(instructions)} here.")
    results.rows.append(
        faster(
            f"12-megapixel JPEG, {DEFAULT}, 1 core, against plain Pillow + LiteRT fp32",
            taken[12]["lite0"],
            taken[12]["lite0 plain"],
            target=2.6,
        )
    )
    return results


class _Storage:
    """What the classify function needs of S3 and SQS, answered from this process' memory, at once."""

    def __init__(self, photos: list[str]) -> None:
        self._photos = {path: Path(path).read_bytes() for path in photos}

    def get_object(self, **request: str) -> dict[str, Any]:
        content = self._photos[request["Key"]]
        return {"Body": BytesIO(content), "ContentLength": len(content), "ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        return {"Successful": [{"Id": entry["Id"]} for entry in request["Entries"]]}


def ingest(model: str, photos: list[str]) -> Callable[[list[list[str]]], None]:
    """The classify function's work on batches of messages, one batch after the other; a message names a photo."""
    from tagstream.classifier import Classifier
    from tagstream.pipeline.ingest import Ingest

    classifier = Classifier(Path(model))
    storage = _Storage(photos)
    subject = Ingest(storage, storage, "queue", lambda: classifier)

    def message(photo: str) -> str:
        about = {"bucket": {"name": "photos"}, "object": {"key": quote_plus(photo), "sequencer": "0A"}}
        record = {"eventName": "ObjectCreated:Put", "eventTime": "2026-01-01T00:00:00Z", "s3": about}
        return json.dumps({"Records": [record]})

    def run(batches: list[list[str]]) -> None:
        for batch in batches:
            for outcome in subject.process({photo: message(photo) for photo in batch}).values():
                if [update.kind for update in outcome.updates] != ["classified"]:
                    raise RuntimeError(f"a photo was not classified: {outcome}")

    return run


def batch(rounds: int) -> Results:
    """Eight photos in one batch, as the classify function gets them, and in eight batches of one."""
    name = f"batch of {BATCH} 12-megapixel JPEGs, {DEFAULT}, 2 cores, against one after the other"
    if len(os.sched_getaffinity(0)) < 2:
        return Results(skipped=[Skipped(name, "only one core is granted to this process")])
    photos = [str(path) for path in enlarged(originals()[:BATCH], 12)]
    say(f"  {rounds} rounds ...")
    made, singly = ("benchmarks.classification:ingest", build(DEFAULT, "fp16"), photos), [[photo] for photo in photos]
    with Contestant(*made, on=cores(2)) as run, Contestant(*made, on=cores(1)) as on_one:
        times = interleaved(
            {
                "together": lambda _: 1e3 * run([photos]),
                "one by one": lambda _: 1e3 * run(singly),
                "on one core": lambda _: 1e3 * on_one(singly),
            },
            rounds,
        )
    # Two cores that were both busy all the time would take half of what one takes.
    limit = [milliseconds / 2 for milliseconds in times["on one core"]]
    return Results(
        [
            faster(name, times["together"], times["one by one"], target=1.6),
            faster(f"{name}: the limit, half of what it takes on one core", limit, times["one by one"], target=None),
        ]
    )


def agreement(_: int) -> Results:
    """Does the fast path name what full decoding and full precision name, does int8 name what fp16 names?"""
    photos = originals()
    everything = [*photos, *enlarged(photos, 2), *enlarged(photos, 12)]
    say(f"  {len(everything)} photos, the fast way and the plain way, int8 and fp16 ...")
    spare = build(DEFAULT, "none", spare=True)
    results = _agreement(
        everything,
        ("benchmarks.classification:recogniser", build(DEFAULT, "fp16")),
        ("benchmarks.classification:plain", spare),
        "the fast path as by full decoding + fp32",
        difference="largest difference of a score among them",
    )
    int8 = _agreement(
        everything,
        ("benchmarks.classification:recogniser", build(ON_AWS, "int8")),
        ("benchmarks.classification:recogniser", build(ON_AWS, "fp16")),
        f"{ON_AWS} in int8 as in fp16",
        difference="largest difference of a score by int8",
    )
    return Results([*results.rows, *int8.rows], [], [*results.notes, *int8.notes])


def _agreement(
    photos: list[Path], one: tuple[str, str], other: tuple[str, str], what: str, *, difference: str
) -> Results:
    """Of the photos that ``other`` is sure about, those that ``one`` names the same; both are factories and models."""
    # Named as the recogniser names them: a model that was built before may have other labels.
    labels = load_classes(Path(other[1]))[0]
    agreeing, counted, largest, where = 0, 0, 0.0, ""
    disagreeing = []
    with Contestant(*one, on=cores(1)) as ours, Contestant(*other, on=cores(1)) as theirs:
        for path in photos:
            answer = theirs.answer(str(path))[1]
            expected = answer if isinstance(answer, dict) else dict(zip(labels, answer, strict=True))
            found = ours.answer(str(path))[1]
            best = max(expected, key=expected.__getitem__)
            if expected[best] < SURE:
                continue
            counted += 1
            if max(found, key=found.__getitem__) == best:
                agreeing += 1
            else:
                disagreeing.append(path.name)
            most = max(abs(found[tag] - score) for tag, score in expected.items())
            if most > largest:
                largest, where = most, path.name
    name = f"top tag of {what} (top score ≥ {SURE})"
    return Results(
        [compared(name, agreeing, counted, unit="photos", at_least=1.0), noted(difference, largest, unit="of 1")],
        [],
        [
            f"Agreement, {what}: {counted} of {len(photos)} photos have a top score of at least {SURE}; the largest "
            f"difference is in {where or 'none'}; other top tags: {', '.join(disagreeing) or 'none'}."
        ],
    )
