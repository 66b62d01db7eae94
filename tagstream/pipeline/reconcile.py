"""Holding the catalog against the bucket in slices of bounded time, and sending again what they differ in.

What ``tagstream images reconcile --repair`` does at once, for a function that is ended after a quarter of an hour: each
slice begins behind the key at which the one before ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tagstream.errors import CatalogError
from tagstream.pipeline.retag import MOST_WAITING, Document, Retag, inventory, joined

__all__ = ["documents", "reconcile_slice"]

_LOOK_SECONDS = 1.0
_VERSIONS = 2000
"""Documents in an answer of the search function, as many as it gives."""


def documents(
    ask: Callable[[dict[str, Any]], Mapping[str, Any]], bucket: str, *, after: str = ""
) -> Iterator[Document]:
    """What the catalog has of the keys of ``bucket`` behind ``after``, tombstones too, in the order of the keys.

    ``ask`` gives the search function's answers. Nothing where there is no catalog yet; raises :class:`CatalogError`.
    """
    # Of the key itself there is one document, and its id comes after this.
    cursor: list[str] | None = [after, "~"] if after else None
    while True:
        request = {"query": "versions", "bucket": bucket, "removed": True, "limit": _VERSIONS, "after": cursor}
        answer = ask(request)
        if "error" in answer:
            raise CatalogError(f"the search function refused: {answer['error']}")
        yield from answer["images"]
        cursor = answer["after"]
        if cursor is None:
            return


def reconcile_slice(
    run: Retag,
    s3: Any,
    ask: Callable[[dict[str, Any]], Mapping[str, Any]],
    waiting: Callable[[], int],
    *,
    after: str = "",
    seconds: float,
) -> str | None:
    """Bring together what differs behind the key ``after``, for about ``seconds`` and a page of 1,000 keys.

    Returns the key to go on behind; None when all is done. ``run.tally`` says what was found and sent. While more than
    :data:`tagstream.pipeline.retag.MOST_WAITING` messages are ``waiting`` in the queue none is added: uploads come
    first.
    Raises :class:`tagstream.errors.TagstreamError`; the same slice may be done again.
    """
    deadline = run.clock() + seconds
    pages = joined(inventory(s3, run.bucket, after=after), documents(ask, run.bucket, after=after), gone=True)
    for page in pages:
        if not page:
            continue
        while waiting() > MOST_WAITING:
            if run.clock() >= deadline:
                return after
            run.sleep(_LOOK_SECONDS)
        run.send(list(run.outdated(page)))
        photo, document = page[-1]
        after = photo.key if photo is not None else str((document or {})["key"])
        if run.clock() >= deadline:
            return after
    return None
