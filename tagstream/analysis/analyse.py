"""All analysers over one photo."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagstream.analysis import brightness, colors, origin, phash, sharpness
from tagstream.analysis.analyser import Analyser, Decoded, Photo
from tagstream.analysis.fields import Field

__all__ = ["ANALYSERS", "FIELDS", "Analysis", "analyse", "check_facts", "known_facts"]

ANALYSERS: tuple[Analyser, ...] = (
    brightness,
    colors,
    origin,
    phash,
    sharpness,
)
"""The analysers that every photo goes through: one line each."""

FIELDS: Mapping[str, Field] = {field.name: field for analyser in ANALYSERS for field in analyser.FIELDS}
"""All that they may say, by name."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """``facts``: field to JSON value. ``notes``: a sentence for each analyser that failed, whose facts are missing."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def analyse(decoded: Decoded, *, without: Collection[str] = (), analysers: Sequence[Analyser] = ANALYSERS) -> Analysis:
    """What the analysers say of a photo, but for the fields in ``without``. Does not raise."""
    photo = Photo(decoded.picture, decoded.exif)
    facts: dict[str, Any] = {}
    notes = []
    for analyser in analysers:
        declared = {field.name: field for field in analyser.FIELDS}
        try:
            found = {name: value for name, value in analyser.facts(photo).items() if name not in without}
            for name, value in found.items():
                declared[name].check(value)
        except Exception as error:  # noqa: BLE001  a photo without these facts is better than none
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            notes.append(f"without {', '.join(declared)}: {reason:.200}")
            continue
        facts |= found
    return Analysis(facts, tuple(notes))


def known_facts(facts: object) -> object:
    """``facts`` without those of which nothing is known here: a newer version has analysers more."""
    if not isinstance(facts, Mapping):
        return facts
    return {name: value for name, value in facts.items() if name in FIELDS}


def check_facts(facts: object) -> None:
    """Raise ValueError for what analysers cannot have said."""
    if not isinstance(facts, Mapping):
        raise ValueError(f"facts are {facts!r:.100}")
    for name, value in facts.items():
        if name not in FIELDS:
            raise ValueError(f"there is no fact called {name!r:.100}")
        try:
            FIELDS[name].check(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
