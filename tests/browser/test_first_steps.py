"""From an empty catalog to a photo that somebody else looks at: what the gallery is for."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.shelf import Shelf


def test_photos_come_in_are_found_shared_deleted_and_brought_back(
    enter: Enter, shelf: Shelf, empty: None, photos: dict[str, Path]
) -> None:
    me = enter(signed_in=False)
    me.open()
    expect(me.page.get_by_role("heading", name="Find your photos")).to_be_visible()
    me.sign_in()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    # The code of the sign-in does not stay in the address, where it would be shared.
    assert me.page.url == me.url

    me.drag_in(*photos.values())
    uploads = me.page.get_by_role("region", name="Uploads")
    expect(uploads.get_by_text("14 photos can be found now")).to_be_visible(timeout=60_000)
    expect(uploads.get_by_role("button", name=re.compile("chelsea.png.*cat"))).to_be_visible()
    me.shows(*photos)
    uploads.get_by_role("button", name="Close the list of uploads").click()

    # Nobody wrote anywhere that a dalmatian is a mammal.
    me.search("mammal")
    expect(me.tile("spotted dog.jpg")).to_be_visible()
    me.page.get_by_role("button", name="How sure").click()
    me.page.get_by_role("slider").fill("50")
    me.shows("chelsea.png", "spotted dog.jpg")
    me.page.keyboard.press("Escape")

    me.tile("chelsea.png").click()
    expect(me.photo.get_by_role("heading", name="chelsea.png")).to_be_visible()
    expect(me.photo.get_by_role("region", name="Why it was found")).to_contain_text("mammal")
    shared = me.page.url

    friend = enter(signed_in=False)
    friend.page.goto(shared)
    friend.sign_in()
    expect(friend.photo.get_by_role("heading", name="chelsea.png")).to_be_visible()
    assert friend.page.url == shared
    friend.photo.get_by_role("button", name="Close", exact=True).click()
    friend.shows("chelsea.png", "spotted dog.jpg")

    similar = me.photo.get_by_role("list").filter(has=me.page.get_by_role("link", name=re.compile("spotted dog.jpg")))
    similar.get_by_role("link").first.click()
    expect(me.photo.get_by_role("heading", name="chelsea.png")).not_to_be_visible()
    expect(me.photo.get_by_role("heading", level=2)).to_be_visible()
    me.page.go_back()
    expect(me.photo).not_to_be_visible()

    me.tile("chelsea.png").focus()
    me.page.keyboard.press("Delete")
    me.shows("spotted dog.jpg")
    me.eventually(lambda: removed(shelf) == ["chelsea.png"], "the photo is gone from the catalog, too")
    friend.page.reload()
    friend.shows("spotted dog.jpg")
    me.page.get_by_role("button", name="Undo").click()
    me.shows("chelsea.png", "spotted dog.jpg")
    me.eventually(lambda: removed(shelf) == [], "the photo is in the catalog again")
    friend.page.reload()
    friend.shows("chelsea.png", "spotted dog.jpg")


def removed(shelf: Shelf) -> list[str]:
    return [one.rpartition("/")[2] for one in shelf.holds() if one.startswith("removed ")]
