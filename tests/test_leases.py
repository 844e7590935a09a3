"""Leases: one holder at a time, for a time."""

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from orders import leases
from orders.lifecycle import Status
from orders.models import Account, Order
from tests.factories import move, order_at, place
from tests.routing.lab import together
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_ten_workers_with_the_same_hint_one_gets_the_order(account: Account) -> None:
    order = place(account)

    def claim() -> Order | None:
        try:
            return leases.claim(order.id, holder="worker")
        finally:
            connection.close()

    claimed = [order for order in together([claim] * 10) if order]

    assert [order.fence for order in claimed] == [1]


def test_a_lease_ends_by_itself_and_the_next_holder_has_a_higher_token(
    account: Account, settings: LazySettings
) -> None:
    settings.LEASE_S = 0.1
    order = place(account)

    first = leases.claim(order.id, holder="a")
    second = wait_until(lambda: leases.claim(order.id, holder="b"))

    assert first and (first.fence, second.fence) == (1, 2)
    assert leases.renew([(order.id, first.fence)]) == set()
    assert leases.renew([(order.id, second.fence)]) == {order.id}


def test_a_final_order_cannot_be_claimed(account: Account) -> None:
    order = order_at(Status.FAILED, account)

    assert leases.claim(order.id, holder="a") is None
    assert leases.take_due(limit=10, grace_s=0, rehint_s=0) == []


def test_a_released_order_is_due_at_once_under_a_new_token(account: Account) -> None:
    order = place(account)
    first = leases.claim(order.id, holder="a")
    assert first

    assert leases.release([(order.id, first.fence)]) == {order.id}

    second = leases.claim(order.id, holder="b")
    assert second and second.fence == first.fence + 2


def test_events_restart_the_count_of_fruitless_claims(account: Account) -> None:
    order = place(account)
    for _ in range(3):
        claimed = leases.claim(order.id, holder="a")
        assert claimed
        leases.release([(order.id, claimed.fence)])
    order.refresh_from_db()
    assert order.claims == 3

    move(order, Status.ROUTING)

    order.refresh_from_db()
    assert order.claims == 0


def test_the_sweep_finds_what_is_due_oldest_first_and_marks_it(account: Account) -> None:
    orders = [place(account) for _ in range(3)]
    long_due = timezone.now() - timedelta(minutes=1)
    Order.objects.filter(id=orders[2].id).update(due_at=long_due)
    Order.objects.filter(id=orders[0].id).update(due_at=long_due + timedelta(seconds=1))

    assert leases.take_due(limit=2, grace_s=0, rehint_s=60) == unordered(
        [(orders[2].id, False), (orders[0].id, False)]
    )
    assert leases.take_due(limit=9, grace_s=0, rehint_s=60) == [(orders[1].id, False)]
    assert leases.take_due(limit=9, grace_s=0, rehint_s=60) == []
    assert leases.take_due(limit=9, grace_s=0, rehint_s=0) == unordered(
        [(order.id, True) for order in orders]
    )


def test_the_sweep_leaves_an_order_to_the_hint_that_came_with_it(account: Account) -> None:
    place(account)

    assert leases.take_due(limit=9, grace_s=60, rehint_s=60) == []


class unordered(list):  # type: ignore[type-arg]
    """Equal to a list of the same items in any order: UPDATE … RETURNING promises none."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list) and sorted(self) == sorted(other)
