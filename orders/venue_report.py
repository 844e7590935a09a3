"""How each venue has done lately, for people and programs. Read from PostgreSQL: every process says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, Sum

from orders.models import EngineNow
from orders.venue_models import VenueState, VenueTally

RECENT_S = 300
"""Longer than what the circuit breaker looks at: where orders are few, half a minute has nothing to tell."""


@dataclass(frozen=True, slots=True)
class VenueReport:
    """What one venue answered in the last RECENT_S seconds, and until when it is set aside; None if it is not.

    `took_ms` is all its answers together; one that came too late counts as long as it was waited for.
    """

    set_aside_until: datetime | None = None
    asked: int = 0
    failed: int = 0
    weighed: int = 0
    won: int = 0
    took_ms: int = 0
    slowest_ms: int = 0

    @property
    def error_rate(self) -> float | None:
        """0 to 1, to four digits; None if it was not asked."""
        return _share(self.failed, self.asked, digits=4)

    @property
    def win_rate(self) -> float | None:
        """How many of the orders that its pools were weighed for went through it: 0 to 1; None if there were none."""
        return _share(self.won, self.weighed, digits=4)

    @property
    def mean_ms(self) -> float | None:
        return _share(self.took_ms, self.asked, digits=1)


def _share(total: int, of: int, *, digits: int) -> float | None:
    return round(total / of, digits) if of else None


def reports(venues: Sequence[str]) -> dict[str, VenueReport]:
    """By name; of venues that nobody asked, too."""
    until = set_aside()
    tallies = VenueTally.objects.filter(
        venue__in=venues, at__gte=EngineNow() - timedelta(seconds=RECENT_S)
    )
    totals = tallies.values_list("venue").annotate(
        Sum("asked"), Sum("failed"), Sum("weighed"), Sum("won"), Sum("took_ms"), Max("slowest_ms")
    )
    done = {venue: VenueReport(until.get(venue), *lately) for venue, *lately in totals}
    return {venue: done.get(venue, VenueReport(until.get(venue))) for venue in venues}


def set_aside() -> dict[str, datetime]:
    """The venues that workers don't ask, and until when: for processes that have no breaker of their own."""
    states = VenueState.objects.filter(until__isnull=False)
    return {state.venue: state.until for state in states if state.until}
