"""Quotes: what a client is told before it orders, and what it is told when there is nothing to tell."""

import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connections
from django.test import Client
from django.utils import timezone

from orders import preview
from orders.api import quotes
from orders.exchange import TradingDesk
from orders.models import Account, Order, Quote
from orders.venue_models import VenueState
from tests.api.client import EXECUTE, ORDER, QUOTES, Api, assert_problem
from tests.api.test_submit import BAD_BODIES
from tests.desks import DownVenue, listing_nothing, slow, without
from tests.factories import quoted

pytestmark = pytest.mark.django_db(transaction=True)

SWAP = {name: ORDER[name] for name in ("tokenIn", "tokenOut", "amount")}


@pytest.fixture
def trade_on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`trade_on(desk)`: from here on the web process asks that desk's venues."""

    def trade_on(desk: TradingDesk) -> None:
        monkeypatch.setattr(quotes, "exchange", lambda: desk)

    return trade_on


@pytest.fixture(autouse=True)
def on_the_desk(trade_on: Any, desk: TradingDesk) -> None:
    trade_on(desk)


def test_a_quote_tells_the_route_its_costs_and_the_least_to_expect(
    api: Api, account: Account
) -> None:
    response = api.post(QUOTES, SWAP | {"slippageBps": 100})

    assert response.status_code == 201
    quote = response.json()
    assert (quote["tokenIn"], quote["tokenOut"], quote["amount"], quote["slippageBps"]) == (
        "SOL",
        "USDC",
        "1.5",
        100,
    )
    amount_out, minimum = Decimal(quote["amountOut"]), Decimal(quote["minAmountOut"])
    # 1 % below, rounded up to USDC's sixth decimal.
    assert 0 <= minimum - amount_out * Decimal("0.99") < Decimal("0.000001")
    # A leg is taken to cost 20,000 lamports, four times what the transaction costs; each is rounded up.
    costs = amount_out - Decimal(quote["netAmountOut"])
    assert 0 <= 5 * Decimal(quote["networkFee"]) - costs <= Decimal("0.000004")
    # At 150 dollars, or what the seed makes of that.
    assert abs(Decimal(quote["referenceValue"]) / amount_out - 1) < Decimal("0.01")
    (chosen,) = [each for each in quote["quotes"] if each["chosen"]]
    (leg,) = quote["legs"]
    assert leg == {
        "hop": 1,
        "venue": chosen["venue"],
        "pool": chosen["pools"][0],
        "tokenIn": "SOL",
        "tokenOut": "USDC",
        "amountIn": "1.5",
        "amountOut": quote["amountOut"],
        "fee": leg["fee"],
        "sharePct": 100,
    }
    assert 0 < Decimal(leg["fee"]) < Decimal("0.015")  # below 1 %
    assert {name: quote[name] for name in ("amountOut", "netAmountOut", "priceImpactBps")} == {
        name: chosen[name] for name in ("amountOut", "netAmountOut", "priceImpactBps")
    }
    assert {each["venue"] for each in quote["quotes"]} == {"raydium", "meteora"}
    assert all(each["lostBecause"] for each in quote["quotes"] if each is not chosen)


def test_a_large_swap_is_shown_divided_between_pools(api: Api) -> None:
    quote = api.post(QUOTES, SWAP | {"amount": "20000"}).json()

    legs = quote["legs"]
    assert len({leg["pool"] for leg in legs}) == len(legs) > 1
    assert {(leg["hop"], leg["tokenIn"], leg["tokenOut"]) for leg in legs} == {(1, "SOL", "USDC")}
    assert added_up(legs, "amountIn") == 20_000
    assert added_up(legs, "amountOut") == Decimal(quote["amountOut"])
    assert_shares_are_of_the_whole(legs)
    best_single = max(
        Decimal(each["netAmountOut"]) for each in quote["quotes"] if len(each.get("pools", ())) == 1
    )
    assert Decimal(quote["netAmountOut"]) > best_single
    assert Decimal(quote["amountOut"]) < Decimal(quote["referenceValue"])


def test_a_swap_between_tokens_without_a_pool_is_shown_in_two_hops(api: Api) -> None:
    wanted = {"tokenIn": "JUP", "tokenOut": "BONK", "amount": "10000"}

    quote = api.post(QUOTES, wanted).json()

    first, second = ([leg for leg in quote["legs"] if leg["hop"] == hop] for hop in (1, 2))
    assert len(first) + len(second) == len(quote["legs"])
    (hub,) = {leg["tokenOut"] for leg in first}
    assert {leg["tokenIn"] for leg in first} == {"JUP"}
    assert {(leg["tokenIn"], leg["tokenOut"]) for leg in second} == {(hub, "BONK")}
    assert added_up(first, "amountIn") == 10_000
    assert added_up(first, "amountOut") == added_up(second, "amountIn")
    assert added_up(second, "amountOut") == Decimal(quote["amountOut"])
    for legs in (first, second):
        assert_shares_are_of_the_whole(legs)


def added_up(legs: list[dict[str, Any]], name: str) -> Decimal:
    return sum((Decimal(leg[name]) for leg in legs), Decimal())


def assert_shares_are_of_the_whole(legs: list[dict[str, Any]]) -> None:
    """Each to a hundredth, so that together they are 100 but for as much as was rounded."""
    whole = added_up(legs, "amountIn")
    half = Decimal("0.005")
    for leg in legs:
        assert abs(Decimal(str(leg["sharePct"])) - 100 * Decimal(leg["amountIn"]) / whole) <= half
    assert abs(sum(Decimal(str(leg["sharePct"])) for leg in legs) - 100) <= half * len(legs)


def test_a_quote_is_kept_for_the_orders_that_name_it(
    api: Api, account: Account, settings: LazySettings
) -> None:
    settings.QUOTE_TTL_S = 7

    body = api.post(QUOTES, SWAP).json()

    stored = Quote.objects.get(id=body["quoteId"])
    assert (stored.account, stored.token_in, stored.token_out) == (account, "SOL", "USDC")
    assert (stored.amount_in_base, stored.slippage_bps) == (1_500_000_000, 50)
    assert stored.min_amount_out_base == Decimal(body["minAmountOut"]) * 10**6
    assert stored.document["quotes"] == body["quotes"]
    assert stored.expires_at - stored.created_at == timedelta(seconds=7)
    assert not Order.objects.exists()


OF_AN_ORDER_ONLY = {"orderType", "clientOrderId", "quoteId"}
BAD_SWAPS = [
    (
        name,
        {key: value for key, value in body.items() if key not in OF_AN_ORDER_ONLY}
        if isinstance(body, dict)
        else body.replace(b', "orderType": "market"', b""),
        field,
        code,
    )
    for name, body, field, code in BAD_BODIES
    if field not in OF_AN_ORDER_ONLY
]


@pytest.mark.parametrize(
    ("body", "field", "code"), [bad[1:] for bad in BAD_SWAPS], ids=[bad[0] for bad in BAD_SWAPS]
)
def test_what_an_order_may_not_ask_for_is_not_quoted(
    api: Api, body: Any, field: str | None, code: str
) -> None:
    problem = assert_problem(api.post(QUOTES, body), 400)

    assert code in [problem["code"], *(error["code"] for error in problem.get("errors", ()))]
    assert field in [None, *(error["field"] for error in problem.get("errors", ()))]
    assert not Quote.objects.exists()


@pytest.mark.parametrize("field", sorted(OF_AN_ORDER_ONLY))
def test_a_quote_takes_no_fields_of_an_order(api: Api, field: str) -> None:
    problem = assert_problem(api.post(QUOTES, SWAP | {field: "market"}), 400)

    assert [(each["field"], each["code"]) for each in problem["errors"]] == [
        (field, "UNKNOWN_FIELD")
    ]


def test_what_every_pool_refuses_is_refused_for_good(api: Api) -> None:
    problem = assert_problem(api.post(QUOTES, SWAP | {"amount": "0.000000001"}), 422)

    assert_refused_for_good(problem, "AMOUNT_TOO_SMALL")


def test_a_swap_that_nobody_has_a_pool_for_is_refused_for_good(
    api: Api, trade_on: Any, desk: TradingDesk
) -> None:
    trade_on(listing_nothing(desk))

    assert_refused_for_good(assert_problem(api.post(QUOTES, SWAP), 422), "NO_ROUTE")


def assert_refused_for_good(problem: dict[str, Any], code: str) -> None:
    assert (problem["code"], problem["retryable"]) == (code, False)
    assert problem["detail"][0].isupper() and problem["detail"].endswith(".")
    assert not Quote.objects.exists()


def test_one_venue_down_leaves_the_quote_to_the_other(
    api: Api, trade_on: Any, desk: TradingDesk
) -> None:
    trade_on(without(desk, "raydium"))

    quote = api.post(QUOTES, SWAP).json()

    assert {leg["venue"] for leg in quote["legs"]} == {"meteora"}
    (down,) = [each for each in quote["quotes"] if each["venue"] == "raydium"]
    assert down["error"] == {"code": "VENUE_DOWN", "message": "Raydium is down"}
    assert not down["chosen"] and down["lostBecause"]


def test_a_venue_that_workers_set_aside_is_not_asked(
    api: Api, trade_on: Any, desk: TradingDesk
) -> None:
    down = without(desk, "raydium")
    trade_on(down)
    set_aside("raydium")

    quote = api.post(QUOTES, SWAP).json()

    assert {leg["venue"] for leg in quote["legs"]} == {"meteora"}
    (resting,) = [each for each in quote["quotes"] if each["venue"] == "raydium"]
    assert resting["error"]["code"] == "VENUE_SET_ASIDE"
    assert asked(down, "raydium") == 0


def test_a_venue_that_was_taken_back_is_asked(api: Api, trade_on: Any, desk: TradingDesk) -> None:
    down = without(desk, "raydium")
    trade_on(down)
    set_aside("raydium")
    VenueState.objects.update(until=None)

    assert api.post(QUOTES, SWAP).status_code == 201

    assert asked(down, "raydium") == 1


def test_venues_that_are_set_aside_are_asked_when_nobody_else_quotes(
    api: Api, trade_on: Any, desk: TradingDesk
) -> None:
    trade_on(without(desk, "meteora"))
    set_aside("raydium")

    quote = api.post(QUOTES, SWAP).json()

    assert {leg["venue"] for leg in quote["legs"]} == {"raydium"}


def set_aside(venue: str) -> None:
    now = timezone.now()
    VenueState.objects.create(venue=venue, since=now, until=now + timedelta(minutes=1))


def asked(desk: TradingDesk, venue: str) -> int:
    down = desk.venues[venue]
    assert isinstance(down, DownVenue)
    return down.asked


@pytest.mark.parametrize("deaf", [False, True], ids=["late", "deaf"])
def test_venues_that_are_late_cost_the_deadline_and_no_more(
    api: Api,
    trade_on: Any,
    desk: TradingDesk,
    deaf: bool,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.QUOTE_DEADLINE_MS = 50
    monkeypatch.setattr(preview, "GRACE_S", 0.1)
    trade_on(slow(desk, 1.0, deaf=deaf))

    response = api.post(QUOTES, SWAP)

    problem = assert_problem(response, 503)
    assert (problem["code"], problem["retryable"]) == ("NO_QUOTE", True)
    assert int(response["Retry-After"]) > 0
    assert not Quote.objects.exists()


def test_the_time_that_venues_take_is_not_the_databases(
    api: Api, trade_on: Any, desk: TradingDesk, settings: LazySettings
) -> None:
    settings.QUOTE_DEADLINE_MS = 5_000
    trade_on(slow(desk, 1.2))  # longer than a request may wait for PostgreSQL

    assert api.post(QUOTES, SWAP).status_code == 201


def test_who_waits_for_venues_holds_no_connection(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, held = connections["default"], []
    assert mine.connection is not None  # the account has been stored on it
    collect_around = preview.collect_around

    async def look(*args: Any, **options: Any) -> Any:
        held.append(mine.connection)
        return await collect_around(*args, **options)

    monkeypatch.setattr(preview, "collect_around", look)
    quoted(account, desk)

    assert held == [None]


def test_quotes_leave_threads_to_orders(
    api: Api, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = threading.BoundedSemaphore(1)
    monkeypatch.setattr(quotes, "_room", room)

    with room:
        response = api.post(QUOTES, SWAP)
        assert api.post(EXECUTE, ORDER).status_code == 201

    problem = assert_problem(response, 503, stored=1)
    assert (problem["code"], problem["retryable"]) == ("TOO_MANY_QUOTES", True)
    assert int(response["Retry-After"]) > 0
    assert api.post(QUOTES, SWAP).status_code == 201


def test_a_refused_quote_gives_its_room_back(
    api: Api, trade_on: Any, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotes, "_room", threading.BoundedSemaphore(1))
    trade_on(replace(desk, venues={}))

    for _ in range(2):
        assert assert_problem(api.post(QUOTES, SWAP), 422)["code"] == "NO_ROUTE"


def test_quotes_count_against_the_rate_of_orders(api: Api, settings: LazySettings) -> None:
    settings.ORDER_RATE_LIMIT = (3, 3600)
    assert api.post(QUOTES, SWAP).status_code == 201
    assert api.post(EXECUTE, ORDER).status_code == 201
    assert api.post(QUOTES, SWAP).status_code == 201

    assert_problem(api.post(EXECUTE, ORDER), 429, stored=1)
    response = api.post(QUOTES, SWAP)

    assert assert_problem(response, 429)["code"] == "RATE_LIMITED"
    assert int(response["Retry-After"]) > 0
    assert Quote.objects.count() == 2


def test_nobody_is_quoted_without_a_key() -> None:
    assert_problem(Api(None).post(QUOTES, SWAP), 401)
    assert not Quote.objects.exists()


def test_another_method_is_refused(api: Api) -> None:
    assert assert_problem(api.get(QUOTES), 405)["code"] == "METHOD_NOT_ALLOWED"


def test_the_openapi_document_shows_a_quote_as_it_is(api: Api, client: Client) -> None:
    document = client.get(
        "/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}
    ).json()

    described = document["paths"][QUOTES]["post"]
    (example,) = described["responses"]["201"]["content"]["application/json"]["examples"].values()
    quote = api.post(QUOTES, SWAP).json()
    assert set(described["responses"]) == {"201", "400", "401", "413", "415", "422", "429", "503"}
    assert list(example["value"]) == list(quote)
    assert set(document["components"]["schemas"]["Quote"]["properties"]) == set(SWAP) | {
        "slippageBps"
    }
    assert list(document["components"]["schemas"]["IssuedQuoteDocument"]["properties"]) == list(
        quote
    )
    leg_properties = document["components"]["schemas"]["LegDocument"]["properties"]
    assert list(leg_properties) == list(example["value"]["legs"][0]) == list(quote["legs"][0])
    (chosen,) = [each for each in quote["quotes"] if each["chosen"]]
    assert list(example["value"]["quotes"][0]) == list(chosen)
