"""Execution, step by step and through crashes, on a real chain with a clock that only the test moves."""

import asyncio
from decimal import Decimal

import pytest
from django.db import connection

from orders import execution, inflight, intake, settlement
from orders.exchange import TradingDesk
from orders.execution import Advanced, execute
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order, OrderAttempt, OrderEvent
from orders.retries import MAX_ATTEMPTS
from routing.answers import collect
from routing.router import decide, pairs_of
from tests.desks import DownVenue, OpenDesk, behind, listing_nothing, without
from tests.factories import ALL_THE_WAY, become_due, claim, place, retried, sign, statuses
from tests.routing.lab import ChainLab, together

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_order_goes_all_the_way(account: Account, desk: TradingDesk) -> None:
    order = place(account)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    order.refresh_from_db()
    attempt = OrderAttempt.objects.get(order=order)
    (landed,) = desk.chain.transactions([order.tx_hash])
    assert landed and landed.error is None
    assert landed.memo == f"{order.id}:1"
    assert (attempt.number, attempt.state, attempt.venue) == (
        1,
        AttemptState.CONFIRMED,
        order.selected_dex,
    )
    assert order.amount_out_base == attempt.amount_out_base == landed.amount_out_base
    assert attempt.min_amount_out_base and attempt.min_amount_out_base <= landed.amount_out_base
    assert inflight.here.held() == []


def test_the_events_carry_what_their_readers_need(account: Account, desk: TradingDesk) -> None:
    order = place(account)

    execute([order.id], desk=desk)

    details = {event.status: event.details for event in OrderEvent.objects.filter(order=order)}
    assert details["pending"] == details["routing"] == {}
    quotes = details["building"]["quotes"]
    assert {quote["venue"] for quote in quotes} == {"raydium", "meteora"}
    (chosen,) = [quote for quote in quotes if quote["chosen"]]
    assert (
        chosen["venue"] == details["building"]["selectedDex"] == details["confirmed"]["selectedDex"]
    )
    assert all(quote["lostBecause"] for quote in quotes if not quote["chosen"])
    assert details["submitted"]["txHash"] == details["confirmed"]["txHash"]
    assert Decimal(details["confirmed"]["amountOut"]) == Decimal(chosen["amountOut"])
    price = Decimal(details["confirmed"]["amountOut"]) / Decimal("1.5")
    assert Decimal(details["confirmed"]["executedPrice"]) == pytest.approx(
        price, rel=Decimal("1e-11")
    )


def test_a_second_hint_executes_nothing(account: Account, desk: TradingDesk) -> None:
    desk, node = behind(desk)
    order = place(account)

    def hint() -> None:
        try:
            execute([order.id], desk=desk)
        finally:
            connection.close()

    together([hint] * 5)
    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    assert len(node.sent) == 1


def test_one_venue_down_leaves_the_order_to_the_other(account: Account, desk: TradingDesk) -> None:
    order = place(account)

    execute([order.id], desk=without(desk, "raydium"))

    assert statuses(order) == ALL_THE_WAY
    quotes = OrderAttempt.objects.get(order=order).quotes
    (chosen,) = [quote for quote in quotes if quote["chosen"]]
    assert chosen["venue"] == "meteora"
    (failed,) = [quote for quote in quotes if quote["venue"] == "raydium"]
    assert failed["error"] == {"code": "VENUE_DOWN", "message": "Raydium is down"}


def test_with_every_venue_down_the_order_is_tried_four_times_and_fails_once(
    account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    desk = without(desk, "raydium", "meteora")
    delays = []

    for attempt in range(1, MAX_ATTEMPTS):
        assert retried(execute([order.id], desk=desk)) == [order.id]
        order.refresh_from_db()
        assert (order.status, order.attempt) == (Status.ROUTING, attempt + 1)
        delays.append(due_in_s(order))
        execute([order.id], desk=desk)  # a hint that comes early finds nothing due
        become_due(order)
    execute([order.id], desk=desk)

    assert statuses(order) == ["pending", *["routing"] * MAX_ATTEMPTS, "failed"]
    assert [attempt.state for attempt in order.attempts.order_by("number")] == [
        "failed"
    ] * MAX_ATTEMPTS
    assert [0.8 * 2**n < delay <= 2**n for n, delay in enumerate(delays)] == [True] * 3
    order.refresh_from_db()
    assert (order.error_code, order.error_retryable) == ("NO_QUOTE", True)
    for tried in order.attempts.all():
        assert [quote["error"]["code"] for quote in tried.quotes] == ["VENUE_DOWN"] * 2
    last = OrderEvent.objects.get(order=order, status="failed")
    assert last.details["error"]["code"] == "NO_QUOTE"
    assert "Raydium is down" in last.message
    assert all(
        isinstance(venue, DownVenue) and venue.asked == MAX_ATTEMPTS
        for venue in desk.venues.values()
    )


def test_a_pair_without_a_pool_fails_at_once_and_for_good(
    account: Account, desk: TradingDesk
) -> None:
    order = place(account)

    execute([order.id], desk=listing_nothing(desk))

    assert statuses(order) == ["pending", "routing", "failed"]
    order.refresh_from_db()
    assert (order.error_code, order.error_retryable) == ("NO_ROUTE", False)


def test_a_price_beyond_the_limit_kills_the_attempt_on_chain_and_the_next_one_waits_for_the_proof(
    account: Account, lab: ChainLab, open_desk: OpenDesk
) -> None:
    desk = open_desk(swap_delay_ms=(40_000, 40_000))
    order = place(account, slippage_bps=0)

    execute([order.id], desk=desk)
    lab.clock.pass_slots(99)
    sell_much(account, open_desk())
    lab.clock.pass_slots(1)
    attempt = OrderAttempt.objects.get(order=order)
    assert best_offer(desk, order) < (attempt.min_amount_out_base or 0)
    ask(desk)
    assert statuses(order)[-1] == "submitted"  # landed with an error, but not yet final

    lab.clock.pass_slots(32)
    ask(desk)

    assert statuses(order) == ["pending", "routing", "building", "submitted", "routing"]
    dead = OrderAttempt.objects.get(order=order, number=1)
    assert (dead.state, dead.error_code) == (AttemptState.DEAD, "SLIPPAGE_EXCEEDED")
    assert dead.proof and dead.proof["answered"]["commitment"] == "finalized"


def test_a_retry_never_loosens_the_first_attempts_limit(
    account: Account, lab: ChainLab, open_desk: OpenDesk
) -> None:
    order = place(account, slippage_bps=0)
    desk, node = behind(open_desk())
    node.drops_sends = True
    execute([order.id], desk=desk)
    first = OrderAttempt.objects.get(order=order)
    lab.clock.pass_slots(300)
    node.drops_sends = False
    ask(desk)
    sell_much(account, open_desk())
    lab.clock.pass_slots(1)
    assert best_offer(desk, order) < (first.min_amount_out_base or 0)

    become_due(order)
    assert retried(execute([order.id], desk=desk)) == [order.id]

    second = OrderAttempt.objects.get(order=order, number=2)
    assert (second.state, second.error_code) == (AttemptState.FAILED, "SLIPPAGE_EXCEEDED")
    assert Order.objects.get(id=order.id).min_amount_out_base == first.min_amount_out_base


@pytest.mark.parametrize("status", [Status.ROUTING, Status.BUILDING])
def test_a_crash_before_submitted_resumes_the_attempt(
    account: Account, desk: TradingDesk, status: Status
) -> None:
    order = place(account)
    claimed = claim(order)
    while claimed.status != status:
        (claimed,) = execution.step([claimed], desk=desk, done=Advanced())
    become_due(order)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    assert OrderAttempt.objects.filter(order=order).count() == 1


def test_a_crash_between_commit_and_send_sends_the_stored_bytes(
    account: Account, desk: TradingDesk
) -> None:
    desk, node = behind(desk)
    order = place(account)
    claimed = claim(order)
    stored = sign(claimed, desk=desk)
    assert node.sent == []
    become_due(order)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    assert node.sent == [stored.signed_bytes]


def test_a_crash_after_the_send_swaps_once(account: Account, desk: TradingDesk) -> None:
    desk, node = behind(desk)
    order = place(account)
    claimed = claim(order)
    sent = sign(claimed, desk=desk)
    settlement.send([sent], desk=desk)
    become_due(order)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY
    assert set(node.sent) == {sent.signed_bytes}


def test_a_worker_that_lost_its_lease_stops_before_it_sends(
    account: Account, desk: TradingDesk
) -> None:
    desk, node = behind(desk)
    order = place(account)
    slow = claim(order)
    become_due(order)
    execute([order.id], desk=desk)

    done = execution.advance([slow], desk=desk, held_since=desk.monotonic())

    assert (done.sents, done.retries) == ([], [])
    assert statuses(order) == ALL_THE_WAY
    assert len(node.sent) == 1


def test_an_answer_that_was_lost_is_asked_for(account: Account, desk: TradingDesk) -> None:
    desk, node = behind(desk)
    node.loses_answers = True
    order = place(account)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY


def test_ten_fruitless_claims_fail_the_order_as_stuck(account: Account, desk: TradingDesk) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(claims=execution.MAX_FRUITLESS_CLAIMS)

    execute([order.id], desk=desk)

    order.refresh_from_db()
    assert (order.status, order.error_code) == ("failed", "STUCK")


def test_a_submitted_order_is_never_stuck(account: Account, desk: TradingDesk) -> None:
    order = place(account)
    sign(claim(order), desk=desk)
    Order.objects.filter(id=order.id).update(claims=99)
    become_due(order)

    execute([order.id], desk=desk)

    assert statuses(order) == ALL_THE_WAY


def test_a_cancelled_order_is_not_executed(account: Account, desk: TradingDesk) -> None:
    order = place(account)
    intake.cancel_order(order.id, account_id=account.pk)

    execute([order.id], desk=desk)

    assert statuses(order) == ["pending", "cancelled"]


def due_in_s(order: Order) -> float:
    """How long the back-off was, from the event that began it."""
    assert order.due_at
    return (order.due_at - order.updated_at).total_seconds()


def ask(desk: TradingDesk) -> None:
    """What the pulse does."""
    waiting = inflight.here.waiting()
    settled = settlement.settle(waiting, desk=desk)
    kept = [sent.held for sent in settled.waiting]
    inflight.here.forget([sent.held for sent in waiting if sent.held not in kept])


def sell_much(account: Account, desk: TradingDesk) -> None:
    """Another order, that brings every pool's price down from the next slot on."""
    order = place(account, amount_in_base=40_000 * 10**9, slippage_bps=5_000)
    execute([order.id], desk=desk)
    assert statuses(order)[-1] == "confirmed"


def best_offer(desk: TradingDesk, order: Order) -> int:
    """What the venues would pay now."""
    swap = execution.swap_of(order)
    found = asyncio.run(collect(desk.venues.values(), [pairs_of(swap)], deadline_s=5))
    (answers,) = found.values()
    return decide(swap, answers, desk.terms(pairs_of(swap), answers)).route.amount_out_base
