"""Many orders in one request: each has its own answer, and none costs another its own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from orders import observe
from orders.models import Account, Order, OrderEvent
from tests.api.client import BATCH, EXECUTE, ORDER, Api, assert_problem
from tests.factories import place
from tests.refusing import refused_by_the_database
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


def post(api: Api, *orders: Any) -> dict[str, Any]:
    """The answer to a batch, whose counts are those of its results."""
    response = api.post(BATCH, {"orders": orders})
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    results = answer["results"]
    assert [result["index"] for result in results] == list(range(len(orders)))
    kinds = [kind(result) for result in results]
    for counted in ("accepted", "replayed", "refused"):
        assert answer[counted] == kinds.count(counted)
    return answer


def kind(result: dict[str, Any]) -> str:
    if result["status"] >= 400:
        assert "order" not in result
        return "refused"
    assert "problem" not in result
    return {201: "accepted", 200: "replayed"}[result["status"]]


def test_every_order_has_the_answer_that_it_would_have_had_alone(api: Api) -> None:
    good, bad = ORDER | {"clientOrderId": "a"}, ORDER | {"amount": "0", "slipageBps": 1}

    answer = post(api, good, bad)

    alone, alone_bad = api.post(EXECUTE, good), api.post(EXECUTE, bad)
    accepted, refused = answer["results"]
    assert accepted == {"index": 0, "status": 201, "order": alone.json()}
    assert refused == {"index": 1, "status": 400, "problem": alone_bad.json()}


def test_bad_orders_among_good_ones_stop_none(api: Api, account: Account) -> None:
    place(account, client_order_id="used")
    orders = [
        ORDER,
        ORDER | {"amount": "abc"},
        ORDER | {"clientOrderId": "new"},
        ORDER | {"clientOrderId": "used"},
        ORDER | {"clientOrderId": "used", "amount": "2"},
        {},
        ORDER | {"amount": 2},
    ]

    answer = post(api, *orders)

    assert [result["status"] for result in answer["results"]] == [201, 400, 201, 200, 422, 400, 201]
    assert (answer["accepted"], answer["replayed"], answer["refused"]) == (3, 1, 3)
    conflict = answer["results"][4]["problem"]
    assert (conflict["code"], conflict["retryable"]) == ("IDEMPOTENCY_CONFLICT", False)
    assert conflict["errors"][0]["field"] == "clientOrderId"
    assert Order.objects.count() == OrderEvent.objects.count() == 4
    stored = {str(order_id) for order_id in Order.objects.values_list("id", flat=True)}
    assert {result["order"]["orderId"] for result in answer["results"] if "order" in result} == (
        stored
    )


@pytest.mark.parametrize("item", [None, 5, "SOL", [], [ORDER], True])
def test_an_item_that_is_no_object_is_refused_alone(api: Api, item: object) -> None:
    answer = post(api, item, ORDER)

    assert answer["results"][0]["problem"]["code"] == "NOT_AN_OBJECT"
    assert answer["accepted"] == 1


def test_a_batch_again_answers_the_first_time_s_orders(api: Api) -> None:
    orders = [ORDER | {"clientOrderId": f"a-{number}"} for number in range(20)]

    first, again = post(api, *orders), post(api, *reversed(orders))

    assert (first["accepted"], again["replayed"]) == (20, 20)
    assert [result["order"]["orderId"] for result in reversed(again["results"])] == [
        result["order"]["orderId"] for result in first["results"]
    ]
    assert Order.objects.count() == 20


def test_an_order_twice_in_one_batch_is_placed_once(api: Api) -> None:
    order = ORDER | {"clientOrderId": "twice"}

    answer = post(api, order, order | {"amount": "1.50"}, order | {"amount": "2"})

    first, again, other = answer["results"]
    assert [result["status"] for result in answer["results"]] == [201, 200, 422]
    assert again["order"] == first["order"]
    assert other["problem"]["code"] == "IDEMPOTENCY_CONFLICT"
    assert Order.objects.count() == 1


def test_batches_that_share_orders_at_once_place_each_once(api_key: str) -> None:
    orders = [ORDER | {"clientOrderId": f"shared-{number}"} for number in range(50)]

    def submit(orders: list[Any]) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            try:
                return post(Api(api_key), *orders)
            finally:
                connection.close()

        return run

    answers = together([submit(orders), submit(orders[::-1])] * 3)

    assert sum(answer["accepted"] for answer in answers) == 50
    assert sum(answer["replayed"] for answer in answers) == 250
    assert Order.objects.count() == 50


def test_five_hundred_take_one_statement_and_their_repetition_two(api: Api) -> None:
    orders = [
        ORDER | {"clientOrderId": f"{'x' * 60}{number:04}"[-64:], "slippageBps": 5000}
        for number in range(500)
    ]
    post(api, ORDER)  # whatever only the first request asks

    with CaptureQueriesContext(connection) as asked:
        assert post(api, *orders)["accepted"] == 500
    with CaptureQueriesContext(connection) as asked_again:
        assert post(api, *orders)["replayed"] == 500

    assert Order.objects.count() == 501
    # The journal's statement is prepared behind Django's back, so it isn't among those.
    assert len(asked_again) - len(asked) == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"orders": [ORDER] * 501}, "orders", "MAX_LENGTH"),
        ({"orders": []}, "orders", "MIN_LENGTH"),
        ({"orders": ORDER}, "orders", "NOT_A_LIST"),
        ({"orders": "SOL"}, "orders", "NOT_A_LIST"),
        ({"orders": 5}, "orders", "NOT_A_LIST"),
        ({"orders": None}, "orders", "NULL"),
        ({}, "orders", "REQUIRED"),
        (b"", "orders", "REQUIRED"),
        (ORDER, "tokenIn", "UNKNOWN_FIELD"),
        ({"orders": [ORDER], "atomic": True}, "atomic", "UNKNOWN_FIELD"),
    ],
)
def test_what_is_no_batch_is_refused_by_field(api: Api, body: Any, field: str, code: str) -> None:
    problem = assert_problem(api.post(BATCH, body), 400)

    assert problem["code"] == "VALIDATION_FAILED"
    assert {"field": field, "code": code} in [
        {"field": error["field"], "code": error["code"]} for error in problem["errors"]
    ]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"orders": [{"amount": 1, "amount": 2}]}'])
def test_what_is_no_json_object_is_refused(api: Api, body: bytes) -> None:
    assert_problem(api.post(BATCH, body), 400)


def test_a_batch_has_no_idempotency_key_of_its_own(api: Api) -> None:
    response = api.post(BATCH, {"orders": [ORDER]}, **{"Idempotency-Key": "a"})

    problem = assert_problem(response, 400)
    assert problem["code"] == "IDEMPOTENCY_KEY_NOT_ALLOWED"
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_a_batch_may_be_larger_than_an_order_but_not_without_end(api: Api) -> None:
    def padded_to(size: int) -> str:
        return json.dumps({"orders": [ORDER]}).ljust(size)

    assert api.post(BATCH, padded_to(512 * 1024)).status_code == 200
    problem = assert_problem(api.post(BATCH, padded_to(512 * 1024 + 1)), 413, stored=1)
    assert (problem["code"], "524288" in problem["detail"]) == ("BODY_TOO_LARGE", True)
    assert_problem(api.post(EXECUTE, json.dumps(ORDER).ljust(64 * 1024 + 1)), 413, stored=1)


def test_a_batch_counts_as_its_orders_and_fits_whole_or_not_at_all(
    api: Api, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)
    post(api, *[ORDER] * 8)

    refused = api.post(BATCH, {"orders": [ORDER] * 3})

    problem = assert_problem(refused, 429, stored=8)
    assert (problem["code"], problem["retryable"]) == ("RATE_LIMITED", True)
    assert int(refused["Retry-After"]) > 0
    post(api, ORDER, {"not": "an order"})
    assert_problem(api.post(EXECUTE, ORDER), 429, stored=9)


def test_a_batch_that_never_fits_is_not_worth_trying_again(
    api: Api, settings: LazySettings
) -> None:
    settings.ORDER_RATE_LIMIT = (10, 3600)

    problem = assert_problem(api.post(BATCH, {"orders": [ORDER] * 11}), 429, stored=0)

    assert problem["retryable"] is False


def test_an_order_that_the_database_refuses_loses_no_other_and_is_an_operators_business(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(observe, "request_failed", lambda *, path, error: logged.append(path))

    with refused_by_the_database(token_in="WIF"):
        answer = post(api, *[ORDER] * 200, ORDER | {"tokenIn": "WIF"}, *[ORDER] * 200)

    refused = answer["results"][200]
    assert (refused["status"], refused["problem"]["code"]) == (500, "INTERNAL")
    assert answer["accepted"] == Order.objects.count() == 400
    assert logged == [BATCH]


def test_nobody_places_a_batch_without_a_key() -> None:
    assert_problem(Api(None).post(BATCH, {"orders": [ORDER]}), 401, stored=0)


def test_the_openapi_document_says_what_a_batch_is(client: Client) -> None:
    document = client.get(
        "/api/schema", headers={"Accept": "application/vnd.oai.openapi+json"}
    ).json()

    assert "each for itself" in document["paths"][BATCH]["post"]["description"]
    assert document["components"]["schemas"]["Batch"]["properties"]["orders"] == {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Submit"},
        "minItems": 1,
        "maxItems": 500,
    }
