"""Cancelling against execution: whoever is first, the order ends once and swaps at most once."""

from functools import partial

import pytest
from django.db import connection

from orders import execution, intake
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests.desks import behind
from tests.factories import place, statuses
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cancel_that_races_execution_never_yields_both(
    account: Account, desk: TradingDesk
) -> None:
    desk, node = behind(desk)
    ends = []

    for _ in range(50):
        order = place(account)
        sent_before = len(node.sent)

        together([partial(execute, order, desk), partial(cancel, order)])

        execution.inflight.here.forget(execution.inflight.here.held())
        order.refresh_from_db()
        ends.append(order.status)
        if order.status == "cancelled":
            assert len(node.sent) == sent_before
            assert "submitted" not in statuses(order)

    # Both happen; an order whose cancel came after `submitted` still waits for the chain's answer here.
    assert set(ends) <= {"cancelled", "confirmed", "submitted"}
    assert "cancelled" in ends


def test_a_cancel_is_safe_to_repeat(account: Account) -> None:
    order = place(account)

    for _ in range(2):
        assert intake.cancel_order(order.id, account_id=account.pk).status == "cancelled"

    assert statuses(order) == ["pending", "cancelled"]


def execute(order: Order, desk: TradingDesk) -> None:
    try:
        execution.execute(order.id, desk=desk)
    finally:
        connection.close()


def cancel(order: Order) -> None:
    try:
        intake.cancel_order(order.id, account_id=order.account_id)
    except intake.AlreadyFinal:
        pass
    finally:
        connection.close()
