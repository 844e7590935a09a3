"""A pair's prices: what is shown of which slots, what newer ones cost, and what is refused."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings, settings
from django.test import Client

from orders.api import prices
from orders.market_looks import Look, Window
from orders.price_history import Grid, PriceHistory, price_history
from routing.errors import Unavailable
from routing.tokens import SOL, TOKENS, USDC
from routing.venue import Pair
from tests.api.client import Api, assert_problem

pytestmark = pytest.mark.django_db

PRICES = "/api/prices"
OF_SOL = {"tokenIn": "SOL", "tokenOut": "USDC"}
GENESIS = datetime(2026, 11, 25, 12, tzinfo=UTC)
SLOT = timedelta(milliseconds=settings.MOCK_SLOT_MS)


@dataclass
class Clock:
    """The chain's, in a slot that tests choose."""

    slot: int

    def current_slot(self) -> int:
        return self.slot

    def begins_at(self, slot: int) -> datetime:
        return GENESIS + slot * SLOT


class CountingWindow(Window):
    """Knows which slots were looked at."""

    def __init__(self) -> None:
        super().__init__(seed=settings.MOCK_SEED)
        self.looked: list[int] = []

    def looks(self, pair: Pair, slots: Any) -> list[Look]:
        self.looked += slots
        return super().looks(pair, slots)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(100_007)
    monkeypatch.setattr(prices, "exchange", lambda: clock)
    return clock


@pytest.fixture(autouse=True)
def window(monkeypatch: pytest.MonkeyPatch) -> CountingWindow:
    window = CountingWindow()
    history = PriceHistory(window)
    monkeypatch.setattr(prices, "price_history", lambda: history)
    return window


def asked(api: Api, **query: str) -> dict[str, Any]:
    response = api.get(PRICES, **(OF_SOL | query))
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def at(slot: int) -> str:
    return f"{(GENESIS + slot * SLOT).isoformat(timespec='microseconds')[:-6]}Z"


def test_a_quarter_of_an_hour_is_shown_in_evenly_spaced_slots(api: Api) -> None:
    answer = asked(api)

    # 2,250 slots in 150 points.
    assert (answer["tokenIn"], answer["tokenOut"], answer["stepMs"]) == ("SOL", "USDC", 6_000)
    assert [point["slot"] for point in answer["points"]] == list(range(97_770, 100_006, 15))
    assert all(point["at"] == at(point["slot"]) for point in answer["points"])
    assert (answer["latest"]["slot"], answer["latest"]["at"]) == (100_007, at(100_007))


def test_each_point_has_the_markets_price_and_how_far_each_venues_pools_reach(api: Api) -> None:
    answer = asked(api, minutes="3", points="40")

    shown = [*answer["points"], answer["latest"]]
    looks = Window(seed=settings.MOCK_SEED).looks((SOL, USDC), [point["slot"] for point in shown])
    for point, look in zip(shown, looks, strict=True):
        raydium, meteora = look.pools[:2], look.pools[2:]
        assert [Decimal(point["reference"])] == nine_digits(look.reference)
        assert list(point["venues"]) == ["raydium", "meteora"]
        for venue, pools in (("raydium", raydium), ("meteora", meteora)):
            band = point["venues"][venue]
            assert [Decimal(band["low"]), Decimal(band["high"])] == nine_digits(
                min(pools), max(pools)
            )


def nine_digits(*numbers: Decimal) -> list[Decimal]:
    return [Decimal(f"{number:.9g}") for number in numbers]


def test_a_cheap_token_is_priced_without_an_exponent(api: Api) -> None:
    latest = asked(api, tokenIn="BONK", tokenOut="SOL")["latest"]

    for price in (latest["reference"], *latest["venues"]["meteora"].values()):
        assert price.startswith("0.000000") and Decimal(price) > 0


def test_a_pair_that_no_pool_trades_has_the_markets_price_only(api: Api) -> None:
    answer = asked(api, tokenIn="JUP", tokenOut="BONK")

    assert len(answer["points"]) == 150
    for point in [*answer["points"], answer["latest"]]:
        assert Decimal(point["reference"]) > 0
        assert point["venues"] == {}


def test_two_processes_answer_the_same(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    one = asked(api)
    another = PriceHistory(CountingWindow())
    monkeypatch.setattr(prices, "price_history", lambda: another)

    assert asked(api) == one


def test_a_chain_that_has_just_begun_has_no_points_before_its_first_slot(
    api: Api, clock: Clock
) -> None:
    clock.slot = 31

    assert [point["slot"] for point in asked(api)["points"]] == [0, 15, 30]


def test_what_is_newer_adds_to_what_a_client_has(api: Api, clock: Clock) -> None:
    before = asked(api)
    clock.slot += 40

    newer = asked(api, after=before["points"][-1]["at"])

    assert [point["slot"] for point in newer["points"]] == [100_020, 100_035]
    added_up = [*before["points"], *newer["points"]]
    now = asked(api)
    assert added_up[-len(now["points"]) :] == now["points"]
    assert newer["latest"] == now["latest"]


def test_nothing_newer_is_no_points_and_the_latest_price(api: Api) -> None:
    newest = asked(api)["points"][-1]

    answer = asked(api, after=newest["at"])

    assert answer["points"] == []
    assert answer["latest"]["slot"] == 100_007


@pytest.mark.parametrize(
    ("after", "points"),
    [
        ("2000-01-01T00:00:00Z", 150),  # long before the window
        ("2126-01-01T00:00:00Z", 0),
        ("2026-11-25T23:06:38.8+00:00", 1),  # slot 99,997 is no point, 100,005 is one
        ("2026-11-25T23:06:42+00:00", 0),  # as slot 100,005 begins
    ],
)
def test_after_is_any_time(api: Api, after: str, points: int) -> None:
    assert len(asked(api, after=after)["points"]) == points


def test_only_what_nobody_has_seen_is_looked_at(
    api: Api, clock: Clock, window: CountingWindow
) -> None:
    before = asked(api)
    assert len(window.looked) == 151
    window.looked.clear()

    asked(api)
    assert window.looked == [100_007]

    clock.slot += 15
    window.looked.clear()
    asked(api, after=before["points"][-1]["at"])
    assert window.looked == [100_020, 100_022]


def test_what_was_seen_long_ago_makes_room(window: CountingWindow) -> None:
    history = PriceHistory(window, most_looks=5)
    history.looks((SOL, USDC), range(5))
    history.looks((SOL, USDC), [0])

    history.looks((SOL, USDC), range(10, 13))

    assert history.unknown((SOL, USDC), [0, 4, 10, 11, 12]) == 0
    assert history.unknown((SOL, USDC), [1, 2, 3]) == 3
    assert [look.slot for look in history.looks((SOL, USDC), range(20, 30))] == [*range(20, 30)]


def test_threads_that_look_at_once_see_each_its_own_slots() -> None:
    window, pair = Window(seed=7), (SOL, TOKENS["JUP"])
    stretches = [range(first, first + 40) for first in (1_000, 2_000, 3_000)]
    seen: dict[range, list[Look]] = {}
    together = threading.Barrier(len(stretches))

    def look(slots: range) -> None:
        together.wait()
        seen[slots] = window.looks(pair, slots)

    threads = [threading.Thread(target=look, args=(slots,)) for slots in stretches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for slots in stretches:
        assert seen[slots] == Window(seed=7).looks(pair, slots)


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 1_440])
@pytest.mark.parametrize("points", [2, 7, 150, 500])
def test_a_window_never_has_more_points_than_were_asked_for(minutes: int, points: int) -> None:
    for newest_slot in (999_999, 1_000_000, 1_000_001):
        grid = Grid.of(newest_slot=newest_slot, window_slots=minutes * 150, most_points=points)

        assert 0 < len(grid.slots) <= points
        assert all(slot % grid.step_slots == 0 for slot in grid.slots)
        assert newest_slot - grid.slots[-1] < grid.step_slots
        assert grid.slots[0] > newest_slot - minutes * 150


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ({"tokenIn": "DOGE"}, "tokenIn", "UNKNOWN_TOKEN"),
        ({"tokenIn": "sol"}, "tokenIn", "UNKNOWN_TOKEN"),
        ({"tokenOut": ""}, "tokenOut", "UNKNOWN_TOKEN"),
        ({"tokenOut": "\0"}, "tokenOut", "UNKNOWN_TOKEN"),
        ({"tokenOut": "SOL"}, "tokenOut", "SAME_TOKEN"),
        ({"minutes": "0"}, "minutes", "MIN_VALUE"),
        ({"minutes": "-5"}, "minutes", "MIN_VALUE"),
        ({"minutes": "1441"}, "minutes", "MAX_VALUE"),
        ({"minutes": "1" * 500}, "minutes", "INVALID"),
        ({"minutes": "1_0"}, "minutes", "INVALID"),
        ({"minutes": "5.0"}, "minutes", "INVALID"),
        ({"minutes": "٥"}, "minutes", "INVALID"),
        ({"minutes": ""}, "minutes", "INVALID"),
        ({"points": "1"}, "points", "MIN_VALUE"),
        ({"points": "501"}, "points", "MAX_VALUE"),
        ({"points": "many"}, "points", "INVALID"),
        ({"after": "yesterday"}, "after", "INVALID"),
        ({"after": "1764590400"}, "after", "INVALID"),
        ({"after": "2026-02-30T00:00:00Z"}, "after", "INVALID"),
        ({"after": "0001-01-01T00:00:00+14:00"}, "after", "OVERFLOW"),
        ({"after": ""}, "after", "INVALID"),
        ({"from": "2026-11-25T12:00:00Z"}, "from", "UNKNOWN_FIELD"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(
    api: Api, query: dict[str, str], field: str, code: str
) -> None:
    problem = assert_problem(api.get(PRICES, **(OF_SOL | query)), 400)

    assert [(error["field"], error["code"]) for error in problem["errors"]] == [(field, code)]


def test_a_pair_must_be_named(api: Api) -> None:
    problem = assert_problem(api.get(PRICES), 400)

    assert [(error["field"], error["code"]) for error in problem["errors"]] == [
        ("tokenIn", "REQUIRED"),
        ("tokenOut", "REQUIRED"),
    ]


def test_prices_are_for_those_who_have_an_account() -> None:
    assert_problem(Api(None).get(PRICES, **OF_SOL), 401)


def test_a_crowd_of_new_questions_leaves_threads_to_orders(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = threading.BoundedSemaphore(1)
    monkeypatch.setattr(prices, "_room", room)
    known = asked(api)

    with room:
        response = api.get(PRICES, tokenIn="RAY", tokenOut="SOL")
        # What costs next to nothing needs no room.
        assert asked(api) == known
        assert len(asked(api, tokenIn="WIF", points="5")["points"]) == 5

    problem = assert_problem(response, 503)
    assert (problem["code"], problem["retryable"]) == ("TOO_MANY_PRICES", True)
    assert int(response["Retry-After"]) > 0
    assert len(asked(api, tokenIn="RAY", tokenOut="SOL")["points"]) == 150


def test_while_nobody_knows_the_chains_time_the_client_is_told_to_come_back(
    api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> int:
        raise Unavailable("RPC_UNAVAILABLE", "the chain's node did not answer a moment ago")

    monkeypatch.setattr(clock, "current_slot", away)

    response = api.get(PRICES, **OF_SOL)

    problem = assert_problem(response, 503)
    assert (problem["code"], problem["retryable"]) == ("RPC_UNAVAILABLE", True)
    assert problem["detail"] == "The chain's node did not answer a moment ago."
    assert int(response["Retry-After"]) > 0


def test_the_market_is_the_one_that_orders_trade_on(settings: LazySettings) -> None:
    price_history.cache_clear()
    settings.MOCK_SEED = 42

    try:
        (look,) = price_history().looks((SOL, USDC), [5_000])
    finally:
        price_history.cache_clear()

    assert [look] == Window(seed=42).looks((SOL, USDC), [5_000])


def test_the_openapi_document_tells_parameters_and_points(client: Client) -> None:
    document = client.get(
        "/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}
    ).json()

    described = document["paths"][PRICES]["get"]
    required = {each["name"]: each.get("required", False) for each in described["parameters"]}
    assert required == {
        "tokenIn": True,
        "tokenOut": True,
        "minutes": False,
        "points": False,
        "after": False,
    }
    assert set(described["responses"]) == {"200", "400", "401", "503"}
    point = document["components"]["schemas"]["PricePointDocument"]
    assert set(point["required"]) == {"at", "slot", "reference", "venues"}
