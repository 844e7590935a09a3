"""The journal: what its writers believe decides, and each is told its own result."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from orders import journal, stream
from orders.journal import Outcome, Refused, Transition
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt
from orders.stream import Event
from tests.factories import move, new_order, order_at, place, statuses
from tests.factories import transition as transition_to
from tests.refusing import refused_by_the_database
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What the journal announces; the announcement itself is tested with the stream."""
    events: list[Event] = []
    monkeypatch.setattr(stream, "publish", events.extend)
    return events


def test_a_writer_that_saw_an_older_event_changes_nothing(account: Account) -> None:
    order = place(account)
    stale = transition_to(order, Status.ROUTING)
    move(order, Status.CANCELLED)

    assert journal.record([stale]) == [None]

    assert statuses(order) == ["pending", "cancelled"]
    assert not OrderAttempt.objects.exists()


def test_a_writer_with_an_older_fencing_token_changes_nothing(account: Account) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(fence=2)

    assert journal.record([transition_to(order, Status.ROUTING)]) == [None]
    assert statuses(order) == ["pending"]


def test_a_transition_that_releases_the_lease_voids_its_token(account: Account) -> None:
    order = order_at(Status.ROUTING, account)

    move(order, Status.ROUTING, releases=True)

    moved = Order.objects.get(id=order.id)
    assert moved.fence == order.fence + 1
    assert journal.record(
        [Transition.of(order, status=Status.FAILED, message="", due_in_s=None)]
    ) == [None]


def test_of_twenty_writers_of_one_transition_exactly_one_wins(account: Account) -> None:
    order = place(account)
    transition = transition_to(order, Status.ROUTING)

    outcomes = together([in_its_own_connection(lambda: journal.record([transition])[0])] * 20)

    assert sum(isinstance(outcome, Event) for outcome in outcomes) == 1
    assert outcomes.count(None) == 19
    assert statuses(order) == ["pending", "routing"]


def test_batches_that_meet_in_opposite_orders_both_end(account: Account) -> None:
    orders = [place(account) for _ in range(40)]
    forward = [transition_to(order, Status.ROUTING) for order in orders]
    backward = [transition_to(order, Status.CANCELLED) for order in reversed(orders)]

    for _ in range(5):
        results = together(
            [
                in_its_own_connection(lambda: journal.record(forward)),
                in_its_own_connection(lambda: journal.record(backward)),
            ]
        )

    written = {statuses(order)[-1] for order in orders}
    assert written <= {"routing", "cancelled"}
    assert all(len(statuses(order)) == 2 for order in orders)
    assert len(results) == 2


def test_one_bad_transition_stops_no_other(account: Account, announced: list[Event]) -> None:
    good, bad, late = place(account), order_at(Status.BUILDING, account), place(account)
    stale = transition_to(late, Status.ROUTING)
    move(late, Status.CANCELLED)
    announced.clear()

    outcomes = journal.record(
        [transition_to(good, Status.ROUTING), transition_to(bad, Status.CONFIRMED), stale]
    )

    assert [type(outcome) for outcome in outcomes] == [Event, Refused, type(None)]
    assert statuses(good) == ["pending", "routing"]
    assert statuses(bad) == ["pending", "routing", "building"]
    assert [event.order_id for event in announced] == [good.id]


def test_new_orders_that_meet_in_opposite_orders_both_end(account: Account) -> None:
    for round in range(5):
        ids = [f"{round}-{number}" for number in range(200)]
        forward = [new_order(account, client_order_id=name) for name in ids]
        backward = [new_order(account, client_order_id=name) for name in reversed(ids)]

        one, other = together(
            [
                in_its_own_connection(lambda: journal.accept(forward)),  # noqa: B023  (called here)
                in_its_own_connection(lambda: journal.accept(backward)),  # noqa: B023
            ]
        )

        assert sum(isinstance(answer, Event) for answer in one + other) == len(ids)
    assert Order.objects.count() == 1000


def test_one_bad_order_stops_no_other(account: Account, announced: list[Event]) -> None:
    orders = [new_order(account, token_in="WIF" if n == 3 else "SOL") for n in range(7)]

    with refused_by_the_database(token_in="WIF"):
        outcomes = journal.accept(orders)

    assert [type(outcome) for outcome in outcomes] == [Event] * 3 + [Refused] + [Event] * 3
    stored = [orders[n].id for n in (0, 1, 2, 4, 5, 6)]
    assert [event.order_id for event in announced] == stored
    assert set(Order.objects.values_list("id", flat=True)) == set(stored)


def test_an_outage_behind_orders_that_are_stored_leaves_the_outcome_unknown(
    account: Account,
) -> None:
    orders = [new_order(account, token_in=token) for token in ("SOL", "WIF", "SOL", "RAY")]

    with (
        refused_by_the_database(token_in="WIF"),
        refused_by_the_database(token_in="RAY", error="disk_full"),
        pytest.raises(journal.OutcomeUnknown),
    ):
        journal.accept(orders)

    assert Order.objects.get().id == orders[0].id


def test_two_transitions_of_one_order_in_one_call_are_a_mistake_of_the_caller(
    account: Account,
) -> None:
    order = place(account)

    with pytest.raises(ValueError, match="one transition per order"):
        journal.record(
            [transition_to(order, Status.ROUTING), transition_to(order, Status.CANCELLED)]
        )

    assert statuses(order) == ["pending"]


def test_events_are_announced_after_the_commit_and_never_after_a_rollback(
    account: Account, announced: list[Event]
) -> None:
    order = place(account)
    announced.clear()

    with transaction.atomic():
        move(order, Status.ROUTING)
        assert announced == []
    assert [event.status for event in announced] == ["routing"]

    order.refresh_from_db()
    with pytest.raises(RuntimeError), transaction.atomic():
        move(order, Status.CANCELLED)
        raise RuntimeError
    assert [event.status for event in announced] == ["routing"]
    assert statuses(order) == ["pending", "routing"]


def test_a_client_order_id_is_accepted_once_per_account(account: Account) -> None:
    other = Account.objects.create(name="bob")
    first, again = new_order(account, client_order_id="a"), new_order(account, client_order_id="a")
    others = new_order(other, client_order_id="a")

    outcomes = journal.accept([first, again, others])

    assert [event and event.order_id for event in outcomes] == [first.id, None, others.id]
    assert Order.objects.count() == 2


def test_a_retry_keeps_the_first_attempts_minimum(account: Account) -> None:
    order = order_at(Status.ROUTING, account)
    move(order, Status.BUILDING, min_amount_out_base=100)
    order.refresh_from_db()
    move(order, Status.ROUTING)
    order.refresh_from_db()
    move(order, Status.BUILDING, min_amount_out_base=90)

    assert Order.objects.get(id=order.id).min_amount_out_base == 100


def in_its_own_connection(call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Outcome | list[Outcome]:
        try:
            return call()
        finally:
            connection.close()

    return run
