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

    >>> compress(b"CCO\\n" * 1_000, "small")[0], compress(b"CCO\\n" * 1_000, "fast")[0]
    ('parcel-bz2', 'parcel-zstd')
    >>> compress(b"CCO\\n" * 1_000, "none"), compress(b"CCO\\n", "fast")
    (None, None)
    """
    if how == "none":
        return None
    packed = (BZ2, bz2.compress(content, 9)) if how == "small" else (ZSTD, _zstd(content))
    return packed if len(packed[1]) < len(content) else None


def _zstd(content: bytes) -> bytes:
    import zstandard

    # Lines have little in common that is shorter than 6 bytes and worth a reference: on molecules, paths and JSON this
    # is as fast as level 6 or faster, and on the first a twentieth smaller.
    parameters = zstandard.ZstdCompressionParameters.from_level(
        6, strategy=zstandard.STRATEGY_GREEDY, search_log=6, min_match=6, source_size=len(content)
    )
    # One for each parcel: none of its objects may be used by two threads at once.
    packed = zstandard.ZstdCompressor(compression_params=parameters).compress(content)
    # A copy, since what zstandard gives keeps all the memory that the worst case would have needed.
    return bytes(memoryview(packed))


def decompress(packed: Packed, most: int) -> bytes | None:
    """What was compressed; None if it is damaged or would have more than ``most`` bytes, which are never made.

    >>> decompress(compress(b"CCO\\n" * 1_000, "fast"), 4_000) == b"CCO\\n" * 1_000
    True
    >>> decompress(compress(b"CCO\\n" * 1_000, "fast"), 3_999)
    """
    attribute, data = packed
    return _from_bz2(data, most) if attribute == BZ2 else _from_zstd(data, most)


def _from_bz2(data: bytes, most: int) -> bytes | None:
    decompressor = bz2.BZ2Decompressor()
    try:
        content = decompressor.decompress(data, most)
    except OSError:
        return None
    return content if decompressor.eof and not decompressor.unused_data else None


def _from_zstd(data: bytes, most: int) -> bytes | None:
    import zstandard

    try:
        # What the frame says of its own size is what would be set aside for it.
        if not 0 <= zstandard.frame_content_size(data) <= most:
            return None
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError:
        return None
