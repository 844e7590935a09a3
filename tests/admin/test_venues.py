"""The console's list of venues: what each does, for whoever may look, and nothing to change."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin.console import staff, text_of
from tests.venues.answers import known_for_long, tallied

VENUES = "/admin/orders/venuestate/"

pytestmark = pytest.mark.django_db


def test_venues_are_listed_with_their_state_and_rates(root: Client) -> None:
    known_for_long("meteora")
    known_for_long("raydium", until=datetime(2126, 11, 25, 7, 41, 5, tzinfo=UTC), failed_probes=3)
    tallied("raydium", asked=8, failed=5, weighed=40, won=7, took_ms=2_500, slowest_ms=501)

    page = text_of(root.get(VENUES))

    assert "set aside" in page and "active" in page
    assert "2126-11-25 07:41:05.000 UTC" in page
    assert "8 62.5% 312.5 ms (slowest 501 ms) 17.5%" in page
    assert "2 venues" in page


def test_a_venue_s_page_tells_its_rates(root: Client) -> None:
    known_for_long("raydium", "meteora")
    tallied("raydium", asked=8, failed=5, weighed=40, won=7, took_ms=2_500, slowest_ms=501)

    page = text_of(root.get(f"{VENUES}raydium/change/"))

    for told in ("62.5%", "312.5 ms (slowest 501 ms)", "17.5%", "active"):
        assert told in page
    assert root.get(f"{VENUES}nowhere/change/").status_code == 302


def test_more_venues_cost_no_more_queries(root: Client) -> None:
    known_for_long("meteora")
    root.get(VENUES)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            root.get(VENUES)
        return len(captured)

    one = queries()
    known_for_long("raydium", "orca", "whirlpool")
    assert queries() == one


def test_nobody_changes_a_venue_by_hand(root: Client) -> None:
    known_for_long("raydium")

    for page in ("add/", "raydium/change/", "raydium/delete/"):
        assert root.post(f"{VENUES}{page}", {"post": "yes"}).status_code == 403
    assert staff("auditor", "view_venuestate").get(VENUES).status_code == 200
    assert staff("nobody").get(VENUES).status_code == 403
