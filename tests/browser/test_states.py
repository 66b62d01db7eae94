"""Every state of the gallery, on a phone and on a desktop, light and dark: axe finds nothing, nothing moves by itself.

A screenshot of each is kept in ``build/screenshots``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.visitor import DESKTOP, PHONE, Visitor

LOOKS: dict[str, dict[str, Any]] = {
    f"{name}-{scheme}": {**device, "color_scheme": scheme}
    for name, device in (("phone", PHONE), ("desktop", DESKTOP))
    for scheme in ("light", "dark")
}
LITTLE = 0.01
"""Layout shift: a tenth of what browsers' makers call good."""

Somebody = Callable[..., Visitor]


@pytest.fixture(params=LOOKS)
def somebody(enter: Enter, request: pytest.FixtureRequest) -> Somebody:
    return lambda **options: enter(name=request.param, reduced_motion="reduce", **LOOKS[request.param], **options)


def well_made(me: Visitor, state: str, *, shift: float = LITTLE) -> None:
    me.screenshot(state)
    me.accessible(state)
    moved, what = me.shift()
    assert moved <= shift, what


def test_signed_out(somebody: Somebody) -> None:
    me = somebody(signed_in=False)
    me.open()
    expect(me.page.get_by_role("button", name="Sign in")).to_be_visible()
    well_made(me, "signed-out")


def test_empty(somebody: Somebody, empty: None) -> None:
    me = somebody()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    well_made(me, "empty")


def test_all_photos(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.shows(*demo)
    well_made(me, "all")


def test_found(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open("?q=animal")
    expect(me.tile("chelsea.png")).to_be_visible()
    well_made(me, "found")


def test_words_to_choose_from(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.shows(*demo)
    me.field.press_sequentially("ca")
    expect(me.page.get_by_role("option").first).to_be_visible()
    well_made(me, "completion")


@pytest.mark.parametrize("menu", ["Colour", "Time", "How sure"])
def test_menus(somebody: Somebody, demo: dict[str, Path], menu: str) -> None:
    me = somebody()
    me.open("?q=animal")
    expect(me.tile("chelsea.png")).to_be_visible()
    me.page.get_by_role("group", name="Filters").get_by_role("button", name=menu).click()
    well_made(me, f"menu-{menu.rsplit(maxsplit=1)[-1].lower()}")


def test_filters(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open("?q=animal&least=20&color=brown,gray")
    expect(me.page.get_by_role("button", name="Without brown")).to_be_visible()
    well_made(me, "filters")


def test_nothing_found(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open("?q=esspreso%20submarine")
    expect(me.page.get_by_role("heading", name="Nothing like that here")).to_be_visible()
    well_made(me, "nothing-found")


def test_a_query_that_makes_no_sense(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.expects("status of 400")
    me.open("?q=dog%20after:yesterday")
    expect(me.page.get_by_role("alert")).to_be_visible()
    well_made(me, "bad-query")


def test_the_server_fails(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.expects("status of 500")
    me.page.route(re.compile(r"/images(\?|$)"), broken)
    me.open()
    expect(me.page.get_by_role("heading", name="That didn")).to_be_visible()
    well_made(me, "trouble")


def broken(route: Route) -> None:
    route.fulfill(status=500, content_type="application/json", body='{"message": "Internal Server Error"}')


def test_offline(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.expects("ERR_INTERNET_DISCONNECTED")
    me.open()
    me.shows(*demo)
    me.at_rest()
    me.context.set_offline(True)
    expect(me.page.get_by_text("You are offline.")).to_be_visible()
    # The line that says so comes in at the top, and the photos make room for it.
    well_made(me, "offline", shift=1)


def test_one_photo(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.tile("chelsea.png").click()
    expect(me.photo).to_be_visible()
    expect(me.photo.locator("img.pswp__img:not(.pswp__img--placeholder)").first).to_be_visible()
    well_made(me, "photo")


def test_one_photo_and_what_is_known_of_it(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open("?q=animal")
    me.tile("chelsea.png").click()
    details = me.photo.get_by_role("complementary")
    if not details.is_visible():
        me.photo.get_by_role("button", name="Details").click()
    expect(details.get_by_text("It shows")).to_be_visible()
    expect(details.get_by_role("heading", name="Similar photos")).to_be_visible()
    well_made(me, "details")


def test_a_photo_that_is_gone(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.expects("status of 404")
    me.open(f"?photo={'0' * 64}")
    expect(me.page.get_by_role("heading", name="This photo is not here any more")).to_be_visible()
    well_made(me, "photo-gone")


def test_selected(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.shows(*demo)
    me.tiles.first.focus()
    for _ in range(3):
        me.page.keyboard.press("x")
        me.page.keyboard.press("ArrowRight")
    expect(me.page.get_by_role("region", name="Selected photos")).to_contain_text("3 photos")
    well_made(me, "selected")


def test_keys(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.shows(*demo)
    me.page.keyboard.press("?")
    expect(me.page.get_by_role("dialog", name="Keys")).to_be_visible()
    well_made(me, "keys")


def test_uploads(somebody: Somebody, demo: dict[str, Path], tmp_path: Path) -> None:
    me = somebody()
    # Where everything goes on for ever: no photo gets any further than these.
    me.page.route("**/uploads/*", lambda route: route.fulfill(json={"upload": "x", "images": [], "cursor": None}))
    me.open()
    me.shows(*demo)
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "empty.jpg").touch()
    me.drag_in(*list(demo.values())[:4], tmp_path / "notes.txt", tmp_path / "empty.jpg")
    expect(me.page.get_by_text("Classifying", exact=True)).to_have_count(4)
    well_made(me, "uploads")


def test_dragging(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.open()
    me.shows(*demo)
    held = {"items": [], "files": [str(demo["chelsea.png"])], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        me.devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": held})
    expect(me.page.get_by_text("Drop to add")).to_be_visible()
    well_made(me, "dragging")


def test_deleted(somebody: Somebody, demo: dict[str, Path]) -> None:
    me = somebody()
    me.page.route(
        re.compile(r"/images/[0-9a-f]+$"),
        lambda route: (
            route.fulfill(status=202, json={"id": "", "undo_until": "2027-01-01T00:00:00Z"})
            if route.request.method == "DELETE"
            else route.fallback()
        ),
    )
    me.open()
    me.shows(*demo)
    me.tile("chelsea.png").focus()
    me.page.keyboard.press("Delete")
    expect(me.page.get_by_role("button", name="Undo")).to_be_visible()
    well_made(me, "deleted")


def test_a_thousand(somebody: Somebody, thousand: None) -> None:
    me = somebody()
    me.open()
    expect(me.tile("0000.jpg")).to_be_visible()
    well_made(me, "thousand")
