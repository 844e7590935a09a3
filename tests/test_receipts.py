"""What an attempt's decision rested on, kept so that it can be made again; and what a fill cost, to the base unit."""

import asyncio
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import DatabaseError

from orders import execution, receipts
from orders.exchange import TradingDesk
from orders.lifecycle import Status
from orders.models import Account, Order, OrderAttempt, PoolState
from orders.quoting import legs_as_json, quotes_as_json
from orders.receipts import StateMissing, execution_cost, remade
from routing.answers import collect
from routing.router import decide, pairs_of
from routing.tokens import SOL, TOKENS, USDC
from routing.venue import Swap
from tests.desks import OpenDesk, listing_nothing, without
from tests.factories import ALL_THE_WAY, become_due, order_at, place, retried, statuses
from tests.routing.lab import ChainLab

pytestmark = pytest.mark.django_db(transaction=True)


def executed(account: Account, desk: TradingDesk, **wishes: Any) -> tuple[Order, OrderAttempt]:
    order = place(account, **wishes)
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    assert statuses(order) == ALL_THE_WAY
    return order, OrderAttempt.objects.get(order=order)


def divided(account: Account, desk: TradingDesk) -> tuple[Order, OrderAttempt]:
    """20,000 SOL: more than one pool should take."""
    order, attempt = executed(account, desk, amount_in_base=20_000 * 10**9)
    assert attempt.receipt and len(attempt.receipt["legs"]) > 1
    return order, attempt


def over_a_hub(account: Account, desk: TradingDesk) -> tuple[Order, OrderAttempt]:
    order, attempt = executed(
        account, desk, token_in="JUP", token_out="BONK", amount_in_base=10_000 * 10**6
    )
    assert attempt.receipt and {leg["hop"] for leg in attempt.receipt["legs"]} == {1, 2}
    return order, attempt


def explained(order: Order, *args: str) -> str:
    out = StringIO()
    call_command("explain", str(order.id), *args, stdout=out, no_color=True)
    return out.getvalue()


@pytest.fixture(autouse=True)
def on_the_lab(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command restores states through the venues of the tests' chain: they are the same everywhere."""
    monkeypatch.setattr("orders.management.commands.explain.exchange", lambda: desk)


@pytest.mark.parametrize("way", [executed, divided, over_a_hub])
def test_a_decision_can_be_made_again_to_the_base_unit(
    way: Any, account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    order, attempt = way(account, desk)
    lab.clock.pass_slots(1_000)  # the market goes on, the receipt does not

    again = remade(order, attempt, desk.venues)

    assert quotes_as_json(again.candidates, again.swap) == attempt.quotes
    assert attempt.receipt and legs_as_json(again.route) == attempt.receipt["legs"]
    assert "agrees to the base unit" in explained(order)


@pytest.mark.parametrize("way", [executed, divided, over_a_hub])
def test_a_fills_cost_is_told_apart_and_adds_up_to_the_base_unit(
    way: Any, account: Account, desk: TradingDesk
) -> None:
    order, attempt = way(account, desk)
    token_out = TOKENS[order.token_out]
    assert attempt.receipt and attempt.amount_out_base

    cost = execution_cost(attempt.receipt, token_out, int(attempt.amount_out_base))

    assert cost.reference_base - cost.received_base == (
        cost.spread_base
        + cost.fee_base
        + cost.price_impact_base
        - cost.improvement_base
        + cost.drift_base
        + cost.network_fee_base
    )
    assert cost.received_base == attempt.amount_out_base - cost.network_fee_base
    decision = remade(order, attempt, desk.venues)
    assert cost.reference_base == decision.reference_base
    assert cost.drift_base == 0, "it landed in the slot that it was quoted in"
    assert min(cost.fee_base, cost.network_fee_base) > 0
    assert cost.improvement_base >= 0
    assert (cost.improvement_base > 0) == (len(decision.route.legs) > len(decision.plain.legs))


def test_drift_is_what_the_pools_moved_between_the_quote_and_the_landing(
    account: Account, lab: ChainLab, open_desk: OpenDesk
) -> None:
    desk = open_desk(swap_delay_ms=(4_000, 4_000))
    order = place(account, slippage_bps=500)
    execution.execute([order.id], desk=desk)
    lab.clock.pass_slots(11)
    sent = execution.inflight.here.waiting()
    execution.settlement.settle(sent, desk=desk)
    order.refresh_from_db()
    attempt = OrderAttempt.objects.get(order=order)
    assert attempt.receipt and attempt.amount_out_base

    cost = execution_cost(attempt.receipt, USDC, int(attempt.amount_out_base))

    quoted = remade(order, attempt, desk.venues).route.amount_out_base
    assert cost.drift_base == quoted - attempt.amount_out_base != 0


def test_a_divided_order_is_one_transaction_of_all_its_legs(
    account: Account, desk: TradingDesk
) -> None:
    order, attempt = divided(account, desk)
    assert attempt.receipt

    (landed,) = desk.chain.transactions([order.tx_hash])

    assert landed
    assert landed.venue.split("+") == list(
        dict.fromkeys(leg["venue"] for leg in attempt.receipt["legs"])
    )
    assert landed.pool.split("+") == [leg["pool"] for leg in attempt.receipt["legs"]]
    assert attempt.pool == landed.pool
    assert order.selected_dex == landed.venue
    best = max(
        (q for q in attempt.quotes if len(q.get("pools", [])) == 1),
        key=lambda q: float(q["netAmountOut"]),
    )
    assert float(attempt.receipt["amountOut"]) > float(best["amountOut"])


def test_a_crash_after_the_decision_builds_what_was_decided(
    account: Account, desk: TradingDesk
) -> None:
    order, attempt = divided(account, desk)
    assert attempt.receipt

    legs = receipts.legs_of(OrderAttempt.objects.get(id=attempt.id).receipt or {})

    assert [leg.terms.pool for leg in legs] == [leg["pool"] for leg in attempt.receipt["legs"]]
    assert sum(leg.terms.swap.amount_in_base for leg in legs) == order.amount_in_base


def test_states_are_kept_once_per_pool_and_slot(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    first, _ = executed(account, desk)
    kept = PoolState.objects.count()
    executed(account, desk)
    receipts.known.clear()  # another process
    executed(account, desk)
    assert PoolState.objects.count() == kept > 0

    lab.clock.pass_slots(1)
    executed(account, desk)

    assert PoolState.objects.count() == 2 * kept
    assert "agrees" in explained(first)


def test_a_kept_state_can_not_be_changed(account: Account, desk: TradingDesk) -> None:
    executed(account, desk)

    with pytest.raises(DatabaseError, match="Cannot update"), transaction.atomic():
        PoolState.objects.update(slot=1)


def test_a_failed_venue_is_a_part_of_the_receipt(account: Account, desk: TradingDesk) -> None:
    order, attempt = executed(account, without(desk, "meteora"))
    assert attempt.receipt

    told = {each["venue"]: each for each in attempt.receipt["venues"]}

    assert told["meteora"]["error"]["code"] == "VENUE_DOWN"
    assert told["raydium"]["pools"] and told["raydium"]["slot"]
    assert "agrees" in explained(order)


def test_a_state_that_is_gone_or_was_tampered_with_is_told(
    account: Account, desk: TradingDesk
) -> None:
    order, attempt = divided(account, desk)
    assert attempt.receipt
    pool = attempt.receipt["legs"][0]["pool"]
    row = PoolState.objects.get(pool=pool)
    state = row.state
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_poolstate DISABLE TRIGGER USER")
        for name, value in state.items():
            if name.startswith("reserve"):
                state[name] = str(int(value) * 2)
            elif name.startswith("bins"):
                state[name] = [str(int(amount) * 2) for amount in value]
        PoolState.objects.filter(id=row.id).update(state=state)

    with pytest.raises(CommandError, match="Not every decision"):
        explained(order)
    PoolState.objects.filter(id=row.id).delete()
    with pytest.raises(StateMissing, match=pool):
        remade(order, attempt, desk.venues)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE orders_poolstate ENABLE TRIGGER USER")


def test_an_order_without_a_decision_says_so(account: Account, desk: TradingDesk) -> None:
    waiting, nowhere = place(account), place(account)
    execution.execute([nowhere.id], desk=listing_nothing(desk))

    assert "no attempt yet" in explained(waiting)
    assert "There is no receipt" in explained(nowhere)


def test_explaining_says_which_argument_is_wrong(account: Account) -> None:
    order = place(account)
    with pytest.raises(CommandError, match="ORDER: 'x' is no order id"):
        call_command("explain", "x")
    with pytest.raises(CommandError, match="ORDER: there is no order"):
        call_command("explain", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(CommandError, match=r"--attempt: .* has no attempt 7"):
        explained(order, "--attempt", "7")


def test_a_swap_moves_its_pools_for_the_next_and_they_recover(
    account: Account, desk: TradingDesk, lab: ChainLab
) -> None:
    swap = Swap(SOL, USDC, 10**9)

    def offer() -> int:
        found = asyncio.run(collect(desk.venues.values(), [pairs_of(swap)], deadline_s=5))
        (answers,) = found.values()
        terms = desk.terms(pairs_of(swap), answers)
        plain = [
            c.route.amount_out_base for c in decide(swap, answers, terms).candidates if c.route
        ]
        return sum(plain)

    before = offer()
    divided(account, desk)
    in_its_slot = offer()
    lab.clock.pass_slots(1)
    after = offer()
    lab.clock.pass_slots(30)
    later = offer()

    assert in_its_slot == before, "a slot's transactions land together"
    assert after < before * 0.999
    assert abs(later - before) < abs(after - before) / 2


def test_an_attempt_whose_route_is_not_known_any_more_is_made_anew(
    account: Account, desk: TradingDesk
) -> None:
    order = order_at(Status.BUILDING, account)
    become_due(order)

    assert retried(execution.execute([order.id], desk=desk)) == [order.id]

    assert OrderAttempt.objects.get(order=order, number=1).error_code == "NO_RECEIPT"
