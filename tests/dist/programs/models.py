"""A model is built where the user's are kept, and used from there."""

import os
import sys
from pathlib import Path

import tagstream
from tagstream.classifier.build import build_model
from tagstream.classifier.models import find_model
from tagstream.machine import DEFAULT_MODELS

for name in DEFAULT_MODELS:
    assert find_model(name).is_relative_to(sys.prefix), "it was installed"
for name in ("efficientnet-lite0", "efficientnet-lite2"):
    folder: Path = build_model(name)
    assert folder == find_model(name) == Path(os.environ["XDG_CACHE_HOME"], "tagstream", "models", name)
    scores = tagstream.run_image_recognition(sys.argv[1], model=name)
    assert scores["drum"] > 0.5, scores["drum"]
