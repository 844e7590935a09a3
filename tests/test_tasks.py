"""The hints: how many messages, and when each goes."""

import time
from collections.abc import Collection
from uuid import UUID

import pytest

from orders import execution, tasks
from orders.exchange import TradingDesk
from orders.models import Account, Order, new_order_id
from tests.factories import place


def test_many_retries_go_out_in_messages_of_a_batch_each_when_its_own_are_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[tuple[int, float]] = []

    def hint(order_ids: Collection[UUID], *, after_s: float = 0.0) -> None:
        sent.append((len(order_ids), after_s))

    monkeypatch.setattr(tasks, "hint", hint)
    delays_s = [float(n % 250) for n in range(0, 250 * 7, 7)]  # 0 to 249, in no order

    tasks.hint_retries([(new_order_id(), delay_s) for delay_s in delays_s])

    assert sent == [(execution.AT_ONCE, 99.0), (execution.AT_ONCE, 199.0), (50, 249.0)]


@pytest.mark.django_db(transaction=True)
def test_a_worker_looks_for_more_before_it_rests(
    account: Account, desk: TradingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "trading_desk", lambda: desk)
    monkeypatch.setattr(execution, "AT_ONCE", 1)
    hinted, *others = [place(account) for _ in range(3)]

    tasks.execute_orders([str(hinted.id)])

    assert set(Order.objects.values_list("fence", flat=True)) == {1}
    assert Order.objects.filter(status="pending").count() == 0
    assert len(others) == 2


def test_hints_are_gathered_for_longer_only_as_long_as_the_workers_are_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tasks, "_busy_until", tasks._busy_until)
    tasks.workers_are_behind(0.0)
    assert tasks._gather_s() == tasks.GATHER_S

    tasks.workers_are_behind(60.0)
    assert tasks._gather_s() == tasks.GATHER_BEHIND_S

    later = time.monotonic() + tasks.LONGEST_BUSY_S
    monkeypatch.setattr(tasks.time, "monotonic", lambda: later)
    assert tasks._gather_s() == tasks.GATHER_S
