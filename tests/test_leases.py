"""Leases: one holder at a time, for a time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.utils import timezone

from orders import leases
from orders.lifecycle import Status
from orders.models import SOUND_CLAIMS, Account, Order
from tests.factories import become_due, claim, move, order_at, place
from tests.routing.lab import together
from tests.waiting import wait_until

MOST_CLAIMS = 32_767  # of a smallint

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_ten_workers_with_the_same_hint_one_gets_the_order(account: Account) -> None:
    order = place(account)

    def take() -> list[Order]:
        try:
            return leases.claim([order.id], holder="worker")
        finally:
            connection.close()

    claimed = [order for taken in together([take] * 10) for order in taken]

    assert [order.fence for order in claimed] == [1]


def test_a_lease_ends_by_itself_and_the_next_holder_has_a_higher_token(
    account: Account, settings: LazySettings
) -> None:
    settings.LEASE_S = 0.1
    order = place(account)

    first = claim(order)
    (second,) = wait_until(lambda: leases.claim([order.id], holder="b"))

    assert (first.fence, second.fence) == (1, 2)
    assert leases.renew([(order.id, first.fence)]) == set()
    assert leases.renew([(order.id, second.fence)]) == {order.id}


def test_a_final_order_cannot_be_claimed(account: Account) -> None:
    order = order_at(Status.FAILED, account)

    assert leases.claim([order.id], holder="a", room=10) == []
    assert leases.overdue(for_s=0, most=10) == 0


def test_a_released_order_is_due_at_once_under_a_new_token(account: Account) -> None:
    order = place(account)
    first = claim(order)

    assert leases.release([(order.id, first.fence)]) == {order.id}

    assert claim(order).fence == first.fence + 2


def test_events_restart_the_count_of_fruitless_claims(account: Account) -> None:
    order = place(account)
    for _ in range(3):
        leases.release([(order.id, claim(order).fence)])
    order.refresh_from_db()
    assert order.claims == 3

    move(order, Status.ROUTING)

    order.refresh_from_db()
    assert order.claims == 0


def test_a_claim_takes_one_suspect_at_the_most_the_one_due_longest(account: Account) -> None:
    sound, hinted, oldest, other = (place(account) for _ in range(4))
    suspects = [hinted, oldest, other]
    Order.objects.filter(id__in=[order.id for order in suspects]).update(claims=SOUND_CLAIMS)
    long_ago = timezone.now() - timedelta(minutes=1)
    Order.objects.filter(id=oldest.id).update(due_at=long_ago)

    claimed = [leases.claim([hinted.id], holder="a", room=10) for _ in range(4)]

    assert {order.id for order in claimed[0]} == {sound.id, oldest.id}
    assert [len(taken) for taken in claimed[1:]] == [1, 1, 0]


def test_a_claim_without_room_takes_no_suspect_that_was_not_hinted(account: Account) -> None:
    hinted, other = place(account), place(account)
    Order.objects.update(claims=SOUND_CLAIMS, due_at=timezone.now() - timedelta(minutes=1))

    assert [order.id for order in leases.claim([hinted.id], holder="a")] == [hinted.id]
    assert leases.claim([hinted.id], holder="a") == []
    assert [order.id for order in leases.claim([other.id], holder="a")] == [other.id]


def test_the_count_of_claims_ends_where_its_column_does(account: Account) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(claims=MOST_CLAIMS)

    assert claim(order).claims == MOST_CLAIMS


def test_a_claim_passes_over_what_another_process_is_taking(account: Account) -> None:
    taken, free = place(account), place(account)

    def claim_the_rest() -> list[Order]:
        try:
            return leases.claim([taken.id], holder="b", room=10)
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        claim(taken)
        rest = pool.submit(claim_the_rest).result(timeout=5)

    assert [order.id for order in rest] == [free.id]


def test_orders_that_nobody_took_for_long_are_counted_as_far_as_it_matters(
    account: Account,
) -> None:
    orders = [place(account) for _ in range(3)]
    long_ago = timezone.now() - timedelta(minutes=1)
    Order.objects.filter(id__in=[order.id for order in orders[:2]]).update(due_at=long_ago)

    assert leases.overdue(for_s=30, most=10) == 2
    assert leases.overdue(for_s=30, most=1) == 1


def test_how_far_the_workers_are_behind_is_what_the_oldest_due_order_has_waited(
    account: Account,
) -> None:
    assert leases.behind_s(within_s=1) == 0.0
    old, leased = place(account), place(account)
    claim(leased)
    Order.objects.filter(id=old.id).update(due_at=timezone.now() - timedelta(minutes=1))

    assert 60 <= leases.behind_s(within_s=1) < 70


def test_a_back_off_can_be_ended_early(account: Account) -> None:
    order = order_at(Status.ROUTING, account)
    move(order, Status.ROUTING, due_in_s=4.0, releases=True)
    assert leases.claim([order.id], holder="a") == []

    assert leases.hurry(order.id)

    assert leases.claim([order.id], holder="a")


@pytest.mark.parametrize("status", [Status.PENDING, Status.ROUTING, Status.SUBMITTED])
def test_whoever_holds_an_order_is_never_hurried(account: Account, status: Status) -> None:
    """Whether it has written under its lease or not: to take it would let two of them send at once."""
    order = order_at(status, account)
    become_due(order)
    held = claim(order)

    assert not leases.hurry(order.id)
    if status is not Status.SUBMITTED:
        move(held, Status.ROUTING if status is Status.PENDING else Status.BUILDING)
        assert not leases.hurry(order.id)

    assert leases.renew([(order.id, held.fence)]) == {order.id}


def test_a_holder_that_comes_back_late_is_not_taken_for_a_back_off(account: Account) -> None:
    order = order_at(Status.ROUTING, account)
    move(order, Status.ROUTING, due_in_s=0.0, releases=True)
    held = claim(order)
    become_due(order)
    assert leases.hurry(order.id)  # nobody's, as far as anybody can tell
    assert leases.renew([(order.id, held.fence)]) == {order.id}

    assert not leases.hurry(order.id)


def test_of_a_claim_and_a_hurry_that_meet_the_holder_keeps_its_lease(account: Account) -> None:
    for _ in range(20):
        order = order_at(Status.ROUTING, account)
        move(order, Status.ROUTING, due_in_s=0.0, releases=True)

        def take(order: Order = order) -> list[Order]:
            try:
                return leases.claim([order.id], holder="worker")
            finally:
                connection.close()

        def hurry(order: Order = order) -> bool:
            try:
                return leases.hurry(order.id)
            finally:
                connection.close()

        (taken, _) = together([take, hurry])
        held = taken[0] if taken else claim(order)  # whoever finds a row locked passes it over

        assert leases.renew([(order.id, held.fence)]) == {order.id}
        assert Order.objects.get(id=order.id).due_at > timezone.now()


def test_a_final_order_is_not_hurried(account: Account) -> None:
    assert not leases.hurry(order_at(Status.FAILED, account).id)
