"""Real workers while PostgreSQL is away, and while they are replaced under load."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from django.conf import settings
from django.db import connection

from orders.lifecycle import TERMINAL
from orders.models import Account, Order, OrderAttempt
from tests.engine import Worker, environment
from tests.factories import ALL_THE_WAY, place, statuses
from tests.outage_proxy import OutageProxy
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

STOPS_WITHIN_S = 10
AWAY_S = 2.0
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


class Load:
    """Places an order every few hundredths of a second, in a thread of its own, until it is stopped."""

    def __init__(self, account: Account) -> None:
        self.orders: list[Order] = []
        self._account = account
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._place)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _place(self) -> None:
        try:
            while not self._stopping.wait(0.03):
                self.orders.append(place(self._account))
        finally:
            connection.close()


def all_confirmed(orders: list[Order], *, timeout_s: float) -> None:
    ids = [order.id for order in orders]
    wait_until(
        lambda: Order.objects.filter(id__in=ids, status__in=TERMINAL).count() == len(ids),
        timeout_s=timeout_s,
        what="the end of the orders",
    )
    assert {tuple(statuses(order)) for order in orders} == {tuple(ALL_THE_WAY)}
    assert OrderAttempt.objects.filter(order_id__in=ids).count() == len(ids)


def some_are_under_way(orders: list[Order]) -> bool:
    ids = [order.id for order in list(orders)]
    return 0 < Order.objects.filter(id__in=ids, status__in=TERMINAL).count() < len(ids)


def freeze(proxy: OutageProxy) -> None:
    proxy.go_dark()
    time.sleep(AWAY_S)
    proxy.recover()


def vanish(proxy: OutageProxy) -> None:
    """Its address is taken over: whoever still waits for the old one waits for ever."""
    proxy.go_dark()
    time.sleep(AWAY_S)
    proxy.recover(leaves_old_in_the_dark=True)


def restart(proxy: OutageProxy) -> None:
    proxy.refuse()
    time.sleep(AWAY_S)
    proxy.recover()


@pytest.mark.parametrize(
    ("outage", "redis_url"),
    [(freeze, settings.REDIS_URL), (vanish, NO_REDIS), (restart, settings.REDIS_URL)],
    ids=["frozen", "vanished, without Redis", "restarted"],
)
def test_workers_go_on_when_postgresql_comes_back(
    account: Account, start_worker: Any, outage: Callable[[OutageProxy], None], redis_url: str
) -> None:
    """It is away for more than a lease and a worker's patience together: what was held is held no more."""
    with OutageProxy(environment()["DATABASE_URL"]) as proxy:
        env = {"DATABASE_URL": proxy.url, "REDIS_URL": redis_url, "DB_SILENCE_S": "0.6"}
        workers = [start_worker(**env, MOCK_SWAP_DELAY_MS="300") for _ in range(2)]
        with Load(account) as load:
            wait_until(lambda: some_are_under_way(load.orders), what="orders under way")
            outage(proxy)

        all_confirmed(load.orders, timeout_s=30)
        assert [worker.process.poll() for worker in workers] == [None, None]


def test_workers_replaced_one_after_the_other_cost_no_order_an_attempt_or_a_lease(
    account: Account, start_worker: Any
) -> None:
    env = {"MOCK_QUOTE_DELAY_MS": "100", "MOCK_SWAP_DELAY_MS": "500-1500", "LEASE_S": "3600"}
    leaving = [start_worker(**env) for _ in range(2)]
    with Load(account) as load:
        for worker in leaving:
            wait_until(lambda: some_are_under_way(load.orders), what="orders under way")
            begun = time.monotonic()
            worker.kill(signal.SIGTERM)
            assert worker.process.wait(STOPS_WITHIN_S * 2) == 0
            assert time.monotonic() - begun < STOPS_WITHIN_S
            start_worker(**env)

    all_confirmed(load.orders, timeout_s=30)  # nobody waits for an hour's lease
    released = [
        line for worker in leaving for line in worker.log.splitlines() if "released=" in line
    ]
    assert len(released) == 2


@pytest.mark.parametrize("database", ["DATABASE_URL", "CHAIN_DATABASE_URL"])
def test_a_worker_stops_in_time_while_a_database_says_nothing(
    account: Account, start_worker: Any, database: str
) -> None:
    with OutageProxy(environment()[database]) as proxy:
        worker = start_worker(**{database: proxy.url}, MOCK_SWAP_DELAY_MS="300")
        with Load(account) as load:
            wait_until(lambda: some_are_under_way(load.orders), what="orders under way")
            proxy.go_dark()
            begun = time.monotonic()
            worker.kill(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(STOPS_WITHIN_S * 3)
            took_s = time.monotonic() - begun
        proxy.recover()

    assert worker.process.poll() == 0
    assert took_s < STOPS_WITHIN_S
