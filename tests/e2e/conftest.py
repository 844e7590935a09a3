"""A real engine, a real browser, and people who use it.

The engine runs as long as the package's tests do, on the test database, which is emptied only afterwards: tables that
a running worker reads can't be emptied under it. So every test has an account and people of its own.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django import DjangoDbBlocker

from benchmarks.browser import CHROMIUM_OPTIONS, find_chromium
from orders import accounts, journal
from orders.lifecycle import Status
from orders.models import Account, Member, Order
from tests.e2e.visitor import Watch, close, open_page
from tests.engine import WebServer, Worker
from tests.factories import move, new_order

# Slow enough that each state is seen, fast enough that nobody waits.
PACE = {"MOCK_QUOTE_DELAY_MS": "60", "MOCK_SWAP_DELAY_MS": "600-900", "QUOTE_TTL_S": "6"}


@pytest.fixture(scope="package")
def transactional_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """In place of pytest-django's, by whose name it knows which tests need a database."""
    with pytest.MonkeyPatch.context() as patch, django_db_blocker.unblock():
        # Playwright's own loop runs in this thread, between the calls of a test.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield
        call_command("flush", interactive=False, verbosity=0)
        connection.close()


@pytest.fixture(scope="package")
def web(transactional_db: None) -> Iterator[WebServer]:
    server = WebServer(**PACE)
    yield server
    server.stop()


@pytest.fixture(scope="package")
def worker(transactional_db: None) -> Iterator[Worker]:
    worker = Worker(**PACE)
    yield worker
    worker.stop()


@pytest.fixture(scope="package")
def browser(transactional_db: None) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = find_chromium(playwright)
        if chromium is None:
            needed = "these tests need Chromium: apt-get install chromium, or .venv/bin/playwright install chromium"
            assert "SKIP_NOTHING" not in os.environ, needed
            pytest.skip(needed)
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        # While Playwright's loop runs, Django has other connections for this thread than before and after.
        connection.close()
        browser.close()


@pytest.fixture
def account(transactional_db: None) -> Account:
    return accounts.create_account(f"account {uuid4()}")


@pytest.fixture
def member(account: Account) -> User:
    """Somebody who trades for the account."""
    user = User.objects.create_user(f"trader-{uuid4()}")
    Member.objects.create(user=user, account=account)
    return user


@pytest.fixture
def watch(web: WebServer) -> Iterator[Watch]:
    """What every page of the test is watched for; at the end nothing may have been wrong."""
    watch = Watch(origin=f"127.0.0.1:{web.port}")
    yield watch
    watch.assert_nothing_was_wrong()


@pytest.fixture
def visit(browser: Browser, web: WebServer, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Open a page: `visit(user=…, size=MOBILE, scheme="dark")`."""
    opened: list[Page] = []

    def visit(**options: Any) -> Page:
        page = open_page(browser, f"http://127.0.0.1:{web.port}", watch, **options)
        opened.append(page)
        return page

    yield visit
    for page in opened:
        close(page)


@pytest.fixture
def page(visit: Callable[..., Page], member: User, worker: Worker) -> Page:
    """A page of the account's member, while a worker executes."""
    return visit(user=member)


@pytest.fixture
def doubtful(account: Account) -> Order:
    """In doubt, and nobody's for a day: no worker asks for it."""
    (accepted,) = journal.accept([new_order(account)])
    assert isinstance(accepted, journal.Event)
    order = Order.objects.get(id=accepted.order_id)
    for status in (Status.ROUTING, Status.BUILDING, Status.SUBMITTED):
        move(order, status, due_in_s=86_400.0)
        order.refresh_from_db()
    move(order, Status.SUBMITTED, due_in_s=86_400.0, in_doubt=True, next_check_in_s=1.0)
    order.refresh_from_db()
    return order
