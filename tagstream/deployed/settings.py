"""The settings of a stage, as the stacks beside this package have them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tagstream.errors import ConfigurationError
from tagstream.places import CHECKOUT

__all__ = ["StageSettings", "settings_of"]

_SECONDS = 60.0


@dataclass(frozen=True)
class StageSettings:
    """``values`` by the settings' names, ``domain.shards`` say; ``overloads`` are sentences about the declared load."""

    values: Mapping[str, Any]
    overloads: tuple[str, ...]


def settings_of(stage: str, context: Mapping[str, str]) -> StageSettings:
    """The settings of ``stage`` with the overrides of ``context``.

    Raises :class:`ConfigurationError` for a stage or a setting that there is not, and where the stacks are missing.
    """
    if CHECKOUT is None:
        raise ConfigurationError("the settings of stages are in the clone, under stacks/: run it from there.")
    done = subprocess.run(
        [sys.executable, "-m", "stacks", "settings", json.dumps({"stage": stage, **context})],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise ConfigurationError(f"the settings of stage {stage} could not be read: {last}")
    answer = json.loads(done.stdout)
    if answer["wrong"]:
        raise ConfigurationError("\nError: ".join(answer["wrong"]))
    return StageSettings(dict(_flat(answer["settings"])), tuple(answer["overloads"]))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """
    >>> dict(_flat({"model": "lite0", "domain": {"shards": 1}}))
    {'model': 'lite0', 'domain.shards': 1}
    """
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
