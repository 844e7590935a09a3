"""Real workers: what they do with hints, without hints, without Redis, and when they die."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from django.conf import settings

from orders import tasks
from orders.exchange import simulation_config
from orders.lifecycle import TERMINAL
from orders.models import Account, Order, OrderAttempt
from routing.exchange import simulated_exchange
from tests.engine import Worker
from tests.factories import ALL_THE_WAY, place, statuses
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_worker(**env: str) -> Worker:
        workers.append(Worker(**env))
        return workers[-1]

    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete("celery")
    yield start_worker
    for worker in workers:
        worker.stop()


@pytest.fixture
def no_hints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hint of this process is lost."""
    monkeypatch.setattr(tasks, "hint_soon", lambda order_ids: None)


def ends(*orders: Order, timeout_s: float = 20) -> None:
    ids = [order.id for order in orders]
    wait_until(
        lambda: Order.objects.filter(id__in=ids, status__in=TERMINAL).count() == len(ids),
        timeout_s=timeout_s,
        what="the end of the orders",
    )


def test_a_hint_wakes_a_worker(account: Account, start_worker: Any) -> None:
    worker = start_worker(SWEEP_INTERVAL_S="3600")
    worker.says("ready.")

    order = place(account)

    ends(order)
    assert statuses(order) == ALL_THE_WAY


def test_without_any_hint_the_sweep_finds_the_orders(
    account: Account, start_worker: Any, no_hints: None
) -> None:
    orders = [place(account) for _ in range(20)]

    worker = start_worker()

    ends(*orders)
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}
    assert "Task orders.tasks.execute_orders" not in worker.log


def test_a_worker_that_never_saw_redis_executes_what_is_due(
    account: Account, start_worker: Any, no_hints: None
) -> None:
    start_worker(REDIS_URL=NO_REDIS)

    orders = [place(account) for _ in range(20)]

    ends(*orders)
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}


def test_when_a_worker_is_killed_with_swaps_on_the_wire_another_settles_them(
    account: Account, start_worker: Any
) -> None:
    killed = start_worker(MOCK_SWAP_DELAY_MS="1500")
    orders = [place(account) for _ in range(10)]
    wait_until(
        lambda: Order.objects.filter(status="submitted").count() == 10, what="ten submitted orders"
    )

    killed.kill()
    start_worker(MOCK_SWAP_DELAY_MS="1500")

    ends(*orders)
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}
    assert OrderAttempt.objects.count() == 10


def test_a_worker_that_is_stopped_hands_its_orders_over_at_once(
    account: Account, start_worker: Any
) -> None:
    slow_chain = {"MOCK_SWAP_DELAY_MS": "12000", "LEASE_S": "3600"}
    leaving = start_worker(**slow_chain)
    order = place(account)
    wait_until(
        lambda: Order.objects.get(id=order.id).status == "submitted", what="a submitted order"
    )
    start_worker(**slow_chain)

    leaving.kill(signal.SIGTERM)

    assert leaving.process.wait(10) == 0
    assert "released=1" in leaving.log
    ends(order)
    assert statuses(order) == ALL_THE_WAY
    assert OrderAttempt.objects.count() == 1


def test_a_worker_renews_the_leases_of_what_it_waits_for(
    account: Account, start_worker: Any
) -> None:
    start_worker(MOCK_SWAP_DELAY_MS="3000", LEASE_S="0.6")
    order = place(account)

    ends(order)

    order.refresh_from_db()
    assert order.fence == 1  # nobody else could claim it meanwhile
    assert statuses(order) == ALL_THE_WAY


def test_a_failing_market_is_retried_by_celery_until_the_order_fails_once(
    account: Account, start_worker: Any
) -> None:
    worker = start_worker(MOCK_FAULT_RATE="1", QUOTE_DEADLINE_MS="50", SWEEP_INTERVAL_S="3600")
    worker.says("ready.")

    order = place(account)

    ends(order, timeout_s=30)
    assert statuses(order) == ["pending", "routing", "routing", "routing", "routing", "failed"]
    assert Order.objects.get(id=order.id).error_code == "NO_QUOTE"


def test_a_faulty_world_costs_attempts_but_no_order_and_no_second_swap(
    account: Account, start_worker: Any
) -> None:
    start_worker(
        MOCK_FAULT_RATE="0.2",
        QUOTE_DEADLINE_MS="50",
        MOCK_SWAP_DELAY_MS="0-50",
        MOCK_BLOCKHASH_VALID_BLOCKS="10",
        MOCK_FINALITY_SLOTS="4",
    )
    # By the worker's rules: asked by others, the chain would land what expired in flight, and is proven dead.
    same_rules = replace(simulation_config(), blockhash_valid_blocks=10, finality_slots=4)
    outside = simulated_exchange(same_rules, settings.CHAIN_DATABASE_URL, pool_size=1)
    orders = [place(account, slippage_bps=500) for _ in range(20)]

    # One that landed with an error is proven dead 4 slots later, and its next attempt may be, too.
    ends(*orders, timeout_s=120)

    for order in orders:
        signatures = [a.signature for a in order.attempts.all() if a.signature]
        landed = [receipt for receipt in outside.chain.transactions(signatures) if receipt]
        swapped = [receipt for receipt in landed if receipt.error is None]
        told = [(attempt.state, attempt.proof) for attempt in order.attempts.all()]
        assert len(swapped) == (1 if statuses(order)[-1] == "confirmed" else 0), told
