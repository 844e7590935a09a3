"""What is counted of the orders of the last minutes, and how little of the log is read for it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from orders import throughput
from orders.lifecycle import Status
from orders.models import Account, OrderEvent
from orders.throughput import POINT_S, POINTS, SPAN_S, Counts, EventCount
from tests.factories import order_at, place
from tests.test_operations import ago, at

pytestmark = pytest.mark.django_db

# In the midst of an interval, so that the seconds that a test takes are in the same one.
NOW = datetime(2026, 11, 30, 12, 0, 7, tzinfo=UTC)


def before(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def look(count: EventCount) -> throughput.Throughput:
    with at(NOW):
        return count.look()


def pieces_read(count: EventCount) -> int:
    with CaptureQueriesContext(connection) as asked:
        look(count)
    return len([query for query in asked.captured_queries if re.search("GROUP BY", query["sql"])])


def an_order(status: Status, account: Account, *, seconds_ago: float) -> None:
    with at(before(seconds_ago)):
        order_at(status, account)


def test_an_empty_log_has_nothing_to_count() -> None:
    told = EventCount().look()

    assert (told.minute, told.span, set(told.points)) == (Counts(), Counts(), {Counts()})
    assert told.is_complete


def test_orders_are_counted_by_what_became_of_them(account: Account) -> None:
    for seconds_ago in (1, 50):
        an_order(Status.CONFIRMED, account, seconds_ago=seconds_ago)
    an_order(Status.FAILED, account, seconds_ago=70)
    an_order(Status.CANCELLED, account, seconds_ago=SPAN_S - 1)
    an_order(Status.CONFIRMED, account, seconds_ago=SPAN_S + 60)

    told = look(EventCount())

    assert told.minute == Counts(accepted=2, confirmed=2)
    assert told.span == Counts(accepted=4, confirmed=2, failed=1, cancelled=1)
    assert told.is_complete


def test_an_order_is_accepted_once_and_ends_once_however_much_happens_to_it(
    account: Account,
) -> None:
    with at(before(20)):
        order_at(Status.SUBMITTED, account)

    assert look(EventCount()).span == Counts(accepted=1)


def test_each_point_is_a_whole_interval_and_the_one_that_has_begun_is_none(
    account: Account,
) -> None:
    an_order(Status.CONFIRMED, account, seconds_ago=3)  # in the interval that has begun
    an_order(Status.CONFIRMED, account, seconds_ago=8)
    an_order(Status.FAILED, account, seconds_ago=7 + 2 * POINT_S)

    points = look(EventCount()).points

    assert len(points) == POINTS
    assert points[-1] == Counts(accepted=1, confirmed=1)
    assert points[-2] == Counts(accepted=1, failed=1)
    assert set(points[:-2]) == {Counts()}


def test_an_old_piece_of_the_log_is_read_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "PIECE", 5)
    monkeypatch.setattr(throughput, "BUDGET_S", 60.0)
    for seconds_ago in range(800, 60, -60):
        an_order(Status.CONFIRMED, account, seconds_ago=seconds_ago)
    count = EventCount()
    first = look(count)
    assert first.span == Counts(accepted=13, confirmed=13)

    assert pieces_read(count) <= 2
    an_order(Status.FAILED, account, seconds_ago=1)
    again = look(count)

    assert again.span == Counts(accepted=14, confirmed=13, failed=1)
    assert again.minute == Counts(accepted=1, failed=1)


def test_what_is_committed_late_is_not_missed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are taken before the commit: one that is missing among younger ones may still come."""
    monkeypatch.setattr(throughput, "PIECE", 4)
    an_order(Status.PENDING, account, seconds_ago=5)
    missing = OrderEvent.objects.get()
    count = EventCount()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('orders_orderevent', 'id'), %s)",
            [missing.pk + 10],
        )
    an_order(Status.PENDING, account, seconds_ago=4)
    assert look(count).span == Counts(accepted=2)

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('orders_orderevent', 'id'), %s)", [missing.pk]
        )
    an_order(Status.PENDING, account, seconds_ago=5)

    assert look(count).span == Counts(accepted=3)


def test_a_busy_log_is_counted_bit_by_bit_and_says_how_far(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "PIECE", 5)
    monkeypatch.setattr(throughput, "BUDGET_S", 0.0)
    an_order(Status.CONFIRMED, account, seconds_ago=SPAN_S + 100)
    for seconds_ago in range(800, 100, -100):
        an_order(Status.CONFIRMED, account, seconds_ago=seconds_ago)
    count = EventCount()

    first = look(count)
    assert not first.is_complete
    assert 0 < first.counted_s < SPAN_S
    assert first.span.accepted < 7

    looks = [look(count) for _ in range(8)]

    assert looks[-1].is_complete
    assert looks[-1].span == Counts(accepted=7, confirmed=7)


def test_the_clock_of_the_database_decides(account: Account) -> None:
    with at(ago(seconds=30)):
        place(account)

    assert EventCount().look().minute == Counts(accepted=1)
