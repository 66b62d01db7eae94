"""Somebody in front of the gallery: a browser of their own, and everything in it that nobody should see."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, ConsoleMessage, Locator, Page, Request, expect

from tagstream.local.gallery import PASSWORD, USER

__all__ = ["AXE", "DESKTOP", "PHONE", "Session", "Visitor"]

expect.set_options(timeout=20_000)

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}

_WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  saw(`the policy forbids ${event.violatedDirective}: ${event.blockedURI} ${event.sample}`));
window.shifts = [];
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) {
    if (shift.hadRecentInput) continue;
    const moved = shift.sources.map(({ node, previousRect: a, currentRect: b }) =>
      `${node?.nodeName}.${node?.className?.baseVal ?? node?.className} ${a.x},${a.y} ${a.width}x${a.height} → ` +
      `${b.x},${b.y} ${b.width}x${b.height}`);
    window.shifts.push({ value: shift.value, moved });
  }
}).observe({ type: "layout-shift", buffered: true });
"""
_RESUME = """
([origin, session]) => {
  if (location.origin === origin && sessionStorage.getItem("tagstream.session") === null) {
    sessionStorage.setItem("tagstream.session", session);
  }
}
"""


@dataclass(frozen=True)
class Session:
    """What a tab keeps of somebody who is signed in."""

    origin: str
    kept: str


@dataclass
class Visitor:
    """``url`` is the gallery's. What goes wrong in the browser is noted, and :meth:`check` fails the test with it."""

    context: BrowserContext
    url: str
    may_ask: frozenset[str]
    """Origins that the gallery has to do with."""
    name: str = ""
    """Of this browser among others: its screenshots are called so, too."""
    page: Page = field(init=False)
    _seen: list[str] = field(default_factory=list)
    # The local cloud's sign-in page, which is not ours, has no icon.
    _expected: list[str] = field(default_factory=lambda: [r"404 \(Not Found\) \S+/favicon\.ico"])

    def __post_init__(self) -> None:
        self.context.set_default_timeout(20_000)
        self.context.expose_binding("saw", lambda _, text: self._seen.append(text))
        self.context.add_init_script(_WATCH)
        self.context.on("console", self._said)
        self.context.on("weberror", lambda error: self._seen.append(f"an error nobody caught: {error.error}"))
        self.context.on("request", self._asked)
        self.page = self.context.new_page()

    @classmethod
    def of(cls, browser: Browser, url: str, may_ask: Iterable[str], *, name: str = "", **options: Any) -> Visitor:
        context = browser.new_context(**{**DESKTOP, "locale": "en-GB", **options})
        return cls(context, url, frozenset(may_ask), name)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._seen.append(f"the console says: {message.text} {message.location['url']}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" not in self.may_ask:
            self._seen.append(f"a request to another host: {request.url}")

    @property
    def violations(self) -> list[str]:
        """What the page's policy has forbidden so far."""
        return [line for line in self._seen if line.startswith("the policy forbids")]

    def expects(self, *patterns: str) -> None:
        """What the test itself brings about is no trouble: regular expressions."""
        self._expected += patterns

    def check(self) -> None:
        """Fail if anything happened that should not, in any page of this browser."""
        for page in self.context.pages:
            if not page.is_closed() and page.evaluate("window.hacked"):
                self._seen.append("a script ran that came with a photo")
        trouble = [line for line in self._seen if not any(re.search(one, line) for one in self._expected)]
        assert not trouble, "\n".join(dict.fromkeys(trouble))

    def resume(self, session: Session) -> None:
        """Be signed in already, in every tab that is opened from now on."""
        self.context.add_init_script(f"({_RESUME.strip()})({[session.origin, session.kept]!r})")

    def open(self, path: str = "") -> Page:
        self.page.goto(f"{self.url}{path}")
        return self.page

    def sign_in(self) -> None:
        """By the sign-in page, from the state that is shown when one is signed out."""
        self.page.get_by_role("button", name=re.compile("^Sign in")).click()
        self.page.get_by_label("Username").fill(USER)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        expect(self.page.get_by_role("button", name="Sign out")).to_be_visible()

    @property
    def session(self) -> Session:
        kept = self.page.evaluate("sessionStorage.getItem('tagstream.session')")
        return Session(self.url.rstrip("/"), kept)

    @cached_property
    def devtools(self) -> CDPSession:
        """What a browser's own developer tools can do. Whoever leaves them ends what they have set, such as offline."""
        return self.context.new_cdp_session(self.page)

    # The page's parts, by what people and screen readers call them.

    @property
    def field(self) -> Locator:
        return self.page.get_by_role("combobox", name="Search photos")

    @property
    def tiles(self) -> Locator:
        return self.page.get_by_role("list", name="Photos").get_by_role("link")

    def tile(self, name: str) -> Locator:
        return self.page.get_by_role("list", name="Photos").get_by_role("link", name=re.compile(f"^{re.escape(name)}"))

    @property
    def photo(self) -> Locator:
        """The photo that is open."""
        return self.page.get_by_role("dialog")

    def search(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def shown(self) -> list[str]:
        """The names of the photos in the list, in its order."""
        return [(label or "").rpartition(":")[0] or label for label in self._labels()]

    def _labels(self) -> list[str]:
        labels: list[str] = self.tiles.evaluate_all("tiles => tiles.map(tile => tile.getAttribute('aria-label'))")
        return labels

    def shows(self, *names: str) -> None:
        """Wait until the list has these photos, in any order, and no others."""
        wanted = sorted(names)
        self.eventually(lambda: sorted(self.shown()) == wanted, lambda: f"the list has {wanted}: {self.shown()}")

    def eventually(self, probe: Callable[[], Any], what: str | Callable[[], str], *, seconds: float = 30) -> None:
        """Wait until ``probe`` answers something true, while the browser goes on; fails, saying ``what``, if not."""
        deadline = time.monotonic() + seconds
        while not probe():
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:.0f} s still not: {what if isinstance(what, str) else what()}")
            self.page.wait_for_timeout(50)

    def drag_in(self, *paths: Path) -> None:
        """Drag files or folders from the desktop over the page, and let go."""
        dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 400, "data": dragged})

    def hand_over(self, name: str, content: bytes, kind: str = "image/jpeg") -> None:
        """Drop a file that is called what no file system would have, as a script would."""
        self.page.evaluate(
            """([name, content, type]) => {
              const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
              const transfer = new DataTransfer();
              transfer.items.add(new File([bytes], name, { type }));
              const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
              document.body.dispatchEvent(new DragEvent("drop", options));
            }""",
            [name, base64.b64encode(content).decode(), kind],
        )

    def at_rest(self) -> None:
        """Wait until every picture in view is there, and nothing moves any more."""
        self.page.evaluate("() => Promise.allSettled([...document.images].map((image) => image.decode()))")
        self.page.wait_for_function(
            """() => [...document.images].every((image) => image.complete)
              && !document.querySelector(".tile[data-loaded=false] img")
              && document.getAnimations().every(({ playState, effect }) => playState !== "running"
                || effect.getComputedTiming().iterations === Infinity)"""
        )

    def screenshot(self, state: str) -> None:
        """Keep what there is to see, for people."""
        self.at_rest()
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{state}-{self.name}.png")

    def accessible(self, where: str) -> None:
        """Fail with what axe has to say about the page as it is now, against WCAG 2.2 AA and axe's best practices."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate(
            "() => axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map("
            "({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => "
            "`${html.slice(0, 200)} ${failureSummary}`).join(' | ')}`))"
        )
        assert not found, f"{where}: " + "\n".join(found)

    def shift(self) -> tuple[float, list[Any]]:
        """How much of the page moved by itself so far, as browsers count it, and what did."""
        shifts = self.page.evaluate("window.shifts")
        return sum(shift["value"] for shift in shifts), shifts
