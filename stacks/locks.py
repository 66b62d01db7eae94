"""What a lock pins: each package in its version, with the hashes of its files.

`make lock` writes a ``.lock`` beside each requirements file, in the form that pip installs from. One lock is for every
platform and Python: what differs between them has a marker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packaging.markers import Marker
from packaging.utils import canonicalize_name

__all__ = ["LockError", "Pin", "read_lock"]

_ENTRY = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)\s*(?:;(?P<marker>.*?))?\s*(?P<hashes>--hash=.*)?$"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class LockError(ValueError):
    """A lock that is not as `make lock` writes it; the message says which line."""


@dataclass(frozen=True)
class Pin:
    """One package of a lock. ``hashes``: the SHA-256 of each of its files, in hexadecimal."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    @property
    def requirement(self) -> str:
        """As pip reads it, without the marker."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{digest}" for digest in self.hashes)])

    def holds(self, environment: Mapping[str, str]) -> bool:
        """Whether it is installed there; what ``environment`` leaves out is as in this interpreter."""
        return not self.marker or Marker(self.marker).evaluate(dict(environment))


def read_lock(text: str) -> list[Pin]:
    """The pins of a lock, names in their normal form. Raises :class:`LockError`.

    >>> [pin] = read_lock('Six==1.17.0 ; python_version > "3" \\\\\\n    --hash=sha256:' + "a" * 64)
    >>> pin.name, pin.version, pin.marker, len(pin.hashes)
    ('six', '1.17.0', 'python_version > "3"', 1)
    """
    pins = []
    for whole in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = whole.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        hashes = tuple(_HASH.findall(entry["hashes"] or "")) if entry else ()
        # Nothing may stand there that is passed over: an option, another algorithm, half a hash.
        if entry is None or _HASH.sub("", entry["hashes"] or "").strip():
            raise LockError(f"{line[:80]!r} is not one version of a package with its hashes: run 'make lock'")
        pins.append(Pin(canonicalize_name(entry["name"]), entry["version"], (entry["marker"] or "").strip(), hashes))
    return pins
