"""What processes hear of venues adds up in one table, and costs nothing while nothing is heard."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from orders import execution
from orders.exchange import TradingDesk
from orders.models import Account, VenueTally
from orders.venue_health import VenueHealth
from routing.answers import Answer
from tests.desks import without
from tests.factories import HOPELESS, SOL, place
from tests.routing.lab import together
from tests.venues.answers import (
    Venues,
    answered,
    failed,
    heard_in_all,
    known_for_long,
    refused,
    set_aside_for_ever,
)
from tests.venues.conftest import Clock
from tests.venues.race import other_session
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_two_processes_heard_in_a_second_is_one_row(clock: Clock, venues: Venues) -> None:
    first, second = VenueHealth(), VenueHealth()
    first.heard([answered("raydium"), answered("meteora")])
    first.weighed([(["raydium", "meteora"], ["meteora"])])
    first.heard([failed("raydium"), refused("meteora")])
    second.heard([failed("raydium", took_ms=300), answered("raydium")])
    second.weighed([(["raydium"], ["raydium"]), (["raydium"], [])])

    for health in (first, second):
        health.tick(venues)

    rows = VenueTally.objects.order_by("venue")
    columns = ("at", "venue", "asked", "failed", "weighed", "won", "took_ms", "slowest_ms")
    assert list(rows.values_list(*columns)) == [
        (clock.began, "meteora", 2, 0, 1, 1, 20, 10),
        (clock.began, "raydium", 4, 2, 3, 1, 10 + 500 + 300 + 10, 500),
    ]


def test_each_second_has_its_own_row(clock: Clock, venues: Venues) -> None:
    health = VenueHealth()
    for at in (0, 0.9, 1.0):
        clock.at(at)
        health.heard([answered("raydium")])
        health.tick(venues)

    rows = VenueTally.objects.order_by("at").values_list("at", "asked")
    assert list(rows) == [(clock.began, 2), (clock.began + timedelta(seconds=1), 1)]


def test_two_processes_that_flush_at_once_lose_nothing(venues: Venues) -> None:
    known_for_long(*venues)
    processes = [VenueHealth() for _ in range(4)]
    answers = {name: answered(name) for name in venues}

    def flush(health: VenueHealth, names: list[str]) -> None:
        try:
            for _ in range(10):
                health.heard([answers[name] for name in names])
                health.weighed([(names, names[:1])])
                health.tick(venues)
        finally:
            connection.close()

    orders_of_names = [list(venues), list(venues)[::-1]] * 2
    together(
        [
            lambda health=health, names=names: flush(health, names)
            for health, names in zip(processes, orders_of_names, strict=True)
        ]
    )

    in_all = heard_in_all()
    assert in_all["asked"] == in_all["weighed"] == 4 * 10 * len(venues)
    assert in_all["won"] == 4 * 10


def test_two_flushes_cannot_wait_for_each_other(clock: Clock, venues: Venues) -> None:
    known_for_long(*venues)
    health = VenueHealth()
    health.heard([answered("raydium"), answered("meteora")])

    def flush() -> None:
        try:
            clock.at(0)
            health.tick(venues)
        finally:
            clock.go_on()
            connection.close()

    with other_session() as other, ThreadPoolExecutor(1) as pool:
        other.execute(ONE_ANSWER, [clock.began, "meteora"])
        flushing = pool.submit(flush)
        wait_until(somebody_waits_for_a_lock, what="the flush that waits")
        other.execute(ONE_ANSWER, [clock.began, "raydium"])
        other.commit()
        flushing.result(timeout=10)

    assert heard_in_all()["asked"] == 4


ONE_ANSWER = """
INSERT INTO orders_venuetally (at, venue, asked, failed, weighed, won, took_ms, slowest_ms)
VALUES (%s, %s, 1, 0, 0, 0, 1, 1)
"""


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        (waits,) = cursor.fetchone()
    return bool(waits)


def test_a_venue_that_was_not_asked_has_no_answer_to_count(clock: Clock, venues: Venues) -> None:
    health = VenueHealth()
    health.heard([Answer("raydium", error_code="VENUE_SET_ASIDE", retryable=True)])

    health.tick(venues)

    assert not VenueTally.objects.exists()


def test_while_nothing_happens_nothing_is_written_and_one_query_reads(venues: Venues) -> None:
    health = VenueHealth()
    health.tick(venues)

    with CaptureQueriesContext(connection) as queries:
        health.tick(venues)

    (query,) = queries.captured_queries
    assert query["sql"].split()[0] == "SELECT"
    assert not VenueTally.objects.exists()


def test_an_order_counts_for_whoevers_pools_it_weighed_and_went_through(
    account: Account, desk: TradingDesk
) -> None:
    selling = [place(account) for _ in range(3)]
    buying = place(account, token_in="USDC", token_out="SOL", amount_in_base=10**8)
    orders = [*selling, buying]
    execution.execute([order.id for order in orders], desk=without(desk, "raydium"))

    desk.health.tick(desk.venues)

    # Orders that want the same pools ask for them together.
    assert counts() == {
        "meteora": {"asked": 2, "failed": 0, "weighed": 4, "won": 4},
        "raydium": {"asked": 2, "failed": 2, "weighed": 0, "won": 0},
    }


def test_a_route_through_two_venues_is_won_by_both(account: Account, desk: TradingDesk) -> None:
    order = place(account, amount_in_base=2_000 * SOL)
    execution.execute([order.id], desk=desk)

    desk.health.tick(desk.venues)

    order.refresh_from_db()
    assert sorted(order.selected_dex.split("+")) == ["meteora", "raydium"]
    once = {"asked": 1, "failed": 0, "weighed": 1, "won": 1}
    assert counts() == {"meteora": once, "raydium": once}


def test_an_order_without_a_way_is_won_by_nobody(account: Account, desk: TradingDesk) -> None:
    execution.execute([place(account, **HOPELESS).id], desk=desk)

    desk.health.tick(desk.venues)

    once = {"asked": 1, "failed": 0, "weighed": 1, "won": 0}
    assert counts() == {"meteora": once, "raydium": once}


def test_who_is_set_aside_is_weighed_only_for_orders_that_asked_it(
    account: Account, desk: TradingDesk
) -> None:
    known_for_long("meteora")
    set_aside_for_ever("raydium")
    desk.health.tick(desk.venues)

    execution.execute([place(account).id], desk=desk)
    desk.health.tick(desk.venues)
    assert set(counts()) == {"meteora"}

    execution.execute([place(account).id], desk=without(desk, "meteora"))
    desk.health.tick(desk.venues)
    assert counts()["raydium"] == {"asked": 1, "failed": 0, "weighed": 1, "won": 1}


def counts() -> dict[str, dict[str, int]]:
    """Of all seconds together, by venue."""
    columns = ("asked", "failed", "weighed", "won")
    sums = {column: Sum(column) for column in columns}
    rows = VenueTally.objects.values("venue").annotate(**sums)
    return {row.pop("venue"): row for row in rows}
