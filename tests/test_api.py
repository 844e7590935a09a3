"""The REST API: what it accepts, what it refuses and how, and that nothing refused is stored."""

import json
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from orders import accounts, execution
from orders.api import throttling
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, ApiKey, Order, OrderEvent
from tests.factories import order_at, place
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)

ORDER = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "orderType": "market"}
EXECUTE = "/api/orders/execute"


class Api:
    """Talks JSON as one account."""

    def __init__(self, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = Client(headers=headers, raise_request_exception=False)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        data = (
            body if isinstance(body, (bytes, str)) else json.dumps(body if body is not None else {})
        )
        content_type = headers.pop("content_type", "application/json")
        return self._client.post(path, data=data, content_type=content_type, headers=headers)

    def get(self, path: str, **query: str) -> Any:
        return self._client.get(path, query)

    def put(self, path: str) -> Any:
        return self._client.put(path, data="{}", content_type="application/json")


@pytest.fixture
def api(api_key: str) -> Api:
    return Api(api_key)


# --- submitting -------------------------------------------------------------------------------------


def test_an_order_is_accepted_durably_with_its_address_and_its_stream(
    api: Api, account: Account
) -> None:
    response = api.post(EXECUTE, ORDER)

    assert response.status_code == 201
    body = response.json()
    order = Order.objects.get(id=body["orderId"])
    assert response["Location"] == f"/api/orders/{order.id}"
    assert body["streamUrl"] == f"ws://testserver/api/orders/execute/{order.id}"
    assert (body["status"], body["seq"], body["slippageBps"], body["amount"]) == (
        "pending",
        1,
        50,
        "1.5",
    )
    assert (order.account, order.amount_in_base) == (account, 1_500_000_000)
    assert OrderEvent.objects.get(order=order).status == "pending"


@pytest.mark.parametrize(
    ("amount", "base"),
    [("1.5", 1_500_000_000), ("0.000000001", 1), (2, 2_000_000_000), ("007.10", 7_100_000_000)],
)
def test_amounts_are_exact(api: Api, amount: object, base: int) -> None:
    response = api.post(EXECUTE, ORDER | {"amount": amount})

    assert response.status_code == 201
    assert Order.objects.get().amount_in_base == base


def test_a_number_keeps_the_digits_it_was_written_with(api: Api) -> None:
    response = api.post(EXECUTE, json.dumps(ORDER).replace('"1.5"', "0.1"))

    assert response.status_code == 201
    assert response.json()["amount"] == "0.1"


BAD_BODIES: list[tuple[str, Any, str | None, str]] = [
    ("an empty body", b"", "amount", "REQUIRED"),
    ("white space", b"  ", None, "EMPTY_BODY"),
    ("invalid JSON", b"{", None, "INVALID_JSON"),
    ("not UTF-8", b'{"a": "\xff"}', None, "INVALID_JSON"),
    ("deep nesting", b"[" * 30_000, None, "INVALID_JSON"),
    ("an array", b"[]", None, "NOT_AN_OBJECT"),
    ("a string", b'"x"', None, "NOT_AN_OBJECT"),
    ("a key twice", b'{"amount": "1", "amount": "2"}', None, "INVALID_JSON"),
    ("NaN", json.dumps(ORDER).replace('"1.5"', "NaN").encode(), None, "INVALID_JSON"),
    ("an object without fields", b"{}", "amount", "REQUIRED"),
    ("amount abc", ORDER | {"amount": "abc"}, "amount", "NOT_A_DECIMAL"),
    ("amount -1", ORDER | {"amount": "-1"}, "amount", "NOT_A_DECIMAL"),
    ("amount -1, a number", ORDER | {"amount": -1}, "amount", "NOT_POSITIVE"),
    ("amount 0", ORDER | {"amount": "0"}, "amount", "NOT_POSITIVE"),
    ("amount 0.000", ORDER | {"amount": "0.000"}, "amount", "NOT_POSITIVE"),
    ("amount 1e30, a string", ORDER | {"amount": "1e30"}, "amount", "NOT_A_DECIMAL"),
    ("amount 1e30", json.dumps(ORDER).replace('"1.5"', "1e30").encode(), "amount", "TOO_LARGE"),
    (
        "amount 1e999999",
        json.dumps(ORDER).replace('"1.5"', "1e999999").encode(),
        "amount",
        "TOO_LARGE",
    ),
    ("amount 'NaN'", ORDER | {"amount": "NaN"}, "amount", "NOT_A_DECIMAL"),
    ("amount 'Infinity'", ORDER | {"amount": "Infinity"}, "amount", "NOT_A_DECIMAL"),
    ("amount ' 1'", ORDER | {"amount": " 1"}, "amount", "NOT_A_DECIMAL"),
    ("amount in other digits", ORDER | {"amount": "١"}, "amount", "NOT_A_DECIMAL"),
    ("amount true", ORDER | {"amount": True}, "amount", "NOT_A_DECIMAL"),
    ("amount null", ORDER | {"amount": None}, "amount", "NULL"),
    ("amount as an object", ORDER | {"amount": {}}, "amount", "NOT_A_DECIMAL"),
    ("ten decimals of nine", ORDER | {"amount": "1.0000000001"}, "amount", "TOO_MANY_DECIMALS"),
    (
        "ten decimals of nine, a number",
        json.dumps(ORDER).replace('"1.5"', "1.0000000001").encode(),
        "amount",
        "TOO_MANY_DECIMALS",
    ),
    ("more than the maximum", ORDER | {"amount": "1000000001"}, "amount", "TOO_LARGE"),
    (
        "more than a swap can carry",
        ORDER | {"tokenIn": "JTO", "tokenOut": "SOL", "amount": "999999999999"},
        "amount",
        "TOO_LARGE",
    ),
    ("an unknown token", ORDER | {"tokenIn": "DOGE"}, "tokenIn", "UNKNOWN_TOKEN"),
    ("a token in lower case", ORDER | {"tokenOut": "usdc"}, "tokenOut", "UNKNOWN_TOKEN"),
    ("a token that is no string", ORDER | {"tokenOut": ["USDC"]}, "tokenOut", "NOT_A_STRING"),
    ("the same token twice", ORDER | {"tokenOut": "SOL"}, "tokenOut", "SAME_TOKEN"),
    ("an unknown field", ORDER | {"slipageBps": 5}, "slipageBps", "UNKNOWN_FIELD"),
    ("an unknown order type", ORDER | {"orderType": "limit"}, "orderType", "INVALID_CHOICE"),
    (
        "no order type",
        {k: v for k, v in ORDER.items() if k != "orderType"},
        "orderType",
        "REQUIRED",
    ),
    ("slippage below 0", ORDER | {"slippageBps": -1}, "slippageBps", "MIN_VALUE"),
    ("slippage above 5000", ORDER | {"slippageBps": 5001}, "slippageBps", "MAX_VALUE"),
    ("slippage 50.0", ORDER | {"slippageBps": 50.0}, "slippageBps", "INVALID"),
    ("slippage as a string", ORDER | {"slippageBps": "50"}, "slippageBps", "INVALID"),
    ("slippage true", ORDER | {"slippageBps": True}, "slippageBps", "INVALID"),
    ("an empty client id", ORDER | {"clientOrderId": ""}, "clientOrderId", "BLANK"),
    ("65 characters of client id", ORDER | {"clientOrderId": "x" * 65}, "clientOrderId", "INVALID"),
    ("a client id with a space", ORDER | {"clientOrderId": "a b"}, "clientOrderId", "INVALID"),
    ("a client id with a newline", ORDER | {"clientOrderId": "ab\n"}, "clientOrderId", "INVALID"),
    ("a client id that is a number", ORDER | {"clientOrderId": 7}, "clientOrderId", "INVALID"),
    ("a NUL in a name", ORDER | {"clientOrderId": "a\0"}, "clientOrderId", "INVALID"),
]


@pytest.mark.parametrize(
    ("body", "field", "code"), [bad[1:] for bad in BAD_BODIES], ids=[b[0] for b in BAD_BODIES]
)
def test_a_bad_body_is_refused_by_field_and_stores_nothing(
    api: Api, body: Any, field: str | None, code: str
) -> None:
    response = api.post(EXECUTE, body)

    problem = assert_problem(response, 400)
    if field is None:
        assert problem["code"] == code
    else:
        assert problem["code"] == "VALIDATION_FAILED"
        assert {"field": field, "code": code} in [
            {"field": error["field"], "code": error["code"]} for error in problem["errors"]
        ]
        assert field in problem["detail"]


def test_a_body_of_a_mebibyte_is_refused(api: Api) -> None:
    response = api.post(EXECUTE, json.dumps(ORDER | {"x": "y" * 2**20}))

    assert assert_problem(response, 413)["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"]
)
def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    response = api.post(EXECUTE, json.dumps(ORDER), content_type=content_type)

    assert assert_problem(response, 415)["code"] == "UNSUPPORTED_MEDIA_TYPE"


def test_another_method_is_refused(api: Api) -> None:
    assert assert_problem(api.put(EXECUTE), 405)["code"] == "METHOD_NOT_ALLOWED"
    assert assert_problem(api.get(EXECUTE), 405)["code"] == "METHOD_NOT_ALLOWED"


def test_an_unknown_address_is_a_problem_too(api: Api) -> None:
    assert assert_problem(api.get("/api/nothing"), 404)["code"] == "NOT_FOUND"


# --- who asks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong", "Bearer ", "Basic abc", "oee_x", "Bearer \xff"]
)
@pytest.mark.parametrize(
    "path", [EXECUTE, "/api/orders", "/api/stream-tickets", "/api/tokens", "/api/venues"]
)
def test_nobody_asks_without_a_valid_key(header: str | None, path: str) -> None:
    client = Client(
        headers={"Authorization": header} if header else {}, raise_request_exception=False
    )
    method = client.get if path in ("/api/orders", "/api/tokens", "/api/venues") else client.post

    response = method(path)

    assert assert_problem(response, 401)["code"] == "NOT_AUTHENTICATED"
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_opens_nothing(api: Api) -> None:
    assert api.get("/api/orders").status_code == 200

    accounts.revoke_key(ApiKey.objects.get())

    assert assert_problem(api.get("/api/orders"), 401)["code"] == "NOT_AUTHENTICATED"


def test_a_key_is_kept_as_its_digest_only(api_key: str) -> None:
    kept = ApiKey.objects.values().get()

    assert api_key not in str(kept)
    assert kept["prefix"] == api_key[:10]


def test_somebody_elses_order_does_not_exist(api: Api) -> None:
    theirs = place(Account.objects.create(name="bob"))

    for response in (
        api.get(f"/api/orders/{theirs.id}"),
        api.post(f"/api/orders/{theirs.id}/cancel"),
    ):
        assert assert_problem(response, 404)["code"] == "ORDER_NOT_FOUND"
    assert api.get("/api/orders").json()["orders"] == []
    assert Order.objects.get().status == "pending"


def test_an_account_is_throttled_and_told_when_to_come_back(
    api: Api, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (2, 3600)

    answers = [api.post(EXECUTE, ORDER) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert 0 < int(answers[2]["Retry-After"]) <= 3601
    assert Order.objects.count() == 2


# --- idempotency ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["body", "header", "both"])
def test_the_same_order_again_answers_the_first(api: Api, how: str) -> None:
    body = ORDER | ({"clientOrderId": "a-1"} if how != "header" else {})
    headers = {"Idempotency-Key": "a-1"} if how != "body" else {}

    first = api.post(EXECUTE, body, **headers)
    again = api.post(EXECUTE, body | {"amount": "1.50"}, **headers)

    assert (first.status_code, again.status_code) == (201, 200)
    assert "Idempotent-Replayed" not in first
    assert again["Idempotent-Replayed"] == "true"
    assert again.json()["orderId"] == first.json()["orderId"]
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"amount": "2"},
        {"slippageBps": 51},
        {"tokenOut": "JUP"},
        {"tokenIn": "JUP", "tokenOut": "SOL"},
    ],
)
def test_another_order_under_the_same_id_is_refused(api: Api, other: dict[str, Any]) -> None:
    api.post(EXECUTE, ORDER | {"clientOrderId": "a"})

    response = api.post(EXECUTE, ORDER | {"clientOrderId": "a"} | other)

    problem = assert_problem(response, 422, stored=1)
    assert (problem["code"], problem["retryable"]) == ("IDEMPOTENCY_CONFLICT", False)


def test_header_and_body_must_not_disagree(api: Api) -> None:
    response = api.post(EXECUTE, ORDER | {"clientOrderId": "a"}, **{"Idempotency-Key": "b"})

    problem = assert_problem(response, 400)
    assert (problem["code"], problem["errors"][0]["field"]) == (
        "IDEMPOTENCY_KEY_MISMATCH",
        "Idempotency-Key",
    )


def test_a_malformed_idempotency_key_is_refused(api: Api) -> None:
    response = api.post(EXECUTE, ORDER, **{"Idempotency-Key": "a b"})

    assert assert_problem(response, 400)["code"] == "INVALID_IDEMPOTENCY_KEY"


def test_twenty_identical_submits_at_once_make_one_order(api_key: str) -> None:
    def submit() -> tuple[int, str]:
        try:
            response = Api(api_key).post(EXECUTE, ORDER | {"clientOrderId": "once"})
            return response.status_code, response.json()["orderId"]
        finally:
            connection.close()

    answers = together([submit] * 20)

    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({order_id for _, order_id in answers}) == 1
    assert OrderEvent.objects.count() == 1


# --- reading ----------------------------------------------------------------------------------------


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
    execution.execute(confirmed.id, desk=desk)
    confirmed.refresh_from_db()
    after = timezone.now().isoformat()

    def found(**query: str) -> list[str]:
        return [order["orderId"] for order in api.get("/api/orders", **query).json()["orders"]]

    assert found(status="pending") == [pending]
    assert found(pair="SOL/JUP") == [str(confirmed.id)]
    assert found(venue=confirmed.selected_dex) == [str(confirmed.id)]
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
    execution.execute(order.id, desk=desk)

    body = api.get(f"/api/orders/{order.id}").json()

    assert [event["seq"] for event in body["events"]] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in body["events"]] == ["order.event"] * 5
    (attempt,) = body["attempts"]
    assert (attempt["number"], attempt["state"], attempt["venue"]) == (
        1,
        "confirmed",
        body["selectedDex"],
    )
    assert len(attempt["quotes"]) == 2
    assert body["txHash"] == attempt["txHash"]
    assert Decimal(body["minAmountOut"]) <= Decimal(body["amountOut"])
    assert body["executedPrice"] == body["events"][-1]["executedPrice"]
    assert body["error"] is None and body["inDoubt"] is None


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


# --- cancelling -------------------------------------------------------------------------------------


def test_a_cancel_before_submitted_wins(api: Api, account: Account) -> None:
    order = order_at(Status.BUILDING, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    assert api.post(f"/api/orders/{order.id}/cancel").status_code == 202  # safe to repeat


def test_a_cancel_after_submitted_is_asked_for(api: Api, account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert response.status_code == 202
    assert (response.json()["status"], response.json()["cancelRequested"]) == ("submitted", True)
    assert OrderEvent.objects.get(order=order, seq=5).details == {"cancelRequested": True}


def test_an_order_that_has_ended_cannot_be_cancelled(api: Api, account: Account) -> None:
    order = order_at(Status.CONFIRMED, account)

    response = api.post(f"/api/orders/{order.id}/cancel")

    assert assert_problem(response, 409, stored=1)["code"] == "ALREADY_FINAL"


# --- operations -------------------------------------------------------------------------------------


def test_health_and_readiness_need_no_key(client: Client) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready", "postgres": "ok", "redis": "ok"}


@pytest.fixture
def no_redis(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis's address is a port where nothing listens."""
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(throttling, "_counter", lambda: throttling._Counter(settings.REDIS_URL))


def test_without_redis_orders_are_accepted_and_readiness_says_degraded(
    api: Api, client: Client, no_redis: None
) -> None:
    assert api.post(EXECUTE, ORDER).status_code == 201
    ready = client.get("/ready")
    assert (ready.status_code, ready.json()["redis"]) == (200, "degraded")


def assert_problem(response: Any, status: int, *, stored: int | None = None) -> dict[str, Any]:
    """A complete problem document; and no order was stored that the test didn't make itself."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"].isupper() and problem["detail"] and problem["title"]
    assert isinstance(problem["retryable"], bool)
    if stored is not None or (
        response.request["REQUEST_METHOD"] == "POST" and status in (400, 413, 415)
    ):
        assert Order.objects.count() == (stored or 0)
    return problem
