"""Pages when REST and the sockets are served by processes of their own, at different addresses."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Browser, Page, expect

from orders.models import Account
from tests.e2e.conftest import PACE
from tests.e2e.visitor import Watch, close, open_page
from tests.engine import RestServer, StreamServer, Worker
from tests.factories import place


@pytest.fixture
def streams(transactional_db: None) -> Iterator[StreamServer]:
    server = StreamServer(**PACE)
    yield server
    server.stop()


@pytest.fixture
def rest(streams: StreamServer) -> Iterator[RestServer]:
    server = RestServer(**PACE, STREAM_URL=f"ws://127.0.0.1:{streams.port}")
    yield server
    server.stop()


@pytest.fixture
def split_page(browser: Browser, rest: RestServer, member: User, worker: Worker) -> Iterator[Page]:
    watch = Watch(origin=f"127.0.0.1:{rest.port}")
    page = open_page(browser, f"http://127.0.0.1:{rest.port}", watch, user=member)
    yield page
    close(page)
    watch.assert_nothing_was_wrong()


def test_the_orders_move_over_sockets_of_another_address(
    split_page: Page, account: Account
) -> None:
    split_page.goto("/")
    expect(split_page.locator("#stream-state")).to_have_text("Live")

    place(account)

    expect(split_page.locator("#blotter [role=row]")).to_contain_text(["confirmed"])
