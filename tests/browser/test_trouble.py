"""What goes wrong is said, and goes on where it stopped: the server, the line, the session."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.shelf import Shelf
from tests.browser.test_finding import scroll_to
from tests.browser.test_uploading import slow

LIST = re.compile(r"/images(\?|$)")


def answering(status: int) -> object:
    return lambda route: route.fulfill(status=status, json={"message": "no"}, headers={"retry-after": "0"})


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_not_even_noticed(enter: Enter, demo: dict[str, Path], status: int) -> None:
    me = enter()
    me.expects(f"status of {status}")
    me.page.route(LIST, answering(status), times=2)
    me.open()
    me.shows(*demo)


@pytest.mark.parametrize("status", [429, 500])
def test_what_stays_is_said_and_tried_again(enter: Enter, demo: dict[str, Path], status: int) -> None:
    me = enter()
    me.expects(f"status of {status}")
    me.page.route(LIST, answering(status))
    me.open("?q=espresso")
    expect(me.page.get_by_role("alert")).to_contain_text("moment")
    me.page.unroute(LIST)
    me.page.get_by_role("button", name="Try again").click()
    me.shows("coffee.png")


def test_the_list_stays_when_its_next_page_fails(enter: Enter, thousand: None) -> None:
    me = enter()
    me.expects("status of 500")
    me.page.route(lambda url: "cursor=" in url, answering(500))
    me.open()
    scroll_to(me, "0055.jpg")
    expect(me.page.get_by_role("alert")).to_contain_text("Something went wrong on the server")
    me.page.unroute_all()
    me.page.get_by_role("button", name="Try again").click()
    scroll_to(me, "0100.jpg")


def test_offline_and_back(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.expects("ERR_INTERNET_DISCONNECTED")
    me.open()
    me.shows(*demo)
    me.context.set_offline(True)
    expect(me.page.get_by_text("You are offline.")).to_be_visible()
    # What was seen is still there; what was not is asked for once there is a line again.
    assert len(me.shown()) == len(demo)
    me.search("espresso")
    expect(me.page.get_by_role("heading", name="No connection")).to_be_visible()
    me.context.set_offline(False)
    me.shows("coffee.png")
    expect(me.page.get_by_text("You are offline.")).not_to_be_visible()


def test_a_picture_that_is_not_there(enter: Enter, shelf: Shelf, demo: dict[str, Path]) -> None:
    me = enter()
    me.expects("status of 404")
    me.page.route(re.compile(r"eagle|/(320|1024)\.jpg"), answering(404))
    me.open()
    me.shows(*demo)
    me.tile("eagle.jpg").click()
    expect(me.photo.get_by_text("This picture can").first).to_be_visible()
    expect(me.photo.get_by_role("heading", name="eagle.jpg")).to_be_visible()


def test_a_token_that_has_run_out_is_renewed(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.expects("status of 401")
    me.open()
    me.shows(*demo)
    me.page.route(LIST, lambda route: route.fulfill(status=401, json={"message": "Unauthorized"}), times=1)
    with me.page.expect_request("**/oauth2/token") as renewal:
        me.search("espresso")
    assert "refresh_token" in (renewal.value.post_data or "")
    me.shows("coffee.png")


def test_signed_out_in_the_middle_and_in_again_at_the_same_place(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(signed_in=False)
    me.expects("status of 401")
    me.open("?q=animal&least=50")
    me.sign_in()
    expect(me.tile("chelsea.png")).to_be_visible()
    me.page.route(re.compile(r"/(images.*|oauth2/token)$"), unauthorized)
    me.search("mammal")
    expect(me.page.get_by_text("You have been signed out.")).to_be_visible()
    # What was loaded is still to be seen, and no picture is gone.
    expect(me.tile("chelsea.png")).to_be_visible()
    address = me.page.url
    me.page.unroute_all()
    me.sign_in()
    expect(me.tile("spotted dog.jpg")).to_be_visible()
    assert me.page.url == address
    expect(me.field).to_have_value("mammal")


def test_signed_out_in_front_of_a_photo(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(signed_in=False)
    me.expects("status of 401")
    me.open("?q=espresso")
    me.sign_in()
    me.page.route(re.compile(r"/(images.*|oauth2/token)$"), unauthorized)
    me.tile("coffee.png").click()
    # The photo and what the list knows of it are there all the same; behind it somebody may sign in again.
    expect(me.photo).to_be_visible()
    me.page.keyboard.press("Escape")
    expect(me.page.get_by_text("You have been signed out.")).to_be_visible()
    me.page.unroute_all()
    me.sign_in()
    me.shows("coffee.png")


def unauthorized(route: Route) -> None:
    route.fulfill(status=401, json={"message": "Unauthorized"})


def test_a_photo_that_was_shared_is_there_after_signing_in(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.open("?q=espresso")
    me.tile("coffee.png").click()
    me.page.wait_for_url("**photo=**")
    other = enter(signed_in=False)
    other.page.goto(me.page.url)
    # Nothing of it is told to who is not signed in.
    expect(other.page.get_by_role("heading", name="Find your photos")).to_be_visible()
    expect(other.page.get_by_text("coffee.png")).to_have_count(0)
    other.sign_in()
    expect(other.photo.get_by_role("heading", name="coffee.png")).to_be_visible()
    assert other.page.url == me.page.url


def test_signing_in_is_refused(enter: Enter, empty: None) -> None:
    """Somebody comes back from the sign-in page with nothing, or with what this tab never asked for."""
    me = enter(signed_in=False)
    me.open()
    begun = json.dumps({"state": "own", "verifier": "v", "search": ""})
    me.page.evaluate("begun => sessionStorage.setItem('tagstream.sign-in', begun)", begun)
    me.open("?error=access_denied&error_description=%3Cimg%20src%3Dx%20onerror%3Dwindow.hacked%3D1%3E&state=own")
    expect(me.page.get_by_role("alert")).to_contain_text("Signing in did not work. <img")
    asked: list[str] = []
    me.page.on("request", lambda request: asked.append(request.url))
    me.open("?code=stolen&state=guessed")
    expect(me.page.get_by_role("alert")).to_contain_text("Signing in did not work")
    assert not [url for url in asked if "token" in url]
    assert "stolen" not in me.page.url


def test_signed_out(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter(signed_in=False)
    me.open()
    me.sign_in()
    me.shows(*demo)
    me.page.get_by_role("button", name="Sign out").click()
    expect(me.page.get_by_role("heading", name="Find your photos")).to_be_visible()
    assert me.page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]
    me.page.go_back()
    expect(me.tiles).to_have_count(0)


def test_over_a_slow_line(enter: Enter, demo: dict[str, Path]) -> None:
    """The page says that it is at it, and what is typed meanwhile is what is found."""
    me = enter()
    me.open()
    me.shows(*demo)
    slow(me, 30)
    me.page.reload(wait_until="commit")
    expect(me.page.get_by_text("Loading photos")).to_be_attached()
    me.shows(*demo)
    me.field.press_sequentially("espresso", delay=20)
    expect(me.page.locator("[aria-busy=true]")).to_have_count(1)
    me.shows("coffee.png")


def test_deleting_fails_and_the_photo_is_back(enter: Enter, demo: dict[str, Path]) -> None:
    me = enter()
    me.expects("status of 403")
    me.page.route(
        re.compile(r"/images/[0-9a-f]+$"),
        lambda route: (
            route.fulfill(status=403, json={"message": "Forbidden"})
            if route.request.method == "DELETE"
            else route.fallback()
        ),
    )
    me.open()
    me.tile("eagle.jpg").focus()
    me.page.keyboard.press("Delete")
    expect(me.page.get_by_text("The photo was not deleted. Your account may not do this.")).to_be_visible()
    me.shows(*demo)


def test_without_its_settings(enter: Enter, empty: None) -> None:
    me = enter()
    me.expects("status of 500")
    me.page.route("**/config.json", answering(500), times=1)
    me.open()
    expect(me.page.get_by_role("heading", name=re.compile("The gallery can.t be reached"))).to_be_visible()
    me.page.get_by_role("button", name="Load again").click()
    expect(me.page.get_by_role("heading", name="Your photos go here")).to_be_visible()


def test_the_policy_holds(enter: Enter, demo: dict[str, Path]) -> None:
    """What would run if somebody got markup into the page does not: the policy is no decoration."""
    me = enter()
    me.expects("the policy forbids", "Content Security Policy", "Trusted")
    me.open()
    me.shows(*demo)
    me.page.evaluate(
        """() => {
          const script = document.createElement("script");
          try { script.text = "window.hacked = 1"; } catch { }
          document.body.append(script);
          try { document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=window.hacked=1>"); } catch { }
          fetch("https://example.com/").catch(() => {});
        }"""
    )
    me.eventually(lambda: len(me.violations) >= 3, "all three were forbidden")
    assert me.page.evaluate("window.hacked") is None
