"""Decoding: the right pixels from every kind of photo, and no harm from any other file."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from pillow_heif import from_pillow

from tagstream.classifier.decode import Decoded, Limits, decode
from tagstream.errors import ImageRejected

# As the module itself has it; pytest turns warnings into errors.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

SIZE = 64


def look(photo: bytes | Path, **options: Any) -> Decoded:
    return decode(photo, **({"size": SIZE, "crop": 0.875, "interpolation": "bicubic"} | options))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "HEIC":
        written = from_pillow(image)
        written.info.update({name: value.tobytes() for name, value in options.items()})
        written.save(file)
    else:
        image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int = 320, height: int = 240) -> Image.Image:
    """A smooth picture whose four corners differ, so that every turn and every mistaken channel shows."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([across, down, (255 - across) * 0.5 + 40], axis=-1).astype(np.uint8))


def expected(image: Image.Image) -> np.ndarray[Any, Any]:
    """What the net should see, made in the plainest way."""
    image = image.convert("RGB")
    width, height = image.size
    side = min(width, height) * 0.875
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))


def far(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """The mean difference of two pictures, of 255."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "HEIC", "GIF"])
def test_every_format_gives_the_same_pixels(kind: str) -> None:
    seen = look(encode(scene(), kind))
    assert (seen.format, seen.width, seen.height) == (kind, 320, 240)
    assert far(seen.pixels, expected(scene())) < (6 if kind == "GIF" else 2.5)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = scene()
    turned.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(turned)
    seen = look(encode(scene(), kind, exif=exif))
    assert (seen.width, seen.height) == upright.size
    assert far(seen.pixels, expected(upright)) < 3


@pytest.mark.parametrize("confined", [False, True])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIC", "TIFF"])
def test_the_whole_picture_and_exif_are_handed_on(kind: str, confined: bool) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0110], exif[0x0132] = 6, "X10", "2025:06:12 14:03:11"
    seen = look(encode(scene(), kind, exif=exif), confined=confined)
    assert (seen.picture.mode, seen.picture.size) == ("RGB", (240, 320))
    assert far(np.asarray(seen.picture), np.asarray(scene().transpose(Image.Transpose.ROTATE_270))) < 3
    assert (seen.exif["Model"], seen.exif["DateTime"]) == ("X10", "2025:06:12 14:03:11")


@pytest.mark.parametrize(
    ("size", "kind", "reduced"),
    [
        ((4032, 3024), "JPEG", (1008, 756)),
        ((3000, 2000), "PNG", (1500, 1000)),
        ((2047, 100), "PNG", (2047, 100)),
        ((2048, 100), "PNG", (1024, 50)),
        ((40_000, 3), "PNG", (1026, 1)),
        ((3, 2), "PNG", (3, 2)),
    ],
)
def test_the_whole_picture_is_never_large(size: tuple[int, int], kind: str, reduced: tuple[int, int]) -> None:
    assert look(encode(Image.new("RGB", size, "red"), kind)).picture.size == reduced


def test_the_whole_picture_is_white_where_it_is_transparent() -> None:
    clear = encode(Image.new("RGBA", (50, 50), (255, 0, 0, 0)), "PNG")
    assert look(clear).picture.getpixel((25, 25)) == (255, 255, 255)


def test_garbled_exif_is_no_reason_to_reject() -> None:
    assert look(encode(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).width == 320


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I;16", "YCbCr"])
def test_modes_become_rgb(mode: str) -> None:
    picture = scene()
    grey = np.asarray(picture.convert("L"))
    if mode == "I;16":
        data = encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    elif mode == "1":
        data = encode(Image.fromarray(grey).convert("1"), "PNG")
    elif mode == "P":
        data = encode(picture.quantize(256), "PNG")
    else:
        data = encode(picture.convert(mode), {"CMYK": "JPEG", "YCbCr": "TIFF"}.get(mode, "PNG"))
    wanted = Image.fromarray(grey) if mode in ("L", "LA", "1", "I;16") else picture
    # A picture of black dots on white is right on the average of its dots only.
    tolerance = {"1": 12, "P": 8, "YCbCr": 4}.get(mode, 3)
    assert far(look(data).pixels, expected(wanted)) < tolerance


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    dark = np.full((50, 50), 0x4000, np.uint16)
    assert look(encode(Image.fromarray(dark), "PNG")).pixels.mean() == pytest.approx(64, abs=1)
    assert look(encode(Image.fromarray(dark), "TIFF")).pixels.mean() == pytest.approx(64, abs=1)
    as_int = Image.fromarray(dark.astype(np.int32))
    assert look(encode(as_int, "TIFF")).pixels.mean() == pytest.approx(64, abs=1)
    as_float = Image.fromarray(np.full((50, 50), 0.25, np.float32))
    assert look(encode(as_float, "TIFF")).pixels.mean() == pytest.approx(64, abs=1)
    with_nan = Image.fromarray(np.array([[np.nan, 1.0], [np.inf, 0.0]], np.float32))
    assert look(encode(with_nan, "TIFF")).pixels.shape == (SIZE, SIZE, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_what_is_transparent_is_white(kind: str) -> None:
    assert look(encode(Image.new("RGBA", (50, 50), (255, 0, 0, 0)), kind)).pixels.min() > 250


def test_transparency_of_a_palette_and_of_a_key_colour() -> None:
    palette = Image.new("P", (50, 50))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert look(encode(palette, "PNG")).pixels[:, :, 1].max() == 0
    assert look(encode(palette, "PNG", transparency=0)).pixels.min() == 255
    assert look(encode(Image.new("RGB", (50, 50), (1, 2, 3)), "PNG", transparency=(1, 2, 3))).pixels.min() == 255


def test_cmyk_of_others_than_adobe_is_not_inverted() -> None:
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    adobe = encode(red, "JPEG")
    start = adobe.index(b"\xff\xee")
    length = int.from_bytes(adobe[start + 2 : start + 4])
    plain = adobe[:start] + adobe[start + 2 + length :]
    assert look(adobe).pixels.mean(axis=(0, 1)) == pytest.approx([254, 0, 0], abs=4)
    # The same numbers, without Adobe's mark, mean the opposite amounts of ink.
    assert look(plain).pixels.mean(axis=(0, 1)) == pytest.approx([0, 0, 0], abs=4)


def test_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue", "green")]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PNG", {}), ("AVIF", {})):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert look(data).pixels.mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=4), kind


def test_only_the_centre_is_looked_at() -> None:
    framed = Image.new("RGB", (800, 400), "blue")
    framed.paste("red", (200 + 25, 25, 600 - 25, 400 - 25))
    assert look(encode(framed, "PNG")).pixels[:, :, 0].min() > 200
    assert look(encode(framed, "PNG"), crop=1.0).pixels[0, 0, 0] < 60


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 1), (2, 7), (5000, 3)])
def test_odd_shapes(width: int, height: int) -> None:
    seen = look(encode(Image.new("RGB", (width, height), "red"), "PNG"))
    assert (seen.width, seen.height) == (width, height)
    assert seen.pixels.mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=1)


def test_scaling_while_decoding_changes_next_to_nothing() -> None:
    data = encode(scene(4100, 3000), "JPEG", quality=92)
    fast, full = look(data), look(data, fast=False)
    assert (fast.width, fast.height) == (full.width, full.height) == (4100, 3000)
    assert far(fast.pixels, full.pixels) < 1


def test_the_type_is_told_by_the_content(tmp_path: Path) -> None:
    (tmp_path / "photo.txt").write_bytes(encode(scene(), "PNG"))
    assert look(tmp_path / "photo.txt").format == "PNG"
    (tmp_path / "text.jpg").write_text("a text file\n" * 100)
    with pytest.raises(ImageRejected, match="no image"):
        look(tmp_path / "text.jpg")
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "none.jpg")


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n%x", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"P6 1 1 255\n\0\0\0", b"\xff\xd8\xff"]
)
def test_formats_not_meant_are_never_tried(data: bytes) -> None:
    with pytest.raises(ImageRejected):
        look(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIC"])
def test_truncated_photos_are_rejected_with_a_reason(kind: str) -> None:
    data = encode(scene(), kind)
    with pytest.raises(ImageRejected, match=r"cut off|damaged|no image") as caught:
        look(data[: len(data) // 2])
    assert caught.value.reason


def test_an_empty_file_says_so() -> None:
    with pytest.raises(ImageRejected, match="empty"):
        look(b"")


def test_limits_of_bytes_and_pixels(tmp_path: Path) -> None:
    data = encode(scene(), "PNG")
    (tmp_path / "photo").write_bytes(data)
    for photo in (data, tmp_path / "photo"):
        assert look(photo, limits=Limits(max_bytes=len(data))).width == 320
        with pytest.raises(ImageRejected, match=f"{len(data):,} bytes"):
            look(photo, limits=Limits(max_bytes=len(data) - 1))
    assert look(data, limits=Limits(max_pixels=320 * 240)).width == 320
    with pytest.raises(ImageRejected, match="76,800 pixels"):
        look(data, limits=Limits(max_pixels=320 * 240 - 1))


def many_scans(count: int) -> bytes:
    """A progressive JPEG of ``count`` scans, the last one over and over again."""
    data = encode(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    before = data.count(b"\xff\xda") - 1
    return data[:last] + data[last:-2] * (count - before) + b"\xff\xd9"


def test_scans_are_limited() -> None:
    assert look(many_scans(32)).width == 320
    with pytest.raises(ImageRejected, match="more than 32 scans"):
        look(many_scans(33))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"\xff\xd8", b"\xff"),
        (b"\xff\xd8", b"\xff\xd8"),
        (b"\xff\xd8", b"\xff\x00"),
        (b"\xff\xd8", b"\xff\xfe\x00\x00"),
        (b"\xff\xd8", b"\xff\xfe\x00\x02"),
        (encode(Image.new("RGB", (9, 9)), "PNG")[:33], chunk(b"teXt", b"")),
        (encode(Image.new("RGB", (9, 9)), "PNG")[:33], chunk(b"IDAT", b"")),
        (
            b"RIFF" + struct.pack("<I", 40_000_000) + encode(Image.new("RGB", (9, 9)), "WEBP")[8:],
            b"none\x00\x00\x00\x00",
        ),
        (b"GIF89a\x09\x00\x09\x00\x00\x00\x00", b"!\xfe\x00"),
        (b"GIF89a\x09\x00\x09\x00\x00\x00\x00!\xfe", b"\x01a"),
    ],
)
def test_millions_of_tiny_parts_are_not_walked_through(head: bytes, part: bytes) -> None:
    # Parsed one by one, these would take from several seconds to hours.
    with pytest.raises(ImageRejected, match="more than 100,000 parts"):
        look(head + part * (40_000_000 // len(part)))


def segment(body: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body


PACKED = zlib.compress(bytes(1_000_000))


@pytest.mark.parametrize(
    ("kind", "head", "part", "many", "reason"),
    [
        # Each part alone takes next to nothing; in these numbers Pillow takes from 10 s to many minutes for them.
        ("JPEG", 2, segment(b"Exif\0\0" + bytes(600)), 17, "16 segments of EXIF"),
        ("JPEG", 2, segment(b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000)), 300, "of metadata"),
        ("PNG", 33, chunk(b"iCCP", b"sRGB\0\0" + PACKED), 101, "100 packed"),
        ("PNG", 33, chunk(b"zTXt", b"\0\0" + PACKED), 101, "100 packed"),
        ("PNG", 33, chunk(b"iTXt", b"key\0\1\0\xff\0\0" + PACKED), 101, "100 packed"),
        ("PNG", 33, chunk(b"eXIf", bytes(17_000_000)), 1, "of metadata"),
        ("WEBP", 12, b"EXIF" + struct.pack("<I", 17_000_000) + bytes(17_000_000), 1, "of metadata"),
    ],
)
def test_no_more_metadata_is_read_than_any_photo_has(kind: str, head: int, part: bytes, many: int, reason: str) -> None:
    photo = encode(scene(), kind)
    photo = photo[:head] + part * many + photo[head:]
    if kind == "WEBP":
        photo = b"RIFF" + struct.pack("<I", len(photo) - 8) + photo[8:]
    with pytest.raises(ImageRejected, match=reason):
        look(photo)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_exif_that_is_too_long_to_be_unpacked_is_no_reason_to_reject(kind: str) -> None:
    # An orientation of a million fractions, which Pillow takes seconds to unpack.
    fractions = b"\6\0\0\0\1\0\0\0" * 1_000_000
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x0112, 5, 1_000_000, 26, 0) + fractions
    seen = look(encode(scene(), kind, exif=exif))
    assert (seen.width, seen.height, seen.exif) == (320, 240, {})


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_file_may_go_on_after_the_photo(kind: str) -> None:
    # Some cameras append a film.
    assert look(encode(scene(), kind) + bytes(20_000_000)).width == 320


def test_a_jpeg_may_have_some_filling_before_a_marker() -> None:
    photo = encode(scene(), "JPEG")
    assert (look(photo[:2] + b"\xff" * 1000 + photo[2:]).pixels == look(photo).pixels).all()


def test_markers_that_start_no_scan_are_not_counted() -> None:
    markers = b"\xff\xda" * 100
    after_the_end = encode(scene(), "JPEG") + markers
    assert look(after_the_end).width == 320
    in_a_comment = encode(scene(), "JPEG", comment=markers)
    assert look(in_a_comment).width == 320
    plain = encode(scene(), "JPEG")
    filled = plain[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(markers)) + markers + plain[2:]
    with pytest.raises(ImageRejected, match="scans"):
        look(many_scans(33) + filled)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(width: int, height: int, body: bytes, tags: dict[int, int]) -> bytes:
    """A grey TIFF of deflated rows; ``tags`` are more or other ones. -1 stands for where the rows begin."""
    entries = {256: width, 257: height, 258: 8, 259: 8, 262: 1, 277: 1} | tags
    start = 8 + 2 + 12 * len(entries) + 4
    table = b"".join(
        struct.pack("<HHII", tag, 4, 1, start if value == -1 else value) for tag, value in sorted(entries.items())
    )
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4) + body


def bombs() -> dict[str, bytes]:
    zeros = zlib.compress(bytes(300_000_000), 9)
    webp = encode(scene(), "WEBP")
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + b"\xfe\x3f\0" + b"\xfe\x3f\0"
    gif = b"GIF89a" + struct.pack("<HHBBB", 13000, 13000, 0, 0, 0) + b"\x21\xf9\x04\x08\0\0\0\0\x2c"
    gif += struct.pack("<HHHHB", 0, 0, 13000, 13000, 0x80) + bytes(6) + b"\x02\x02\x44\x01\0\x3b"
    return {
        "png canvas": png(13300, 13300, 1, 0, bytes((13300 // 8 + 1) * 13300)),
        "png enormous canvas": png(65000, 65000, 8, 2, bytes(1000)),
        "png text": png(10, 10, 8, 0, bytes(110), extra=chunk(b"zTXt", b"k\0\0" + zeros)),
        "png texts": png(
            10, 10, 8, 0, bytes(110), extra=chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000))) * 90
        ),
        "webp canvas": b"RIFF" + struct.pack("<I", len(webp) + 10) + b"WEBP" + canvas + webp[12:],
        "gif canvas": gif,
        "tiff tile": tiff(99, 99, zeros, {322: 38000, 323: 39000, 324: -1, 325: len(zeros)}),
        "tiff strip": tiff(99, 99, zeros, {273: -1, 278: 2**31, 279: len(zeros)}),
        "jpeg scans": many_scans(400),
    }


IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from PIL import Image
from tagstream.classifier.decode import decode
from tagstream.errors import ImageRejected
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[1]), -1))
for name in sys.argv[2:]:
    try:
        decode(Path(name), size=64, crop=0.875, interpolation="bicubic")
        print("decoded")
    except ImageRejected:
        print("rejected")
    except MemoryError:
        print("out of memory")
"""


def in_little_memory(megabytes: int, folder: Path, photos: dict[str, bytes]) -> dict[str, str]:
    """What becomes of photos in a process that may take no more than this."""
    paths = [folder / name for name in photos]
    for path, data in zip(paths, photos.values(), strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", IN_LITTLE_MEMORY, str(megabytes * 1_000_000), *map(str, paths)]
    # As in the process of its own that some of them get, so that the limit leaves as much room in both.
    thrift = os.environ | {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=thrift)
    return dict(zip(photos, done.stdout.splitlines(), strict=True))


def test_bombs_are_rejected_before_memory_is_taken(tmp_path: Path) -> None:
    results = in_little_memory(150, tmp_path, bombs())
    assert results == dict.fromkeys(results, "rejected")


def test_running_out_of_memory_is_no_rejection(tmp_path: Path) -> None:
    large = {
        "png": png(4400, 4400, 8, 2, bytes((4400 * 3 + 1) * 4400)),
        "bmp": encode(Image.new("RGB", (4400, 4400)), "BMP"),
        "tiff": encode(Image.new("RGB", (4400, 4400)), "TIFF", compression="tiff_deflate"),
        "jpeg": encode(Image.new("RGB", (4400, 4400)), "JPEG", progressive=True),
    }
    assert in_little_memory(60, tmp_path, large) == dict.fromkeys(large, "out of memory")
    assert in_little_memory(900, tmp_path, large) == dict.fromkeys(large, "decoded")


def test_a_photo_of_fifty_megapixels() -> None:
    seen = look(encode(Image.new("RGB", (8660, 5774), (10, 200, 30)), "JPEG"))
    assert seen.width * seen.height > 50_000_000
    assert seen.pixels.mean(axis=(0, 1)) == pytest.approx([10, 200, 30], abs=3)


def test_only_the_first_page_of_a_tiff_is_walked_to() -> None:
    page = tiff(10, 10, b"", {259: 1, 273: 8, 278: 10, 279: 100})[8:]
    pages = b"".join(page[:-4] + struct.pack("<I", 8 + (number + 1) * len(page)) for number in range(300_000))
    seen = look(b"II*\0" + struct.pack("<I", 8) + pages + bytes(100))
    assert (seen.width, seen.height) == (10, 10)


def palette_png(width: int, height: int) -> bytes:
    """A PNG of a palette with transparency, 1 byte a pixel in the file and in Pillow's first step."""
    packer, row, left, rows = zlib.compressobj(9), bytes(1 + width), height, b""
    while left:
        count = min(left, max(1, 10_000_000 // len(row)))
        rows += packer.compress(row * count)
        left -= count
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", b"\0\x80")
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", rows + packer.flush()) + chunk(b"IEND", b"")


def fax(width: int, height: int, *, compression: int = 3, rows: int | None = None) -> bytes:
    """A TIFF in the compression of fax machines; libtiff prints a line for each of its damaged rows."""
    body = bytes(1000)
    return tiff(width, height, body, {258: 1, 259: compression, 273: -1, 278: rows or height, 279: len(body)})


def float_tiff(width: int, height: int) -> bytes:
    return encode(Image.fromarray(np.full((height, width), 0.25, np.float32)), "TIFF", compression="tiff_deflate")


PEAK = """
import resource, sys
from pathlib import Path
from tagstream.classifier.decode import decode
from tagstream.errors import ImageRejected
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decode(Path(sys.argv[1]), size=64, crop=0.875, interpolation="bicubic")
    print("decoded")
except ImageRejected as error:
    print(error.reason)
own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(1024 * max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss - before))
"""


def peak(photo: bytes, folder: Path) -> tuple[str, int]:
    """What becomes of a photo in a fresh process, and the bytes that it or its child took for it."""
    (folder / "photo").write_bytes(photo)
    command = [sys.executable, "-W", "ignore", "-c", PEAK, str(folder / "photo")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    result, taken = done.stdout.splitlines()
    return result, int(taken)


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory as Linux does")
@pytest.mark.parametrize(
    ("make", "width", "height", "result"),
    [
        (palette_png, 1, 64_000_000, "too long: 64,000,000"),
        (palette_png, 64_000_000, 1, "too long: 64,000,000"),
        (fax, 1, 64_000_000, "too long: 64,000,000"),
        (palette_png, 1, 65_535, "decoded"),
        (palette_png, 976, 65_535, "decoded"),
        (palette_png, 65_535, 976, "decoded"),
        (fax, 976, 65_535, "decoded"),
        (fax, 65_535, 976, "decoded"),
        (float_tiff, 8000, 8000, "decoded"),
    ],
)
def test_the_documented_bound_of_memory_holds_for_any_shape(
    make: Callable[[int, int], bytes], width: int, height: int, result: str, tmp_path: Path
) -> None:
    became, taken = peak(make(width, height), tmp_path)
    assert result in became
    assert taken < (Limits().max_memory if result == "decoded" else 64_000_000)


def lying_avif() -> bytes:
    """A picture of 7900 x 7900 in a file that claims to be 64 x 64."""
    data = bytearray(encode(Image.new("RGB", (7900, 7900)), "AVIF", speed=10))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 64, 64)
    return bytes(data)


def run_lengths(side: int) -> bytes:
    """A compressed BMP of one run a pixel, which Pillow decodes in Python."""
    runs = b"\x01\x07" * side * side
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(runs), 0, 0, 256, 0)
    offset = 14 + len(head) + 1024
    return b"BM" + struct.pack("<IHHI", offset + len(runs), 0, 0, offset) + head + bytes(1024) + runs


def test_what_takes_too_long_is_rejected_and_not_tried_again() -> None:
    with pytest.raises(ImageRejected, match="longer than 1 s"):
        look(run_lengths(4000), limits=Limits(max_seconds=1))


def test_a_machine_that_is_too_busy_rejects_nothing() -> None:
    with pytest.raises(TimeoutError, match="too busy"):
        look(run_lengths(4000), patience=0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "HEIC"])
def test_any_photo_may_be_decoded_in_a_process_of_its_own(kind: str) -> None:
    usual, confined = look(encode(scene(), kind)), look(encode(scene(), kind), confined=True)
    assert (usual.pixels == confined.pixels).all()
    assert (confined.format, confined.width, confined.height) == (kind, 320, 240)


def test_what_takes_too_much_memory_is_rejected_and_not_tried_again() -> None:
    with pytest.raises(ImageRejected, match=r"more than 64 MB of memory|damaged"):
        look(lying_avif(), limits=Limits(max_pixels=64 * 64))


@pytest.mark.parametrize("compression", [2, 3, 4])
@pytest.mark.parametrize("rows", [None, 1])
def test_nothing_is_printed(compression: int, rows: int | None, capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(ImageRejected):
        look(fax(100, 60_000, compression=compression, rows=rows))
    assert capfd.readouterr() == ("", "")


def test_photos_in_processes_of_their_own_keep_the_rest_of_this_one_as_it_is(
    capfd: pytest.CaptureFixture[str],
) -> None:
    photos = [fax(100, 60_000), lying_avif(), encode(scene(), "TIFF", compression="tiff_lzw")] * 4

    def line(number: int) -> str:
        with contextlib.suppress(ImageRejected):
            look(photos[number])
        os.write(2, b"a line of our own\n")
        return "done"

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(line, range(len(photos)))) == ["done"] * len(photos)
    assert capfd.readouterr().err.splitlines() == ["a line of our own"] * len(photos)


def test_a_colour_profile_is_no_obstacle() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert far(look(encode(scene(), "JPEG", icc_profile=profile)).pixels, expected(scene())) < 2.5


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory that a process has had is told by Linux")
def test_a_heic_that_is_nearly_all_metadata_takes_none_of_this_process_memory(tmp_path: Path) -> None:
    """Its library keeps several copies of them."""
    code = (
        "import sys; from pathlib import Path; from tagstream.classifier.decode import decode\n"
        "most = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) * 1024\n"
        "photo = Path(sys.argv[1]).read_bytes()\n"
        "before = most()\n"
        "seen = decode(photo, size=64, crop=0.875, interpolation='bicubic')\n"
        "print(seen.width, most() - before)\n"
    )
    written = from_pillow(scene())
    written.info["xmp"] = bytes(20 * 1024 * 1024)
    photo = tmp_path / "a.heic"
    written.save(photo, format="HEIF")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, photo], capture_output=True, text=True, timeout=120, check=True
    )
    width, taken = map(int, done.stdout.split())
    assert width == 320
    assert taken < 20 * 1024 * 1024
