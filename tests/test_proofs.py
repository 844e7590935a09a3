"""Proof before retry: what the database refuses even if the code above it were wrong."""

from hashlib import sha256
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from orders import journal
from orders.journal import AttemptChange, Refused
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order, OrderAttempt
from tests.factories import move, order_at, proven, statuses, transition

pytestmark = pytest.mark.django_db

SENT = AttemptChange(state=AttemptState.SENT)


def refused(order: Order, status: Status, **changes: Any) -> str:
    """Try the transition; answer why the database refused it, and see that nothing was written."""
    before = statuses(order)
    (outcome,) = journal.record([transition(order, status, **changes)])
    assert isinstance(outcome, Refused)
    assert statuses(order) == before
    return str(outcome.error)


def by_hand(sql: str, *params: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)


@pytest.mark.parametrize("successor", [Status.ROUTING, Status.FAILED, Status.CANCELLED])
@pytest.mark.parametrize("ended", [None, SENT, AttemptChange(state=AttemptState.CONFIRMED)])
def test_an_order_leaves_submitted_for_another_end_than_confirmed_only_with_a_dead_attempt(
    account: Account, successor: Status, ended: AttemptChange | None
) -> None:
    order = order_at(Status.SUBMITTED, account)

    why = refused(order, successor, attempt=ended)

    assert "not proven" in why or "needs proof" in why


@pytest.mark.parametrize("ended", [None, SENT, proven(confirmed=False)])
def test_an_order_is_confirmed_only_with_a_confirmed_attempt(
    account: Account, ended: AttemptChange | None
) -> None:
    assert "not proven" in refused(
        order_at(Status.SUBMITTED, account), Status.CONFIRMED, attempt=ended
    )


def test_dead_without_a_proof_is_refused(account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)

    why = refused(order, Status.ROUTING, attempt=AttemptChange(state=AttemptState.DEAD))

    assert "dead_has_a_proof" in why


def test_an_attempt_that_signed_something_cannot_claim_that_nothing_was_sent(
    account: Account,
) -> None:
    order = order_at(Status.SUBMITTED, account)

    why = refused(order, Status.ROUTING, attempt=AttemptChange(state=AttemptState.FAILED))

    assert "failed_means_nothing_was_sent" in why


@pytest.mark.parametrize("status", [Status.ROUTING, Status.BUILDING])
def test_the_next_attempt_needs_the_end_of_the_one_before(account: Account, status: Status) -> None:
    order = order_at(status, account)

    assert "needs proof" in refused(order, Status.ROUTING, attempt=None)


@pytest.mark.parametrize("number", [2, 3])
def test_raw_sql_cannot_open_an_attempt_without_proof_or_out_of_turn(
    account: Account, number: int
) -> None:
    order = order_at(Status.SUBMITTED, account)
    if number == 3:
        OrderAttempt.objects.filter(order=order).update(state="dead", proof={"kind": "made up"})

    with pytest.raises(DatabaseError, match="needs proof"):
        by_hand(
            "INSERT INTO orders_orderattempt (order_id, number, state) VALUES (%s, %s, 'quoting')",
            order.id,
            number,
        )


def test_with_proof_the_next_attempt_starts(account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)

    move(order, Status.ROUTING)

    assert list(order.attempts.order_by("number").values_list("number", "state")) == [
        (1, "dead"),
        (2, "quoting"),
    ]


@pytest.mark.parametrize("change", ["state = 'sent'", "proof = NULL", "amount_out_base = 2"])
def test_what_became_of_an_attempt_is_never_rewritten(account: Account, change: str) -> None:
    order = order_at(Status.SUBMITTED, account)
    move(order, Status.ROUTING)

    with pytest.raises(DatabaseError, match="Cannot update"):
        by_hand(
            f"UPDATE orders_orderattempt SET {change} WHERE order_id = %s AND number = 1", order.id
        )


@pytest.mark.parametrize("successor", [Status.ROUTING, Status.FAILED, Status.CANCELLED])
def test_the_event_of_a_death_carries_the_hash_of_the_proof_as_it_is_stored(
    account: Account, successor: Status
) -> None:
    order = order_at(Status.SUBMITTED, account)
    # All that PostgreSQL writes in its own way: the order of keys, numbers, and letters that JSON may escape.
    proof = {"kind": "é€😀\\u", "b": 1.50, "a": {"height": 10**19, "none": None}, "aa": [1e-7]}

    event = move(
        order,
        successor,
        attempt=AttemptChange(state=AttemptState.DEAD, error_code="EXPIRED", proof=proof),
    )

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proof::text FROM orders_orderattempt WHERE order_id = %s AND number = 1",
            [order.id],
        )
        stored = cursor.fetchone()[0]
    assert event.details["proofHash"] == sha256(stored.encode()).hexdigest()
    assert event.as_json()["proofHash"] == event.details["proofHash"]


def test_an_event_without_a_proof_tells_of_none(account: Account) -> None:
    order = order_at(Status.ROUTING, account)

    assert "proofHash" not in move(order, Status.ROUTING).details
