"""What an operator is told of the queue, of the time that orders take, and of those that went wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.postgres.brief import TooSlow, brief_statements
from orders import operations
from orders.journal import AttemptChange
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order
from orders.operations import Phase, Spread
from orders.throughput import EventCount
from tests.factories import become_due, claim, move, order_at, place

pytestmark = pytest.mark.django_db

NOTHING_WAITS = (0, 0, 0, 0)


@contextmanager
def at(instant: datetime) -> Iterator[None]:
    """The engine's clock stands still there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('engine.now', %s, true)", [instant.isoformat()])
        yield
        cursor.execute("SELECT set_config('engine.now', '', true)")


def live(account: Account, *steps: tuple[float, Status, dict[str, Any]], begun: datetime) -> Order:
    """An order that was accepted at `begun`, and took each step so many seconds later."""
    with at(begun):
        order = place(account)
    for seconds, status, changes in steps:
        with at(begun + timedelta(seconds=seconds)):
            move(order, status, **changes)
        order.refresh_from_db()
    return order


def doubt(order: Order, *, since: datetime, sentence: str) -> None:
    with at(since):
        move(order, Status.SUBMITTED, in_doubt=True, next_check_in_s=5.0, message=sentence)


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


def places(queue: operations.Queue) -> tuple[int, int, int, int]:
    return queue.due, queue.working, queue.in_flight, queue.backing_off


# --- The queue


def test_nothing_waits_where_there_are_no_orders_or_all_have_ended(account: Account) -> None:
    assert (places(operations.queue()), operations.queue().oldest) == (NOTHING_WAITS, None)

    for status in (Status.CONFIRMED, Status.FAILED, Status.CANCELLED):
        order_at(status, account)

    assert (places(operations.queue()), operations.queue().oldest) == (NOTHING_WAITS, None)


def test_every_order_that_has_not_ended_is_in_one_place(account: Account) -> None:
    place(account)
    claim(place(account))
    for status in (Status.ROUTING, Status.BUILDING, Status.SUBMITTED):
        order_at(status, account)

    assert places(operations.queue()) == (1, 3, 1, 0)


def test_an_order_backs_off_until_its_next_attempt_is_due_and_then_waits_for_a_worker(
    account: Account,
) -> None:
    order = order_at(Status.BUILDING, account)
    move(order, Status.ROUTING, due_in_s=2.0, releases=True)
    assert places(operations.queue()) == (0, 0, 0, 1)

    become_due(order)
    assert places(operations.queue()) == (1, 0, 0, 0)

    claim(order)
    assert places(operations.queue()) == (0, 1, 0, 0)


def test_what_a_dead_worker_had_sent_waits_for_another_worker(account: Account) -> None:
    become_due(order_at(Status.SUBMITTED, account))

    assert places(operations.queue()) == (1, 0, 0, 0)


def test_the_order_that_is_due_longest_is_told_with_its_age(account: Account) -> None:
    with at(ago(seconds=90)):
        oldest = place(account)
    place(account)

    told = operations.queue().oldest

    assert told is not None
    assert (told.order_id, told.status, told.claims) == (oldest.id, Status.PENDING, 0)
    assert 90 <= told.due_for_s < 100


def test_a_long_queue_is_counted_up_to_a_limit(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        place(account)
    assert not operations.queue().is_cut

    monkeypatch.setattr(operations, "MOST_QUEUED", 3)
    monkeypatch.setattr(operations, "QUEUE", operations.QUEUE.replace("20000", "3"))
    place(account)

    assert (operations.queue().due, operations.queue().is_cut) == (3, True)


# --- How long orders take


def test_each_phase_has_the_percentiles_of_known_lives(account: Account) -> None:
    for nth in range(1, 21):
        live(
            account,
            (nth, Status.ROUTING, {}),
            (nth + 0.1 * nth, Status.BUILDING, {}),
            (nth + 0.1 * nth + 0.01, Status.SUBMITTED, {}),
            (nth + 0.1 * nth + 0.01 + 2 * nth, Status.CONFIRMED, {}),
            begun=ago(minutes=10) + timedelta(seconds=nth),
        )

    told = operations.latency()

    assert told.orders == 20
    assert told.spreads == (
        Spread(Phase.QUEUE, 20, 10.0, 19.0, 20.0),
        Spread(Phase.QUOTES, 20, 1.0, 1.9, 2.0),
        Spread(Phase.BUILDING, 20, 0.01, 0.01, 0.01),
        Spread(Phase.LANDING, 20, 20.0, 38.0, 40.0),
        Spread(Phase.TOTAL, 20, 31.01, 58.91, 62.01),
    )


def test_a_back_off_is_in_the_total_and_in_no_phase(account: Account) -> None:
    live(
        account,
        (1, Status.ROUTING, {}),
        (2, Status.BUILDING, {}),
        (3, Status.ROUTING, {"due_in_s": 10.0}),
        (15, Status.BUILDING, {}),
        (16, Status.SUBMITTED, {}),
        (18, Status.CONFIRMED, {}),
        begun=ago(minutes=5),
    )

    assert operations.latency().spreads == (
        Spread(Phase.QUEUE, 1, 1.0, 1.0, 1.0),
        Spread(Phase.QUOTES, 1, 1.0, 1.0, 1.0),
        Spread(Phase.BUILDING, 1, 1.0, 1.0, 1.0),
        Spread(Phase.LANDING, 1, 2.0, 2.0, 2.0),
        Spread(Phase.TOTAL, 1, 18.0, 18.0, 18.0),
    )


def test_a_landing_is_counted_from_the_sending_whatever_is_told_meanwhile(
    account: Account,
) -> None:
    live(
        account,
        (0, Status.ROUTING, {}),
        (0, Status.BUILDING, {}),
        (1, Status.SUBMITTED, {}),
        (5, Status.SUBMITTED, {"in_doubt": True}),
        (8, Status.SUBMITTED, {"cancel_requested": True}),
        (9, Status.CONFIRMED, {}),
        begun=ago(minutes=5),
    )

    landing = operations.latency().spreads[-2]

    assert landing == Spread(Phase.LANDING, 1, 8.0, 8.0, 8.0)


def test_an_order_that_never_began_counts_only_in_total(account: Account) -> None:
    live(account, (4, Status.CANCELLED, {}), begun=ago(minutes=5))

    assert operations.latency().spreads == (Spread(Phase.TOTAL, 1, 4.0, 4.0, 4.0),)


def test_orders_that_ended_long_ago_say_nothing_of_now(account: Account) -> None:
    live(account, (4, Status.CANCELLED, {}), begun=ago(hours=2))
    place(account)

    assert operations.latency() == operations.Latency(0, None, None, ())


# --- Orders that went wrong


def test_the_order_that_is_in_doubt_longest_comes_first_and_says_why(account: Account) -> None:
    later, longest = (order_at(Status.SUBMITTED, account) for _ in range(2))
    order_at(Status.SUBMITTED, account)
    doubt(later, since=ago(seconds=30), sentence="The node has no history back to there.")
    doubt(longest, since=ago(seconds=60), sentence="The node answers for another cluster.")
    longest.refresh_from_db()
    move(longest, Status.SUBMITTED, cancel_requested=True, message="Cancel requested.")

    told = operations.in_doubt()

    assert [order.order_id for order in told.orders] == [longest.id, later.id]
    first = told.orders[0]
    assert (first.sentence, first.status, first.attempt) == (
        "The node answers for another cluster.",
        Status.SUBMITTED,
        1,
    )
    assert (first.account, first.token_in, first.token_out) == ("alice", "SOL", "USDC")
    assert 60 <= first.seconds < 70


def test_a_doubt_that_is_over_is_told_no_more(account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)
    doubt(order, since=ago(seconds=30), sentence="Nobody knows.")
    order.refresh_from_db()

    move(order, Status.CONFIRMED)

    assert operations.in_doubt() == operations.Concerns((), 0)


def test_the_newest_failure_comes_first_with_its_code_and_sentence(account: Account) -> None:
    order_at(Status.FAILED, account)
    newest = order_at(Status.BUILDING, account)
    move(newest, Status.FAILED, error_code="EXPIRED", error_message="It came too late.")
    order_at(Status.CONFIRMED, account)

    told = operations.failed()

    assert [(order.code, order.sentence) for order in told.orders] == [
        ("EXPIRED", "It came too late."),
        ("NO_QUOTE", "No venue quoted."),
    ]
    assert told.orders[0].order_id == newest.id


def test_a_failure_of_the_day_before_yesterday_is_not_told(account: Account) -> None:
    with at(ago(hours=49)):
        order_at(Status.FAILED, account)

    assert operations.failed().orders == ()


def test_an_order_at_its_next_attempt_says_when_and_why(account: Account) -> None:
    order_at(Status.ROUTING, account)
    order = order_at(Status.BUILDING, account)
    ended = AttemptChange(
        state=AttemptState.FAILED, error_code="RPC_ERROR", error_message="The node failed."
    )
    move(order, Status.ROUTING, due_in_s=8.0, releases=True, attempt=ended)

    (told,) = operations.retried().orders

    assert (told.order_id, told.attempt, told.code, told.sentence) == (
        order.id,
        2,
        "RPC_ERROR",
        "The node failed.",
    )
    assert 7 < told.seconds <= 8


def test_of_many_only_some_are_listed_and_all_are_counted_up_to_a_limit(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        order_at(Status.FAILED, account)
    monkeypatch.setattr(operations, "MOST_LISTED", 2)
    told = operations.failed()
    assert (len(told.orders), told.count, told.is_cut) == (2, 4, False)

    monkeypatch.setattr(operations, "MOST_COUNTED", 3)
    told = operations.failed()
    assert (len(told.orders), told.count, told.is_cut) == (2, 3, True)


def test_workers_are_known_by_what_they_took(account: Account) -> None:
    place(account)
    for holder in ("one:1", "other:2", "one:1"):
        claim(place(account), holder=holder)

    told = {holder.name: holder.orders for holder in operations.holders()}

    assert told == {"one:1": 2, "other:2": 1}


# --- What it costs


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_takes_too_long_is_given_up_and_the_connection_goes_on() -> None:
    with (
        pytest.raises(TooSlow, match=r"within 0\.05 s"),
        brief_statements(within_s=0.05),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT pg_sleep(30)")

    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


MANY = """
SET LOCAL session_replication_role = replica;
INSERT INTO orders_order (id, account_id, order_type, token_in, token_out, amount_in_base, slippage_bps, status,
                          last_seq, due_at, created_at, updated_at, head_hash)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid,
       %(account)s, 'market', 'SOL', 'USDC', 1, 50, 'cancelled', 5, NULL, at, at, ''
FROM generate_series(1, 20000) AS n,
     LATERAL (SELECT now() - interval '30 days' + n * interval '2 minutes' AS at) AS accepted;
INSERT INTO orders_orderevent (order_id, seq, from_status, status, attempt, at, message, hash)
SELECT o.id, life.seq, life.from_status, life.status, 0, o.created_at, '', ''
FROM orders_order o, (VALUES (1, NULL, 'pending'), (2, 'pending', 'routing'), (3, 'routing', 'routing'),
                             (4, 'routing', 'cancelled')) AS life(seq, from_status, status);
SET LOCAL session_replication_role = origin;
ANALYZE orders_order, orders_orderevent;
"""


def test_no_question_reads_a_whole_table(account: Account) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY, {"account": account.pk})
    for status in (Status.PENDING, Status.FAILED, Status.SUBMITTED):
        order_at(status, account)
    questions = {
        "queue": operations.queue,
        "latency": operations.latency,
        "in doubt": operations.in_doubt,
        "failed": operations.failed,
        "retried": operations.retried,
        "holders": operations.holders,
        "throughput": EventCount().look,
    }

    for name, ask in questions.items():
        with CaptureQueriesContext(connection) as asked:
            ask()
        for query in asked.captured_queries:
            plan = plan_of(query["sql"])
            assert not re.search(r"Seq Scan on orders_order(event)?\b", plan), (name, plan)


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())
