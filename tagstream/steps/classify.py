"""A step that classifies photos: a line in names a photo, a line of JSON out says what it shows.

In: ``s3://bucket/key``, ``file:///path`` or a plain path (relative to the worker's working directory), as it is:
nothing is URL-decoded. Out, in the same order, one line for each::

    {"location": "s3://photos/cat.jpg", "model": "efficientnet-lite0", "width": 640, "height": 480,
     "tags": [{"tag": "tabby cat", "score": 0.71, "kind": "leaf"}, {"tag": "cat", "score": 0.98, "kind": "ancestor"}]}
    {"location": "s3://photos/notes.txt", "error": "it is no image of a known format"}

A photo that can never be read has an ``error``; what may pass (throttling, a network down) ends the step with
exit code 1, so that the whole input is tried again.

Settings (YAML), all optional: ``model`` (a name or a model's folder; default: the environment's ``MODEL_DIR``,
then this machine's default), ``max_tags`` (10, of the model's classes), ``min_score`` (0.01) and, for what classes
have in common ("cat"), ``min_ancestor_score`` (0.01).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from tagstream.errors import ConfigurationError, ImageRejected, TagstreamError

__all__ = ["ClassifySettings", "classify_lines", "main"]

# Codes of S3 that no retry mends.
_NEVER = {"403", "404", "AccessDenied", "InvalidBucketName", "InvalidObjectState", "NoSuchBucket", "NoSuchKey"}


@dataclass(frozen=True, slots=True)
class ClassifySettings:
    """What the settings file may say."""

    model: str = ""
    max_tags: int = 10
    min_score: float = 0.01
    min_ancestor_score: float = 0.01

    @classmethod
    def load(cls, path: str) -> ClassifySettings:
        """Of a YAML file, or the defaults if ``path`` is empty; raises :class:`ConfigurationError`."""
        if not path:
            return cls()
        import yaml

        try:
            values = yaml.safe_load(Path(path).read_text()) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigurationError(f"{path} is no readable YAML file: {error}") from error
        known = {item.name for item in fields(cls)}
        if not isinstance(values, dict) or not known.issuperset(values):
            raise ConfigurationError(f"{path} may set {', '.join(sorted(known))}, and nothing else.")
        try:
            settings = cls(
                model=str(values.get("model", "")),
                max_tags=int(values.get("max_tags", cls().max_tags)),
                min_score=float(values.get("min_score", cls().min_score)),
                min_ancestor_score=float(values.get("min_ancestor_score", cls().min_ancestor_score)),
            )
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{path}: max_tags and the least scores are numbers: {error}.") from error
        if settings.max_tags < 1 or not (0 <= settings.min_score < 1 and 0 <= settings.min_ancestor_score < 1):
            raise ConfigurationError(
                f"{path}: max_tags is 1 or more, min_score and min_ancestor_score from 0 to below 1."
            )
        return settings


def classify_lines(
    lines: list[str], settings: ClassifySettings, s3: Callable[[], Any], *, folder: Path
) -> list[dict[str, Any]]:
    """One answer for each line, in order; ``s3`` makes an S3 client, and is called only if a line needs it.

    ``folder`` holds the model. Raises what a retry may mend.
    """
    from tagstream.classifier import Classifier, best_tags, granted_cores

    classifier = Classifier(folder)
    most = classifier.limits.max_bytes
    client = s3() if any(line.startswith("s3://") for line in lines) else None

    def answer(line: str) -> dict[str, Any]:
        try:
            seen = classifier.recognise(_read(line, client, most))
        except ImageRejected as rejected:
            return {"location": line, "error": rejected.reason}
        tags = best_tags(
            seen.scores,
            min_score=settings.min_score,
            max_tags=settings.max_tags,
            ancestors=seen.ancestors,
            min_ancestor_score=settings.min_ancestor_score,
        )
        return {
            "location": line,
            "model": classifier.info.name,
            "width": seen.width,
            "height": seen.height,
            "tags": [asdict(tag) for tag in tags],
        }

    with ThreadPoolExecutor(granted_cores()) as pool:
        return list(pool.map(answer, lines))


def _read(location: str, s3: Any, most: int) -> bytes | Path:
    """The photo's bytes, or the path of a local file."""
    if location.startswith("s3://"):
        return _fetch(location, s3, most)
    path = Path(location.removeprefix("file://"))
    if not location or not path.is_file():
        raise ImageRejected("there is no such file")
    if not os.access(path, os.R_OK):
        raise ImageRejected("the file may not be read")
    return path


def _fetch(location: str, s3: Any, most: int) -> bytes:
    from botocore.exceptions import ClientError, ParamValidationError

    bucket, _, key = location.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise ImageRejected("the location has no bucket or no key: s3://bucket/key is wanted")
    try:
        found = s3.get_object(Bucket=bucket, Key=key)
    except ParamValidationError as error:
        raise ImageRejected("S3 allows no such bucket name or key") from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code not in _NEVER:
            raise
        raise ImageRejected(f"S3 says {code}: {error.response['Error'].get('Message', '')}".rstrip(": ")) from error
    with found["Body"] as body:
        if found["ContentLength"] > most:
            raise ImageRejected(f"the file has {found['ContentLength']:,} bytes, more than {most:,}")
        return cast(bytes, body.read())


def _model_folder(settings: ClassifySettings, environment: Mapping[str, str]) -> Path:
    from tagstream.classifier.models import default_model, find_model

    return find_model(settings.model or environment.get("MODEL_DIR") or default_model())


def _s3_client() -> Any:
    import botocore.session
    from botocore.config import Config

    return botocore.session.get_session().create_client(
        "s3", config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
    )


def main(arguments: list[str]) -> int:
    source, target, settings_file = [*arguments, ""][:3]
    logging.basicConfig(format="%(levelname)s %(message)s")
    try:
        settings = ClassifySettings.load(settings_file)
        # Bytes that are no UTF-8 stay recognisable: JSON's escapes carry them.
        text = Path(source).read_bytes().decode(errors="surrogateescape")
        lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []
        answers = classify_lines(lines, settings, _s3_client, folder=_model_folder(settings, os.environ))
    except TagstreamError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    with Path(target).open("w") as out:
        out.writelines(json.dumps(answer) + "\n" for answer in answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
