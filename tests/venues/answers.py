"""What venues answer, and what the database knows of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum

from orders.models import VenueState, VenueTally
from routing.answers import Answer
from routing.tokens import SOL, USDC
from routing.venue import Venue
from tests.routing.lab import pools_of

Venues = Mapping[str, Venue]


def answered(venue: str, *, took_ms: int = 10) -> Answer:
    return Answer(venue, pools_of(venue, SOL, USDC), took_ms=took_ms)


def failed(venue: str, *, took_ms: int = 500) -> Answer:
    return Answer(venue, error_code="QUOTE_TIMEOUT", retryable=True, took_ms=took_ms)


def refused(venue: str) -> Answer:
    return Answer(venue, error_code="DELISTED", retryable=False, took_ms=10)


def known_for_long(*venues: str, **state: Any) -> None:
    """Workers have known these venues for an hour."""
    since = datetime.now(UTC) - timedelta(hours=1)
    for venue in venues:
        VenueState.objects.create(venue=venue, **{"since": since, **state})


def set_aside_for_ever(*venues: str) -> None:
    known_for_long(*venues, until=datetime.now(UTC) + timedelta(hours=1))


def tallied(venue: str, **counts: Any) -> None:
    """All workers together heard this of a venue, now unless `at` says when."""
    columns = ("asked", "failed", "weighed", "won", "took_ms", "slowest_ms")
    VenueTally.objects.create(
        venue=venue, **{"at": datetime.now(UTC), **dict.fromkeys(columns, 0), **counts}
    )


def heard_in_all() -> dict[str, int]:
    columns = ("asked", "failed", "weighed", "won", "took_ms")
    return VenueTally.objects.aggregate(**{column: Sum(column) for column in columns})
