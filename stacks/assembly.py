"""A synthesised assembly as a thing that is handed on, with what it was made with.

An *assembly* is the folder that ``cdk synth`` writes: templates, and the functions' bundles beside them. It is made
once, deployed as it is by another machine, and again when a later one turns out bad.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stacks.settings import SettingsError, own_context, settings_for

__all__ = ["made_with", "record"]

_RECORD = "tagstream.json"


def record(assembly: Path, context: Mapping[str, Any]) -> None:
    """Write into an assembly what it was made with, for whoever deploys it."""
    (assembly / _RECORD).write_text(json.dumps(own_context(context), indent=2, sort_keys=True) + "\n")


def made_with(assembly: Path, system: str) -> dict[str, Any]:
    """The context that an assembly of the stage ``system`` was made with; :class:`SettingsError` if it is not one."""
    try:
        context = json.loads((assembly / _RECORD).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise SettingsError([f"{assembly} holds no assembly: make one with 'make synth STAGE={system}'."]) from None
    except ValueError:
        raise SettingsError(
            [f"{assembly / _RECORD} cannot be read: make it anew with 'make synth STAGE={system}'."]
        ) from None
    theirs = settings_for(context).system
    if theirs != system:
        raise SettingsError(
            [f"{assembly} is for stage {theirs}, not {system}: give STAGE={theirs}, or another ASSEMBLY."]
        )
    return dict(context)
