"""The check of one order's log: whole, or exactly where it is not."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client

from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from tests.admin.console import ORDERS, on_real_commits, order_page, staff, text_of
from tests.factories import order_at, place


def page_of(order: Order) -> str:
    return f"{ORDERS}{order.id}/log/"


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.django_db
def test_an_untouched_log_is_whole_at_every_status(
    auditor: Client, account: Account, status: Status
) -> None:
    place(account)
    order = order_at(status, account)

    text = text_of(auditor.get(page_of(order)))

    count = OrderEvent.objects.filter(order=order).count()
    assert f"{count} event{'s' * (count > 1)}, the chain is whole." in text


@on_real_commits
def test_a_real_order_s_log_is_whole_and_its_page_leads_there(
    auditor: Client, confirmed: Order
) -> None:
    assert page_of(confirmed) in auditor.get(order_page(confirmed)).content.decode()
    assert "5 events, the chain is whole." in text_of(auditor.get(page_of(confirmed)))


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            lambda order: OrderEvent.objects.filter(order=order, seq=3).update(message="mine"),
            "#3 is not what was written",
        ),
        (
            lambda order: OrderEvent.objects.filter(order=order, seq=3).delete(),
            "#4 comes from building as event 3, after routing",
        ),
        (
            lambda order: Order.objects.filter(id=order.id).update(amount_in_base=1),
            "#1 is not what was written",
        ),
        (
            lambda order: Order.objects.filter(id=order.id).update(last_seq=9),
            "is submitted at #9, its last event is submitted at #4",
        ),
        (
            lambda order: OrderAttempt.objects.filter(order=order).update(number=2),
            "attempt 2 has no proof that allowed it",
        ),
    ],
)
@pytest.mark.django_db
def test_what_was_tampered_with_is_told_with_its_place(
    auditor: Client, account: Account, tampering: Callable[[Order], object], told: str
) -> None:
    order, other = (order_at(Status.SUBMITTED, account) for _ in range(2))

    behind_the_database_s_back(lambda: tampering(order))

    text = text_of(auditor.get(page_of(order)))
    assert told in text
    assert "the chain is whole" not in text
    assert "the chain is whole" in text_of(auditor.get(page_of(other)))


def behind_the_database_s_back(tamper: Callable[[], object]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        tamper()
        cursor.execute("SET session_replication_role = DEFAULT")


@pytest.mark.django_db
def test_whoever_may_not_see_orders_may_not_check_one(account: Account, auditor: Client) -> None:
    order = place(account)

    assert staff("nobody").get(page_of(order)).status_code == 403
    unknown = f"{ORDERS}01a1fd4c-ef08-7332-9646-bb96946cec96/log/"
    assert auditor.get(unknown).status_code == 404
