"""Answers of the search function in words for people: why images were found, what else there is, and why none was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["facets_in_words", "in_vain", "notes", "reasons"]

_NAMED = 8


def reasons(images: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each word that was found by a tag of another name.

    >>> list(reasons([{"matches": [{"term": "puppy", "tag": "dog", "how": "below", "said": "puppy"}]}]))
    ['puppy: showing dog']
    """
    related: dict[str, dict[str, float]] = {}
    lines: dict[str, None] = {}
    for match in (match for image in images for match in image.get("matches", ())):
        term, tag, how = match["term"], match["tag"], match["how"]
        if how == "related":
            related.setdefault(term, {})[tag] = match["similarity"]
        elif how == "spelling":
            read = f"{term}: read as {match['said']}"
            lines[read if tag == match["said"] else f"{read}, showing {tag}"] = None
        elif how in ("alias", "below"):
            lines[f"{term}: showing {tag}"] = None
    yield from lines
    for term, tags in related.items():
        best = sorted(tags.items(), key=lambda pair: -pair[1])
        yield f"{term}: related: " + ", ".join(f"{tag} {similarity:.2f}" for tag, similarity in best)


def facets_in_words(facets: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[str]:
    """A line for each facet that has a value."""
    for name, values in facets.items():
        if values:
            one = next(key for key in values[0] if key != "images")
            listed = [f"{value[one]} {value['images']}" for value in values]
            more = ", …" if len(listed) > _NAMED else ""
            yield f"{name}: {', '.join(listed[:_NAMED])}{more}"


def in_vain(query: str, about: Mapping[str, Any]) -> str:
    """What to say when a query found nothing.

    >>> dog = {"term": "dogg", "near": True, "tags": [{"tag": "dog", "images": 3}]}
    >>> in_vain("dogg", {"catalog": 9, "suggestions": [dog], "common": []})
    "No image shows 'dogg'. Did you mean dog (3)?"
    """
    if about.get("catalog") == 0:
        return "The catalog is empty: no photo has been classified yet ('tagstream images upload PATH...' sends some)."
    noted = {term["term"]: term["note"] for term in about.get("terms", ()) if term.get("note")}
    if noted and all(note.startswith("says nothing") for note in noted.values()):
        words = ", ".join(map(repr, noted))
        return f"{words} says nothing about what a photo shows: name what is to be seen, such as dog, food or beach."
    said = f"No image shows {query!r}."
    for word, note in noted.items():
        said = f"{said[:-1]}: {note}." if word == query else f"{said} {word}: {note}."
    for sentence in about.get("unsaid", ()):
        said += f" {sentence[0].upper()}{sentence[1:]}."
    suggestions = about.get("suggestions", [])
    near = [tag for suggestion in suggestions if suggestion["near"] for tag in suggestion["tags"]]
    if near:
        return f"{said} Did you mean {_either(near)}?"
    alone = [suggestion["tags"][0] for suggestion in suggestions]
    if alone:
        return f"{said} On their own there are: {_listed(alone)}."
    common = about.get("common", [])
    return f"{said} Most images here show: {_listed(common)} ('tagstream images tags' lists all)." if common else said


def notes(terms: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each note: words that were left out for the same reason together.

    >>> list(notes([{"term": "dog"}, {"term": "big", "note": "left out"}, {"term": "cute", "note": "left out"}]))
    ['big, cute: left out']
    """
    by_note: dict[str, list[str]] = {}
    for term in terms:
        if note := term.get("note"):
            by_note.setdefault(note, []).append(term["term"])
    for note, words in by_note.items():
        yield f"{', '.join(words)}: {note}"


def _listed(tags: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(f"{tag['tag']} ({tag['images']})" for tag in tags)


def _either(tags: Sequence[Mapping[str, Any]]) -> str:
    several = [f"{tag['tag']} ({tag['images']})" for tag in tags]
    return several[0] if len(several) == 1 else f"{', '.join(several[:-1])} or {several[-1]}"
