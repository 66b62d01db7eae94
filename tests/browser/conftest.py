"""The browser tier: the gallery as people use it, in a real Chromium, on stacks deployed once into a local cloud.

With ``GALLERY_CLOUD=up`` that is the cloud that ``tagstream local up`` started, whose catalog is emptied, and the page
is made of the files in the working tree: for who works on these.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tagstream.local.gallery import Gallery
from tests.browser.chrome import NoBrowser, browser
from tests.browser.cloud import cloud
from tests.e2e.conftest import Pipeline, photos

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.shelf import Shelf
    from tests.browser.visitor import Session, Visitor

__all__ = ["photos"]

SKIPPED = pytest.StashKey[str]()
# Where Playwright is not installed, nothing here can even be imported.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

Enter = Callable[..., "Visitor"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line, where nobody can miss it."""
    no_playwright = "Playwright is not installed: run 'make browser'." if collect_ignore_glob else None
    if reason := config.stash.get(SKIPPED, no_playwright):
        print(f"\nThe gallery was not tested: {reason}")  # noqa: T201


@pytest.fixture(scope="session")
def chromium(pytestconfig: pytest.Config) -> Iterator[Browser]:
    try:
        with browser() as running:
            yield running
    except NoBrowser as error:
        pytestconfig.stash[SKIPPED] = str(error)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def pipeline(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Only where there is a browser to look at it with; with the model that runs on any processor, since which photos
    are alike is a matter of scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGSTREAM_MODEL", "efficientnet-lite0")
        with cloud(tmp_path_factory.mktemp("browser")) as pipeline:
            yield pipeline


@pytest.fixture(scope="session")
def gallery(pipeline: Pipeline) -> Gallery:
    return Gallery.of(pipeline.connection)


@pytest.fixture(scope="session")
def shelf(pipeline: Pipeline) -> Iterator[Shelf]:
    from tests.browser.shelf import Shelf

    shelf = Shelf(pipeline)
    yield shelf
    shelf.close()


@pytest.fixture
def empty(shelf: Shelf) -> None:
    shelf.empty()


@pytest.fixture
def demo(shelf: Shelf, photos: dict[str, Path]) -> dict[str, Path]:
    """The demo's photos, which are in the catalog."""
    shelf.demo(photos)
    return photos


@pytest.fixture
def thousand(shelf: Shelf) -> None:
    shelf.thousand()


@pytest.fixture(scope="session")
def session(chromium: Browser, pipeline: Pipeline, gallery: Gallery) -> Session:
    """Somebody who has signed in, by the page itself."""
    visitor = _visitor(chromium, pipeline, gallery)
    visitor.open()
    visitor.sign_in()
    session = visitor.session
    visitor.check()
    visitor.context.close()
    return session


@pytest.fixture
def enter(chromium: Browser, pipeline: Pipeline, gallery: Gallery, request: pytest.FixtureRequest) -> Iterator[Enter]:
    """``enter(signed_in=False, **options)``: somebody comes, with a browser of their own.

    Signed in, unless said otherwise. At the end nothing may have gone wrong in any of these browsers.
    """
    visitors: list[Visitor] = []

    def come(*, signed_in: bool = True, **options: Any) -> Visitor:
        visitor = _visitor(chromium, pipeline, gallery, **options)
        visitors.append(visitor)
        if signed_in:
            visitor.resume(request.getfixturevalue("session"))
        return visitor

    yield come
    try:
        for visitor in visitors:
            visitor.check()
    finally:
        for visitor in visitors:
            visitor.context.close()


def _visitor(chromium: Browser, pipeline: Pipeline, gallery: Gallery, **options: Any) -> Visitor:
    from tests.browser.visitor import Visitor

    page = urlsplit(gallery.url)
    # Pictures and uploads are S3's, which is the local cloud itself.
    return Visitor.of(
        chromium, gallery.url, [f"{page.scheme}://{page.netloc}", pipeline.connection.endpoint_url], **options
    )
