"""Placing many orders at once: each for itself, in one statement."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from config.postgres.patience import ANSWER_WITHIN_S, answering_within
from orders import intake, journal, leases
from orders.gathering import Gathering
from orders.intake import IdempotencyConflict, Placed
from orders.journal import NewOrder, OutcomeUnknown
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
        self._begun: list[NewOrder] = []
        self._work = intake._together._work
        self._gathering = Gathering(self._gated, most=intake.MOST_TOGETHER)
        monkeypatch.setattr(intake, "_together", self._gathering)

    def _gated(self, orders: Sequence[NewOrder]) -> Sequence[object]:
        self._begun += orders
        self.gate.wait(10)
        return self._work(orders)

    def comes(
        self,
        account: Account,
        *,
        within_s: float = ANSWER_WITHIN_S,
        has_asked: bool = False,
        **wishes: Any,
    ) -> "Future[Placed]":
        """One more, who begins the first round or waits behind it."""
        new = new_order(account, **wishes)
        call = self._threads.submit(self._place, new, within_s, has_asked)
        wait_until(lambda: new in self._here() or call.done(), what="a caller")
        return call

    def _here(self) -> list[NewOrder]:
        return self._begun + [call.item for call in list(self._gathering._calls)]

    def _place(self, new: NewOrder, within_s: float, has_asked: bool) -> Placed:
        try:
            with answering_within(within_s):
                if has_asked:
                    Account.objects.get(pk=new.account_id)
                return intake.place_order(new)
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


def test_a_caller_without_much_time_costs_the_others_nothing(
    account: Account, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the oldest to lead with what is left of its own time, all would fail with it."""
    monkeypatch.setattr(journal, "accept", slow_for_many(journal.accept, seconds=0.5))
    crowd.comes(account)
    late = crowd.comes(account, within_s=0.3)
    others = [crowd.comes(account, within_s=0.7) for _ in range(9)]

    with pytest.raises(OperationalError):
        late.result(1)
    crowd.gate.set()

    # Nobody is told later than its own time and a round's.
    assert all(isinstance(other.result(0.7 + ANSWER_WITHIN_S), Placed) for other in others)
    assert Order.objects.count() == 10


def slow_for_many(
    accept: Callable[[Sequence[NewOrder]], list[journal.Outcome]], *, seconds: float
) -> Callable[[Sequence[NewOrder]], list[journal.Outcome]]:
    """PostgreSQL takes so long for more than one order."""

    def slow(orders: Sequence[NewOrder]) -> list[journal.Outcome]:
        if len(orders) > 1:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(%s)", [seconds])
        return accept(orders)

    return slow


def test_a_repetition_in_a_crowd_is_answered_with_the_earlier_order(
    account: Account, crowd: Crowd
) -> None:
    (earlier,) = intake.place_orders([new_order(account, client_order_id="a")])
    crowd.comes(account)
    again, other = crowd.comes(account, client_order_id="a"), crowd.comes(account)
    crowd.gate.set()

    assert isinstance(earlier, Placed)
    assert again.result(5) == Placed(earlier.order, replayed=True)
    assert not other.result(5).replayed


def test_of_a_crowd_only_those_who_repeat_fail_when_nobody_can_look_for_the_earlier_order(
    account: Account, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.place_orders([new_order(account, client_order_id="a")])
    monkeypatch.setattr(intake, "_earlier", away)
    crowd.comes(account)
    again, other = crowd.comes(account, client_order_id="a"), crowd.comes(account)
    crowd.gate.set()

    assert not other.result(5).replayed
    with pytest.raises(OperationalError) as told:
        again.result(5)
    assert not isinstance(told.value, OutcomeUnknown)


def away(*args: object, **options: object) -> Any:
    raise OperationalError("away")


# --- the pause that lets the workers follow ---------------------------------------------------------------------------


def broken(*args: object, **options: object) -> Any:
    connection.connection.close()
    raise InterfaceError("broken")


@pytest.mark.parametrize("fails", [away, broken])
def test_orders_are_accepted_though_nobody_knows_what_the_workers_are_behind(
    account: Account, fails: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "behind_s", fails)

    answers = intake.place_orders([new_order(account) for _ in range(intake.A_CROWD)])

    assert all(isinstance(answer, Placed) for answer in answers)


def test_asking_what_the_workers_are_behind_takes_no_time_from_the_orders(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BEHIND", "SELECT 1 FROM pg_sleep(5)")

    with answering_within(ANSWER_WITHIN_S):
        answers = intake.place_orders([new_order(account) for _ in range(intake.A_CROWD)])

    assert all(isinstance(answer, Placed) for answer in answers)
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
