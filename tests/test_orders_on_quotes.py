"""Executing what was quoted: never for less, and never once the quote is too old to begin."""

from decimal import Decimal
from typing import Any

import pytest

from orders import inflight, settlement
from orders.exchange import TradingDesk
from orders.execution import Advanced, execute, step
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order, OrderAttempt
from routing.tokens import TOKENS
from tests.desks import behind, without
from tests.factories import (
    ALL_THE_WAY,
    SOL,
    become_due,
    claim,
    let_quotes_expire,
    place,
    quoted,
    retried,
    statuses,
)
from tests.routing.lab import ChainLab
from tests.test_execution import best_offer

pytestmark = pytest.mark.django_db(transaction=True)


def order_on_a_quote(account: Account, desk: TradingDesk, *, slippage_bps: int = 0) -> Order:
    quote = quoted(account, desk, slippage_bps=slippage_bps)
    return place(account, quote_id=quote.id, slippage_bps=None)


def minimum(order: Order) -> int:
    return int(order.min_amount_out_base or 0)


def wait_for_a_market(lab: ChainLab, desk: TradingDesk, order: Order, *, better: bool) -> None:
    """Until the best offer is above, or below, what was quoted without any slippage."""
    for _ in range(500):
        lab.clock.pass_slots(20)
        best = best_offer(desk, order)
        if best > minimum(order) if better else best < minimum(order):
            return
    raise AssertionError("the market never moved that way")


@pytest.mark.parametrize("slippage_bps", [0, 50])
@pytest.mark.parametrize(
    ("wishes", "hops"),
    [
        ({}, [1]),
        ({"amount_in_base": 20_000 * SOL}, [1, 1, 1]),
        ({"token_in": "JUP", "token_out": "BONK", "amount_in_base": 10_000 * 10**6}, [1, 1, 2]),
    ],
    ids=["one pool", "divided", "two hops"],
)
def test_at_the_same_slot_an_order_receives_what_was_quoted(
    account: Account, desk: TradingDesk, wishes: dict[str, Any], hops: list[int], slippage_bps: int
) -> None:
    quote = quoted(account, desk, slippage_bps=slippage_bps, **wishes)
    order = place(account, quote_id=quote.id, slippage_bps=None, **wishes)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    order.refresh_from_db()
    attempt, told = OrderAttempt.objects.get(order=order), quote.document
    one = 10 ** TOKENS[order.token_out].decimals
    assert order.amount_out_base == Decimal(told["amountOut"]) * one
    assert attempt.min_amount_out_base == Decimal(told["minAmountOut"]) * one
    assert attempt.quotes == told["quotes"]
    assert [leg["hop"] for leg in told["legs"]] == hops
    assert attempt.receipt and attempt.receipt["legs"] == told["legs"]
    for name in ("amountOut", "networkFee", "referenceValue"):
        assert attempt.receipt[name] == told[name]
    (landed,) = desk.chain.transactions([order.tx_hash])
    assert landed and landed.min_amount_out_base == attempt.min_amount_out_base
    assert landed.pool.split("+") == [leg["pool"] for leg in told["legs"]]


def test_a_market_that_pays_less_than_was_quoted_is_waited_out_and_not_taken(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    desk, node = behind(desk)
    order = order_on_a_quote(account, desk)
    wait_for_a_market(lab, desk, order, better=False)

    assert retried(execute([order.id], desk=desk)) == [order.id]

    assert statuses(order) == ["pending", "routing", "routing"]
    attempt = OrderAttempt.objects.get(order=order, number=1)
    assert (attempt.state, attempt.error_code) == (AttemptState.FAILED, "SLIPPAGE_EXCEEDED")
    assert "that the order's quote allows" in attempt.error_message
    assert node.sent == []

    wait_for_a_market(lab, desk, order, better=True)
    become_due(order)
    execute([order.id], desk=desk)

    order.refresh_from_db()
    assert order.status == "confirmed"
    assert int(order.amount_out_base or 0) >= minimum(order)


def test_a_better_market_does_not_raise_what_the_client_accepts(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order = order_on_a_quote(account, desk)
    wait_for_a_market(lab, desk, order, better=True)

    execute([order.id], desk=desk)

    order.refresh_from_db()
    attempt = OrderAttempt.objects.get(order=order)
    assert attempt.min_amount_out_base == order.min_amount_out_base
    assert int(order.amount_out_base or 0) > minimum(order)


def test_every_attempt_accepts_what_was_quoted_and_no_less(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    """Were the first attempt's limit the market's own, a later one would be looser."""
    desk, node = behind(desk)
    order = order_on_a_quote(account, desk, slippage_bps=50)
    node.drops_sends = True
    execute([order.id], desk=desk)
    lab.clock.pass_slots(200)
    node.drops_sends = False
    settlement.settle(inflight.here.waiting(), desk=desk)
    become_due(order)

    execute([order.id], desk=desk)

    limits = [each.min_amount_out_base for each in order.attempts.order_by("number")]
    assert limits == [order.min_amount_out_base] * 2
    assert Order.objects.get().min_amount_out_base == order.min_amount_out_base


def test_a_worker_that_comes_after_the_quote_expired_does_not_begin(
    account: Account, desk: TradingDesk
) -> None:
    desk, node = behind(desk)
    order = order_on_a_quote(account, desk)
    let_quotes_expire()

    assert retried(execute([order.id], desk=desk)) == []

    assert_expired(order, "routing", attempts=1)
    assert node.sent == []


def test_quick_steps_look_at_the_quote_too(
    account: Account, desk: TradingDesk, quick: None
) -> None:
    order = order_on_a_quote(account, desk)
    let_quotes_expire()

    execute([order.id], desk=desk)

    assert_expired(order, "routing", attempts=1)


def test_an_order_that_was_begun_in_time_is_tried_again_after_its_quote_expired(
    account: Account, desk: TradingDesk
) -> None:
    order = order_on_a_quote(account, desk)
    assert retried(execute([order.id], desk=without(desk, "raydium", "meteora"))) == [order.id]
    let_quotes_expire()
    become_due(order)

    assert retried(execute([order.id], desk=desk)) == []

    assert statuses(order) == ["pending", "routing", *ALL_THE_WAY[1:]]
    minimum_base = Order.objects.get(id=order.id).min_amount_out_base
    assert order.attempts.get(number=2).min_amount_out_base == minimum_base


def test_an_expired_quote_costs_orders_that_go_together_nothing(
    account: Account, desk: TradingDesk
) -> None:
    expired = order_on_a_quote(account, desk)
    let_quotes_expire()
    others = [order_on_a_quote(account, desk), place(account)]

    execute([expired.id, *(order.id for order in others)], desk=desk)

    assert_expired(expired, "routing", attempts=1)
    assert [statuses(order) for order in others] == [ALL_THE_WAY] * 2


@pytest.mark.parametrize("reached", [Status.BUILDING, Status.SUBMITTED])
def test_an_order_that_was_begun_in_time_goes_on(
    account: Account, desk: TradingDesk, reached: Status
) -> None:
    order = order_on_a_quote(account, desk)
    claimed = claim(order)
    while claimed.status != reached:
        (claimed,) = step([claimed], desk=desk, done=Advanced())
    let_quotes_expire()
    become_due(order)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY


def assert_expired(order: Order, *passed: str, attempts: int) -> None:
    """It failed for good, with a sentence that says since when, and swapped nothing."""
    assert statuses(order) == ["pending", *passed, "failed"]
    order.refresh_from_db()
    assert (order.error_code, order.error_retryable) == ("QUOTE_EXPIRED", False)
    assert order.quote_expires_at
    assert f"expired at {order.quote_expires_at:%Y-%m-%dT%H:%M:%S}" in order.error_message
    assert order.error_message.endswith("ask for a new quote.")
    failed = order.events.get(status="failed")
    assert failed.details["error"]["code"] == "QUOTE_EXPIRED"
    assert [each.signature for each in order.attempts.all()] == [None] * attempts
