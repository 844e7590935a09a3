"""Placing many orders at once: each for itself, in one statement."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from config.postgres.patience import ANSWER_WITHIN_S, answering_within
from orders import intake
from orders.gathering import Gathering
from orders.intake import IdempotencyConflict, Placed
from orders.journal import NewOrder
from orders.models import Account, Order
from tests.factories import new_order, place, statuses
from tests.refusing import refused_by_the_database
from tests.waiting import wait_until

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


# --- callers that share a round ---------------------------------------------------------------------------------------


class Crowd:
    """Callers in threads of their own. While `gate` is shut, a round doesn't begin."""

    def __init__(self, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self._threads = threads
        self._rounds = 0
        self._work = intake._accept_with_others._work
        self._gathering = Gathering(self._gated, most=intake.MOST_TOGETHER)
        monkeypatch.setattr(intake, "_accept_with_others", self._gathering)

    def _gated(self, orders: Sequence[NewOrder]) -> Sequence[object]:
        self._rounds += 1
        self.gate.wait(10)
        return self._work(orders)

    def comes(
        self, account: Account, *, within_s: float = ANSWER_WITHIN_S, has_asked: bool = False
    ) -> "Future[Placed]":
        """One more, who begins the first round or waits behind it."""
        waiting = len(self._gathering._calls) if self._rounds else -1
        call = self._threads.submit(self._place, account, within_s, has_asked)
        wait_until(lambda: self._rounds and len(self._gathering._calls) > waiting, what="a caller")
        return call

    def _place(self, account: Account, within_s: float, has_asked: bool) -> Placed:
        try:
            with answering_within(within_s):
                if has_asked:
                    Account.objects.get(pk=account.pk)
                return intake.place_order(new_order(account))
        finally:
            connection.close()


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    with ThreadPoolExecutor(20) as threads:
        crowd = Crowd(threads, monkeypatch)
        yield crowd
        crowd.gate.set()


@pytest.fixture
def of_two_connections() -> Iterator[None]:
    pool = connection.pool
    connection.close()
    most = pool.max_size
    pool.resize(1, 2)
    yield
    pool.resize(1, most)


def test_those_who_wait_hold_no_connection_that_the_one_at_work_needs(
    account: Account, crowd: Crowd, of_two_connections: None
) -> None:
    calls = [crowd.comes(account)]
    calls += [crowd.comes(account, has_asked=has_asked) for has_asked in (False, True, True)]

    crowd.gate.set()

    assert all(isinstance(call.result(ANSWER_WITHIN_S), Placed) for call in calls)
