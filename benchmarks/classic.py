"""What Tagstream is measured against: photos classified as one did it in 2016, and plainly with LiteRT."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["classic", "plain"]


def classic() -> Callable[[str], int]:
    """Pillow decodes in full, Keras' Inception-V3 predicts, in TensorFlow; on as many threads as there are cores.

    The weights are random: they say nothing about the photo, and take as long.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import numpy
    import tensorflow
    from PIL import Image

    granted = len(os.sched_getaffinity(0))
    tensorflow.config.threading.set_intra_op_parallelism_threads(granted)
    tensorflow.config.threading.set_inter_op_parallelism_threads(granted)
    net = tensorflow.keras.applications.InceptionV3(weights=None)
    prepare = tensorflow.keras.applications.inception_v3.preprocess_input

    def run(path: str) -> int:
        with Image.open(path) as photo:
            coloured = photo if photo.mode == "RGB" else photo.convert("RGB")
            pixels = numpy.asarray(coloured.resize((299, 299)), numpy.float32)
        return int(net.predict(prepare(pixels[numpy.newaxis].copy()), verbose=0)[0].argmax())

    return run


def plain(model: str, size: int, crop: float, mean: float, scale: float) -> Callable[[str], Any]:
    """Pillow decodes in full and LiteRT runs the net at ``model``; returns the scores.

    The photo is prepared as the net wants it: the middle ``crop`` of its shorter side, ``size`` pixels square, and
    each channel as ``(value - mean) / scale``.
    """
    import numpy
    from ai_edge_litert.interpreter import Interpreter
    from PIL import Image, ImageOps

    net = Interpreter(model_path=model, num_threads=len(os.sched_getaffinity(0)))
    net.allocate_tensors()
    source, result = net.get_input_details()[0]["index"], net.get_output_details()[0]["index"]

    def run(path: str) -> list[float]:
        with Image.open(path) as photo:
            photo.load()
            ImageOps.exif_transpose(photo, in_place=True)
            upright = photo if photo.mode == "RGB" else photo.convert("RGB")
        side = crop * min(upright.size)
        left, top = (upright.width - side) / 2, (upright.height - side) / 2
        square = upright.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        net.set_tensor(source, ((numpy.asarray(square, numpy.float32) - mean) / scale)[numpy.newaxis])
        net.invoke()
        scores: list[float] = net.get_tensor(result)[0].tolist()
        return scores

    return run


if __name__ == "__main__":
    # The classic way's cold start: this module is run as a program, with a photo as its argument.
    import sys

    print("ANSWER", classic()(sys.argv[1]), flush=True)
