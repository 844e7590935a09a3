"""How each venue does, as every web process answers it: from the table."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orders.exchange import TradingDesk
from orders.venue_health import VenueHealth
from orders.venue_report import RECENT_S
from tests.api.client import Api
from tests.venues.answers import answered, failed, known_for_long, tallied

pytestmark = pytest.mark.django_db(transaction=True)

UNTIL = datetime(2126, 11, 25, 7, 41, 5, tzinfo=UTC)


def test_a_venue_that_nobody_asked_is_active_and_has_no_rates(api: Api) -> None:
    raydium, meteora = api.get("/api/venues").json()["venues"]

    assert raydium == {
        "venue": "raydium",
        "name": "Raydium",
        "programId": raydium["programId"],
        "state": "active",
        "setAsideUntil": None,
        "recent": {
            "windowS": RECENT_S,
            "asked": 0,
            "failed": 0,
            "errorRate": None,
            "latencyMs": None,
            "winRate": None,
        },
    }
    assert 32 <= len(raydium["programId"]) <= 44
    assert (meteora["venue"], meteora["state"]) == ("meteora", "active")


def test_what_several_processes_heard_lately_is_told_together(api: Api, desk: TradingDesk) -> None:
    known_for_long("raydium", "meteora")
    first, second = VenueHealth(), VenueHealth()
    first.heard([answered("raydium", took_ms=10)])
    first.weighed([(["raydium"], ["raydium"])])
    second.heard([answered("raydium", took_ms=20), failed("raydium", took_ms=500)])
    second.weighed([(["raydium"], [])] * 4)
    for health in (first, second):
        health.tick(desk.venues)

    assert recent(api, "raydium") == {
        "windowS": RECENT_S,
        "asked": 3,
        "failed": 1,
        "errorRate": 0.3333,
        "latencyMs": {"mean": 176.7, "max": 500},
        "winRate": 0.2,
    }
    assert recent(api, "meteora")["asked"] == 0


def test_what_was_heard_earlier_is_not_told(api: Api) -> None:
    for seconds_ago, asked in ((RECENT_S + 2, 100), (RECENT_S - 20, 7)):
        tallied("meteora", at=datetime.now(UTC) - timedelta(seconds=seconds_ago), asked=asked)

    assert recent(api, "meteora")["asked"] == 7


def test_a_venue_that_is_set_aside_says_until_when(api: Api) -> None:
    known_for_long("raydium", until=UNTIL)
    known_for_long("meteora")

    raydium, meteora = api.get("/api/venues").json()["venues"]

    assert (raydium["state"], raydium["setAsideUntil"]) == (
        "setAside",
        "2126-11-25T07:41:05.000000Z",
    )
    assert (meteora["state"], meteora["setAsideUntil"]) == ("active", None)


def test_the_contract_names_all_that_a_venue_says(api: Api) -> None:
    document = api.get("/api/schema", format="json").json()

    shapes = document["components"]["schemas"]
    (raydium, _) = api.get("/api/venues").json()["venues"]
    assert set(shapes["VenueDocument"]["properties"]) == set(raydium)
    assert set(shapes["RecentDocument"]["properties"]) == set(raydium["recent"])


def recent(api: Api, venue: str) -> dict[str, Any]:
    venues = api.get("/api/venues").json()["venues"]
    (found,) = [each["recent"] for each in venues if each["venue"] == venue]
    answer: dict[str, Any] = found
    return answer
