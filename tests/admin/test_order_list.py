"""How the console finds orders, and what that costs the database."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import accounts, execution, intake, settlement
from orders.admin import order_list
from orders.admin.orders import OrderAdmin
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.admin.console import (
    ACCOUNTS,
    FOR_EVER,
    ORDERS,
    listed,
    on_real_commits,
    order_page,
    text_of,
)
from tests.desks import behind, without
from tests.factories import order_at, place
from tests.routing.lab import ChainLab


@on_real_commits
def test_a_search_finds_an_order_by_each_of_its_names(
    root: Client, account: Account, confirmed: Order
) -> None:
    place(account, client_order_id="another")
    names = [str(confirmed.id), "bot:1", confirmed.tx_hash, f"{confirmed.id}:1"]

    for name in [*names, f"  {confirmed.id}\t"]:
        assert listed(root.get(ORDERS, {"q": name})) == [confirmed.id]


@on_real_commits
def test_a_search_finds_an_order_by_the_transaction_of_an_earlier_attempt(
    root: Client, lab: ChainLab, unsent: Sent, desk: TradingDesk
) -> None:
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([unsent], desk=desk)

    assert listed(root.get(ORDERS, {"q": unsent.signature})) == [unsent.order_id]


@pytest.mark.django_db
def test_a_client_order_id_may_look_like_an_order_id(root: Client, account: Account) -> None:
    name = "01a1fd4c-ef08-7332-9646-bb96946cec96"
    order = place(account, client_order_id=name)

    assert listed(root.get(ORDERS, {"q": name})) == [order.id]


@pytest.mark.parametrize("part", ["bot", "ot:1", "%", "' OR 1=1 --"])
@pytest.mark.django_db
def test_a_search_is_exact(root: Client, account: Account, part: str) -> None:
    place(account, client_order_id="bot:1")

    assert listed(root.get(ORDERS, {"q": part})) == []


@pytest.mark.django_db
def test_filters_narrow_by_status(root: Client, account: Account) -> None:
    pending = order_at(Status.PENDING, account)
    submitted = order_at(Status.SUBMITTED, account)
    failed = order_at(Status.FAILED, account)

    assert listed(root.get(ORDERS, {"status": "failed"})) == [failed.id]
    assert listed(root.get(ORDERS, {"status": "submitted"})) == [submitted.id]
    assert listed(root.get(ORDERS, {"status": "unfinished"})) == [submitted.id, pending.id]
    assert listed(root.get(ORDERS, {"status": "cancelled"})) == []


@pytest.mark.django_db
def test_filters_narrow_by_tokens_and_time(root: Client, account: Account) -> None:
    sold_sol = place(account)
    sold_usdc = place(account, token_in="USDC", token_out="SOL")

    assert listed(root.get(ORDERS, {"token_in": "SOL"})) == [sold_sol.id]
    assert listed(root.get(ORDERS, {"token_out": "SOL"})) == [sold_usdc.id]
    assert listed(root.get(ORDERS, {"token_in": "SOL", "token_out": "BONK"})) == []
    assert listed(root.get(ORDERS, {"created": "hour"})) == [sold_usdc.id, sold_sol.id]
    Order.objects.update(created_at=F("created_at") - timedelta(hours=2))
    assert listed(root.get(ORDERS, {"created": "hour"})) == []
    assert len(listed(root.get(ORDERS, {"created": "day"}))) == 2


@on_real_commits
def test_filters_narrow_by_venue(root: Client, account: Account, desk: TradingDesk) -> None:
    order = place(account)
    execution.execute([order.id], desk=without(desk, "meteora"))

    assert listed(root.get(ORDERS, {"venue": "raydium"})) == [order.id]
    assert listed(root.get(ORDERS, {"venue": "meteora"})) == []


@on_real_commits
def test_filters_narrow_to_what_is_in_doubt_or_to_be_cancelled(
    root: Client, lab: ChainLab, account: Account, unsent: Sent, desk: TradingDesk
) -> None:
    place(account)
    desk, node = behind(desk)
    node.genesis_hash = "another cluster"
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([unsent], desk=desk)
    intake.cancel_order(unsent.order_id, account_id=account.pk)

    for asked in ({"in_doubt": "yes"}, {"cancel_requested": "yes"}):
        orders = root.get(ORDERS, asked)
        assert listed(orders) == [unsent.order_id]
        assert "submitted in doubt cancel requested" in text_of(orders)


@pytest.mark.django_db
def test_an_account_leads_to_its_orders(root: Client, account: Account) -> None:
    order = place(account)
    place(accounts.create_account("bob"))

    page = root.get(f"{ACCOUNTS}{account.pk}/change/").content.decode()

    (address,) = set(re.findall(rf'href="({ORDERS}\?[^"]*)"', page))
    assert listed(root.get(address)) == [order.id]


@pytest.mark.parametrize(
    "asked",
    [{"error_message__icontains": "x"}, {"tx_hash": "x"}, {"account__name__contains": "a"}],
)
@pytest.mark.django_db
def test_columns_that_no_filter_offers_can_not_be_looked_up(
    root: Client, asked: dict[str, str]
) -> None:
    assert root.get(ORDERS, asked).status_code == 400


@pytest.mark.django_db
def test_a_filter_value_that_can_not_be_is_no_error(root: Client, account: Account) -> None:
    place(account)

    for asked in ({"status": "x"}, {"venue": "x"}, {"created": "x"}, {"in_doubt": "x"}, {"p": "9"}):
        assert root.get(ORDERS, asked, follow=True).status_code == 200
    for asked in ({"id__lt": "x"}, {"account": "x"}):
        assert root.get(ORDERS, asked, follow=True).status_code == 200


@pytest.mark.django_db
def test_the_list_costs_the_same_few_queries_whatever_is_listed(
    root: Client, account: Account
) -> None:
    for _ in range(60):
        place(account)
    name = {"q": str(Order.objects.latest("id").id)}

    for asked in ({}, {"p": "2"}, {"status": "pending"}, {"created": "day"}, name):
        with CaptureQueriesContext(connection) as queries:
            root.get(ORDERS, asked)
        of_orders = [query["sql"] for query in queries if '"orders_' in query["sql"]]
        assert len(queries) <= 6
        assert not [sql for sql in of_orders if "COUNT(" in sql.upper() or " LIKE " in sql.upper()]


@pytest.mark.django_db
def test_the_list_reads_only_what_it_lists(root: Client, account: Account) -> None:
    place(account)

    with CaptureQueriesContext(connection) as queries:
        root.get(ORDERS)

    (ids, *_) = [query["sql"] for query in queries if '"orders_order"' in query["sql"]]
    assert ids.endswith(f'ORDER BY "orders_order"."id" DESC LIMIT {order_list.MAX_LISTED + 1}')


@pytest.mark.django_db
def test_an_order_page_costs_the_same_few_queries_however_long_its_story(
    root: Client, account: Account
) -> None:
    counts = []
    root.get(order_page(place(account)))  # content types are read once in a process's life
    for status in (Status.PENDING, Status.CONFIRMED):
        order = order_at(status, account)
        with CaptureQueriesContext(connection) as queries:
            root.get(order_page(order))
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 7


@pytest.mark.django_db
def test_the_list_leads_on_to_older_orders(
    root: Client, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_list, "MAX_LISTED", 4)
    monkeypatch.setattr(OrderAdmin, "list_per_page", 2)
    ids = sorted((place(account).id for _ in range(5)), reverse=True)

    assert listed(root.get(ORDERS)) == ids[:2]
    second = root.get(ORDERS, {"p": "2"})
    assert listed(second) == ids[2:4]
    assert "the newest 4 that fit" in text_of(second)
    (older,) = re.findall(r'href="(\?id__lt=[^"]*)"', second.content.decode())
    last = root.get(ORDERS + unescape(older))
    assert listed(last) == ids[4:]
    assert "1 order " in text_of(last)
