"""The pulse's own decisions: what it hints, what it executes itself, and whose leases it keeps."""

import threading
from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings

from orders import execution, pulse, settlement, tasks
from orders.exchange import TradingDesk
from orders.inflight import InFlight
from orders.models import Account, Order
from orders.pulse import Pulse
from tests.desks import without
from tests.factories import claim, place, sign, statuses
from tests.routing.lab import ChainLab
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def alone(desk: TradingDesk, monkeypatch: pytest.MonkeyPatch, settings: LazySettings) -> Pulse:
    """The pulse of a process that no hint reaches."""
    settings.SWEEP_INTERVAL_S = 0
    monkeypatch.setattr(tasks, "hint_soon", lambda order_ids: None)
    return Pulse(desk=desk, held=InFlight())


def ends(status: str, orders: int) -> None:
    wait_until(
        lambda: Order.objects.filter(status=status).count() == orders,
        timeout_s=10,
        what=f"{orders} {status} orders",
    )


def test_a_sweep_goes_on_while_there_is_more(
    account: Account, alone: Pulse, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.WORKER_CONCURRENCY = 1
    monkeypatch.setattr(execution, "AT_ONCE", 10)
    for _ in range(25):
        place(account)

    alone.sweep()

    ends("confirmed", 25)


def test_a_stuck_redis_costs_one_hint_and_then_none_for_a_while(
    account: Account, desk: TradingDesk, alone: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[UUID] = []

    def stuck(order_ids: Collection[UUID], **_: Any) -> None:
        tried.extend(order_ids)
        raise TimeoutError

    monkeypatch.setattr(tasks, "hint", stuck)
    alone._desk = without(desk, "raydium", "meteora")  # so that a next attempt is to be hinted
    first = place(account)
    alone._execute_overdue()
    second = place(account)
    alone._execute_overdue()

    assert tried == [first.id]
    assert statuses(second)[-1] == "routing"


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
    sent = sign(claim(place(account)), desk=desk)
    now = [0.0]
    held = InFlight(monotonic=lambda: now[0])
    held.wait_for([sent])
    hanging = Pulse(desk=desk, held=held)
    threading.Thread(target=hanging.confirm, daemon=True).start()
    assert silent_chain.wait(10)

    assert hanging._renewable() == [sent.held]
    now[0] += pulse.LONGEST_ASK_S + 1
    assert hanging._renewable() == []
