"""The hints: how many messages, and when each goes."""

from collections.abc import Collection
from uuid import UUID

import pytest

from orders import execution, tasks
from orders.models import new_order_id


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
