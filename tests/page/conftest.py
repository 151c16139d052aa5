"""A server for all tests of a worker, and a browser."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest

from tests.page.serving import serving

PCAPS = Path(__file__).resolve().parents[2] / "pcaps"
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def server():
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def browser():
    # Of a module, not of the session: as long as it is there, an event loop runs in this thread,
    # and tests of other modules could start none.
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where it is run

    with sync_playwright() as playwright:
        # Without a sandbox, since tests may run as root, where Chromium has none.
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        with contextlib.closing(launched):
            yield launched


@pytest.fixture
def page(browser, server):
    """A page of the server that must say nothing on the console and ask nobody else."""
    with opened(browser, server.origin) as page:
        page.goto(server.url)
        page.wait_for_selector("#classic li")
        yield page


@contextlib.contextmanager
def opened(browser, origin, *, tolerated="$^", **options):
    """Open an empty page; at the end nothing may have gone wrong on it but what is `tolerated`."""
    troubles = []
    with contextlib.closing(browser.new_context(**options)) as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: troubles.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((origin + "/", "blob:"))
                else troubles.append(f"request: {request.url}")
            ),
        )
        yield page
    assert [each for each in troubles if not re.search(tolerated, each)] == []
