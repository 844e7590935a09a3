"""Cancelling against execution: whoever is first, the order ends once and swaps at most once."""

import math
import time
from collections import Counter
from functools import partial
from random import Random

import pytest
from django.db import connection

from orders import execution, inflight, intake, settlement
from orders.exchange import TradingDesk
from orders.models import Account, Order
from tests.factories import new_order, place, statuses
from tests.routing.lab import together

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cancel_that_races_execution_never_yields_both_in_a_thousand_races(
    account: Account, desk: TradingDesk
) -> None:
    dice = Random(1)
    ends: Counter[str] = Counter()

    for _ in range(1_000):
        order = place(account)
        head_start_s = dice.uniform(0, 0.03)  # about as long as an execution takes

        together([partial(execute, order, desk), partial(cancel, order, head_start_s)])

        # A cancel that came between sending and asking made the worker ask again, later: now.
        waiting = inflight.here.waiting()
        settlement.settle(waiting, desk=desk)
        inflight.here.forget([sent.held for sent in waiting])
        order.refresh_from_db()
        ends[order.status] += 1
        signatures = [attempt.signature for attempt in order.attempts.all() if attempt.signature]
        landed = [receipt for receipt in desk.chain.transactions(signatures) if receipt]
        assert len(landed) == (order.status == "confirmed"), statuses(order)

    # Both ends were seen often, and no third.
    assert set(ends) == {"cancelled", "confirmed"}
    assert min(ends.values()) > 50


@pytest.mark.parametrize(
    ("orders", "behind_s", "left_s", "waits_s"),
    [
        (intake.A_CROWD, 0.05, math.inf, 0.0),
        (intake.A_CROWD, 0.15, math.inf, 0.05),
        (intake.A_CROWD, 60.0, math.inf, intake.LONGEST_PAUSE_S),
        (intake.A_CROWD, 60.0, 0.1, 0.05),
        (intake.A_CROWD, 60.0, -0.1, 0.0),
        (intake.A_CROWD - 1, 60.0, math.inf, None),
    ],
)
def test_a_crowd_waits_for_what_the_workers_are_behind_and_a_lone_order_never(
    account: Account,
    orders: int,
    behind_s: float,
    left_s: float,
    waits_s: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(intake.leases, "behind_s", lambda within_s: behind_s)
    monkeypatch.setattr(intake, "time_left_s", lambda: left_s)
    monkeypatch.setattr(intake.time, "sleep", waited.append)

    intake._accept([new_order(account) for _ in range(orders)])

    assert waited == ([] if waits_s is None else [pytest.approx(waits_s)])
    assert Order.objects.count() == orders


def test_a_cancel_is_safe_to_repeat(account: Account) -> None:
    order = place(account)

    for _ in range(2):
        assert intake.cancel_order(order.id, account_id=account.pk).status == "cancelled"

    assert statuses(order) == ["pending", "cancelled"]


def execute(order: Order, desk: TradingDesk) -> None:
    try:
        execution.execute([order.id], desk=desk)
    finally:
        connection.close()


def cancel(order: Order, after_s: float) -> None:
    time.sleep(after_s)
    try:
        intake.cancel_order(order.id, account_id=order.account_id)
    except intake.AlreadyFinal:
        pass
    finally:
        connection.close()
