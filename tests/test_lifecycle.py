"""The table of legal transitions, and the database's own guard against everything else."""

import pytest
from django.db import DatabaseError, connection, transaction

from orders import lifecycle
from orders.journal import Refused, record
from orders.lifecycle import ACTIVE, TERMINAL, TRANSITIONS, Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from tests.factories import move, new_order, order_at, place, statuses, way_to
from tests.factories import transition as transition_to

PAIRS = [(status, successor) for status in Status for successor in Status]
LEGAL = [pair for pair in PAIRS if pair[1] in TRANSITIONS[pair[0]]]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]

pytestmark = pytest.mark.django_db


def test_every_status_has_a_row_and_terminal_ones_lead_nowhere() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {Status.CONFIRMED, Status.FAILED, Status.CANCELLED} == TERMINAL
    assert set(Status) == ACTIVE | TERMINAL
    assert all(way_to(status) is not None for status in Status)


def test_the_diagram_shows_every_legal_pair_and_no_other() -> None:
    arrows = {line.strip() for line in lifecycle.diagram().splitlines() if "-->" in line}

    assert {f"{a} --> {b}" for a, b in LEGAL} <= arrows
    assert not {f"{a} --> {b}" for a, b in ILLEGAL} & arrows


@pytest.mark.parametrize(("status", "successor"), LEGAL)
def test_the_journal_writes_a_legal_transition(
    account: Account, status: Status, successor: Status
) -> None:
    order = order_at(status, account)

    event = move(order, successor)

    assert statuses(order)[-2:] == [status, successor]
    order.refresh_from_db()
    assert (order.status, order.last_seq, order.updated_at) == (successor, event.seq, event.at)
    assert (order.due_at is None) == (successor in TERMINAL)


@pytest.mark.parametrize(("status", "successor"), ILLEGAL)
def test_the_journal_cannot_write_an_illegal_transition(
    account: Account, status: Status, successor: Status
) -> None:
    order = order_at(status, account)
    before = statuses(order)

    (outcome,) = record([transition_to(order, successor)])

    # A terminal order is simply over; from an active one it is the database that refuses.
    assert outcome is None if status in TERMINAL else isinstance(outcome, Refused)
    assert statuses(order) == before
    assert Order.objects.get(id=order.id).status == status


@pytest.mark.parametrize(("status", "successor"), PAIRS)
def test_raw_sql_cannot_move_an_order_illegally(
    account: Account, status: Status, successor: Status
) -> None:
    order = order_at(status, account)
    due = "NULL" if successor in TERMINAL else "coalesce(due_at, now())"
    update = f"""
        UPDATE orders_order SET status = '{successor}', due_at = {due}, error_code = 'X', tx_hash = 'x',
            amount_out_base = 1, last_seq = last_seq + 1
        WHERE id = '{order.id}'
    """

    # Leaving `submitted` also takes proof of the attempt's fate: test_proofs.py.
    leaves_submitted = status is Status.SUBMITTED and successor is not Status.SUBMITTED
    # An order's own row doesn't tell a self-transition from any other update; its event does (below).
    if (status is successor and status in ACTIVE) or (
        (status, successor) in LEGAL and not leaves_submitted
    ):
        execute(update)
    else:
        with (
            pytest.raises(DatabaseError, match=r"illegal transition|Cannot update|not proven"),
            transaction.atomic(),
        ):
            execute(update)


@pytest.mark.parametrize(("status", "successor"), PAIRS)
@pytest.mark.parametrize("events", [0, 2, 3, 4])
def test_raw_sql_cannot_leap_but_on_the_way_out(
    account: Account, status: Status, successor: Status, events: int
) -> None:
    order = order_at(status, account)
    due = "NULL" if successor in TERMINAL else "coalesce(due_at, now())"
    update = f"""
        UPDATE orders_order SET status = '{successor}', due_at = {due}, error_code = 'X', tx_hash = 'x',
            amount_out_base = 1, last_seq = last_seq + {events}
        WHERE id = '{order.id}'
    """
    leaps = {
        (Status.PENDING, Status.BUILDING, 2),
        (Status.PENDING, Status.SUBMITTED, 3),
        (Status.ROUTING, Status.SUBMITTED, 2),
        *((Status.PENDING, end, n) for end in (Status.FAILED, Status.CANCELLED) for n in (2, 3)),
        *((Status.ROUTING, end, 2) for end in (Status.FAILED, Status.CANCELLED)),
    }

    if (status, successor, events) in leaps or (status is successor and status in ACTIVE):
        execute(update)
    else:
        with (
            pytest.raises(DatabaseError, match=r"illegal transition|Cannot update"),
            transaction.atomic(),
        ):
            execute(update)


@pytest.mark.parametrize(("status", "successor"), PAIRS)
def test_raw_sql_cannot_log_an_illegal_transition(
    account: Account, status: Status, successor: Status
) -> None:
    order = place(account)
    insert = f"""
        INSERT INTO orders_orderevent (order_id, seq, from_status, status, attempt, message, hash)
        VALUES ('{order.id}', 2, '{status}', '{successor}', 0, 'by hand', '')
    """

    if (status, successor) in LEGAL:
        execute(insert)
    else:
        with (
            pytest.raises(DatabaseError, match="event_is_a_legal_transition"),
            transaction.atomic(),
        ):
            execute(insert)


@pytest.mark.parametrize("status", Status)
def test_raw_sql_cannot_log_a_second_beginning(account: Account, status: Status) -> None:
    order = place(account)
    insert = f"""
        INSERT INTO orders_orderevent (order_id, seq, from_status, status, attempt, message, hash)
        VALUES ('{order.id}', 2, NULL, '{status}', 0, 'by hand', '')
    """

    with (
        pytest.raises(DatabaseError, match="event_is_a_legal_transition"),
        transaction.atomic(),
    ):
        execute(insert)


@pytest.mark.parametrize(
    "change", ["UPDATE orders_orderevent SET message = 'x'", "DELETE FROM orders_orderevent"]
)
def test_raw_sql_cannot_rewrite_the_log(account: Account, change: str) -> None:
    place(account)

    with pytest.raises(DatabaseError, match=r"Cannot (update|delete)"), transaction.atomic():
        execute(change)

    assert OrderEvent.objects.count() == 1


@pytest.mark.parametrize(
    "column", ["signed_bytes = 'x'", "signature = 'other'", "last_valid_block_height = 9"]
)
def test_raw_sql_cannot_change_what_was_signed(account: Account, column: str) -> None:
    order = order_at(Status.SUBMITTED, account)

    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        execute(f"UPDATE orders_orderattempt SET {column} WHERE order_id = '{order.id}'")

    assert bytes(OrderAttempt.objects.get(order=order).signed_bytes or b"") == b"\0\0\0"


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_raw_sql_cannot_accept_an_order_that_is_already_under_way(
    account: Account, status: Status
) -> None:
    due = "NULL" if status in TERMINAL else "now()"

    with pytest.raises(DatabaseError, match="Cannot insert"), transaction.atomic():
        execute(f"""
            INSERT INTO orders_order (id, account_id, order_type, token_in, token_out, amount_in_base, slippage_bps,
                status, due_at, tx_hash, amount_out_base, error_code)
            VALUES ('{new_order(account).id}', {account.pk}, 'market', 'SOL', 'USDC', 1, 50,
                '{status}', {due}, 'x', 1, 'X')
        """)


def test_two_orders_cannot_share_a_signature(account: Account) -> None:
    first, second = order_at(Status.SUBMITTED, account), order_at(Status.BUILDING, account)
    taken = OrderAttempt.objects.get(order=first).signature

    with pytest.raises(DatabaseError, match="signature"), transaction.atomic():
        execute(
            f"UPDATE orders_orderattempt SET signature = '{taken}' WHERE order_id = '{second.id}'"
        )


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
