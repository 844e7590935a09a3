"""Somebody at a browser: signed in, on real pages of a real engine, and whatever goes wrong there is noticed."""

from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

DESKTOP, MOBILE = {"width": 1440, "height": 900}, {"width": 375, "height": 740}


@dataclass
class Watch:
    """What a page must not do: complain in the console, break, or ask anybody but the engine."""

    origin: str
    complaints: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def allow(self, text: str) -> None:
        """This test provokes a complaint with this text in it."""
        self.allowed.append(text)

    def on(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("request", self._request)

    def assert_nothing_was_wrong(self) -> None:
        left = [said for said in self.complaints if not any(text in said for text in self.allowed)]
        assert not left, left

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != self.origin:
            self.complaints.append(f"asked elsewhere: {request.url}")


def cookies_of(user: AbstractUser) -> SimpleCookie:
    """Those of a browser in which this person has signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies


def open_page(
    browser: Browser,
    url: str,
    watch: Watch,
    *,
    user: AbstractUser | None = None,
    size: dict[str, int] = DESKTOP,
    scheme: str = "light",
) -> Page:
    """A page of its own browser profile, signed in as `user` if there is one. The test's fixture closes it."""
    context = browser.new_context(
        base_url=url,
        viewport=size,
        color_scheme=scheme,
        permissions=["clipboard-read", "clipboard-write"],
        locale="en-GB",
    )
    context.set_default_timeout(15_000)
    if user is not None:
        session = cookies_of(user)[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": url}])
    page = context.new_page()
    watch.on(page)
    return page


def close(page: Page) -> None:
    """Safe to repeat."""
    with suppress(Exception):  # the browser may be gone, which another test will tell
        page.context.close()
