"""Reading: history, one order, lists, and what operations ask."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from orders import counting, execution
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account
from tests.api.client import EXECUTE, ORDER, Api, assert_problem
from tests.factories import order_at, place

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_history_comes_in_pages_newest_first(api: Api, account: Account) -> None:
    placed = [str(place(account).id) for _ in range(5)]

    seen: list[str] = []
    page = api.get("/api/orders", limit="2").json()
    while True:
        seen += [order["orderId"] for order in page["orders"]]
        if page["next"] is None:
            break
        place(account)  # what comes meanwhile shifts nothing
        page = api.get(page["next"]).json()

    assert seen == placed[::-1]
    assert page["previous"] is not None


def test_the_history_can_be_filtered(api: Api, account: Account, desk: TradingDesk) -> None:
    pending = str(place(account).id)
    confirmed = place(account, token_out="JUP", client_order_id="mine")
    execution.execute([confirmed.id], desk=desk)
    confirmed.refresh_from_db()
    after = timezone.now().isoformat()

    def found(**query: str) -> list[str]:
        return [order["orderId"] for order in api.get("/api/orders", **query).json()["orders"]]

    assert found(status="pending") == [pending]
    assert found(pair="SOL/JUP") == [str(confirmed.id)]
    for venue in confirmed.selected_dex.split("+"):
        assert found(venue=venue) == [str(confirmed.id)]
    assert found(clientOrderId="mine") == [str(confirmed.id)]
    assert found(createdAfter=after) == []
    assert len(found(createdBefore=after)) == 2
    assert found(status="failed", pair="SOL/JUP") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"status": "done"}, "status"),
        ({"pair": "SOL"}, "pair"),
        ({"pair": "SOL/DOGE"}, "pair"),
        ({"venue": "orca"}, "venue"),
        ({"createdAfter": "yesterday"}, "createdAfter"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"colour": "red"}, "colour"),
        ({"cursor": "broken"}, "cursor"),
        ({"cursor": "cD0xMjM="}, "cursor"),
        ({"cursor": "bz0tMQ=="}, "cursor"),
        ({"cursor": "bz01"}, "cursor"),
        ({"cursor": "A" * 400}, "cursor"),
        ({"clientOrderId": "\0"}, "clientOrderId"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_by_name(
    api: Api, query: dict[str, str], field: str
) -> None:
    problem = assert_problem(api.get("/api/orders", **query), 400)

    assert field in [error["field"] for error in problem["errors"]]


def test_one_order_comes_with_its_attempts_and_events(
    api: Api, account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    execution.execute([order.id], desk=desk)

    body = api.get(f"/api/orders/{order.id}").json()

    assert [event["seq"] for event in body["events"]] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in body["events"]] == ["order.event"] * 5
    (attempt,) = body["attempts"]
    assert (attempt["number"], attempt["state"], attempt["venue"]) == (
        1,
        "confirmed",
        body["selectedDex"],
    )
    assert {quote["venue"] for quote in attempt["quotes"]} >= {"raydium", "meteora"}
    (leg,) = attempt["legs"]
    assert (leg["venue"], leg["sharePct"]) == (attempt["venue"], 100)
    assert body["txHash"] == attempt["txHash"]
    assert Decimal(body["minAmountOut"]) <= Decimal(body["amountOut"])
    assert body["executedPrice"] == body["events"][-1]["executedPrice"]
    assert body["error"] is None and body["inDoubt"] is None


def test_the_api_tells_the_receipt_and_the_cost(
    api: Api, account: Account, desk: TradingDesk
) -> None:
    order = place(account, amount_in_base=20_000 * 10**9)
    execution.execute([order.id], desk=desk)

    (told,) = api.get(f"/api/orders/{order.id}").json()["attempts"]

    assert told["receipt"] == order.attempts.get().receipt
    assert told["legs"] == told["receipt"]["legs"]
    assert len(told["legs"]) > 1
    assert round(sum(leg["sharePct"] for leg in told["legs"])) == 100
    assert float(told["cost"]["improvement"]) > 0
    names = ["spread", "fee", "priceImpact", "drift", "networkFee"]
    parts = sum(round(float(told["cost"][name]) * 10**6) for name in names)
    parts -= round(float(told["cost"]["improvement"]) * 10**6)
    whole = float(told["cost"]["referenceValue"]) - float(told["cost"]["received"])
    assert parts == round(whole * 10**6)


def test_a_failed_order_says_why_and_whether_to_try_again(api: Api, account: Account) -> None:
    order = order_at(Status.FAILED, account)

    body = api.get(f"/api/orders/{order.id}").json()

    assert body["error"] == {"code": "NO_QUOTE", "message": "No venue quoted.", "retryable": False}


@pytest.mark.parametrize("order_id", ["nonsense", "123", "x" * 500])
def test_a_malformed_order_id_is_refused(api: Api, order_id: str) -> None:
    problem = assert_problem(api.get(f"/api/orders/{order_id}"), 400)

    assert (problem["code"], problem["errors"][0]["field"]) == ("INVALID_ORDER_ID", "orderId")


def test_an_unknown_order_id_is_not_found(api: Api) -> None:
    assert assert_problem(api.get(f"/api/orders/{uuid4()}"), 404)["code"] == "ORDER_NOT_FOUND"


def test_tokens_and_venues_are_listed(api: Api) -> None:
    tokens = api.get("/api/tokens").json()["tokens"]
    venues = api.get("/api/venues").json()["venues"]

    assert {
        "symbol": "SOL",
        "name": "Solana",
        "mint": "So11111111111111111111111111111111111111112",
        "decimals": 9,
    } in tokens
    assert [venue["venue"] for venue in venues] == ["raydium", "meteora"]


def test_the_openapi_document_names_every_address(client: Client) -> None:
    document = client.get(
        "/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}
    ).json()

    assert set(document["paths"]) >= {
        EXECUTE,
        "/api/orders",
        "/api/orders/{order_id}",
        "/api/stream-tickets",
    }
    assert "slippageBps" in document["components"]["schemas"]["Submit"]["properties"]
    assert client.get("/api/docs").status_code == 200


def test_health_and_readiness_need_no_key(client: Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert Client(enforce_csrf_checks=True).post("/health").status_code == 405
    assert client.get("/ready").json() == {"status": "ready", "postgres": "ok", "redis": "ok"}


@pytest.fixture
def no_redis(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis's address is a port where nothing listens."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(counting, "counter", lambda: counting.Counter(settings.REDIS_URL))


def test_without_redis_orders_are_accepted_and_readiness_says_degraded(
    api: Api, client: Client, no_redis: None
) -> None:
    assert api.post(EXECUTE, ORDER).status_code == 201
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["redis"]) == (200, "degraded")
