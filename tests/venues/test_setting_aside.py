"""A venue that keeps failing is set aside for all workers, and no order suffers for it."""

from typing import Any

import pytest
from django.db import OperationalError, connection

from orders import execution
from orders.exchange import TradingDesk
from orders.models import Account, OrderAttempt, OrderEvent, VenueState
from orders.pulse import Pulse
from orders.venue_health import VenueHealth
from tests.desks import listing_nothing, without
from tests.factories import ALL_THE_WAY, place, statuses
from tests.venues.answers import (
    Venues,
    answered,
    failed,
    heard_in_all,
    known_for_long,
    refused,
    set_aside_for_ever,
    tallied,
)
from tests.venues.race import meeting_before_they_write, other_session, tick_at_once
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_failing_venue_is_left_out_of_quotes_and_receipts_say_why(
    account: Account, desk: TradingDesk, logged: list[tuple[str, str]]
) -> None:
    known_for_long("raydium", "meteora")
    desk = without(desk, "raydium")
    for _ in range(5):
        execution.execute([place(account).id], desk=desk)
    raydium: Any = desk.venues["raydium"]
    asked = raydium.asked

    desk.health.tick(desk.venues)
    order = place(account)
    execution.execute([order.id], desk=desk)

    assert logged == [("venue_set_aside", "raydium")]
    assert (asked, raydium.asked) == (5, 5)
    assert statuses(order) == ALL_THE_WAY
    until = VenueState.objects.get(venue="raydium").until
    assert until
    sentence = f"Raydium kept failing, and is set aside until {until:%H:%M:%S} UTC"
    attempt = OrderAttempt.objects.get(order=order)
    (left_out,) = [quote for quote in attempt.quotes if quote["venue"] != "meteora"]
    assert left_out == {
        "venue": "raydium",
        "chosen": False,
        "error": {"code": "VENUE_SET_ASIDE", "message": sentence},
        "lostBecause": f"no quote: {sentence}",
    }
    assert attempt.receipt
    assert [each["error"] for each in attempt.receipt["venues"] if each["venue"] == "raydium"] == [
        {"code": "VENUE_SET_ASIDE", "message": sentence, "retryable": True}
    ]
    message = OrderEvent.objects.get(order=order, status="building").message
    assert f"Raydium: no quote: {sentence}." in message


def test_one_process_learns_from_what_the_others_heard(venues: Venues) -> None:
    known_for_long(*venues)
    first, second, third = VenueHealth(), VenueHealth(), VenueHealth()
    for health in (first, second):
        health.heard([failed("raydium"), answered("meteora")] * 3)
        health.tick(venues)
    third.tick(venues)

    assert [set(health.set_aside()) for health in (first, second, third)] == [
        set(),
        {"raydium"},
        {"raydium"},
    ]


def test_final_answers_set_nobody_aside(account: Account, desk: TradingDesk) -> None:
    known_for_long(*desk.venues)
    for _ in range(10):
        execution.execute([place(account).id], desk=listing_nothing(desk))
    desk.health.heard([refused(venue) for venue in desk.venues] * 10)

    desk.health.tick(desk.venues)

    assert (heard_in_all()["asked"], heard_in_all()["failed"]) == (20 + 20, 0)
    assert desk.health.set_aside() == {}


def test_when_every_venue_is_set_aside_orders_ask_them_all(
    account: Account, desk: TradingDesk
) -> None:
    set_aside_for_ever(*desk.venues)
    desk.health.tick(desk.venues)
    order = place(account)

    execution.execute([order.id], desk=desk)

    assert set(desk.health.set_aside()) == {"raydium", "meteora"}
    assert statuses(order) == ALL_THE_WAY
    receipt = OrderAttempt.objects.get(order=order).receipt
    assert receipt
    assert [len(each["pools"]) > 0 for each in receipt["venues"]] == [True, True]


def test_of_two_processes_that_see_it_fail_one_sets_a_venue_aside(
    raydium: Venues, logged: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    known_for_long("raydium")
    tallied("raydium", asked=9, failed=9)
    processes = [VenueHealth(), VenueHealth()]
    with monkeypatch.context() as patched:
        meeting_before_they_write(patched, 2)
        tick_at_once(processes, raydium)

    assert logged == [("venue_set_aside", "raydium")]
    tick_at_once(processes, raydium)
    until = VenueState.objects.get().until
    assert [health.set_aside() for health in processes] == [{"raydium": until}] * 2


def test_without_postgresql_what_was_learnt_stays(venues: Venues) -> None:
    set_aside_for_ever("raydium")
    health = VenueHealth()
    health.tick(venues)
    with other_session(autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])

    with pytest.raises(OperationalError):
        health.tick(venues)
    connection.close()

    assert set(health.set_aside()) == {"raydium"}
    VenueState.objects.all().delete()
    health.tick(venues)
    assert health.set_aside() == {}


def test_a_worker_watches_its_venues_by_itself(desk: TradingDesk) -> None:
    pulse = Pulse(desk=desk)
    pulse.start()
    try:
        wait_until(lambda: VenueState.objects.count() == len(desk.venues), what="both venues")
    finally:
        pulse.stop()
