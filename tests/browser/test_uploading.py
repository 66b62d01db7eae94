"""Photos on their way in: every way to bring them, bad names, bad files, and a line that comes and goes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.shelf import Shelf, classified, picture
from tests.browser.visitor import Visitor

ATTACK = '"><img src=x onerror=window.hacked=1>.jpg'
NAMES = {
    "markup": ATTACK,
    "script": "<script>window.hacked=1</script>.jpg",
    "template": "${window.hacked=1}{{constructor.constructor('window.hacked=1')()}}.jpg",
    "right to left": "\u202egpj.חתול \u0627\u0644\u0642\u0637.jpg",
    "lines": "two\nlines\r\n\tand a tab.jpg",
    "long": f"{'long name ' * 50}.jpg",
    "address": "javascript:window.hacked=1.jpg",
    "path": "..\\..\\%2e%2e?x=1&y=2#z;a+b.jpg",
    "emoji": "👩‍👩‍👧‍👦 e\u0301.jpg",
}


def done(me: Visitor, text: str) -> None:
    expect(me.page.get_by_role("region", name="Uploads").get_by_role("status")).to_contain_text(text, timeout=60_000)


def test_chosen_by_the_button(enter: Enter, empty: None, photos: dict[str, Path]) -> None:
    me = enter()
    me.open()
    with me.page.expect_file_chooser() as chooser:
        me.page.get_by_role("button", name="Add photos").click()
    assert chooser.value.is_multiple()
    chooser.value.set_files([photos["chelsea.png"], photos["coffee.png"]])
    done(me, "2 photos can be found now")
    me.shows("chelsea.png", "coffee.png")
    # A photo can be opened from the list of uploads.
    me.page.get_by_role("button", name=re.compile("coffee.png")).click()
    expect(me.photo.get_by_role("heading", name="coffee.png")).to_be_visible()


def test_a_folder(enter: Enter, shelf: Shelf, empty: None, photos: dict[str, Path], tmp_path: Path) -> None:
    """With the folders in it; two files of one name are two photos; what other programs left there is not sent."""
    trip = tmp_path / "trip"
    for day, name in (("monday", "chelsea.png"), ("tuesday", "coffee.png")):
        (trip / day).mkdir(parents=True)
        shutil.copy(photos[name], trip / day / "same.png")
    (trip / ".DS_Store").write_bytes(b"x")
    me = enter()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    me.drag_in(trip)
    done(me, "2 photos can be found now")
    keys = sorted(re.sub("^classified uploads/[^/]+/", "", one) for one in shelf.holds())
    assert keys == ["trip/monday/same.png", "trip/tuesday/same.png"]
    # Once more, by the button.
    me.page.get_by_role("button", name="Close the list of uploads").click()
    shelf.clear()
    me.page.reload()
    with me.page.expect_file_chooser() as chooser:
        me.page.get_by_role("button", name="Choose a folder").click()
    chooser.value.set_files(trip)
    me.eventually(lambda: len(shelf.holds()) == 2, "both photos are in the catalog again")


def test_names_that_are_no_names(enter: Enter, empty: None) -> None:
    """Whatever a file is called it is shown as text, wherever its name is shown; and nothing is lost."""
    me = enter()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    for number, name in enumerate(NAMES.values()):
        me.hand_over(name, picture(200, 150, hue=30 * number))
    done(me, f"{len(NAMES)} photos can be found now")
    me.eventually(lambda: me.tiles.count() == len(NAMES), "all of them are in the list")
    expect(me.tile(ATTACK)).to_be_visible()
    me.at_rest()
    me.accessible("names that are no names")
    for number in range(len(NAMES)):
        me.tiles.nth(number).click()
        expect(me.photo.get_by_role("heading", level=2)).to_be_visible()
        expect(me.photo.get_by_role("heading", name="Similar photos")).to_be_visible()
        me.page.keyboard.press("Escape")
        expect(me.photo).not_to_be_visible()
    wide = me.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    me.expects("status of 400")
    me.search(ATTACK)
    nothing = me.page.get_by_role("heading", name="Nothing like that")
    expect(me.page.get_by_role("alert").or_(nothing).first).to_be_visible()
    me.page.goto(f"{me.url}?q=dog&tag=%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E")
    expect(me.page.get_by_role("button", name="Without <img src=x onerror=window.hacked=1>")).to_be_visible()


def test_what_a_photo_says_of_itself_is_text(enter: Enter, shelf: Shelf, empty: None) -> None:
    """Tags and EXIF fields with markup in them, as another model or another camera may have them."""
    evil = "<img src=x onerror=window.hacked=1>"
    shelf.put(
        [
            classified(
                shelf.pipeline.bucket,
                f"{evil}.jpg",
                "2026-01-01T00:00:00Z",
                {evil: (0.9, "leaf"), f"general {evil}": (0.95, "ancestor")},
                width=100,
                height=100,
                facts={"camera": evil, "taken_at": "2020-02-02T02:02:02", "location": {"lat": 1.5, "lon": -2.5}},
            )
        ]
    )
    me = enter()
    # There is no such file in the bucket.
    me.expects("status of 404")
    me.open()
    me.tile(evil).click()
    details = me.photo.get_by_role("complementary")
    expect(details.get_by_role("button", name=evil, exact=True)).to_be_visible()
    expect(details.get_by_role("button", name=f"general {evil}")).to_be_visible()
    place = details.get_by_role("link", name=re.compile("1.5000° N, 2.5000° W"))
    assert (place.get_attribute("href") or "").startswith("https://www.openstreetmap.org/")
    assert place.get_attribute("rel") == "noopener noreferrer"


def test_a_photo_that_browsers_cannot_show(enter: Enter, shelf: Shelf, empty: None) -> None:
    for number in range(3):
        at = f"2026-01-01T00:00:0{number}Z"
        shelf.put(
            [classified(shelf.pipeline.bucket, f"{number}.tiff", at, {"dog": (0.9, "leaf")}, width=100, height=50)]
        )
    me = enter()
    me.open()
    expect(me.tile("1.tiff")).to_be_visible()
    me.tile("1.tiff").click()
    expect(me.photo.get_by_text("This picture can").first).to_be_visible()
    expect(me.photo.get_by_role("heading", name="1.tiff")).to_be_visible()


def test_what_is_no_photo_is_told(enter: Enter, empty: None, photos: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no photo")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "broken.jpg").write_bytes(photos["rocket.jpg"].read_bytes()[:2000])
    (tmp_path / "text.png").write_text("no photo either")
    me = enter()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    me.drag_in(*sorted(tmp_path.iterdir()), photos["coffee.png"])
    done(me, "1 photo can be found now")
    done(me, "4 rejected")
    rows = me.page.get_by_role("group", name="5 files").get_by_role("listitem")
    for name in ("notes.txt", "empty.jpg", "broken.jpg", "text.png"):
        row = rows.filter(has_text=name)
        assert len(row.inner_text()) > len(name) + 10, f"{name} says why it was rejected: {row.inner_text()}"
    me.shows("coffee.png")


def test_a_lost_connection_loses_nothing(enter: Enter, empty: None, photos: dict[str, Path]) -> None:
    me = enter()
    me.expects("ERR_INTERNET_DISCONNECTED", "ERR_FAILED", "status of (429|500|503)")
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    me.context.set_offline(True)
    expect(me.page.get_by_text("You are offline.")).to_be_visible()
    me.drag_in(*photos.values())
    done(me, "Waiting for the connection")
    # Back again, to a server that has its troubles.
    troubles = iter([429, 500, 503])

    def troubled(route: Route) -> None:
        status = next(troubles, None)
        if status is None:
            return route.fallback()
        return route.fulfill(status=status, json={"message": "no"}, headers={"retry-after": "1"})

    me.page.route("**/uploads", troubled)
    lost: list[str] = []

    def cut(route: Route) -> None:
        if route.request.method == "POST" and len(lost) < 3:
            lost.append(route.request.url)
            return route.abort()
        return route.fallback()

    me.page.route(lambda url: url.startswith("http://127.0.0.1"), cut)
    me.context.set_offline(False)
    done(me, f"{len(photos)} photos can be found now")
    assert len(lost) == 3
    assert next(troubles, None) is None
    me.shows(*photos)


def test_signed_out_in_the_middle_and_in_again(enter: Enter, empty: None, photos: dict[str, Path]) -> None:
    """Nothing is sent without a token, and what was waiting is said to wait."""
    me = enter()
    me.expects("status of 40[01]")
    refused = re.compile(r"/(oauth2/token|uploads)$")
    me.page.route(refused, lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}))
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    me.drag_in(photos["coffee.png"])
    done(me, "Waiting until you are signed in")
    # Whoever leaves now is asked first: the photos are in this page only.
    asked: list[str] = []
    me.page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    me.page.unroute(refused)
    me.sign_in()
    assert asked == ["beforeunload"]
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()


def test_many_at_once(enter: Enter, shelf: Shelf, empty: None, tmp_path: Path) -> None:
    files = []
    for number in range(130):
        files.append(tmp_path / f"{number:03}.jpg")
        files[-1].write_bytes(picture(64, 48, hue=number * 2))
    me = enter()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    me.drag_in(*files)
    # However many there are, only the rows that are seen are in the page.
    expect(me.page.get_by_role("group", name="130 files").get_by_role("listitem")).not_to_have_count(0)
    assert me.page.get_by_role("group", name="130 files").get_by_role("listitem").count() < 20
    done(me, "130 photos can be found now")
    assert len(shelf.holds()) == 130


@pytest.mark.parametrize("kilobytes", [50])
def test_over_a_slow_line(enter: Enter, empty: None, photos: dict[str, Path], kilobytes: int) -> None:
    me = enter()
    me.open()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()
    slow(me, kilobytes)
    me.drag_in(photos["chelsea.png"])
    row = me.page.get_by_role("listitem").filter(has_text="chelsea.png")
    expect(row).to_contain_text(re.compile(r"Uploading \d+ %"))
    done(me, "1 photo can be found now")


def slow(me: Visitor, kilobytes: int) -> None:
    me.devtools.send("Network.enable")
    speed = kilobytes * 1000
    limits = {"offline": False, "latency": 300, "downloadThroughput": speed, "uploadThroughput": speed}
    me.devtools.send("Network.emulateNetworkConditions", limits)
