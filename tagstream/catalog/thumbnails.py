"""Which thumbnails a document names, and which are removed: decided together with the document itself.

A document names one key of thumbnails or none. What it names no more, and what an update brings that comes too late, is
removed after the document has been written: before that, a failure would leave a document with nothing behind its
name. From then on the removed key must never be named again, whatever is under way: so the document remembers it, in
``thumbnails_gone``. The same list serves whoever comes after a function that has died between writing and removing:
what it names is removed once more. Design: docs/catalog.md, Thumbnails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tagstream.catalog.order import position
from tagstream.catalog.updates import CatalogUpdate

__all__ = ["Bin", "Named", "Settled", "named_by", "settle"]

_MOST_REMEMBERED = 12
"""More than one batch can bring; those before have long been dealt with."""


class Bin(Protocol):
    """What removes thumbnails: :class:`tagstream.thumbnails.bucket.Thumbnails`."""

    def remove(self, keys: Iterable[str]) -> Mapping[str, str]:
        """Remove what may be there under these keys; what failed, with the reason, by its key. Does not raise."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """What a stored document says: the ``key`` of its thumbnails, and those that are ``gone``, or should be."""

    sequencer: str
    key: str | None = None
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What the document is to say from now on, and what is to be removed once it does.

    ``thumbnails`` and ``gone`` are its fields. With ``note``, no update is newer than the document, which has to be
    written all the same: for what it is to remember.
    """

    thumbnails: Mapping[str, Any] | None
    gone: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    note: bool = False


def named_by(source: Mapping[str, Any]) -> Named:
    """What a document says of thumbnails."""
    key = (source.get("thumbnails") or {}).get("key")
    return Named(source.get("sequencer") or "", key, tuple(source.get("thumbnails_gone") or ()))


def settle(stored: Named | None, updates: Sequence[CatalogUpdate], winner: CatalogUpdate | None) -> Settled:
    """What becomes of the thumbnails of one image.

    ``updates`` are all that have come, ``winner`` the one of them that is newer than what is ``stored``, if any.
    """
    brought = {update.thumbnails["key"]: update.sequencer for update in updates if update.thumbnails}
    if winner is None:
        if stored is None:
            return Settled(None)
        late = [key for key in brought if key != stored.key]
        # Another look at the event that the document tells of may be under way with the same key.
        new = [key for key in late if _same(brought[key], stored.sequencer) and key not in stored.gone]
        return Settled(None, _remembered(stored.gone, new), _each(late, stored.gone), note=bool(new))
    before = stored.gone if stored else ()
    named = winner.thumbnails if winner.kind == "classified" else None
    if named and named["key"] in before:
        # It may have been removed after it was found there: better none than a name with nothing behind it.
        named = None
    replaced = [*([stored.key] if stored and stored.key else []), *brought]
    gone = [key for key in replaced if not named or key != named["key"]]
    return Settled(named, _remembered(before, gone), _each(gone, before))


def _same(one: str, other: str) -> bool:
    return position(one, None) == position(other, None)


def _remembered(before: Collection[str], more: Collection[str]) -> tuple[str, ...]:
    return _each([key for key in before if key not in more], more)[-_MOST_REMEMBERED:]


def _each(*keys: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for some in keys for key in some))
