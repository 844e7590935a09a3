"""A venue that is set aside is probed by one worker at a time, and taken back when it answers."""

import asyncio
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings

from orders import execution
from orders.exchange import TradingDesk
from orders.models import Account, OrderAttempt, VenueState
from orders.venue_health import VenueHealth
from tests.factories import place
from tests.venues.answers import Venues, answered, failed, known_for_long
from tests.venues.conftest import Clock
from tests.venues.race import meeting_before_they_write, tick_at_once
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_processes_that_see_the_pause_end_one_probes(
    raydium: Venues, probes: "list[Future[Any]]", monkeypatch: pytest.MonkeyPatch
) -> None:
    known_for_long("raydium", until=datetime.now(UTC) - timedelta(seconds=1))
    meeting_before_they_write(monkeypatch, 2)

    tick_at_once([VenueHealth(), VenueHealth()], raydium)

    assert len(probes) == 1
    state = VenueState.objects.get()
    assert state.failed_probes == 1
    assert state.until and state.until > datetime.now(UTC)


def test_a_venue_is_probed_ever_less_often_and_taken_back_when_it_answers(
    clock: Clock,
    desk: TradingDesk,
    venues: Venues,
    logged: list[tuple[str, str]],
    probes: "list[Future[Any]]",
) -> None:
    known_for_long(*venues, since=clock.began - timedelta(hours=1))
    health = VenueHealth()
    health.heard([failed("raydium"), answered("meteora")] * 10)
    health.tick(venues)
    began_at = []
    for second in range(60):
        clock.at(second)
        health.tick(venues)
        if len(probes) > len(began_at):
            began_at.append(second)
            probes[-1].result(timeout=10)
    assert began_at == [5, 5 + 10, 5 + 10 + 20]
    assert set(health.set_aside()) == {"raydium"}

    clock.at(5 + 10 + 20 + 40)
    health.tick(desk.venues)  # where raydium answers
    probes[-1].result(timeout=10)
    assert set(health.set_aside()) == {"raydium"}
    health.tick(desk.venues)

    assert health.set_aside() == {}
    assert logged == [
        ("venue_set_aside", "raydium"),
        *[("probe_failed", "raydium")] * 3,
        ("venue_taken_back", "raydium"),
    ]
    # The failures are seconds old, but from before it was taken back.
    clock.at(5 + 10 + 20 + 40 + 1)
    health.tick(desk.venues)
    assert health.set_aside() == {}


def test_a_venue_that_was_taken_back_gets_orders_again(account: Account, desk: TradingDesk) -> None:
    known_for_long("raydium", until=datetime.now(UTC) - timedelta(seconds=1))
    desk.health.tick(desk.venues)
    assert set(desk.health.set_aside()) == {"raydium"}

    def is_back() -> bool:
        desk.health.tick(desk.venues)
        return not desk.health.set_aside()

    wait_until(is_back, what="raydium")
    order = place(account)
    execution.execute([order.id], desk=desk)

    receipt = OrderAttempt.objects.get(order=order).receipt
    assert receipt
    assert {each["venue"]: len(each["pools"]) > 0 for each in receipt["venues"]} == {
        "raydium": True,
        "meteora": True,
    }


def test_a_venue_that_hangs_holds_up_nobody_and_fails_its_probe(
    clock: Clock,
    desk: TradingDesk,
    raydium: Venues,
    settings: LazySettings,
    logged: list[tuple[str, str]],
    probes: "list[Future[Any]]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.QUOTE_DEADLINE_MS = 20

    async def hang(pairs: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(raydium["raydium"], "pools", hang)
    known_for_long("raydium", since=clock.began, until=clock.began)
    health = VenueHealth()

    health.tick(raydium)
    answer = probes[0].result(timeout=10)
    health.tick(raydium)

    assert answer.error_code == "QUOTE_TIMEOUT"
    assert logged == [("probe_failed", "raydium")]
    assert set(health.set_aside()) == {"raydium"}


def test_a_prober_that_dies_costs_one_pause(
    clock: Clock, desk: TradingDesk, probes: "list[Future[Any]]"
) -> None:
    venues = {"raydium": desk.venues["raydium"]}
    known_for_long("raydium", since=clock.began, until=clock.began)
    VenueHealth().tick(venues)  # and is heard of no more
    heir = VenueHealth()

    clock.at(9.9)
    heir.tick(venues)
    assert len(probes) == 1
    clock.at(10)
    heir.tick(venues)
    probes[-1].result(timeout=10)
    heir.tick(venues)

    assert len(probes) == 2
    assert heir.set_aside() == {}


def test_an_answer_that_somebody_elses_probe_has_overtaken_is_worth_nothing(
    clock: Clock, desk: TradingDesk, raydium: Venues, probes: "list[Future[Any]]"
) -> None:
    known_for_long("raydium", since=clock.began, until=clock.began)
    sleeper, other = VenueHealth(), VenueHealth()
    sleeper.tick({"raydium": desk.venues["raydium"]})
    probes[-1].result(timeout=10)

    clock.at(10)
    other.tick(raydium)
    probes[-1].result(timeout=10)
    clock.at(11)
    sleeper.tick(raydium)

    assert set(sleeper.set_aside()) == {"raydium"}
    assert VenueState.objects.get().failed_probes == 2
