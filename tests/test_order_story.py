"""What people are told of an order: a true sentence for every way that it can stand and end."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from orders import execution, inflight, intake, resolution, settlement
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.interventions import Intervention
from orders.journal import AttemptChange
from orders.lifecycle import TERMINAL, AttemptState, Status
from orders.models import Account, Order, OrderAttempt
from orders.story.outcome import Outcome, outcome
from orders.story.reasons import REASONS, reason_for
from tests.desks import Node, behind, listing_nothing, slow, without
from tests.factories import (
    HOPELESS,
    become_due,
    claim,
    let_quotes_expire,
    move,
    order_at,
    place,
    quoted,
    sign,
)
from tests.routing.lab import ChainLab

pytestmark = pytest.mark.django_db(transaction=True)

FOR_EVER = 151 + 33  # slots until a transaction signed now is expired, and that is final
Dropped = tuple[Sent, TradingDesk, Node]


@pytest.fixture
def dropped(account: Account, desk: TradingDesk) -> Dropped:
    """A committed transaction that the chain never hears of, and the node that drops it."""
    desk, node = behind(desk)
    node.drops_sends = True
    return sign(claim(place(account)), desk=desk), desk, node


def told(order: Order, *, later_s: float = 0) -> Outcome:
    """What its page would say, so many seconds from now."""
    order.refresh_from_db()
    now = timezone.now() + timedelta(seconds=later_s)
    attempts = list(order.attempts.order_by("number"))
    return outcome(order, attempts, list(order.events.order_by("seq")), now=now)


def execute(order: Order, desk: TradingDesk) -> Order:
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    return order


def tried_to_the_end(order: Order, desk: TradingDesk) -> Order:
    while execute(order, desk).status not in TERMINAL:
        become_due(order)
    return order


# --- On its way -------------------------------------------------------------------------------------------------------


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


def test_a_cancel_by_an_operator_names_who_and_why(account: Account) -> None:
    asked = Intervention(by="ada", reason="The client rang.")
    order = intake.cancel_order(place(account).id, account_id=account.pk, intervention=asked)

    sentence = told(order).sentence

    assert sentence.startswith("Cancelled by ada ")
    assert "before anything was sent (The client rang). Nothing was swapped." in sentence


def test_a_cancel_after_the_send_says_who_decides(dropped: Dropped, account: Account) -> None:
    sent, _, _ = dropped
    order = intake.cancel_order(sent.order_id, account_id=account.pk)

    assert "so the chain decides" in told(order).sentence


def in_doubt(dropped: Dropped, lab: ChainLab) -> Order:
    sent, desk, node = dropped
    node.first_available_slot = 10**9
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([sent], desk=desk)
    return Order.objects.get(id=sent.order_id)


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


# --- Confirmed --------------------------------------------------------------------------------------------------------


def test_a_swap_says_what_was_paid_where_how_fast_and_how_well(
    account: Account, desk: TradingDesk
) -> None:
    order = execute(place(account), desk)

    done = told(order)

    assert done.tone == "good"
    assert re.fullmatch(
        r"Sold 1\.5 SOL for [\d.]+ USDC on (Raydium|Meteora) in (no time|[\d.]+ s), at [\d.]+ USDC per SOL; "
        r"the best of \d ways that were compared, [\d.]+ USDC above the minimum\.",
        done.sentence,
    )


def test_a_divided_swap_says_by_how_much_that_was_better(
    account: Account, desk: TradingDesk
) -> None:
    order = execute(place(account, amount_in_base=20_000 * 10**9), desk)

    sentence = told(order).sentence

    assert "Sold 20,000 SOL for 2," in sentence
    assert re.search(r"[\d.]+ % better than the best single pool", sentence)


def test_a_swap_that_paid_its_minimum_says_so(account: Account) -> None:
    order = order_at(Status.CONFIRMED, account)
    order.min_amount_out_base = order.amount_out_base

    now = timezone.now()
    events = list(order.events.order_by("seq"))
    sentence = outcome(order, list(order.attempts.all()), events, now=now).sentence

    assert sentence.endswith("exactly the minimum.")


def test_a_swap_of_the_second_attempt_says_so(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), without(desk, "raydium", "meteora"))
    become_due(order)
    execute(order, desk)

    assert told(order).sentence.endswith("It took 2 attempts.")


def test_a_cancel_that_came_too_late_is_told(
    account: Account, lab: ChainLab, open_desk: Callable[..., TradingDesk]
) -> None:
    desk = open_desk(swap_delay_ms=(2000, 2000))
    order = execute(place(account), desk)
    intake.cancel_order(order.id, account_id=account.pk)
    lab.clock.pass_slots(6)
    settlement.settle(inflight.here.waiting(), desk=desk)
    settlement.settle(inflight.here.waiting(), desk=desk)

    assert told(order).sentence.endswith("but had landed: the swap won.")


def test_a_swap_of_a_token_that_is_not_listed_any_more_is_told_in_base_units(
    account: Account,
) -> None:
    order = order_at(Status.CONFIRMED, account, token_in="GONE")

    assert told(order).sentence.startswith(
        "Sold 1,500,000,000 base units of GONE for 0.000001 USDC"
    )


# --- Failed and cancelled ---------------------------------------------------------------------------------------------


def test_venues_that_are_down_are_no_quote_after_four_attempts(
    account: Account, desk: TradingDesk
) -> None:
    order = tried_to_the_end(place(account), without(desk, "raydium", "meteora"))

    failed = told(order)

    assert failed.tone == "bad"
    assert re.fullmatch(
        r"Failed after 4 attempts in [\d.]+ s: no venue gave a quote\. Nothing was swapped\. It can be placed again\.",
        failed.sentence,
    )


def test_venues_that_are_late_did_not_quote_in_time(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "QUOTE_DEADLINE_MS", 20)
    order = tried_to_the_end(place(account), slow(desk, 5.0))

    assert ": no venue quoted in time." in told(order).sentence


def test_what_would_fail_again_says_so_and_what_may_help(
    account: Account, desk: TradingDesk
) -> None:
    order = execute(place(account, **HOPELESS), desk)

    sentence = told(order).sentence

    assert "the amount is so small that every pool would pay nothing for it" in sentence
    assert sentence.endswith("The same order would fail again. Try a larger one.")


def test_a_pair_without_a_pool_says_so(account: Account, desk: TradingDesk) -> None:
    order = execute(place(account), listing_nothing(desk))

    assert "no venue has a pool for these tokens" in told(order).sentence


def test_an_order_that_kills_its_workers_asks_for_an_operator(
    account: Account, desk: TradingDesk
) -> None:
    order = place(account)
    Order.objects.filter(id=order.id).update(claims=execution.MAX_FRUITLESS_CLAIMS)
    execute(order, desk)

    assert "Tell an operator" in told(order).sentence


def test_an_order_whose_quote_expired_says_what_to_do(account: Account, desk: TradingDesk) -> None:
    issued = quoted(account, desk)
    order = place(account, quote_id=issued.id, slippage_bps=None)
    let_quotes_expire()
    execute(order, desk)

    sentence = told(order).sentence

    assert "its quote expired before a venue was chosen" in sentence
    assert "Ask for a new quote" in sentence


def test_a_transaction_that_landed_with_an_error_cost_its_fee(account: Account) -> None:
    order = order_at(Status.SUBMITTED, account)
    move(
        order,
        Status.FAILED,
        error_code="SLIPPAGE_EXCEEDED",
        error_message="The price moved.",
        error_retryable=True,
        attempt=AttemptChange(
            state=AttemptState.DEAD,
            error_code="SLIPPAGE_EXCEEDED",
            proof={"kind": "landed with an error"},
        ),
    )

    assert "only the network’s fee of 1 transaction was paid" in told(order).sentence


def end_by_hand(order: Order, *, amount_out_base: int | None, reason: str) -> None:
    """What one person proposes and another one confirms."""
    ada, grace = (User.objects.create_user(name) for name in ("ada", "grace"))
    proposed = resolution.propose(
        order.id, amount_out_base=amount_out_base, evidence="Block 7.", reason=reason, by=ada
    )
    resolution.confirm(proposed.pk, by=grace, reason="I saw it, too.")


def test_an_end_by_hand_names_who_and_why(dropped: Dropped, lab: ChainLab) -> None:
    order = in_doubt(dropped, lab)

    end_by_hand(order, amount_out_base=None, reason="The cluster is gone.")

    sentence = told(order).sentence
    assert sentence.startswith("Ended by ada and grace as a swap that never landed")
    assert "The cluster is gone. Nothing was swapped" in sentence


def test_a_swap_that_was_confirmed_by_hand_names_who_and_why(
    dropped: Dropped, lab: ChainLab
) -> None:
    order = in_doubt(dropped, lab)

    end_by_hand(order, amount_out_base=209_000_000, reason="It is there.")

    assert told(order).sentence.endswith(
        "ada and grace confirmed it by hand, because the chain could not: It is there."
    )


def test_a_cancel_before_the_send_swapped_nothing(account: Account) -> None:
    order = intake.cancel_order(place(account).id, account_id=account.pk)

    cancelled = told(order)

    assert cancelled.tone == "neutral"
    assert "before anything was sent. Nothing was swapped." in cancelled.sentence


def test_a_cancel_after_the_send_says_what_became_of_the_transaction(
    dropped: Dropped, account: Account, lab: ChainLab
) -> None:
    sent, desk, _ = dropped
    order = intake.cancel_order(sent.order_id, account_id=account.pk)
    lab.clock.pass_slots(FOR_EVER)
    settled = settlement.settle([sent], desk=desk)
    settlement.settle(settled.waiting, desk=desk)

    assert told(order).sentence.startswith("Cancelled as asked, in ")
    assert "it came to nothing: its transaction did not land in time" in told(order).sentence


def test_a_cancel_that_an_operator_decided_says_so(
    dropped: Dropped, account: Account, lab: ChainLab
) -> None:
    order = in_doubt(dropped, lab)
    intake.cancel_order(order.id, account_id=account.pk)

    end_by_hand(order, amount_out_base=None, reason="Gone.")

    assert told(order).sentence.startswith(
        "Cancelled: ada and grace ended it as a swap that never landed."
    )


# --- Always -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_sentence(account: Account, status: Status) -> None:
    sentence = told(order_at(status, account)).sentence

    assert sentence.endswith(".")
    assert not re.search(r"None|undefined|\{|\}|  ", sentence)


@pytest.mark.parametrize("code", REASONS)
@pytest.mark.parametrize("retryable", [True, False])
def test_every_code_ends_a_sentence_that_says_what_can_be_done(
    account: Account, code: str, retryable: bool
) -> None:
    order = order_at(Status.BUILDING, account)
    move(
        order, Status.FAILED, error_code=code, error_message="Why.", error_retryable=retryable,
        attempt=AttemptChange(state=AttemptState.FAILED, error_code=code, error_message="Why."),
    )  # fmt: skip

    sentence = told(order).sentence

    assert f": {REASONS[code].words}. Nothing was swapped. " in sentence
    assert sentence.endswith(".")
    assert ("The same order would fail again." in sentence) is not retryable


def test_every_code_that_the_engine_raises_has_words() -> None:
    raised = re.compile(
        r"""(?:Unavailable|Rejected|FateUnknown|Effect|_ended)\(\s*"([A-Z_]+)"|error_code="([A-Z_]+)\""""
    )
    sources = [
        path
        for package in ("routing", "orders")
        for path in (Path(settings.BASE_DIR) / package).rglob("*.py")
    ]
    codes = {
        next(filter(None, found.groups()))
        for path in sources
        for found in raised.finditer(path.read_text())
    }

    assert len(codes) > 20
    assert codes - set(REASONS) == set()


def test_a_code_that_nobody_wrote_words_for_has_its_own_sentence() -> None:
    assert reason_for("NEW", "The moon is full.").words == "the moon is full"
    assert reason_for("NEW", "").words == "it ended with NEW"
