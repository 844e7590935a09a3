"""The page of an export in a real browser, with a real worker: it follows, and offers the file when it is there."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Page, sync_playwright

from orders.models import Account, Export
from tests.engine import RestServer, Worker
from tests.factories import place

pytestmark = pytest.mark.django_db(transaction=True)

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def page(processes: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Signed in as a superuser, on a server of its own."""
    server = RestServer()
    processes.callback(server.stop)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    # The browser's driver runs a loop in this thread; Django would refuse queries beside it.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    browser = processes.enter_context(sync_playwright()).chromium.launch(
        executable_path="/usr/bin/chromium", args=OPTIONS
    )
    processes.callback(browser.close)
    context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}")
    context.add_cookies(
        [
            {
                "name": settings.SESSION_COOKIE_NAME,
                "value": session,
                "url": f"http://127.0.0.1:{server.port}",
            }
        ]
    )
    return context.new_page()


def test_the_page_follows_an_export_and_then_offers_the_file(
    account: Account, page: Page, processes: ExitStack, tmp_path: Path
) -> None:
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    order = place(account)

    page.goto("/admin/orders/order/")
    page.get_by_role("link", name="Export…").click()
    page.get_by_label("JSON lines").check()
    page.get_by_role("button", name="Export").click()
    page.get_by_text("Waiting for a worker").wait_for()
    page.get_by_role("progressbar", name="Progress").wait_for()
    worker = Worker(EXECUTION="halted")
    processes.callback(worker.stop)

    page.get_by_role("status").get_by_text("Done: 1 order written.").wait_for()
    assert page.get_by_role("button", name="Cancel the export").count() == 0
    assert page.get_by_role("row", name="Kept until").get_by_text("UTC").count() == 1
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download", exact=True).click()
    downloading.value.save_as(tmp_path / "file")

    assert str(order.id) in (tmp_path / "file").read_text()
    assert downloading.value.suggested_filename.endswith("Z.jsonl")
    assert Export.objects.get().rows_written == 1
    assert troubles == []
