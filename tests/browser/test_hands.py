"""Without a mouse: keys on a desktop, fingers on a phone."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.visitor import PHONE, Visitor


def test_by_keys_alone(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open()
    me.shows(*demo)
    press = me.page.keyboard.press
    # The first stop leads past everything, to the photos.
    press("Tab")
    expect(me.page.get_by_role("link", name="To the photos")).to_be_focused()
    press("Enter")
    press("Tab")
    expect(me.tiles.first).to_be_focused()
    names = me.shown()
    press("ArrowRight")
    expect(me.tile(names[1])).to_be_focused()
    press("ArrowDown")
    press("ArrowUp")
    expect(me.tile(names[1])).to_be_focused()
    press("End")
    expect(me.tile(names[-1])).to_be_focused()
    press("Home")
    press("Enter")
    expect(me.photo).to_be_visible()
    expect(me.photo.get_by_role("heading", name=names[0])).to_be_visible()
    press("ArrowRight")
    expect(me.photo.get_by_role("heading", name=names[1])).to_be_visible()
    # The page behind is out of reach.
    for _ in range(30):
        press("Tab")
        assert me.page.evaluate("document.activeElement.closest('.page') === null")
    press("i")
    expect(me.photo.get_by_role("complementary")).not_to_be_visible()
    press("i")
    press("Escape")
    expect(me.photo).not_to_be_visible()
    expect(me.tile(names[1])).to_be_focused()

    press("x")
    press("Shift+ArrowRight")
    expect(me.page.get_by_role("region", name="Selected photos")).to_contain_text("2 photos")
    press("Control+a")
    expect(me.page.get_by_role("region", name="Selected photos")).to_contain_text(f"{len(demo)} photos")
    press("Escape")
    expect(me.page.get_by_role("region", name="Selected photos")).not_to_be_visible()

    press("/")
    expect(me.field).to_be_focused()
    me.page.keyboard.type("espr")
    expect(me.page.get_by_role("option").first).to_be_visible()
    press("ArrowDown")
    press("Enter")
    me.shows("coffee.png")
    expect(me.field).to_have_value("espresso ")
    press("Escape")
    me.shows(*demo)
    press("Escape")
    press("?")
    expect(me.page.get_by_role("dialog", name="Keys")).to_be_visible()
    press("Escape")
    expect(me.page.get_by_role("dialog", name="Keys")).not_to_be_visible()


def test_whatever_has_the_focus_shows_it(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open("?q=animal")
    expect(me.tile("chelsea.png")).to_be_visible()
    seen = set()
    for _ in range(40):
        me.page.keyboard.press("Tab")
        name, visible = me.page.evaluate(
            """() => {
              const one = document.activeElement;
              const outlined = (each) => {
                const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(each);
                return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
              };
              const around = one.closest(".search-field, .slider, .tile");
              const shown = one === document.body || outlined(one) || !!around && outlined(around);
              return [one.outerHTML.slice(0, 120), shown];
            }"""
        )
        assert visible, name
        seen.add(name)
    assert len(seen) > 10


def test_select_several_and_delete_and_undo(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open()
    me.shows(*demo)
    names = me.shown()
    for name in names[:3]:
        me.tile(name).hover()
        me.page.get_by_role("checkbox", name=f"Select {name}").click()
    bar = me.page.get_by_role("region", name="Selected photos")
    expect(bar).to_contain_text("3 photos")
    with me.page.expect_download() as saved:
        bar.get_by_role("button", name="Download").click()
    assert saved.value.suggested_filename in names[:3]
    bar.get_by_role("button", name="Delete").click()
    me.shows(*names[3:])
    expect(me.page.get_by_text("3 photos are deleted.")).to_be_visible()
    me.page.get_by_role("button", name="Undo").click()
    me.shows(*names)
    expect(me.page.get_by_text("3 photos are back.")).to_be_visible()


def test_on_a_phone(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(**PHONE)
    me.open()
    me.shows(*demo)
    assert me.page.evaluate("document.documentElement.scrollWidth") == 390
    names = me.shown()
    me.tile(names[0]).tap()
    expect(me.photo).to_be_visible()
    me.at_rest()
    me.page.wait_for_function("() => document.querySelectorAll('.pswp__item img').length > 1")
    me.photo.get_by_role("button", name="Details").tap()
    expect(me.photo.get_by_role("heading", name=names[0])).to_be_visible()
    me.photo.get_by_role("button", name="Close the details").tap()
    swipe(me, (330, 400), (40, 405))
    expect(me.photo).to_have_attribute("aria-label", names[1])
    swipe(me, (40, 400), (330, 405))
    expect(me.photo).to_have_attribute("aria-label", names[0])
    # Pulled down, it closes.
    swipe(me, (195, 300), (195, 800))
    expect(me.photo).not_to_be_visible()

    hold(me, names[2])
    expect(me.page.get_by_role("region", name="Selected photos")).to_contain_text("1 photo")
    me.tile(names[3]).tap()
    expect(me.page.get_by_role("region", name="Selected photos")).to_contain_text("2 photos")
    me.page.get_by_role("button", name="Select none").tap()

    me.field.tap()
    me.page.keyboard.type("espresso")
    me.page.keyboard.press("Enter")
    me.shows("coffee.png")
    # The keyboard is gone.
    expect(me.field).not_to_be_focused()


def test_targets_are_large_enough_for_fingers(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(**PHONE)
    me.open("?q=animal&color=brown")
    expect(me.tile("chelsea.png")).to_be_visible()
    small = me.page.evaluate(
        """() => [...document.querySelectorAll("button, a[href], input")].filter((one) => {
          const { width, height } = one.getBoundingClientRect();
          return width && one.checkVisibility({ opacityProperty: true, visibilityProperty: true })
            && !one.matches(".skip") && (width < 24 || height < 24);
        }).map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert small == []


def test_less_motion_is_none(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(reduced_motion="reduce")
    me.open()
    me.shows(*demo)
    me.page.evaluate(
        """() => {
          window.moves = [];
          for (const kind of ["animationstart", "transitionrun"]) addEventListener(kind, (event) => {
            const timing = event.target.getAnimations()[0]?.effect.getComputedTiming();
            const what = event.propertyName ?? event.animationName;
            if (timing?.duration > 1) window.moves.push(`${kind} ${what} of ${event.target.className}`);
          }, true);
        }"""
    )
    me.tile("eagle.jpg").click()
    expect(me.photo).to_be_visible()
    me.page.keyboard.press("ArrowRight")
    me.page.keyboard.press("Escape")
    expect(me.photo).not_to_be_visible()
    me.page.get_by_role("button", name="Colour").click()
    me.page.keyboard.press("Escape")
    me.search("espresso")
    me.shows("coffee.png")
    assert me.page.evaluate("window.moves") == []


def swipe(me: Visitor, start: tuple[int, int], end: tuple[int, int]) -> None:
    steps = 8
    points = [
        {"x": start[0] + (end[0] - start[0]) * step / steps, "y": start[1] + (end[1] - start[1]) * step / steps}
        for step in range(steps + 1)
    ]
    me.devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        me.devtools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    me.devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def hold(me: Visitor, name: str) -> None:
    """A finger on a photo, until it is selected."""
    box = me.tile(name).bounding_box()
    assert box is not None
    point = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    me.devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    bar = me.page.get_by_role("region", name="Selected photos")
    me.eventually(bar.count, "a photo that is held is selected")
    me.devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
