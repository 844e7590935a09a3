"""What the trading page may weigh. How fast it is, is measured: `python -m benchmarks.pages`."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from orders.models import Account
from tests.engine import Worker
from tests.factories import place

KIB = 1024
MOST_TRANSFERRED = 200 * KIB
MOST_REQUESTS = 30


def test_the_trading_page_transfers_less_than_200_kib_with_orders_chart_and_all(
    visit: Callable[..., Page], member: User, account: Account, worker: Worker
) -> None:
    for _ in range(20):
        place(account)
    page = visit(user=member)
    page.goto("/")
    expect(page.locator("#blotter-count")).to_have_text("20 orders")
    expect(page.locator("#price-chart")).to_contain_text("USDC for 1 SOL")

    loaded: list[dict[str, Any]] = page.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map(({name, transferSize}) => ({name, transferSize}))"
    )

    transferred = sum(each["transferSize"] for each in loaded)
    assert 0 < transferred <= MOST_TRANSFERRED, sorted(
        (each["transferSize"], each["name"]) for each in loaded
    )
    assert len(loaded) <= MOST_REQUESTS
