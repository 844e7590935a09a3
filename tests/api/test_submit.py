"""Submitting: what is accepted, what is refused by which field, and that nothing refused is stored."""

import json
from typing import Any

import pytest
from django.db import connection

from orders.models import Account, Order, OrderEvent
from tests.api.client import EXECUTE, ORDER, Api, assert_problem
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


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
    (
        "amount 1e99999999999999999999",
        json.dumps(ORDER).replace('"1.5"', "1e99999999999999999999").encode(),
        None,
        "INVALID_JSON",
    ),
    ("half a surrogate pair in a name", b'{"\\ud800": 1}', None, "INVALID_JSON"),
    ("half a surrogate pair in a value", b'{"orderType": "\\ud800"}', None, "INVALID_JSON"),
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
