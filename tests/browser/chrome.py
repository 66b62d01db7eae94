"""Which browser the tests drive: Chromium or Chrome of this machine, or Playwright's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["HOW_TO_GET_ONE", "NoBrowser", "browser"]

HOW_TO_GET_ONE = (
    "There is no Chromium here for the gallery's tests. On Debian and Ubuntu: apt-get install chromium; elsewhere "
    "install Chrome, or have Playwright's own with: .venv/bin/playwright install --with-deps chromium"
)
_COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class NoBrowser(Exception):
    """No browser can be driven here; says how to get one."""


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser, without a window; raises :class:`NoBrowser`. ``CHROME`` names another program to drive."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = _installed() or playwright.chromium.executable_path
        if not Path(program).exists():
            raise NoBrowser(HOW_TO_GET_ONE)
        # Chromium's own sandbox can't be had by root, as in most containers.
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"] if as_root else [])
        yield running
        running.close()


def _installed() -> str | None:
    if named := os.environ.get("CHROME"):
        return named
    found = (shutil.which(command) for command in _COMMANDS)
    return next(filter(None, found), None) or next((path for path in _APPLICATIONS if Path(path).exists()), None)
