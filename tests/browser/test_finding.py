"""Looking for photos: words, filters, the way back, and a thousand of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.shelf import MANY
from tests.browser.visitor import DESKTOP, PHONE, Visitor


def test_back_and_forward(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open()
    me.shows(*demo)
    # Letter by letter, and one step all the same.
    me.field.press_sequentially("espresso", delay=30)
    me.shows("coffee.png")
    me.field.blur()
    me.search("missile")
    expect(me.tile("rocket.jpg")).to_be_visible()
    me.tile("rocket.jpg").click()
    expect(me.photo).to_be_visible()

    me.page.go_back()
    expect(me.photo).not_to_be_visible()
    expect(me.field).to_have_value("missile")
    me.page.go_back()
    expect(me.field).to_have_value("espresso")
    me.shows("coffee.png")
    me.page.go_back()
    expect(me.field).to_have_value("")
    me.shows(*demo)
    assert me.page.url == me.url
    for _ in range(2):
        me.page.go_forward()
    expect(me.tile("rocket.jpg")).to_be_visible()
    me.page.go_forward()
    expect(me.photo).to_be_visible()
    # It is the browser's own history: loaded anew, all is as it was.
    me.page.reload()
    expect(me.photo).to_be_visible()
    me.page.go_back()
    expect(me.photo).not_to_be_visible()
    expect(me.tile("rocket.jpg")).to_be_visible()


def test_words_are_completed_and_said_what_they_mean(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open()
    me.shows(*demo)
    me.field.press_sequentially("pupp")
    words = me.page.get_by_role("option")
    expect(words.filter(has_text="puppy")).to_contain_text("dog")
    me.field.fill("")
    me.field.press_sequentially("cat")
    expect(words.first).to_be_visible()
    me.page.keyboard.press("ArrowDown")
    chosen = me.page.locator("[role=option][aria-selected=true]")
    expect(chosen).to_have_count(1)
    expect(me.field).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "")
    me.page.keyboard.press("Enter")
    expect(words).to_have_count(0)
    expect(me.tile("chelsea.png")).to_be_visible()


def test_filters_narrow_and_are_taken_away_again(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open()
    me.shows(*demo)
    filters = me.page.get_by_role("group", name="Filters")
    filters.get_by_role("button", name=re.compile("^bird")).first.click()
    me.eventually(lambda: sorted(me.shown()[:2]) == ["eagle.jpg", "geese.jpg"], "the birds come first")
    filters.get_by_role("button", name="Colour").click()
    me.page.get_by_role("button", name="green", exact=True).click()
    me.eventually(lambda: me.shown()[0] == "geese.jpg", "the one before grass comes first")
    me.page.keyboard.press("Escape")
    expect(me.page.get_by_role("button", name="green", exact=True)).not_to_be_visible()
    assert "tag=bird" in me.page.url
    assert "color=green" in me.page.url
    filters.get_by_role("button", name="Without bird").click()
    filters.get_by_role("button", name="Without green").click()
    me.shows(*demo)
    assert me.page.url == me.url


def test_an_answer_that_comes_late_is_not_shown(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    me.page.route(lambda url: "q=espresso" in url, hold)
    me.open()
    me.shows(*demo)
    me.search("espresso")
    me.eventually(lambda: held, "the search was sent")
    me.search("missile")
    expect(me.tile("rocket.jpg")).to_be_visible()
    for route in held:
        route.fulfill(json={"total": 0, "images": [], "cursor": None, "terms": []})
    me.search("missile ")
    expect(me.tile("rocket.jpg")).to_be_visible()
    expect(me.field).to_have_value("missile ")


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_thousand_photos(enter: Enter, thousand: None, device: dict[str, object]) -> None:
    me = enter(**device)
    me.open()
    expect(me.tile("0000.jpg")).to_be_visible()
    expect(me.page.get_by_text(re.compile("1,000"))).to_be_visible()
    scroll_to(me, "0200.jpg")
    early = nodes(me)
    scroll_to(me, f"{MANY - 1:04}.jpg")
    # Only what is near the screen is in the page, however much was looked at.
    assert nodes(me) < 1.5 * early
    assert me.tiles.count() < 200
    moved, what = me.shift()
    assert moved < 0.01, what


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_place_in_a_long_list_is_kept(enter: Enter, thousand: None, motion: str) -> None:
    me = enter(reduced_motion=motion)
    me.open()
    scroll_to(me, "0300.jpg")
    me.at_rest()
    me.eventually(lambda: me.page.evaluate("history.state?.place?.top") == top(me), "the place is noted")
    place = top(me)
    # Into a photo, and back.
    me.tile("0300.jpg").click()
    expect(me.photo).to_be_visible()
    me.page.go_back()
    expect(me.photo).not_to_be_visible()
    expect(me.tile("0300.jpg")).to_be_focused()
    assert top(me) == place
    # To another search, and back.
    me.search("beagle")
    me.eventually(lambda: top(me) == 0, "another list begins at its top")
    expect(me.tile("0000.jpg")).to_be_visible()
    me.page.go_back()
    expect(me.tile("0300.jpg")).to_be_in_viewport()
    assert top(me) == place
    # To another site, and back; and loaded anew.
    me.page.goto("about:blank")
    me.page.go_back()
    expect(me.tile("0300.jpg")).to_be_in_viewport()
    assert top(me) == place
    me.page.reload()
    expect(me.tile("0300.jpg")).to_be_in_viewport()
    assert top(me) == place
    # A narrower window lays out other rows, and the same photos are seen.
    me.page.set_viewport_size({"width": 800, "height": 900})
    expect(me.tile("0300.jpg")).to_be_in_viewport()


def scroll_to(me: Visitor, name: str) -> None:
    """Down the list, as fast as it comes."""

    def there() -> bool:
        if me.tile(name).count():
            return True
        me.page.evaluate("scrollBy(0, 2 * innerHeight)")
        return False

    me.eventually(there, f"{name} is in the page", seconds=120)
    me.tile(name).evaluate("tile => tile.scrollIntoView({ block: 'center' })")


def top(me: Visitor) -> int:
    return round(me.page.evaluate("scrollY"))


def nodes(me: Visitor) -> int:
    return int(me.page.evaluate("document.querySelectorAll('*').length"))
