"""Mutates photos of every format and looks what becomes of them: `python -m tests.fuzz --seconds 600 --seed 7`.

Each must end as decoded or rejected, within the bounds of time and memory that :class:`Limits` promises, and without
a byte printed to the file descriptors. The file at work lies in build/fuzz, and stays there if it was the last: when
the decoder fails, or takes this process with it. `python -m tests.fuzz --file build/fuzz/…` tries it again.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from pillow_heif import from_pillow

from tagstream.analysis import analyse
from tagstream.classifier.decode import Limits, decode
from tagstream.errors import ImageRejected
from tagstream.thumbnails.making import make_thumbnail
from tagstream.thumbnails.names import SIZES

LIMITS = Limits(max_pixels=4_000_000)
FOLDER = Path(__file__).resolve().parent.parent / "build" / "fuzz"
SECONDS_TO_HANG = 60
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


class Offence(Exception):
    """A photo broke a promise; the message says which."""


def seeds(photos: Path) -> dict[str, bytes]:
    """A small photo in every format and in several of its kinds; from ``photos`` if there is one, else a drawn one."""
    found = sorted(path for path in photos.glob("*") if path.suffix in (".jpg", ".png"))
    if found:
        picture = Image.open(found[0]).convert("RGB")
    else:
        across, down = np.meshgrid(np.arange(160), np.arange(120))
        waves = [127 + 127 * np.sin(across * down / 900 + turn) for turn in (0, 2, 4)]
        picture = Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))
    picture = picture.resize((160, 120))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0110] = 6, "Maker", "Model"
    exif.get_ifd(0x8769).update({0x9003: "2025:06:12 14:03:11", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 29.52), 3: "E", 4: (16.0, 22.0, 25.68)})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # Of no name that would spare it from being used.
    profile = profile.replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
    kinds: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "baseline.jpg": (picture, "JPEG", {"exif": exif}),
        "progressive.jpg": (picture, "JPEG", {"progressive": True}),
        "cmyk.jpg": (picture.convert("CMYK"), "JPEG", {}),
        "profile.jpg": (picture, "JPEG", {"icc_profile": profile}),
        "rgb.png": (picture, "PNG", {"exif": exif}),
        "palette.png": (picture.quantize(64), "PNG", {"transparency": 3}),
        "16.png": (Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257), "PNG", {}),
        "lossy.webp": (picture, "WEBP", {"exif": exif}),
        "lossless.webp": (picture, "WEBP", {"lossless": True}),
        "animated.webp": (picture, "WEBP", {"save_all": True, "append_images": [picture.rotate(180)]}),
        "animated.gif": (picture, "GIF", {"save_all": True, "append_images": [picture.rotate(180)]}),
        "rgb.bmp": (picture, "BMP", {}),
        "raw.tiff": (picture, "TIFF", {}),
        "lzw.tiff": (picture, "TIFF", {"compression": "tiff_lzw"}),
        "deflate.tiff": (picture, "TIFF", {"compression": "tiff_deflate"}),
        "jpeg.tiff": (picture, "TIFF", {"compression": "jpeg"}),
        "fax.tiff": (picture.convert("1"), "TIFF", {"compression": "group4"}),
        "float.tiff": (picture.convert("F"), "TIFF", {"compression": "tiff_deflate"}),
        "photo.avif": (picture, "AVIF", {}),
    }
    made = {}
    for name, (image, kind, options) in kinds.items():
        file = io.BytesIO()
        image.save(file, kind, **options)
        made[name] = file.getvalue()
    file = io.BytesIO()
    from_pillow(picture).save(file)
    made["photo.heic"] = file.getvalue()
    # A compressed BMP of one run a row, which Pillow cannot write.
    runs = bytes([160, 9, 0, 0]) * 120 + b"\0\1"
    head = bytearray(made["rgb.bmp"][:54])
    head[10:14], head[28:30], head[30:34] = (54 + 1024).to_bytes(4, "little"), b"\x08\0", b"\1\0\0\0"
    made["runs.bmp"] = bytes(head) + bytes(1024) + runs
    return made


def mutant(data: bytes, chance: random.Random) -> bytes:
    """The file with one to eight changes, half of them near its beginning, where formats say what they are."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        if len(changed) <= 16:
            break
        at = chance.randrange(min(len(changed), chance.choice((256, len(changed)))))
        kind = chance.randrange(6)
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            order, width = chance.choice(("big", "little")), chance.choice((1, 2, 4))
            value = chance.choice(_EXTREMES) & (1 << 8 * width) - 1
            changed[at : at + width] = value.to_bytes(width, "big" if order == "big" else "little")
        elif kind == 3:
            del changed[at : at + chance.randint(1, 64)]
        elif kind == 4:
            part = changed[at : at + chance.randint(1, 64)]
            changed[at:at] = part * chance.randint(1, 50)
        else:
            del changed[chance.randrange(16, len(changed)) :]
    return bytes(changed)


def judge(photo: bytes) -> str:
    """ "decoded" or "rejected"; raises :class:`Offence` for all else."""
    with _printed() as printed:
        before = os.times()
        try:
            seen = decode(photo, size=64, crop=0.875, interpolation="bicubic", limits=LIMITS)
        except ImageRejected as error:
            became = "rejected"
            if not error.reason:
                raise Offence("it was rejected without a reason") from error
        except Exception as error:
            raise Offence(f"it was neither decoded nor rejected: {error!r}") from error
        else:
            became = "decoded"
            if seen.pixels.shape != (64, 64, 3):
                raise Offence(f"its pixels have the shape {seen.pixels.shape}")
            analysis = analyse(seen)
            if analysis.notes:
                raise Offence(f"it was not analysed: {'; '.join(analysis.notes)}")
            _check_thumbnails(seen.picture)
        after = os.times()
    if printed():
        raise Offence(f"its decoder printed {printed()[:200]!r}")
    taken = sum(after[:4]) - sum(before[:4])
    if taken > LIMITS.max_seconds + 2:
        raise Offence(f"it took {taken:.1f} s of CPU")
    return became


def _check_thumbnails(picture: Image.Image) -> None:
    """Whatever a photo was, its thumbnails are made, are as small as they are meant to be, and hold nothing else."""
    for size in SIZES:
        try:
            made = make_thumbnail(picture, size)
            thumbnail = Image.open(io.BytesIO(made.content))
            thumbnail.load()
        except Exception as error:
            raise Offence(f"its thumbnail of {size} pixels was not made: {error!r}") from error
        if thumbnail.size != (made.width, made.height) or max(thumbnail.size) > size:
            raise Offence(f"its thumbnail of {size} pixels has {thumbnail.size}")
        if thumbnail.info.keys() & {"exif", "xmp", "icc_profile"}:
            raise Offence(f"its thumbnail of {size} pixels says {sorted(thumbnail.info)}")


@contextlib.contextmanager
def _printed() -> Iterator[Callable[[], bytes]]:
    """What arrives at the file descriptors of standard output and error in the block, when it is over."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept: list[bytes] = []
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: kept[0]
        finally:
            for number, descriptor in zip((1, 2), saved, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)
            file.seek(0)
            kept.append(file.read(10_000))


def peak_memory() -> int:
    """The most bytes that this process, or a child of it, has taken so far."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def run(
    *, seed: int, photos: Path, seconds: float | None = None, count: int | None = None, folder: Path = FOLDER
) -> dict[str, int]:
    """Judge mutants until the time or the number is over; how many became what. Raises :class:`Offence`."""
    originals = seeds(photos)
    results = {"decoded": 0, "rejected": 0}
    for photo in originals.values():
        judge(photo)
    base = peak_memory()
    folder.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds if seconds is not None else None
    for number, name in zip(range(count) if count is not None else itertools.count(), itertools.cycle(originals)):
        if end is not None and time.monotonic() >= end:
            break
        photo = mutant(originals[name], random.Random(f"{seed}/{number}"))
        path = folder / f"{seed}-{number}-{name}"
        path.write_bytes(photo)
        faulthandler.dump_traceback_later(SECONDS_TO_HANG, exit=True)
        try:
            results[judge(photo)] += 1
            taken = peak_memory() - base
            if taken > LIMITS.max_memory:
                raise Offence(f"it took {taken / 1e6:,.0f} MB")
        except Offence as error:
            raise Offence(f"{path}: {error}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()
        path.unlink()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutate photos of every format.")
    parser.add_argument("--seconds", type=float, default=60, help="how long (60)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; another one each time by default")
    parser.add_argument("--photos", type=Path, default=FOLDER.parent / "photos", help="a folder of real ones")
    parser.add_argument("--file", type=Path, help="judge this file alone")
    asked = parser.parse_args()
    if asked.file:
        print(judge(asked.file.read_bytes()))
        return
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"Seed {seed}; the file at work is in {FOLDER}.", flush=True)
    try:
        print(run(seed=seed, photos=asked.photos, seconds=asked.seconds))
    except Offence as error:
        sys.exit(f"{error}\nTry it again: python -m tests.fuzz --file {str(error).split(':')[0]}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
