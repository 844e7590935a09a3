"""Placing many orders at once: each for itself, in one statement."""

import pytest
from django.db import connection
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from orders import intake
from orders.intake import IdempotencyConflict, Placed
from orders.models import Account, Order
from tests.factories import new_order, place, statuses
from tests.refusing import refused_by_the_database

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_is_answered_in_the_order_asked(account: Account) -> None:
    earlier = place(account, client_order_id="b")
    orders = [
        new_order(account, client_order_id="c"),
        new_order(account, client_order_id="b"),
        new_order(account, client_order_id="b", slippage_bps=51),
        new_order(account),
        new_order(account, client_order_id="a"),
    ]

    first, again, conflict, without, last = intake.place_orders(orders)

    for new, placed in ((orders[0], first), (orders[3], without), (orders[4], last)):
        assert isinstance(placed, Placed)
        assert (placed.order.id, placed.replayed) == (new.id, False)
        assert statuses(placed.order) == ["pending"]
    assert again == Placed(earlier, replayed=True)
    assert isinstance(conflict, IdempotencyConflict)
    assert Order.objects.count() == 4


def test_of_two_with_one_client_order_id_the_second_repeats_the_first(account: Account) -> None:
    orders = [new_order(account, client_order_id="a", slippage_bps=bps) for bps in (50, 50, 51)]

    first, again, conflict = intake.place_orders(orders)

    assert isinstance(first, Placed) and isinstance(again, Placed)
    assert (first.replayed, again.replayed) == (False, True)
    assert first.order.id == again.order.id == orders[0].id
    assert isinstance(conflict, IdempotencyConflict)


def test_one_account_never_gets_the_order_of_another(account: Account) -> None:
    bob = Account.objects.create(name="bob")
    place(bob, client_order_id="a")
    mine = place(account, client_order_id="b")

    answers = intake.place_orders(
        [new_order(account, client_order_id="a"), new_order(account, client_order_id="b")]
    )

    assert [isinstance(answer, Placed) and answer.replayed for answer in answers] == [False, True]
    assert [answer.order.account_id for answer in answers if isinstance(answer, Placed)] == [
        account.id,
        account.id,
    ]
    assert answers[1] == Placed(mine, replayed=True)


def test_what_the_database_refuses_is_answered_with_its_error(account: Account) -> None:
    orders = [new_order(account), new_order(account, token_in="WIF"), new_order(account)]

    with refused_by_the_database(token_in="WIF"):
        first, refused, last = intake.place_orders(orders)

    assert isinstance(first, Placed) and isinstance(last, Placed)
    assert isinstance(refused, IntegrityError)


def test_no_orders_ask_nothing_of_the_database(account: Account) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert intake.place_orders([]) == []

    assert len(asked) == 0
