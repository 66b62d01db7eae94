"""Docstrings as the site shows them: doctests become blocks of code, and roles (``:class:`` …) plain names."""

from __future__ import annotations

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"(?:^[ \t]*>>> .*\n?(?:^[ \t]*\S.*\n?)*\n?)+", re.MULTILINE)
_ROLE = re.compile(r":(?:class|func|data|meth|mod|attr|exc):`~?(?:[\w.]+\.)?(\w+)`")
_LITERAL = re.compile(r"``([^`]+)``")


class Docstrings(griffe.Extension):
    """Read by Griffe for each object."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Changes the text of the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)


def readable(text: str) -> str:
    """A docstring in Markdown.

    >>> readable("Raises :class:`a.B` for ``x``.\\n\\n>>> 1 + 1\\n2\\n").splitlines()
    ['Raises `B` for `x`.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    text = _ROLE.sub(r"`\1`", text)
    parts, last = [], 0
    for found in _DOCTEST.finditer(text):
        parts += [_LITERAL.sub(r"`\1`", text[last : found.start()]), f"```pycon\n{found[0].strip()}\n```\n"]
        last = found.end()
    return "".join([*parts, _LITERAL.sub(r"`\1`", text[last:])])
