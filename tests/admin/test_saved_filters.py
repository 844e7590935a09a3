"""The questions above the list of orders: what each finds, and what that costs when there are many orders."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import accounts
from orders.admin.saved_filters import SAVED
from orders.lifecycle import Status
from orders.models import SLOW_S, Account, Order
from tests.admin.console import ORDERS, listed, text_of
from tests.factories import move, order_at, place

pytestmark = pytest.mark.django_db

MANY = 20_000
# One in 500 failed today, was retried and was slow; ten are open.
FILL = """
INSERT INTO orders_order (
    id, account_id, order_type, token_in, token_out, amount_in_base, slippage_bps, status, last_seq, attempt, due_at,
    tx_hash, amount_out_base, error_code, created_at, updated_at, head_hash)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || left(md5(n::text), 3)
        || '8' || right(md5(n::text), 15))::uuid,
    %(account)s, 'market', 'SOL', 'USDC', 1, 50, CASE WHEN n > %(many)s - 10 THEN 'submitted' ELSE 'failed' END, 5,
    CASE n %% 500 WHEN 1 THEN 2 ELSE 1 END, CASE WHEN n > %(many)s - 10 THEN now() END, 'tx', 1, 'NO_QUOTE', at,
    CASE n %% 500 WHEN 2 THEN now() WHEN 3 THEN at + interval '11 s' ELSE at + interval '3 s' END, ''
FROM generate_series(1, %(many)s) AS n,
     LATERAL (SELECT now() - interval '2 days' - interval '1 s' * (%(many)s - n) AS at) AS accepted
"""


@pytest.fixture
def many(account: Account) -> Account:
    """The account of so many orders that reading all of them would show."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(FILL, {"account": account.pk, "many": MANY})
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        cursor.execute("ANALYZE orders_order")
        cursor.execute("SET LOCAL enable_seqscan = off")  # as whoever serves the web has it
    return account


def saved(visitor: Client, name: str, **others: str) -> Any:
    return visitor.get(ORDERS, {"saved": name, **others})


def age(order: Order, span: timedelta) -> None:
    """Let it have been accepted, and moved last, so much earlier."""
    Order.objects.filter(id=order.id, due_at__isnull=False).update(
        created_at=F("created_at") - span, updated_at=F("updated_at") - span
    )


def test_failed_today(root: Client, account: Account) -> None:
    place(account)
    failed = order_at(Status.FAILED, account)

    assert listed(saved(root, "failed_today")) == [failed.id]


def test_in_doubt(root: Client, account: Account) -> None:
    order_at(Status.SUBMITTED, account)
    doubtful = order_at(Status.SUBMITTED, account)
    move(doubtful, Status.SUBMITTED, in_doubt=True, next_check_in_s=1.0)

    assert listed(saved(root, "in_doubt")) == [doubtful.id]


def test_retried(root: Client, account: Account) -> None:
    order_at(Status.ROUTING, account)
    retried = order_at(Status.ROUTING, account)
    move(retried, Status.ROUTING)

    assert listed(saved(root, "retried")) == [retried.id]


def test_slow_is_what_is_open_for_long_or_took_long(root: Client, account: Account) -> None:
    quick, still_open, ended = (place(account) for _ in range(3))
    for order in (still_open, ended):
        age(order, timedelta(seconds=SLOW_S + 1))
    for order in (quick, ended):
        order.refresh_from_db()
        move(order, Status.FAILED)

    assert listed(saved(root, "slow")) == [ended.id, still_open.id]
    Order.objects.filter(id=still_open.id).update(created_at=timezone.now())
    assert listed(saved(root, "slow")) == [ended.id]


def test_the_questions_stand_above_the_list_with_what_they_mean(root: Client) -> None:
    body = root.get(ORDERS, {"saved": "slow"}).content.decode()

    assert re.findall(r'href="(\?(?:saved=\w+)?)" title', body) == [
        *(f"?saved={name}" for name in SAVED),
        "?",
    ]
    for each in SAVED.values():
        assert each.means.replace("'", "&#x27;") in body
    (current,) = re.findall(r'<a href="(\?[^"]*)"[^>]*aria-current="page"', body)
    assert current == "?saved=slow"


def test_a_question_that_nobody_saved_is_no_error(root: Client, account: Account) -> None:
    order = place(account)

    assert listed(saved(root, "x")) == [order.id]


def test_an_account_s_name_finds_its_orders(root: Client, account: Account) -> None:
    order = place(account)
    bob = accounts.create_account("bob")
    named_alike = place(bob, client_order_id=account.name)
    place(bob)

    assert listed(root.get(ORDERS, {"q": account.name})) == [named_alike.id, order.id]
    assert "No orders" not in text_of(root.get(ORDERS, {"q": "bob"}))
    assert listed(root.get(ORDERS, {"q": "bo"})) == []


@pytest.mark.parametrize("name", SAVED)
def test_a_question_is_answered_by_an_index(root: Client, many: Account, name: str) -> None:
    found = {"failed_today": 40, "in_doubt": 0, "retried": 40, "slow": 90}[name]

    ids, queries = asked(root, {"saved": name})

    assert len(ids) == min(found, 50)
    assert rows_in_vain(queries) < 200


def test_an_account_is_answered_by_an_index(root: Client, many: Account) -> None:
    quiet = accounts.create_account("quiet")
    place(quiet)

    for name, found in ((many.name, 50), ("quiet", 1)):
        ids, queries = asked(root, {"q": name})
        assert len(ids) == found
        assert rows_in_vain(queries) < 200


def asked(root: Client, question: dict[str, str]) -> tuple[list[Any], list[str]]:
    """What is listed, and the statements that it took to read orders."""
    with CaptureQueriesContext(connection) as queries:
        ids = listed(root.get(ORDERS, question))
    sqls = [query["sql"] for query in queries if '"orders_order"' in query["sql"]]
    assert not [sql for sql in sqls if "COUNT(" in sql.upper()]
    return ids, sqls


def rows_in_vain(sqls: list[str]) -> int:
    """How many rows PostgreSQL reads for them that they don't want."""
    found = 0
    for sql in sqls:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}".replace("%", "%%"), [])
            (plan,) = cursor.fetchone()
        text = plan if isinstance(plan, str) else json.dumps(plan)
        assert "Seq Scan" not in text
        found += sum(map(int, re.findall(r'"Rows Removed by Filter": (\d+)', text)))
    return found
