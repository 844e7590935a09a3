"""The clock that these tests move, a venue that is down, and what was told and begun."""

from collections.abc import Iterator
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from orders import background, observe, venue_health
from orders.exchange import TradingDesk
from routing.venue import Venue
from tests.desks import without
from tests.venues.answers import Venues


class Clock:
    """`engine_now()` of the test's own connection: it stands still, and is moved by hand."""

    def __init__(self) -> None:
        self.began = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
        self.at(0)

    def at(self, second: float) -> None:
        self._set((self.began + timedelta(seconds=second)).isoformat())

    def go_on(self) -> None:
        self._set("")

    def _set(self, now: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('engine.now', %s, false)", [now])


@pytest.fixture
def clock(db: None) -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.go_on()


@pytest.fixture
def venues(desk: TradingDesk) -> Venues:
    """Raydium is down."""
    return without(desk, "raydium").venues


@pytest.fixture
def raydium(venues: Venues) -> dict[str, Venue]:
    return {"raydium": venues["raydium"]}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was told of venues."""
    told: list[tuple[str, str]] = []
    for line in ("venue_set_aside", "probe_failed", "venue_taken_back"):
        monkeypatch.setattr(
            observe, line, lambda *, venue, line=line, **_: told.append((line, venue))
        )
    return told


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> "list[Future[Any]]":
    """Every probe that was begun, by whomever."""
    begun: list[Future[Any]] = []
    submit = background.submit

    def remember(coroutine: Any) -> "Future[Any]":
        begun.append(submit(coroutine))
        return begun[-1]

    monkeypatch.setattr(venue_health.background, "submit", remember)
    return begun
