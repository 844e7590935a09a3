"""What people are told of an order that has not ended: what is done, since when, and what comes next."""

import pytest
from django.utils import timezone

from orders import intake, settlement
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt
from tests.desks import without
from tests.factories import (
    order_at,
    place,
)
from tests.routing.lab import ChainLab
from tests.story.telling import Dropped, execute, in_doubt, told

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_order_that_was_just_accepted_waits_for_a_worker(account: Account) -> None:
    pending = told(place(account))

    assert (pending.tone, pending.sentence) == (
        "busy",
        "Accepted and stored; a worker takes it up next.",
    )
    assert [(timer.label, timer.tail) for timer in pending.timers] == [("Placed", "ago")]


def test_an_order_that_nobody_takes_up_says_so(account: Account) -> None:
    alone = told(place(account), later_s=60)

    assert alone.tone == "warn"
    assert "Nobody works on it now" in alone.sentence
    assert "Nothing was sent." in alone.sentence
    assert alone.timers[0].label == "Left alone for"
    assert alone.timers[0].shown in ("59 s", "1 min")


def test_routing_and_building_say_what_is_done(account: Account) -> None:
    assert told(order_at(Status.ROUTING, account)).sentence.startswith("Asking the venues")
    assert "nothing was sent yet" in told(order_at(Status.BUILDING, account)).sentence


def test_building_names_the_choice_and_its_offer(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), desk)
    chosen = OrderAttempt.objects.get(order=order)
    assert chosen.receipt
    other = order_at(Status.BUILDING, account)
    OrderAttempt.objects.filter(order=other).update(receipt=chosen.receipt)
    Order.objects.filter(id=other.id).update(selected_dex=chosen.venue)

    offer = chosen.receipt["amountOut"]
    assert f"which offers {offer} USDC" in told(other).sentence


def test_between_two_attempts_the_sentence_says_why_and_the_timer_when(
    account: Account, desk: TradingDesk
) -> None:
    order = execute(place(account), without(desk, "raydium", "meteora"))

    waiting = told(order)

    assert waiting.sentence == (
        "Attempt 1 came to nothing: no venue gave a quote; nothing was sent. Attempt 2 of at most 4 follows."
    )
    (timer,) = waiting.timers
    assert (timer.label, timer.until) == ("Begins in", order.due_at)


def test_after_the_back_off_the_attempt_is_counted(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), without(desk, "raydium", "meteora"))

    assert told(order, later_s=1.5).sentence == (
        "Attempt 2 of at most 4. Asking the venues, and comparing what they offer. "
        "Attempt 1 came to nothing: no venue gave a quote; nothing was sent."
    )


def test_what_was_sent_says_until_when_it_may_land(dropped: Dropped) -> None:
    sent, _, _ = dropped

    submitted = told(Order.objects.get(id=sent.order_id))

    assert submitted.tone == "busy"
    assert submitted.sentence == (
        f"Sent as {sent.signature[:4]}…{sent.signature[-4:]}; the chain has not answered yet. "
        f"It may still land until block height {sent.last_valid_block_height:,}."
    )
    assert submitted.timers[0].label == "Sent"


def test_a_cancel_after_the_send_says_who_decides(dropped: Dropped, account: Account) -> None:
    sent, _, _ = dropped
    order = intake.cancel_order(sent.order_id, account_id=account.pk)

    assert "so the chain decides" in told(order).sentence


def test_a_doubt_says_its_reason_since_when_and_when_the_next_look_is(
    dropped: Dropped, lab: ChainLab
) -> None:
    order = in_doubt(dropped, lab)

    doubt = told(order, later_s=90)

    assert doubt.tone == "warn"
    assert doubt.sentence.startswith("The outcome can't be known yet. The node has no history")
    assert "nothing else is sent for this order" in doubt.sentence
    since, look, sent = doubt.timers
    assert (since.since, since.shown) == (order.in_doubt_since, "1 min 30 s")
    assert look.until and look.every_s == settlement.ASK_AGAIN_S
    ahead_s = (look.until - timezone.now()).total_seconds() - 90
    assert -1 < ahead_s <= settlement.ASK_AGAIN_S
    assert sent.label == "Sent"


def test_a_doubt_that_ended_is_told_no_more(
    dropped: Dropped, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, desk, node = dropped
    node.is_down = True
    monkeypatch.setattr(settlement, "DOUBT_AFTER_SILENCE_S", 0.0)
    settlement.settle([sent], desk=desk)
    order = Order.objects.get(id=sent.order_id)
    assert told(order).tone == "warn"

    node.is_down = False
    settlement.settle([sent], desk=desk)

    assert "may still land" in told(order).sentence
