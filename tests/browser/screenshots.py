"""``python -m tests.browser.screenshots``: the README's pictures of the gallery, made with the demo's photos."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from tagstream.local.gallery import Gallery
from tagstream.local.photos import fetch
from tests.browser.chrome import browser
from tests.browser.cloud import cloud
from tests.browser.shelf import Shelf
from tests.browser.visitor import Visitor
from tests.documents import ROOT

IMAGES = ROOT / "docs" / "images"
LARGEST = 150_000
"""Bytes: a page with two of them still comes at once."""


def main() -> None:
    photos = {path.name: path for path in fetch(ROOT / "build" / "photos")}
    with (
        tempfile.TemporaryDirectory(prefix="tagstream-screenshots-") as directory,
        browser() as running,
        cloud(Path(directory)) as pipeline,
    ):
        shelf = Shelf(pipeline)
        shelf.demo(photos)
        shelf.close()
        size = {"width": 1200, "height": 780}
        me = Visitor.of(running, Gallery.of(pipeline.connection).url, [], viewport=size, reduced_motion="reduce")
        me.open()
        me.sign_in()
        me.shows(*photos)
        save(me, "gallery")
        me.search("puppy")
        me.tile("spotted dog.jpg").click()
        expect(me.photo.get_by_role("heading", name="Similar photos")).to_be_visible()
        save(me, "gallery-photo")
        me.context.close()


def save(me: Visitor, name: str) -> None:
    me.page.mouse.move(0, 0)
    me.at_rest()
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.webp"
    with Image.open(io.BytesIO(me.page.screenshot())) as picture:
        picture.convert("RGB").save(path, quality=78, method=6)
    length = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {length // 1000} kB")
    if length > LARGEST:
        raise SystemExit(f"that is more than {LARGEST // 1000} kB")


if __name__ == "__main__":
    main()
