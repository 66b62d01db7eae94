"""Steps that are Python functions: from the bytes of an input to those of its output, in the worker's own process.

>>> from tagstream.topics import Topics, process
>>> from tagstream.topics.testing import MemorySqs
>>> topics = Topics(MemorySqs())
>>> for name in ("smiles", "lower"):
...     topics.create(name)
>>> process(topics, "smiles", "lower", bytes.lower, workflow_id="lower", idle_timeout=0)
(0, 0)
"""

from __future__ import annotations

import traceback
from collections.abc import Callable

from tagstream.errors import TopicError
from tagstream.topics.errors import StepFailed

__all__ = ["FunctionStep", "by_line"]

_TAIL_LINES = 20


class FunctionStep:
    """A function as a step.

    An exception is a failure of its input, which is tried again and then dead-lettered with the exception; anything but
    bytes as a result ends the worker with a :class:`TopicError`.

    It is called by several threads at once where there are several workers. It has no time limit, and is not killed:
    what may hang, and what others should not share a process with, is a program's business (see
    :class:`tagstream.topics.Step`).

    >>> FunctionStep(bytes.upper).run(b"cco\\n")
    b'CCO\\n'
    """

    def __init__(self, function: Callable[[bytes], bytes], *, workflow_id: str = "") -> None:
        self.name = getattr(function, "__name__", type(function).__name__).strip("<>")
        self.workflow_id = workflow_id
        self._function = function
        self._killed = False

    def run(self, data: bytes) -> bytes:
        """What the function makes of ``data``; raises :class:`StepFailed` when it raises anything."""
        if self._killed:
            raise StepFailed(f"step {self.name} was not started: the worker is stopping.")
        try:
            output = self._function(data)
        except _WrongResult:
            raise
        except (Exception, SystemExit) as error:
            told = "\n".join("".join(traceback.format_exception(error)).splitlines()[-_TAIL_LINES:])
            raise StepFailed(f"step {self.name} raised {type(error).__name__}: {error}.", stderr=told) from error
        if not isinstance(output, bytes):
            raise _WrongResult(
                f"step {self.name} returned {_kind(output)} where bytes were expected: a function that takes a line of "
                "text and returns one is made a step by by_line(function)."
            )
        return output

    def kill(self) -> None:
        """Later runs fail at once; one that runs goes on to its end."""
        self._killed = True


def by_line(function: Callable[[str], str | None]) -> Callable[[bytes], bytes]:
    """A function of a line, without its newline, as one of a file of lines. ``None`` leaves the line out.

    Lines are decoded as UTF-8; other bytes come through unchanged (as surrogates).

    >>> by_line(str.upper)(b"cco\\n\\xff\\n")
    b'CCO\\n\\xff\\n'
    """

    def step(data: bytes) -> bytes:
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        made = (function(line.decode(errors="surrogateescape")) for line in lines)
        return b"".join(_line(text, function) for text in made if text is not None)

    step.__name__ = getattr(function, "__name__", type(function).__name__)
    return step


def _line(text: str, function: object) -> bytes:
    if not isinstance(text, str):
        name = getattr(function, "__name__", "the function")
        raise _WrongResult(f"step {name} returned {_kind(text)} where a line of text, or None, was expected.")
    return text.encode(errors="surrogateescape") + b"\n"


class _WrongResult(TopicError):
    """The function is wrong, and not its input: trying again would dead-letter everything."""


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"
