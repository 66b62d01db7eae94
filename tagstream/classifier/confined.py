"""Decoding in a process of its own, which can be ended: for files whose decoder cannot be trusted to end by itself.

The process gets the photo through a pipe and nothing else: no credentials, no open files, no terminal (libtiff prints
a line a row of a damaged fax). It may take so many seconds of CPU and so much memory as the limits say, ends with
its parent, and what it answers is read up to the length that an answer can have.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tagstream.errors import ImageRejected

if TYPE_CHECKING:
    from tagstream.classifier.decode import Decoded, Limits

__all__ = ["PATIENCE", "decode_confined"]

PATIENCE = 60.0
"""Seconds that a decoder may take by the clock, its turn included, if nobody says less: much more than of CPU."""

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from tagstream.classifier import confined; "
_START += "confined.main(json.loads(sys.argv[2]))"
# What Python may need to start at all; nothing else is passed on, above all no credentials.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
# Each thread would reserve memory that it may never use, and all of it counts.
_THRIFT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
_DECODED, _REJECTED, _TOO_MUCH_MEMORY, _OUT_OF_MEMORY = b"D", b"R", b"M", b"O"
# Width, height and format of the photo, width and height of the whole picture, bytes of EXIF; EXIF and pixels follow.
_HEAD = struct.Struct(">II8sHHH")
_LONGEST_REASON = 1000
_LONGEST_EXIF = 65_535
# Their memory together, and not only that of each, must fit into the function's.
_one_at_a_time = threading.Lock()


def decode_confined(
    data: bytes,
    *,
    size: int,
    crop: float,
    interpolation: Literal["bilinear", "bicubic"],
    limits: Limits,
    fast: bool,
    patience: float = PATIENCE,
) -> Decoded:
    """As :func:`tagstream.classifier.decode.decode`, within ``limits.max_seconds`` and ``limits.max_memory``.

    What needs more is rejected: CPU time is what counts, so that a busy machine rejects nothing. Raises TimeoutError
    if it is not done after ``patience`` seconds by the clock (the machine is too busy), MemoryError if the machine
    has not as much memory: trying again may help.
    """
    options = {"size": size, "crop": crop, "interpolation": interpolation, "fast": fast}
    task = json.dumps({"options": options, "limits": asdict(limits), "parent": os.getpid()})
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _THRIFT
    command = [sys.executable, "-I", "-W", "ignore", "-c", _START, json.dumps(sys.path), task]
    began = time.monotonic()
    if not _one_at_a_time.acquire(timeout=patience):
        raise TimeoutError("others were decoded all the time that there was")
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        late = threading.Event()
        with _ended_after(process, max(0.0, began + patience - time.monotonic()), late), process:
            answer = _exchange(process, data, _longest_answer(size))
            process.kill()
        code = process.returncode
    finally:
        _one_at_a_time.release()
    return _understood(answer, code, late=late.is_set(), size=size, limits=limits)


@contextlib.contextmanager
def _ended_after(process: subprocess.Popen[bytes], seconds: float, late: threading.Event) -> Iterator[None]:
    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()


def _exchange(process: subprocess.Popen[bytes], data: bytes, most: int) -> bytes:
    """Hand over the photo and read the answer, no more of it than ``most`` bytes."""
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    # It answers when it has read everything, or ends, or is ended.
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(data)
    return process.stdout.read(most)


def _longest_answer(size: int) -> int:
    from tagstream.classifier.decode import MOST_PICTURE_SIDE

    return 1 + _HEAD.size + _LONGEST_EXIF + 3 * (size**2 + MOST_PICTURE_SIDE**2) + _LONGEST_REASON


def _packed(seen: Decoded) -> bytes:
    exif = json.dumps(seen.exif).encode()
    head = _HEAD.pack(seen.width, seen.height, seen.format.encode(), *seen.picture.size, len(exif))
    return head + exif + seen.pixels.tobytes() + seen.picture.tobytes()


def _unpacked(body: bytes, size: int) -> Decoded | None:
    """What :func:`_packed` made bytes of; None if it is not just that."""
    from PIL import Image

    from tagstream.classifier.decode import Decoded

    if len(body) < _HEAD.size:
        return None
    width, height, name, across, down, length = _HEAD.unpack_from(body)
    pixels = _HEAD.size + length
    picture = pixels + 3 * size**2
    if len(body) != picture + 3 * across * down:
        return None
    return Decoded(
        np.frombuffer(body[pixels:picture], np.uint8).reshape(size, size, 3),
        width,
        height,
        name.rstrip(b"\0").decode("ascii", "replace"),
        Image.frombytes("RGB", (across, down), body[picture:]),
        json.loads(body[_HEAD.size : pixels]),
    )


def _understood(answer: bytes, code: int, *, late: bool, size: int, limits: Limits) -> Decoded:
    kind, body = answer[:1], answer[1:]
    if kind == _DECODED and (seen := _unpacked(body, size)):
        return seen
    if kind == _REJECTED and body:
        raise ImageRejected(body.decode(errors="replace"))
    if kind == _TOO_MUCH_MEMORY:
        raise ImageRejected(f"decoding it takes more than {limits.max_memory / 1e6:,.0f} MB of memory")
    if kind == _OUT_OF_MEMORY:
        raise MemoryError("there is too little memory to decode the image")
    by = signal.Signals(-code).name if code < 0 else ""
    if by == "SIGXCPU" or (late and sys.platform == "win32"):
        raise ImageRejected(f"decoding it takes longer than {limits.max_seconds} s")
    if late:
        raise TimeoutError("the machine is too busy to decode the image in time")
    if by and by != "SIGKILL":
        raise ImageRejected(f"the image is damaged: its decoder crashed ({by})")
    if by:
        # Nobody here has ended it: it was the system, for its memory.
        raise MemoryError("the decoder was ended by the system")
    raise OSError(f"the decoder's process ended with {code} and no answer")


def main(task: dict[str, Any]) -> None:
    """The other side: what runs in the process."""
    from tagstream.classifier import decode

    limits = decode.Limits(**task["limits"])
    own = _confine(limits, task["parent"])
    try:
        seen = decode.decode_here(sys.stdin.buffer.read(), limits=limits, **task["options"])
        answer = _DECODED + _packed(seen)
    except ImageRejected as error:
        answer = _REJECTED + error.reason.encode()[:_LONGEST_REASON]
    except MemoryError:
        answer = _TOO_MUCH_MEMORY if own else _OUT_OF_MEMORY
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    # Nothing needs putting away, and a decoder's threads need not be waited for.
    os._exit(0)


def _confine(limits: Limits, parent: int) -> bool:
    """Whether it is the limit of memory set here that a photo meets first, rather than one that was there before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and knows what to do
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if sys.platform != "win32" and os.getppid() != parent:
        os._exit(1)
    try:
        import resource
    except ImportError:
        return False

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whole seconds, counted from the start of the process.
    seconds = int(np.ceil(time.process_time() + limits.max_seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    try:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return False  # no Linux: others do not hold to a limit of this kind
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + limits.max_memory
    if before != resource.RLIM_INFINITY and before < wanted:
        return False
    resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
    return True
