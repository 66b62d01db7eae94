"""Parcels: many lines in one message, with what it takes to put a file together again, byte for byte.

A parcel's lines are in the message in one of four ways, told apart by the attribute that holds them:

===============  =====================================================================================================
the body         as they are: any consumer can read them. Only where every character is one that SQS accepts
parcel-zstd      compressed by zstd, as a binary attribute, which SQS carries and counts as it is (no base64)
parcel-bz2       compressed by bzip2, in the same way
parcel-bytes     as they are, as a binary attribute: lines that are no legal text and don't get smaller
===============  =====================================================================================================

The other attributes: ``parcel-upload`` (which upload), ``parcel-sequence`` (where in it, see :class:`Place`),
``parcel-lines`` (how many) and ``parcel-checksum`` (of the lines' bytes).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tagstream.errors import MissingPackage
from tagstream.topics.compression import BZ2, SMALL_BYTES, ZSTD, Compression, Packed, compress, decompress
from tagstream.topics.errors import Misuse, ParcelDamaged
from tagstream.topics.messages import (
    BATCH_ENTRIES,
    BILLED_BYTES,
    MAX_BYTES,
    Attribute,
    Message,
    Outgoing,
    is_legal_text,
)

__all__ = ["MAX_PARCEL_BYTES", "Level", "Parcel", "ParcelSettings", "Place", "outgoing", "parcels_of", "unpack"]

_UPLOAD, _SEQUENCE, _LINES, _CHECKSUM = "parcel-upload", "parcel-sequence", "parcel-lines", "parcel-checksum"
_BYTES = "parcel-bytes"

MAX_PARCEL_BYTES = MAX_BYTES - 2_048
"""The most bytes of lines in a parcel, and so of one line with its newline. The rest is for the attributes."""

_READABLE = BILLED_BYTES // BATCH_ENTRIES - 512
"""Up to this size, compression saves no request: ten such messages, the most in a batch, fit 64 KB anyway."""

_SIZES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)
_PARCELS_OF_A_FILE = 50


@dataclass(frozen=True, slots=True)
class ParcelSettings:
    """How lines become parcels.

    ``max_lines`` a parcel, and not more than ``max_bytes`` of lines (a longer line goes alone). More lines a parcel
    cost fewer requests and make coarser work for steps; None chooses by the file, see :meth:`lines_for`, but not more
    than ``batch_size``: what steps are to get at once, since a worker must split and publish again what is larger.

    ``compression``: ``fast`` or ``small``, see :mod:`tagstream.topics.compression`; with ``none``, lines stay readable
    in the body wherever SQS accepts them. ``encoding`` is the older way to ask for that: ``plain`` leaves every body
    readable that can be and compresses the rest, ``bz2`` compresses by bzip2 whatever gets smaller, however short.
    """

    max_lines: int | None = None
    max_bytes: int = MAX_PARCEL_BYTES
    encoding: Literal["auto", "plain", "bz2"] = "auto"
    compression: Compression = "fast"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.max_lines is not None and self.max_lines < 1:
            raise Misuse("a parcel needs at least 1 line: give a larger max_lines.")
        if not 1 <= self.max_bytes <= MAX_PARCEL_BYTES:
            raise Misuse(f"a parcel has 1 to {MAX_PARCEL_BYTES:,} bytes of lines: change max_bytes.")
        if self.encoding not in ("auto", "plain", "bz2"):
            raise Misuse("a parcel's encoding is auto, plain or bz2.")
        if self.compression not in ("fast", "small", "none"):
            raise Misuse("a parcel's compression is fast, small or none.")
        if self.batch_size is not None and self.batch_size < 1:
            raise Misuse("a batch needs at least 1 line: give a larger batch_size.")

    @property
    def bytes_at_most(self) -> int:
        """``max_bytes``, or as much as ``small`` makes smallest, if that is less."""
        return min(self.max_bytes, SMALL_BYTES) if self.compression == "small" else self.max_bytes

    def lines_for(self, lines: int) -> int:
        """How many lines a parcel has, of an upload of ``lines`` lines in all.

        Where ``max_lines`` leaves it open: 20 to 50 parcels, enough to keep as many workers busy, as long as each has
        from 100 lines (for fewer no step is worth its start) to 20,000 (more save next to nothing).

        >>> choice = ParcelSettings()
        >>> [choice.lines_for(lines) for lines in (0, 1_000, 8_000, 100_000, 1_000_000, 10**9)]
        [100, 100, 200, 2000, 20000, 20000]
        >>> ParcelSettings(batch_size=500).lines_for(1_000_000), ParcelSettings(max_lines=7).lines_for(1_000_000)
        (500, 7)
        """
        if self.max_lines is not None:
            return self.max_lines
        enough = (size for size in _SIZES if lines <= size * _PARCELS_OF_A_FILE)
        return min(next(enough, _SIZES[-1]), self.batch_size or _SIZES[-1])


@dataclass(frozen=True, slots=True, order=True)
class Level:
    """One number of a :class:`Place`: the ``index`` among its siblings, and whether it is the last of them.

    ``variant`` keeps siblings together that were made together: a step that is run twice over the same parcel may write
    something else the second time, and parts of both must not be mixed.
    """

    index: int
    variant: str = ""
    last: bool = False


_LEVEL_PATTERN = re.compile(r"(\d{1,18})(?:~([0-9a-z]{1,32}))?(\$)?")
_UPLOAD_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parcel belongs: the number of the parcel in its upload, then the number of the part of that, and so on.

    Written ``17`` for an uploaded parcel, ``17.0`` for the first part of what a step made of it; a ``$`` marks the last
    one of its siblings, and ``~`` their variant, so that it can be known whether anything is missing.

    >>> Place.parse("17.0~a1.2$")
    Place(levels=(Level(index=17, variant='', last=False), Level(index=0, variant='a1', last=False), \
Level(index=2, variant='', last=True)))
    >>> str(Place.parse("17.0~a1.2$"))
    '17.0~a1.2$'
    """

    levels: tuple[Level, ...]

    def __str__(self) -> str:
        return ".".join(
            f"{level.index}{'~' + level.variant if level.variant else ''}{'$' if level.last else ''}"
            for level in self.levels
        )

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what ``str()`` wrote; raises ValueError for anything else."""
        levels = []
        for part in text.split("."):
            match = _LEVEL_PATTERN.fullmatch(part)
            if match is None:
                raise ValueError(f"not a parcel's place: {text!r}")
            levels.append(Level(int(match[1]), match[2] or "", match[3] is not None))
        return cls(tuple(levels))

    @classmethod
    def of(cls, index: int, *, last: bool = False) -> Place:
        """The place of an uploaded parcel."""
        return cls((Level(index, "", last),))

    def part(self, index: int, *, last: bool, variant: str = "") -> Place:
        """The place of a part of what was at this place."""
        return Place((*self.levels, Level(index, variant, last)))

    @property
    def identity(self) -> str:
        """The same for every delivery of the same parcel: the place without the marks of the last."""
        return str(Place(tuple(replace(level, last=False) for level in self.levels)))


@dataclass(frozen=True, slots=True)
class Parcel:
    """Some lines: their bytes, newlines included. Only the last line of a file may lack one."""

    upload_id: str
    place: Place
    content: bytes

    @property
    def line_count(self) -> int:
        """How many lines; one without a newline counts as well.

        >>> Parcel("u", Place.of(0), b"CCO\\n\\nC").line_count
        3
        """
        return self.content.count(b"\n") + (not self.content.endswith(b"\n") and self.content != b"")

    @property
    def checksum(self) -> str:
        """BLAKE2b of the content, 64 bits, in hexadecimal."""
        return checksum(self.content)

    def lines(self) -> list[bytes]:
        """The lines, each with its newline (``\\n``; a carriage return before it is part of the line)."""
        lines = self.content.split(b"\n")
        last = lines.pop()
        return [line + b"\n" for line in lines] + ([last] if last else [])

    def parts(self, max_lines: int) -> Iterator[Parcel]:
        """The parcel cut into parts of ``max_lines``, at least one; each says where it belongs, and how it was cut.

        >>> [str(part.place) for part in Parcel("u", Place.of(7), b"a\\nb\\nc\\n").parts(2)]
        ['7.0~2', '7.1~2$']
        """
        lines = self.lines()
        starts = range(0, max(len(lines), 1), max_lines)
        for index, start in enumerate(starts):
            place = self.place.part(index, last=index == len(starts) - 1, variant=str(max_lines))
            yield Parcel(self.upload_id, place, b"".join(lines[start : start + max_lines]))


def is_upload_id(text: str) -> bool:
    """Whether this can be an upload's id: 1 to 80 letters, digits, hyphens and underscores."""
    return _UPLOAD_ID.fullmatch(text) is not None


def checksum(content: bytes) -> str:
    """BLAKE2b of the content, 64 bits, in hexadecimal: finds damage and differences, not forgery."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def parcels_of(
    upload_id: str, chunks: Iterable[bytes], *, parent: Place | None = None, variant: str = ""
) -> Iterator[Parcel]:
    """Number ``chunks`` (the content of each parcel) in order and mark the last; nothing becomes one empty parcel.

    With ``parent``, they are the parts of what was at that place.

    >>> [str(parcel.place) for parcel in parcels_of("u", [b"a\\n", b"b\\n"])]
    ['0', '1$']
    """

    def parcel(index: int, content: bytes, last: bool) -> Parcel:
        place = Place.of(index, last=last) if parent is None else parent.part(index, last=last, variant=variant)
        return Parcel(upload_id, place, content)

    index, held = 0, b""
    for count, chunk in enumerate(chunks):
        if count:
            yield parcel(index, held, False)
            index += 1
        held = chunk
    yield parcel(index, held, True)


def outgoing(parcel: Parcel, settings: ParcelSettings | None = None, *, fifo: bool = False, salt: str = "") -> Outgoing:
    """The message that carries a parcel.

    In a FIFO topic all parcels of an upload are one group, so that they are consumed in order, and a parcel that is
    published again within five minutes is dropped by SQS, unless it has another ``salt``.

    >>> outgoing(Parcel("u", Place.of(0), b"CCO\\n")).body
    'CCO\\n'
    """
    settings = settings or ParcelSettings()
    content, count = parcel.content, parcel.line_count
    attributes: dict[str, Attribute] = {
        _UPLOAD: parcel.upload_id,
        _SEQUENCE: str(parcel.place),
        _LINES: count,
        _CHECKSUM: parcel.checksum,
    }
    body = _body(content, settings)
    if body is None:
        packed = compress(content, "small" if settings.encoding == "bz2" else settings.compression)
        if packed is None:
            body = _text(content)
        if body is None:
            name, value = packed or (_BYTES, content)
            attributes |= {name: value} if content else {}
            body = f"{count} lines in attribute {name}" if content else "0 lines empty"
    group = parcel.upload_id if fifo else None
    # SQS looks at the id only: what would be another parcel with the same place must differ in it.
    once = f"{parcel.upload_id}/{parcel.place.identity}/{parcel.checksum}{salt}"
    key = hashlib.sha256(once.encode()).hexdigest() if fifo else None
    return Outgoing(body, attributes, group_id=group, deduplication_id=key)


def _body(content: bytes, settings: ParcelSettings) -> str | None:
    """The lines as they are, where they are to be readable and can be."""
    if settings.encoding == "bz2":
        return None
    if settings.encoding == "plain" or settings.compression == "none" or len(content) <= _READABLE:
        return _text(content)
    return None


def _text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if is_legal_text(text) else None


def unpack(message: Message) -> Parcel | None:
    """The parcel in a message, or None for a message that others put there; their body is all there is to it.

    Raises :class:`ParcelDamaged` when the message says that it is a parcel and its content does not match, and
    :class:`MissingPackage` when it was compressed by zstd, and there is none here.
    """
    upload, sequence = message.attributes.get(_UPLOAD), message.attributes.get(_SEQUENCE)
    lines, expected = message.attributes.get(_LINES), message.attributes.get(_CHECKSUM)
    if not (isinstance(upload, str) and isinstance(sequence, str) and isinstance(expected, str)):
        return None
    if not is_upload_id(upload):
        return None
    try:
        place = Place.parse(sequence)
    except ValueError:
        return None
    packed, raw = packed_content(message), message.attributes.get(_BYTES)
    if packed is not None:
        try:
            content = decompress(packed, MAX_PARCEL_BYTES)
        except MissingPackage as error:
            raise MissingPackage(
                f"parcel {place} of upload {upload} (message {message.id}) is compressed by zstd, and stays "
                f"unacknowledged: {error}",
                name=error.name,
            ) from None
    elif isinstance(raw, bytes):
        content = raw
    else:
        content = b"" if lines == 0 else message.body.encode()
    parcel = None if content is None else Parcel(upload, place, content)
    if parcel is None or parcel.checksum != expected or parcel.line_count != lines:
        raise ParcelDamaged(
            f"parcel {place} of upload {upload} (message {message.id}) is damaged: it stays unacknowledged."
        )
    return parcel


def packed_content(message: Message) -> Packed | None:
    """A parcel's content as it travelled, and the attribute that says how it was compressed; None where it was not."""
    for attribute in (ZSTD, BZ2):
        packed = message.attributes.get(attribute)
        if isinstance(packed, bytes):
            return attribute, packed
    return None
