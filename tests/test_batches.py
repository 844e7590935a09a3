"""Orders that go through the steps together: what they share, and that each keeps its own fate."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from orders import execution, intake, journal, leases, observe, quoting, steps, turns
from orders.exchange import TradingDesk
from orders.execution import Executed, execute
from orders.models import Account, Order, OrderAttempt
from routing.errors import Unavailable
from routing.tokens import SOL, USDC
from routing.transaction import parse
from tests.desks import behind
from tests.factories import ALL_THE_WAY, HOPELESS, become_due, claim, place, retried, sign, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_hundred_orders_go_through_the_steps_together(
    account: Account,
    desk: TradingDesk,
    django_assert_max_num_queries: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = [place(account) for _ in range(100)]
    prepared: list[str] = []  # which Django doesn't count
    for module in (leases, journal):
        monkeypatch.setattr(module, "fetch_prepared", counting(module.fetch_prepared, prepared))

    with django_assert_max_num_queries(2):
        done = execute([orders[0].id], room=99, desk=desk)

    assert len(prepared) == 5  # the claim, and one for each status
    assert done == Executed(claimed=100)
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}


def counting(fetch: Callable[..., Any], statements: list[str]) -> Callable[..., Any]:
    def counted(sql: str, *params: Any) -> Any:
        statements.append(sql)
        return fetch(sql, *params)

    return counted


def test_a_batch_is_simulated_in_one_call_and_so_within_its_lease(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, calls, late = [0.0], [], []
    simulate = desk.chain.simulate_many

    def slow(raws: Sequence[bytes]) -> Any:
        now[0] += 1.0
        calls.append(len(raws))
        return simulate(raws)

    monkeypatch.setattr(desk.chain, "simulate_many", slow)
    monkeypatch.setattr(observe, "lease_over", lambda **which: late.append(which))
    desk, node = behind(replace(desk, monotonic=lambda: now[0]))
    orders = [place(account) for _ in range(50)]

    execute([], room=50, desk=desk)

    assert (calls, late, len(node.sent)) == ([50], [], 50)
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}


def test_a_simulation_that_ends_badly_costs_only_its_own_order_an_attempt(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = place(account), place(account)
    simulate = desk.chain.simulate_many

    def one_is_bad(raws: Sequence[bytes]) -> Any:
        moved = Unavailable("SLIPPAGE_EXCEEDED", "the price moved")
        bad = [parse(raw).memo == f"{first.id}:1" for raw in raws]
        return [moved if bad else good for bad, good in zip(bad, simulate(raws), strict=True)]

    monkeypatch.setattr(desk.chain, "simulate_many", one_is_bad)

    done = execute([first.id, second.id], desk=desk)

    assert retried(done) == [first.id]
    assert OrderAttempt.objects.get(order=first, number=1).error_code == "SLIPPAGE_EXCEEDED"
    assert statuses(second) == ALL_THE_WAY


def test_simulations_that_nobody_answers_cost_an_attempt(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = place(account)

    def silent(raws: Sequence[bytes]) -> Any:
        raise Unavailable("RPC_TIMEOUT", "the node did not answer in time")

    monkeypatch.setattr(desk.chain, "simulate_many", silent)

    assert retried(execute([order.id], desk=desk)) == [order.id]


def test_however_many_are_hinted_no_step_takes_more_than_fit_at_once(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, step = [], execution.step

    def noted(orders: Sequence[Order], **outside: Any) -> Any:
        sizes.append(len(orders))
        return step(orders, **outside)

    monkeypatch.setattr(execution, "step", noted)
    orders = [place(account) for _ in range(250)]

    done = execute([order.id for order in orders], desk=desk)

    assert done.claimed == 250
    assert max(sizes) == execution.AT_ONCE
    assert Order.objects.filter(status="confirmed").count() == 250


def test_who_waits_for_its_turn_holds_no_connection(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, mine, held = place(account), turns.mine, []

    def noted() -> Any:
        held.append(connection.connection)
        return mine()

    monkeypatch.setattr(turns, "mine", noted)

    execute([order.id], desk=desk)

    assert held == [None]
    assert statuses(order) == ALL_THE_WAY


def test_each_of_a_group_has_its_own_fate(account: Account, desk: TradingDesk) -> None:
    good, hopeless = place(account), place(account, **HOPELESS)
    stuck, cancelled = place(account), place(account)
    Order.objects.filter(id=stuck.id).update(claims=execution.MAX_FRUITLESS_CLAIMS)
    intake.cancel_order(cancelled.id, account_id=account.pk)

    execute([good.id, hopeless.id, stuck.id, cancelled.id], desk=desk)

    assert statuses(good) == ALL_THE_WAY
    assert statuses(hopeless) == ["pending", "routing", "failed"]
    assert statuses(stuck) == ["pending", "failed"]
    assert statuses(cancelled) == ["pending", "cancelled"]


def test_an_order_that_has_cost_workers_their_lives_goes_last_and_alone(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly, *others = [place(account) for _ in range(4)]
    Order.objects.filter(id=deadly.id).update(claims=execution.SOUND_CLAIMS)
    build = steps._build

    def die(order: Order, *route: Any, **outside: Any) -> Any:
        if order.id == deadly.id:
            raise MemoryError  # as far as the others are concerned
        return build(order, *route, **outside)

    monkeypatch.setattr(steps, "_build", die)

    with pytest.raises(MemoryError):
        execute([deadly.id], room=9, desk=desk)

    assert {tuple(statuses(order)) for order in others} == {tuple(ALL_THE_WAY)}
    assert "submitted" not in statuses(deadly)


class Crash(BaseException):
    """The process dies; no code of its own runs after it."""


@pytest.mark.parametrize("death", [MemoryError, Crash])
@pytest.mark.parametrize("are_hinted", [True, False])
def test_suspects_behind_a_deadly_order_all_get_their_turn(
    account: Account,
    desk: TradingDesk,
    monkeypatch: pytest.MonkeyPatch,
    death: type[BaseException],
    are_hinted: bool,
) -> None:
    orders = [place(account) for _ in range(5)]
    deadly, *others = orders
    Order.objects.update(claims=execution.SOUND_CLAIMS)
    Order.objects.filter(id=deadly.id).update(due_at=timezone.now() - timedelta(minutes=1))
    build = steps._build

    def die(order: Order, *route: Any, **outside: Any) -> Any:
        if order.id == deadly.id:
            raise death
        return build(order, *route, **outside)

    monkeypatch.setattr(steps, "_build", die)
    hinted = [order.id for order in orders] if are_hinted else []

    with pytest.raises(death):
        execute(hinted, room=9, desk=desk)
    suspects = [execute(hinted, room=9, desk=desk).suspects for _ in range(5)]

    assert suspects == [1, 1, 1, 1, 0]
    assert {tuple(statuses(order)) for order in others} == {tuple(ALL_THE_WAY)}
    assert "submitted" not in statuses(deadly)


def test_a_batch_that_raises_stops_no_other_and_is_told(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "AT_ONCE", 1)
    orders, build, failed = [place(account) for _ in range(4)], steps._build, []

    def die(order: Order, *route: Any, **outside: Any) -> Any:
        if order.id in (orders[0].id, orders[2].id):
            raise ValueError(str(order.id))
        return build(order, *route, **outside)

    monkeypatch.setattr(steps, "_build", die)
    monkeypatch.setattr(observe, "execution_failed", lambda *, error: failed.append(str(error)))

    with pytest.raises(ValueError, match="-") as raised:
        execute([order.id for order in orders], desk=desk)

    assert {str(raised.value), *failed} == {str(orders[0].id), str(orders[2].id)}
    assert statuses(orders[1]) == statuses(orders[3]) == ALL_THE_WAY


def test_a_sent_order_that_cannot_be_read_is_told_and_stops_no_other(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unread: list[UUID] = []
    delisted, other = place(account, token_out="BONK"), place(account)
    for order in (delisted, other):
        sign(claim(order), desk=desk)
        become_due(order)
    monkeypatch.setattr(
        observe, "order_unreadable", lambda *, order_id, error: unread.append(order_id)
    )

    with monkeypatch.context() as listing:
        listing.setattr(quoting, "TOKENS", {"SOL": SOL, "USDC": USDC})
        execute([delisted.id, other.id], desk=desk)

    assert unread == [delisted.id]
    assert statuses(other) == ALL_THE_WAY
    delisted.refresh_from_db()
    assert (delisted.status, delisted.due_at is not None) == ("submitted", True)

    become_due(delisted)
    execute([delisted.id], desk=desk)

    assert statuses(delisted) == ALL_THE_WAY


def test_a_claim_takes_others_along_those_due_longest_first(
    account: Account, desk: TradingDesk
) -> None:
    hinted, young, old = (place(account) for _ in range(3))
    Order.objects.filter(id=old.id).update(due_at=timezone.now() - timedelta(minutes=1))

    execute([hinted.id], room=1, desk=desk)

    assert statuses(hinted) == statuses(old) == ALL_THE_WAY
    assert statuses(young) == ["pending"]
