"""Chromium, kept to itself, and somebody who signs in there."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import (
    Browser,
    Page,
    Playwright,
    StorageState,
    ViewportSize,
    sync_playwright,
)

from benchmarks.generator import BenchError

# Nothing but the pages' own requests leaves it.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP: ViewportSize = {"width": 1440, "height": 900}


def find_chromium(playwright: Playwright) -> str | None:
    """Where the system's browser is, or the one that Playwright downloaded; None where there is neither."""
    names = ("chromium", "chromium-browser", "google-chrome")
    own = playwright.chromium.executable_path
    found = (shutil.which(name) for name in (*names, own))
    return next((path for path in found if path), None)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Raises BenchError if there is none."""
    with sync_playwright() as playwright:
        chromium = find_chromium(playwright)
        if chromium is None:
            raise BenchError(
                "Chromium is missing: apt-get install chromium, or playwright install chromium."
            )
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Visitor:
    """Somebody who has signed in, in whichever profile of the browser."""

    browser: Browser
    url: str
    cookies: StorageState

    @contextmanager
    def page(self, **options: Any) -> Iterator[Page]:
        """In a profile of its own: nothing is kept of an earlier one. `options` are those of Playwright's contexts."""
        defaults = {"viewport": DESKTOP, "storage_state": self.cookies, "locale": "en-GB"}
        context = self.browser.new_context(base_url=self.url, **defaults | options)
        try:
            yield context.new_page()
        finally:
            context.close()


def sign_in(browser: Browser, *, url: str, user: str, password: str) -> Visitor:
    context = browser.new_context(base_url=url)
    try:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        return Visitor(browser=browser, url=url, cookies=context.storage_state())
    finally:
        context.close()


@contextmanager
def timing_tasks(page: Page) -> Iterator[list[float]]:
    """How many ms of the processor each task of the page's main thread used; filled in at the end.

    Not how long it took: that is more where the system had the processor do something else meanwhile.
    """
    browser = page.context.browser
    assert browser
    tasks_ms: list[float] = []
    browser.start_tracing(page=page, categories=["toplevel"])
    try:
        yield tasks_ms
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
        main = {
            (event["pid"], event["tid"])
            for event in events
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        tasks_ms += [
            event["tdur"] / 1000
            for event in events
            if event["name"] == "ThreadControllerImpl::RunTask"
            and (event["pid"], event["tid"]) in main
            and "tdur" in event
        ]
