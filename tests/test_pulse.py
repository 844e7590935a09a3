"""The pulse's own decisions: what it hints, what it executes itself, and whose leases it keeps."""

import threading
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings

from orders import background, execution, leases, observe, pulse, settlement, tasks
from orders.exchange import TradingDesk
from orders.inflight import InFlight
from orders.lifecycle import Status
from orders.models import Account, Order
from orders.pulse import Pulse
from tests.desks import without
from tests.factories import HOPELESS, claim, order_at, place, sign, statuses
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


def test_a_sweep_goes_on_while_there_are_suspects(account: Account, alone: Pulse) -> None:
    for _ in range(5):
        place(account)
    Order.objects.update(claims=execution.SOUND_CLAIMS)

    alone._execute_overdue()

    ends("confirmed", 5)


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


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """What the renewal says to be lost."""
    lost: list[UUID] = []
    monkeypatch.setattr(observe, "lease_lost", lambda *, order_ids: lost.extend(order_ids))
    return lost


def test_an_order_that_ends_before_the_rest_of_its_batch_is_not_lost(
    account: Account, alone: Pulse, lost: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    hopeless = order_at(Status.ROUTING, account, **HOPELESS)
    leases.release([(hopeless.id, hopeless.fence)])
    slow = place(account)
    run = background.run

    def held_up(*asked: Any, **options: Any) -> Any:
        quotes = run(*asked, **options)
        for _ in range(3):
            alone.renew()
        return quotes

    monkeypatch.setattr(background, "run", held_up)

    execution.execute([hopeless.id, slow.id], desk=alone._desk, held=alone._held)

    assert statuses(hopeless)[-1] == "failed"
    assert statuses(slow)[-1] == "confirmed"
    assert lost == []


def test_an_order_whose_fate_is_known_before_the_others_were_asked_for_is_not_lost(
    account: Account, alone: Pulse, lost: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert alone._desk
    sents = [sign(claim(place(account)), desk=alone._desk) for _ in range(2)]
    settlement.send(sents, desk=alone._desk)
    alone._held.wait_for(sents)
    monkeypatch.setattr(settlement, "MAX_SIGNATURES_PER_CALL", 1)
    ask = alone._desk.chain.statuses

    def slow(signatures: Sequence[str], **options: Any) -> Any:
        for _ in range(3):
            alone.renew()
        return ask(signatures, **options)

    monkeypatch.setattr(alone._desk.chain, "statuses", slow)

    alone.confirm()

    assert {statuses(sent.order_id)[-1] for sent in sents} == {"confirmed"}
    assert (lost, alone._held.held()) == ([], [])


def test_a_lease_that_somebody_else_took_is_lost_and_let_go(
    account: Account, alone: Pulse, lost: list[UUID]
) -> None:
    assert alone._desk
    taken, kept = (sign(claim(place(account)), desk=alone._desk) for _ in range(2))
    alone._held.wait_for([taken, kept])
    leases.release([taken.held])

    for _ in range(3):
        alone.renew()

    assert lost == [taken.order_id]
    assert alone._held.held() == [kept.held]


def test_an_end_that_was_written_a_moment_ago_is_no_loss(
    account: Account, alone: Pulse, lost: list[UUID]
) -> None:
    assert alone._desk
    sent = sign(claim(place(account)), desk=alone._desk)
    settlement.send([sent], desk=alone._desk)
    alone._held.wait_for([sent])
    settlement.settle([sent], desk=alone._desk)  # whose writer has yet to let go

    alone.renew()

    assert lost == []
