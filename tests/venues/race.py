"""Two processes at the same point, and a session that is nobody's."""

from collections.abc import Sequence
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.db import connection

from orders import venue_health
from orders.venue_health import VenueHealth
from routing.breaker import State, next_state
from tests.routing.lab import together
from tests.venues.answers import Venues


def meeting_before_they_write(monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    """Nobody acts on what it read before all have read the same."""
    all_have_read = Barrier(processes)

    def meet(state: State, *args: Any, **kwargs: Any) -> State:
        all_have_read.wait(timeout=10)
        return next_state(state, *args, **kwargs)

    monkeypatch.setattr(venue_health, "next_state", meet)


def tick_at_once(processes: Sequence[VenueHealth], venues: Venues) -> None:
    def tick(health: VenueHealth) -> None:
        try:
            health.tick(venues)
        finally:
            connection.close()

    together([lambda health=health: tick(health) for health in processes])


def other_session(**options: Any) -> psycopg.Connection[Any]:
    """Of the same database, behind Django's back."""
    connection.ensure_connection()
    info = connection.connection.info
    return psycopg.connect(info.dsn, password=info.password, **options)
