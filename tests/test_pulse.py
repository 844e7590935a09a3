"""The pulse's own decisions: what it hints, what it executes itself, and whose leases it keeps."""

import threading
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings

from orders import execution, leases, pulse, settlement, tasks
from orders.exchange import TradingDesk
from orders.inflight import InFlight
from orders.models import Account, Order
from orders.pulse import Pulse
from tests.factories import place
from tests.routing.lab import ChainLab
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    hinted: list[UUID] = []
    monkeypatch.setattr(tasks, "hint_soon", lambda order_id: None)
    monkeypatch.setattr(tasks, "hint", lambda order_id, **_: hinted.append(order_id))
    return hinted


@pytest.fixture
def due_at_once(settings: LazySettings) -> None:
    settings.SWEEP_INTERVAL_S = 0


def test_a_sweep_goes_on_while_there_is_more(
    account: Account, hints: list[UUID], due_at_once: None, settings: LazySettings
) -> None:
    settings.WORKER_CONCURRENCY = 1  # ten at a time
    orders = [place(account) for _ in range(25)]

    Pulse().sweep()

    assert sorted(hints) == sorted(order.id for order in orders)


def test_a_stuck_redis_costs_one_hint_and_the_pulse_executes_itself(
    account: Account, desk: TradingDesk, due_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[UUID] = []

    def stuck(order_id: UUID, **_: Any) -> None:
        tried.append(order_id)
        raise TimeoutError

    monkeypatch.setattr(tasks, "hint_soon", lambda order_id: None)
    monkeypatch.setattr(tasks, "hint", stuck)
    for _ in range(3):
        place(account)
    alone = Pulse(desk=desk, held=InFlight())

    alone.sweep()

    wait_until(
        lambda: Order.objects.filter(status="confirmed").count() == 3,
        timeout_s=10,
        what="the end of the orders",
    )
    alone.stop()
    assert len(tried) == 1


@pytest.fixture
def silent_chain(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Asking the chain begins, and never ends while the test runs."""
    began, end = threading.Event(), threading.Event()

    def ask(*_: Any, **__: Any) -> Any:
        began.set()
        end.wait(10)
        return settlement.Settled()

    monkeypatch.setattr(settlement, "settle", ask)
    yield began
    end.set()


def test_asking_that_hangs_lets_others_take_over(
    account: Account, desk: TradingDesk, lab: ChainLab, silent_chain: threading.Event
) -> None:
    order = leases.claim(place(account).id, holder="tests")
    assert order
    sent = execution.advance(order, desk=desk, held_since=desk.monotonic())
    assert sent
    now = [0.0]
    held = InFlight(monotonic=lambda: now[0])
    held.wait_for([sent])
    hanging = Pulse(desk=desk, held=held)
    threading.Thread(target=hanging.confirm, daemon=True).start()
    assert silent_chain.wait(10)

    assert hanging._renewable() == [sent.held]
    now[0] += pulse.LONGEST_ASK_S + 1
    assert hanging._renewable() == []
