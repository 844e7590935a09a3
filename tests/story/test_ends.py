"""What people are told of how an order ended, by itself or by hand."""

import re
from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from orders import execution, inflight, intake, resolution, settlement
from orders.exchange import TradingDesk
from orders.interventions import Intervention
from orders.journal import AttemptChange
from orders.lifecycle import AttemptState, Status
from orders.models import Account, Order
from orders.story.outcome import outcome
from tests.desks import listing_nothing, slow, without
from tests.factories import (
    HOPELESS,
    become_due,
    let_quotes_expire,
    move,
    order_at,
    place,
    quoted,
)
from tests.routing.lab import ChainLab
from tests.story.telling import FOR_EVER, Dropped, execute, in_doubt, told, tried_to_the_end

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_cancel_by_an_operator_names_who_and_why(account: Account) -> None:
    asked = Intervention(by="ada", reason="The client rang.")
    order = intake.cancel_order(place(account).id, account_id=account.pk, intervention=asked)

    sentence = told(order).sentence

    assert sentence.startswith("Cancelled by ada ")
    assert "before anything was sent (The client rang). Nothing was swapped." in sentence


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
