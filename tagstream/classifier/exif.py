"""The few tags of EXIF that anybody here asks for, read from whatever a stranger wrote there.

Pillow reads all of it, as long as it may be; this looks up the tags below, and takes nothing that is longer than they
need be. Source: CIPA DC-008 (Exif 2.32), on TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

__all__ = ["Exif", "read_exif"]

Exif: TypeAlias = dict[str, Any]
"""Tag to text, whole number or list of floats."""

_EXIF, _GPS = 0x8769, 0x8825
_TAGS = {
    "main": {0x010F: "Make", 0x0110: "Model", 0x0112: "Orientation", 0x0132: "DateTime"},
    "exif": {
        0x9003: "DateTimeOriginal",
        0x9004: "DateTimeDigitized",
        0x9010: "OffsetTime",
        0x9011: "OffsetTimeOriginal",
        0x9012: "OffsetTimeDigitized",
    },
    "gps": {1: "GPSLatitudeRef", 2: "GPSLatitude", 3: "GPSLongitudeRef", 4: "GPSLongitude"},
}
_MOST_ENTRIES = 1000
_LONGEST_TEXT = 200
_MOST_NUMBERS = 3
_ASCII, _SHORT, _LONG, _RATIONAL, _IFD = 2, 3, 4, 5, 13
_SIZES = {_ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, _IFD: 4}


def read_exif(data: bytes) -> Exif:
    """The tags by name, those that can be read; ``data`` is EXIF as a file holds it, or a whole TIFF. Never raises.

    Texts have at most 200 characters, lists at most three numbers, and all numbers are finite.
    """
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return {}
    found: Exif = {}
    main = {}
    for tag, value in _entries(data, order, _number(data, order, 4), _TAGS["main"].keys() | {_EXIF, _GPS}):
        main[tag] = value
    _keep(found, "main", main)
    for pointer, part in ((_EXIF, "exif"), (_GPS, "gps")):
        if isinstance(main.get(pointer), int):
            _keep(found, part, dict(_entries(data, order, main[pointer], _TAGS[part].keys())))
    return found


def _keep(found: Exif, part: str, values: dict[int, Any]) -> None:
    found.update({name: values[tag] for tag, name in _TAGS[part].items() if values.get(tag) is not None})


def _number(data: bytes, order: str, at: int) -> int:
    return int(struct.unpack_from(f"{order}I", data, at)[0]) if len(data) >= at + 4 else 0


def _entries(data: bytes, order: str, start: int, wanted: Any) -> Iterator[tuple[int, Any]]:
    """The wanted tags of one directory; no directory leads to another here, so none can lead in circles."""
    if not 8 <= start <= len(data) - 2:
        return
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for i in range(min(count, _MOST_ENTRIES)):
        at = start + 2 + 12 * i
        if at + 12 > len(data):
            return
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, at)
        if tag in wanted:
            yield tag, _value(data, order, kind, length, at + 8)


def _value(data: bytes, order: str, kind: int, length: int, at: int) -> Any:
    """A text, a whole number or a list of finite numbers; None if it is none of these, or not all there."""
    size = _SIZES.get(kind, 0) * length
    if size > 4:
        at = _number(data, order, at)
    if not size or at + size > len(data):
        return None
    if kind == _ASCII:
        return _text(data[at : at + min(size, _LONGEST_TEXT)].partition(b"\0")[0])
    if kind in (_SHORT, _LONG, _IFD) and length == 1:
        return int(struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", data, at)[0])
    if kind == _RATIONAL and length <= _MOST_NUMBERS:
        numbers = struct.unpack_from(f"{order}{2 * length}I", data, at)
        return _quotients(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return None


def _text(raw: bytes) -> str:
    """Not all cameras keep to ASCII: what cannot be UTF-8 is taken for Latin-1."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _quotients(pairs: list[tuple[int, int]]) -> list[float] | None:
    """What was not measured is written 0/0: no minutes are zero minutes."""
    if any(below == 0 and above != 0 for above, below in pairs):
        return None
    return [above / below if below else 0.0 for above, below in pairs]
