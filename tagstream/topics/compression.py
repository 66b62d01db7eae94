"""What makes a parcel's lines small, and back again within bounds.

What was tried on lines of about 50 bytes that look like molecules, in parcels of 20,000 lines, on one core:

==========  ========================  ==============  =====================================
choice      by                        lines a second  requests of 64 KB for a million lines
==========  ========================  ==============  =====================================
``fast``    zstd, level 6, adapted    1,950,000       150
``small``   bzip2, level 9            330,000         103
==========  ========================  ==============  =====================================
"""

from __future__ import annotations

import bz2
from typing import Literal

from tagstream.topics import zstd

__all__ = ["BZ2", "SMALL_BYTES", "ZSTD", "Compression", "Packed", "compress", "decompress"]

Compression = Literal["fast", "small", "none"]
"""``fast`` takes least of a machine's time, ``small`` costs least requests; see docs/topics.md for the sums."""

BZ2, ZSTD = "parcel-bz2", "parcel-zstd"
"""The attributes that hold what was compressed: each says how."""

SMALL_BYTES = 899_900
"""What bzip2 sorts at once: a parcel of more would begin a second block, which is compressed on its own, and badly."""

Packed = tuple[str, bytes]
"""One of these attributes and its value."""


def compress(content: bytes, how: Compression) -> Packed | None:
    """The content made smaller; None where that is not asked for, or does not make it smaller.

    Where this Python has no zstd (see :mod:`tagstream.topics.zstd`), ``fast`` is bzip2 as well: slower, and read by
    everybody.

    >>> compress(b"CCO\\n" * 1_000, "small")[0], compress(b"CCO\\n" * 1_000, "fast")[0]
    ('parcel-bz2', 'parcel-zstd')
    >>> compress(b"CCO\\n" * 1_000, "none"), compress(b"CCO\\n", "fast")
    (None, None)
    """
    if how == "none":
        return None
    fast = zstd.found() if how == "fast" else None
    packed = (BZ2, bz2.compress(content, 9)) if fast is None else (ZSTD, fast.compress(content))
    return packed if len(packed[1]) < len(content) else None


def decompress(packed: Packed, most: int) -> bytes | None:
    """What was compressed; None if it is damaged or would have more than ``most`` bytes, which are never made.

    Raises :class:`tagstream.errors.MissingPackage` for zstd where there is none.

    >>> decompress(compress(b"CCO\\n" * 1_000, "fast"), 4_000) == b"CCO\\n" * 1_000
    True
    >>> decompress(compress(b"CCO\\n" * 1_000, "fast"), 3_999)
    """
    attribute, data = packed
    return _from_bz2(data, most) if attribute == BZ2 else zstd.needed().decompress(data, most)


def _from_bz2(data: bytes, most: int) -> bytes | None:
    decompressor = bz2.BZ2Decompressor()
    try:
        content = decompressor.decompress(data, most)
    except OSError:
        return None
    return content if decompressor.eof and not decompressor.unused_data else None
