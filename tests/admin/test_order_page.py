"""What the console shows of an order."""

import re
from base64 import b64encode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import execution, settlement
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from tests.admin.console import (
    FOR_EVER,
    ORDERS,
    listed,
    on_real_commits,
    order_page,
    text_of,
    transaction_page,
)
from tests.desks import without
from tests.factories import order_at, place
from tests.routing.lab import ChainLab


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.django_db
def test_an_order_has_a_page_and_a_row_at_every_status(
    root: Client, account: Account, status: Status
) -> None:
    order = order_at(status, account)

    page, orders = text_of(root.get(order_page(order))), root.get(ORDERS)

    assert f"1 {order.created_at:%Y-%m-%d %H:%M:%S}" in page
    assert f"Status: {status}" in page
    assert listed(orders) == [order.id]
    assert "1.5 SOL" in text_of(orders)


@on_real_commits
def test_a_confirmed_order_shows_its_swap_its_venue_and_its_timeline(
    root: Client, confirmed: Order
) -> None:
    page = text_of(root.get(order_page(confirmed)))

    assert "Swap: 1.5 SOL → " in page
    assert re.search(r"Amount out: [\d.]+ USDC \(minimum [\d.]+ USDC\)", page)
    assert re.search(r"Executed price: [\d.]+ USDC per SOL", page)
    for event in OrderEvent.objects.filter(order=confirmed):
        assert event.message in page
    assert "Attempt 1" in page


@on_real_commits
def test_quotes_are_a_table_that_says_why_the_losers_lost(root: Client, confirmed: Order) -> None:
    attempt = OrderAttempt.objects.get(order=confirmed)

    page = text_of(root.get(order_page(confirmed)))

    assert [quote["chosen"] for quote in attempt.quotes].count(True) == 1
    for quote in attempt.quotes:
        assert quote.get("lostBecause", "")[1:] in page
        assert quote["netAmountOut"] in page


@on_real_commits
def test_a_venue_that_gave_no_quote_is_in_the_table_with_its_error(
    root: Client, account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    execution.execute([order.id], desk=without(desk, "meteora"))

    assert "Meteora VENUE_DOWN No quote: Meteora is down" in text_of(root.get(order_page(order)))


@on_real_commits
def test_a_failed_order_shows_its_error_and_whether_to_try_again(
    root: Client, account: Account, desk: TradingDesk
) -> None:
    order = place(account, token_in="BONK", token_out="SOL", amount_in_base=1)
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    assert order.status == Status.FAILED

    page = text_of(root.get(order_page(order)))

    assert f"{order.error_code} {order.error_message}" in page
    assert "The same order, placed again, will fail the same way." in page


@on_real_commits
def test_a_proof_of_death_is_shown_as_it_was_stored(
    root: Client, lab: ChainLab, unsent: Sent, desk: TradingDesk
) -> None:
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([unsent], desk=desk)

    page = text_of(root.get(order_page(unsent.order_id)))

    assert '"kind": "expired unseen"' in page
    assert "Attempt 2" in page


@on_real_commits
def test_signed_bytes_are_neither_loaded_nor_shown(
    root: Client, confirmed: Order, on_this_chain: TradingDesk
) -> None:
    signed_bytes = bytes(OrderAttempt.objects.get(order=confirmed).signed_bytes or b"")

    for address in (order_page(confirmed), transaction_page(confirmed.tx_hash)):
        with CaptureQueriesContext(connection) as queries:
            body = root.get(address).content.decode()
        assert not [query for query in queries if "signed_bytes" in query["sql"]]
        assert b64encode(signed_bytes).decode() not in body
        assert signed_bytes.hex() not in body


@pytest.mark.django_db
def test_what_clients_wrote_is_escaped(root: Client, account: Account) -> None:
    order = place(account, client_order_id="<script>alert(1)</script>")

    for address in (ORDERS, order_page(order)):
        assert b"<script>alert(1)" not in root.get(address).content


@pytest.mark.django_db
def test_a_token_that_is_not_listed_any_more_is_shown_in_base_units(
    root: Client, account: Account
) -> None:
    order = order_at(Status.CONFIRMED, account, token_in="GONE")

    assert "1,500,000,000 base units of GONE" in text_of(root.get(order_page(order)))
    assert "1,500,000,000 base units of GONE" in text_of(root.get(ORDERS))


@on_real_commits
def test_a_divided_order_shows_its_legs_and_what_it_cost(
    root: Client, account: Account, desk: TradingDesk
) -> None:
    order = place(account, amount_in_base=20_000 * 10**9)
    execution.execute([order.id], desk=desk)
    receipt = OrderAttempt.objects.get(order=order).receipt
    assert receipt and len(receipt["legs"]) > 1

    page = text_of(root.get(order_page(order)))

    for leg in receipt["legs"]:
        assert f"{leg['pool']} {leg['amountIn']} SOL {leg['amountOut']} USDC" in page
    assert receipt["referenceValue"] in page
    assert receipt["pricesPicoUsd"]["SOL"] in page
