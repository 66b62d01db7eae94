"""From messages to a step's input, and from its output to parcels. Pure: nothing here talks to AWS or runs a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate

from tagstream.topics.errors import MessageTooLarge
from tagstream.topics.messages import Message, Outgoing
from tagstream.topics.names import is_fifo
from tagstream.topics.parcels import (
    MAX_PARCEL_BYTES,
    Parcel,
    ParcelSettings,
    Place,
    checksum,
    outgoing,
    parcels_of,
    unpack,
)

__all__ = ["count_lines", "ended", "is_part", "lines_in", "outputs", "parcel_in", "shares"]

_LINES = 1_000
"""Of an output's parcel, at least, if nothing else is said: a step that writes much makes work for many workers."""


def parcel_in(message: Message) -> Parcel:
    """The parcel in a message; the body of a message that others published is a parcel of its own.

    Raises :class:`ParcelDamaged`.
    """
    parcel = unpack(message)
    if parcel is not None:
        return parcel
    return Parcel(f"message-{message.id}", Place.of(0, last=True), message.body.encode() + b"\n")


def outputs(
    parcel: Parcel,
    output: bytes,
    *,
    workflow: str,
    topic: str,
    group_id: str | None = None,
    settings: ParcelSettings | None = None,
) -> Iterator[Outgoing]:
    """The messages that carry what the step of ``workflow`` made of ``parcel``, to be published to ``topic``.

    At least one, so that a later download knows that nothing is missing. Their identity is that of ``parcel``, the
    workflow and the output: published twice, they are the same. They have as many lines as ``settings`` allow (1,000
    where these leave it open), or as many as ``parcel`` has, if that is more. In a FIFO topic they are of group
    ``group_id``, or of the upload's.

    >>> made = outputs(Parcel("u", Place.of(7), b"C\\nCC\\n"), b"c\\ncc\\n", workflow="lower", topic="low")
    >>> [message.attributes["parcel-sequence"] for message in made]
    ['7.0~c09d6c7b$']

    Raises :class:`MessageTooLarge` for a line that fits no message.
    """
    settings = settings or ParcelSettings()
    chunks = _cut(output, max(settings.max_lines or _LINES, parcel.line_count), settings.bytes_at_most)
    upload_id = f"{parcel.upload_id}-{checksum(workflow.encode())[:8]}"
    if len(upload_id) > 80:
        upload_id = checksum(upload_id.encode())
    fifo = is_fifo(topic)
    for part in parcels_of(upload_id, chunks, parent=parcel.place, variant=checksum(output)[:8]):
        message = outgoing(part, settings, fifo=fifo)
        yield replace(message, group_id=group_id) if fifo and group_id else message


def _cut(content: bytes, max_lines: int, max_bytes: int) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    for line in _lines(content):
        if len(line) > MAX_PARCEL_BYTES:
            raise MessageTooLarge(
                f"a line of the step's output has {len(line):,} bytes; {MAX_PARCEL_BYTES:,} fit a message."
            )
        if chunk and (len(chunk) == max_lines or size + len(line) > max_bytes):
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield b"".join(chunk)


def _lines(content: bytes) -> list[bytes]:
    return Parcel("", Place(()), content).lines()


def count_lines(content: bytes) -> int:
    return Parcel("", Place(()), content).line_count


def lines_in(message: Message) -> int:
    """How many lines a message says that it has, without unpacking it."""
    lines = message.attributes.get("parcel-lines")
    return lines if isinstance(lines, int) else message.body.count("\n") + 1


def is_part(message: Message, batch_size: int) -> bool:
    """Whether the message is a part of a parcel that was split for this batch size."""
    place = message.attributes.get("parcel-sequence")
    return isinstance(place, str) and place.rpartition("~")[2].rstrip("$") == str(batch_size)


def ended(content: bytes) -> bytes:
    """With a newline at the end, so that what follows starts a line."""
    return content + b"\n" if content and not content.endswith(b"\n") else content


def shares(output: bytes, counts: Sequence[int]) -> list[bytes] | None:
    """The output of each of several inputs, if there is a line for each of their lines; None if there is not.

    >>> shares(b"a\\nb\\nc\\n", [2, 1]), shares(b"a\\n", [2, 1]), shares(b"a\\n", [3])
    ([b'a\\nb\\n', b'c\\n'], None, [b'a\\n'])
    """
    if len(counts) == 1:
        return [output]
    lines = _lines(output)
    if len(lines) != sum(counts):
        return None
    ends = list(accumulate(counts))
    return [b"".join(lines[end - count : end]) for count, end in zip(counts, ends, strict=True)]
