"""What the processor of this machine is good at, and which model is the default on it therefore.

Nets that compute in bytes (int8) are twice as fast as others, and more, on processors that multiply bytes and add them
up in one instruction; where there is none, they are slower. So there are two defaults: docs/models.md.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["DEFAULT_MODELS", "default_model", "default_models", "int8_instructions"]

DEFAULT_MODELS = ("efficientnet-lite2-int8", "efficientnet-lite0")
"""The default where the processor has instructions for int8, and the one where it hasn't or doesn't say."""

_VARIABLE = "TAGSTREAM_MODEL"
_CPUINFO = Path("/proc/cpuinfo")
# Of these the int8 kernels of XNNPACK make use, which LiteRT computes with. On arm64, i8mm never comes alone.
_INSTRUCTIONS = {
    "amx_int8": "AMX",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "asimddp": "dot product",
    "i8mm": "i8mm",
}


def int8_instructions(cpuinfo: str | None = None) -> tuple[str, ...]:
    """The instructions of a processor that make int8 worth it, by the text of Linux' ``/proc/cpuinfo``.

    Without that text, those of this machine; none where nobody says, as on a Mac with a processor of Intel.

    >>> int8_instructions("flags : fpu avx2 avx512_vnni")
    ('AVX-512 VNNI',)
    """
    if cpuinfo is None:
        return _here()
    named = (line.partition(":") for line in cpuinfo.splitlines())
    # "flags" on x86-64, "Features" on arm64.
    flags = {flag for name, _, values in named if name.strip() in ("flags", "Features") for flag in values.split()}
    return tuple(name for flag, name in _INSTRUCTIONS.items() if flag in flags)


@functools.cache
def _here() -> tuple[str, ...]:
    if sys.platform == "darwin":
        # Every Mac of Apple's own has it, from the first on; a Python for Intel that is translated says x86_64.
        return (_INSTRUCTIONS["asimddp"],) if os.uname().machine == "arm64" else ()
    try:
        with _CPUINFO.open(encoding="utf-8", errors="replace") as file:
            # One core's, the first one's, will do: of many cores the file has hundreds of kilobytes.
            return int8_instructions(next((line for line in file if line.startswith(("flags", "Features"))), ""))
    except OSError:
        return ()


def default_models() -> tuple[str, ...]:
    """The names of the default models, the one for this machine first; the only one where ``TAGSTREAM_MODEL`` is set.

    That may be whatever a model is asked for by: a name, or a folder's path.
    """
    fixed = os.environ.get(_VARIABLE)
    if fixed:
        return (fixed,)
    return DEFAULT_MODELS if int8_instructions() else DEFAULT_MODELS[::-1]


def default_model(is_there: Callable[[str], bool]) -> str:
    """The first of :func:`default_models` that ``is_there``, or else the first: it is the one to get."""
    names = default_models()
    return next(filter(is_there, names), names[0])
