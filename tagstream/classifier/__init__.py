"""What a photo shows: photos to tags with scores, by a small ImageNet net in LiteRT."""

from __future__ import annotations

from tagstream.errors import needs as _needs

with _needs("classify"):
    from tagstream.classifier.classifier import (
        MIN_ANCESTOR_SCORE,
        Classifier,
        Recognition,
        best_tags,
        granted_cores,
        run_image_recognition,
    )
    from tagstream.classifier.decode import Decoded, Limits

__all__ = [
    "MIN_ANCESTOR_SCORE",
    "Classifier",
    "Decoded",
    "Limits",
    "Recognition",
    "best_tags",
    "granted_cores",
    "run_image_recognition",
]
