"""Orders that name a quote: what is taken from it, what is refused, and what a repetition is answered."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import execution
from orders.exchange import TradingDesk
from orders.models import Account, Order, OrderEvent, Quote
from orders.stored_quotes import Issued
from tests.api.client import BATCH, EXECUTE, ORDER, Api, assert_problem
from tests.factories import let_quotes_expire, new_order, place, quoted, statuses
from tests.routing.lab import together
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quote(account: Account, desk: TradingDesk) -> Issued:
    """For 1.5 SOL in USDC, with a slippage limit of 80 bps."""
    return quoted(account, desk, slippage_bps=80)


def on(quote: Issued, **wishes: Any) -> dict[str, Any]:
    """An order that names the quote."""
    return ORDER | {"quoteId": str(quote.id)} | wishes


@pytest.mark.parametrize("said", [{}, {"slippageBps": 80}], ids=["left to the quote", "said"])
def test_an_order_takes_its_limits_from_the_quote(
    api: Api, quote: Issued, said: dict[str, int]
) -> None:
    response = api.post(EXECUTE, on(quote, **said))

    assert response.status_code == 201
    body = response.json()
    assert (body["quoteId"], body["slippageBps"]) == (str(quote.id), 80)
    assert body["minAmountOut"] == quote.document["minAmountOut"]
    order, stored = Order.objects.get(id=body["orderId"]), Quote.objects.get(id=quote.id)
    assert order.min_amount_out_base == stored.min_amount_out_base
    assert (order.quote_id, order.quote_expires_at) == (quote.id, quote.expires_at)


def test_the_first_event_tells_of_the_quote(api: Api, quote: Issued) -> None:
    order_id = api.post(EXECUTE, on(quote)).json()["orderId"]

    promised = {"quoteId": str(quote.id), "minAmountOut": quote.document["minAmountOut"]}
    assert OrderEvent.objects.get(order=order_id).details == promised
    body = api.get(f"/api/orders/{order_id}").json()
    assert promised.items() <= body["events"][0].items()
    assert promised.items() <= body.items()


def test_an_order_without_a_quote_says_so(api: Api) -> None:
    body = api.post(EXECUTE, ORDER).json()

    assert (body["quoteId"], body["minAmountOut"]) == (None, None)
    assert OrderEvent.objects.get(order=body["orderId"]).details == {}


def test_several_orders_may_name_one_quote(api: Api, quote: Issued) -> None:
    answers = [api.post(EXECUTE, on(quote)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert Order.objects.filter(quote_id=quote.id).count() == 2


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ("nonsense", "INVALID"),
        ("", "INVALID"),
        (7, "INVALID"),
        (True, "INVALID"),
        (["019aa3f1-2b4c-7d5e-8f60-0123456789ab"], "INVALID"),
        (None, "NULL"),
    ],
)
def test_what_is_no_quote_id_is_refused(api: Api, named: Any, code: str) -> None:
    problem = assert_problem(api.post(EXECUTE, ORDER | {"quoteId": named}), 400)

    assert [(each["field"], each["code"]) for each in problem["errors"]] == [("quoteId", code)]


def test_an_unknown_quote_and_somebody_elses_are_not_found(
    api: Api, account: Account, desk: TradingDesk
) -> None:
    theirs = quoted(Account.objects.create(name="bob"), desk)

    for named in (str(uuid4()), str(theirs.id)):
        problem = assert_problem(api.post(EXECUTE, ORDER | {"quoteId": named}), 400)

        assert problem["retryable"] is False
        assert [(each["field"], each["code"]) for each in problem["errors"]] == [
            ("quoteId", "QUOTE_NOT_FOUND")
        ]


@pytest.mark.parametrize(
    ("wishes", "differing"),
    [
        ({"amount": "1.6"}, {"amount": "is 1.5 in the quote."}),
        ({"tokenOut": "JUP"}, {"tokenOut": "is USDC in the quote."}),
        ({"tokenIn": "RAY"}, {"tokenIn": "is SOL in the quote."}),
        ({"slippageBps": 81}, {"slippageBps": "is 80 in the quote."}),
        (
            {"amount": "2", "tokenOut": "JUP", "slippageBps": 50},
            {
                "amount": "is 1.5 in the quote.",
                "tokenOut": "is USDC in the quote.",
                "slippageBps": "is 80 in the quote.",
            },
        ),
        (
            {"tokenIn": "USDC", "tokenOut": "SOL"},
            {"tokenIn": "is SOL in the quote.", "tokenOut": "is USDC in the quote."},
        ),
    ],
)
def test_a_quote_for_something_else_is_refused_by_the_fields_that_differ(
    api: Api, quote: Issued, wishes: dict[str, Any], differing: dict[str, str]
) -> None:
    problem = assert_problem(api.post(EXECUTE, on(quote, **wishes)), 400)

    assert {each["field"]: each["message"] for each in problem["errors"]} == differing
    assert {each["code"] for each in problem["errors"]} == {"QUOTE_MISMATCH"}


def test_the_same_amount_in_other_words_is_the_quotes(api: Api, quote: Issued) -> None:
    assert api.post(EXECUTE, on(quote, amount="1.500")).status_code == 201


def test_a_quote_that_is_too_old_is_refused_and_nothing_is_stored(api: Api, quote: Issued) -> None:
    let_quotes_expire()
    expired_at = Quote.objects.get(id=quote.id).expires_at

    problem = assert_problem(api.post(EXECUTE, on(quote)), 422, stored=0)

    assert (problem["code"], problem["retryable"]) == ("QUOTE_EXPIRED", False)
    assert [each["field"] for each in problem["errors"]] == ["quoteId"]
    assert f"{expired_at:%Y-%m-%dT%H:%M:%S}" in problem["detail"]
    assert "new one" in problem["detail"]


# --- repetitions ------------------------------------------------------------------------------------------------------


def forget_quotes() -> None:
    Quote.objects.all().delete()


def nothing_happens() -> None:
    pass


@pytest.mark.parametrize("meanwhile", [nothing_happens, let_quotes_expire, forget_quotes])
@pytest.mark.parametrize("said", [{}, {"slippageBps": 80}], ids=["left to the quote", "said"])
def test_a_repetition_is_answered_with_the_order_whatever_became_of_the_quote(
    api: Api, quote: Issued, meanwhile: Any, said: dict[str, int]
) -> None:
    first = api.post(EXECUTE, on(quote, clientOrderId="a", **said))

    meanwhile()
    by_name = api.post(EXECUTE, on(quote, clientOrderId="a"))
    by_header = api.post(EXECUTE, on(quote, **said), **{"Idempotency-Key": "a"})

    assert first.status_code == 201
    for again in (by_name, by_header):
        assert (again.status_code, again["Idempotent-Replayed"]) == (200, "true")
        assert again.json()["orderId"] == first.json()["orderId"]
    assert Order.objects.count() == 1


@pytest.mark.parametrize("meanwhile", [nothing_happens, let_quotes_expire, forget_quotes])
def test_the_quote_is_a_part_of_what_is_repeated(
    api: Api, account: Account, desk: TradingDesk, quote: Issued, meanwhile: Any
) -> None:
    other = quoted(account, desk, slippage_bps=80)
    api.post(EXECUTE, on(quote, clientOrderId="quoted"))
    api.post(EXECUTE, ORDER | {"clientOrderId": "plain", "slippageBps": 80})

    meanwhile()
    answers = [
        api.post(EXECUTE, on(other, clientOrderId="quoted")),
        api.post(EXECUTE, ORDER | {"clientOrderId": "quoted", "slippageBps": 80}),
        api.post(EXECUTE, on(quote, clientOrderId="plain")),
    ]

    for answer in answers:
        assert assert_problem(answer, 422, stored=2)["code"] == "IDEMPOTENCY_CONFLICT"


def test_another_amount_under_a_used_id_is_refused_after_the_quote_is_gone(
    api: Api, quote: Issued
) -> None:
    api.post(EXECUTE, on(quote, clientOrderId="a"))
    forget_quotes()

    for wishes in ({"amount": "2"}, {"slippageBps": 50}):
        answer = api.post(EXECUTE, on(quote, clientOrderId="a", **wishes))
        assert assert_problem(answer, 422, stored=1)["code"] == "IDEMPOTENCY_CONFLICT"


def test_somebody_elses_order_is_no_repetition(api: Api, desk: TradingDesk) -> None:
    bob = Account.objects.create(name="bob")
    theirs = quoted(bob, desk)
    place(bob, quote_id=theirs.id, client_order_id="a")

    problem = assert_problem(api.post(EXECUTE, on(theirs, clientOrderId="a")), 400, stored=1)

    assert [each["code"] for each in problem["errors"]] == ["QUOTE_NOT_FOUND"]


def test_a_new_order_under_a_new_id_needs_a_good_quote(api: Api, quote: Issued) -> None:
    api.post(EXECUTE, on(quote, clientOrderId="a"))
    let_quotes_expire()

    answer = api.post(EXECUTE, on(quote, clientOrderId="b"))

    assert assert_problem(answer, 422, stored=1)["code"] == "QUOTE_EXPIRED"


def test_twenty_identical_submits_at_once_make_one_order(api_key: str, quote: Issued) -> None:
    def submit() -> tuple[int, str]:
        try:
            response = Api(api_key).post(EXECUTE, on(quote, clientOrderId="once"))
            return response.status_code, response.json()["orderId"]
        finally:
            connection.close()

    answers = together([submit] * 20)

    assert sorted(status for status, _ in answers) == [200] * 19 + [201]
    assert len({order_id for _, order_id in answers}) == 1


def test_an_order_that_is_stored_after_its_client_was_told_that_it_came_too_late_swaps_nothing(
    api: Api, account: Account, desk: TradingDesk, quote: Issued
) -> None:
    """Two requests for one order: the first is still being committed when the second one is refused."""
    Quote.objects.update(expires_at=timezone.now() + timedelta(seconds=0.5))
    written, refused = threading.Event(), threading.Event()

    def place_slowly() -> Order:
        try:
            with transaction.atomic():
                order = place(account, quote_id=quote.id, slippage_bps=80, client_order_id="a")
                written.set()
                refused.wait(10)
                return order
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(place_slowly)
        assert written.wait(10)
        wait_until(lambda: Quote.objects.get().expires_at < timezone.now())
        answer = api.post(EXECUTE, on(quote, clientOrderId="a"))
        refused.set()
        order = first.result(10)
    execution.execute([order.id], desk=desk)

    assert assert_problem(answer, 422)["code"] == "QUOTE_EXPIRED"
    assert statuses(order) == ["pending", "routing", "failed"]
    assert Order.objects.get().error_code == "QUOTE_EXPIRED"


# --- batches ----------------------------------------------------------------------------------------------------------


def test_in_a_batch_bad_quotes_stop_no_other_order(
    api: Api, account: Account, desk: TradingDesk, quote: Issued
) -> None:
    old, used = quoted(account, desk), quoted(account, desk)
    place(account, quote_id=used.id, client_order_id="used")
    expired_at = timezone.now() - timedelta(seconds=1)
    Quote.objects.filter(id__in=[old.id, used.id]).update(expires_at=expired_at)
    orders = [
        on(quote),
        on(old),
        ORDER,
        ORDER | {"quoteId": str(uuid4())},
        on(used, clientOrderId="used"),
        on(quote, amount="2"),
        on(quote, clientOrderId="new"),
        on(quote, clientOrderId="new"),
        on(used, clientOrderId="used", amount="1.6"),
        ORDER | {"quoteId": 5},
        on(old, clientOrderId="used"),
    ]

    answer = api.post(BATCH, {"orders": orders}).json()

    told = [
        result.get("problem", {}).get("code") or result["status"] for result in answer["results"]
    ]
    assert told == [
        201,
        "QUOTE_EXPIRED",
        201,
        "VALIDATION_FAILED",
        200,
        "VALIDATION_FAILED",
        201,
        200,
        "VALIDATION_FAILED",
        "VALIDATION_FAILED",
        "IDEMPOTENCY_CONFLICT",
    ]
    assert (answer["accepted"], answer["replayed"], answer["refused"]) == (3, 2, 6)
    assert answer["results"][0]["order"]["quoteId"] == str(quote.id)
    alone = api.post(EXECUTE, on(old))
    assert answer["results"][1]["problem"] == alone.json()
    assert Order.objects.count() == 4


def test_all_quotes_of_a_batch_take_one_query_and_orders_without_one_take_none(
    api: Api, account: Account, desk: TradingDesk
) -> None:
    quotes = [quoted(account, desk) for _ in range(3)]
    api.post(EXECUTE, ORDER)  # whatever only the first request asks

    with CaptureQueriesContext(connection) as of_none:
        api.post(BATCH, {"orders": [ORDER] * 6})
    with CaptureQueriesContext(connection) as of_three:
        api.post(BATCH, {"orders": [ORDER] * 3 + [on(quote) for quote in quotes]})

    assert "orders_quote" not in str(of_none.captured_queries)
    assert len(of_three) - len(of_none) == 1
    assert Order.objects.count() == 13


def test_a_lone_order_without_a_quote_asks_for_none(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection) as asked:
        place(account)

    assert len(asked) == 0  # the journal's statement is prepared behind Django's back
    assert new_order(account).details == {}
