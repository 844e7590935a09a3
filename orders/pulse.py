"""Each worker's pulse: asks the chain for what this process sent, renews its leases, executes what is overdue, and
looks after the venues.

It needs PostgreSQL only. What no hint moves, and so everything while Redis is away, it executes in threads of its own,
as many as the worker has.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from django.conf import settings
from django.db import connection

from config.postgres.patience import answering_within
from orders import execution, inflight, leases, observe, settlement, tasks, turns
from orders.exchange import TradingDesk, trading_desk
from orders.inflight import InFlight
from orders.leases import Held
from orders.retries import Retry

ASK_EVERY_S = 0.2
WATCH_EVERY_S = 1.0

# After a hint that failed, none is tried for so long: a Redis that is stuck would cost each its time-out.
REDIS_PAUSE_S = 5.0
# What waits for the chain is renewed while it is asked for. Asking that hangs lets others take over.
LONGEST_ASK_S = 60.0

# For each half of stopping: waiting for the threads, and giving the leases back.
STOP_S = 2.0


class Pulse:
    """Four loops, each in a thread of its own, so that a slow chain can't cost a lease."""

    def __init__(self, *, desk: TradingDesk | None = None, held: InFlight | None = None) -> None:
        """`desk` and `held` are this process's own, unless said otherwise."""
        self._desk = desk
        self._held = held or inflight.here
        self._stopping = threading.Event()
        self._takes_more = True
        self._threads: list[threading.Thread] = []
        self._own_threads = ThreadPoolExecutor(
            settings.WORKER_CONCURRENCY, thread_name_prefix="pulse-execute"
        )
        self._own: list[Future[None]] = []
        self._asking_since: float | None = None
        self._missing: set[Held] = set()  # what the last renewal did not find to be ours
        self._no_hints_until = float("-inf")

    def start(self) -> None:
        for beat, interval_s in (
            (self.confirm, lambda: ASK_EVERY_S),
            (self.renew, lambda: settings.LEASE_S / 3),
            (self.sweep, lambda: settings.SWEEP_INTERVAL_S * random.uniform(0.75, 1.25)),
            (self.watch_venues, lambda: WATCH_EVERY_S * random.uniform(0.75, 1.25)),
        ):
            thread = threading.Thread(
                target=self._repeat, args=[beat, interval_s], name=f"pulse-{beat.__name__}"
            )
            thread.daemon = True
            thread.start()
            self._threads.append(thread)
        observe.pulse_started(holder=execution.HOLDER)

    def take_no_more(self) -> None:
        """What is held goes on, nothing else is begun here. A signal handler may call it."""
        self._takes_more = False

    def stop(self) -> None:
        """Hand over what is still held: due at once, for whoever claims it."""
        self._stopping.set()
        self.take_no_more()
        self._own_threads.shutdown(wait=False, cancel_futures=True)
        join_until = time.monotonic() + STOP_S
        wait(self._own, timeout=STOP_S)
        for thread in self._threads:
            thread.join(timeout=max(0.0, join_until - time.monotonic()))
        try:
            with answering_within(STOP_S):
                released = leases.release(self._held.held())
            observe.pulse_stopped(released=len(released))
        except (
            Exception
        ) as error:  # the process's edge: without PostgreSQL the leases end by themselves
            observe.pulse_failed(task="release", error=error)

    def confirm(self) -> None:
        """Ask for every transaction that this process waits for."""
        waiting = self._held.waiting()
        if not waiting:
            return
        self._asking_since = self._held.monotonic()
        try:
            settled = settlement.settle(waiting, desk=self._desk or trading_desk(), held=self._held)
        finally:
            self._asking_since = None
        self._hint(settled.retries)

    def renew(self) -> None:
        """Extend every lease that this process holds; let go of those that it lost."""
        held, until = self._renewable(), self._held.monotonic() + settings.LEASE_S
        kept = leases.renew(held)
        self._held.renewed(kept, until=until)
        # Whoever writes an order's end lets go of it right after: only what is missing for the second time is lost.
        missing = {lease for lease in held if lease[0] not in kept}
        lost = self._missing.intersection(missing, self._held.held())
        self._missing = missing - lost
        if lost:
            self._held.forget(lost)
            observe.lease_lost(order_ids=[order_id for order_id, _ in lost])

    def _renewable(self) -> list[Held]:
        since = self._asking_since
        hangs = since is not None and self._held.monotonic() - since > LONGEST_ASK_S
        return self._held.running_now() if hangs else self._held.held()

    def sweep(self) -> None:
        """Execute what has been due for a while: its hint was lost, or there is no Redis to carry one."""
        if not self._takes_more:
            return
        self._own = [future for future in self._own if not future.done()]
        free = settings.WORKER_CONCURRENCY - len(self._own)
        overdue = leases.overdue(for_s=settings.SWEEP_INTERVAL_S / 2, most=free * execution.AT_ONCE)
        for _ in range(0, overdue, execution.AT_ONCE):
            self._own.append(self._own_threads.submit(self._execute_overdue))
        if overdue:
            observe.swept(overdue=overdue)

    def watch_venues(self) -> None:
        """Set aside those that keep failing, probe them, and take them back: together with all other workers."""
        desk = self._desk or trading_desk()
        desk.health.tick(desk.venues)

    def _execute_overdue(self) -> None:
        """As long as there is more than one claim takes."""
        try:
            while self._takes_more:
                done = execution.execute(
                    [], room=execution.AT_ONCE, desk=self._desk, held=self._held
                )
                self._hint(done.retries)
                if done.claimed < execution.AT_ONCE and not done.suspects:
                    return
        except Exception as error:  # the thread's edge
            observe.execution_failed(error=error)
        finally:
            connection.close()

    def _hint(self, retries: Sequence[Retry]) -> None:
        """Tell the workers when these attempts are due. Whatever gets lost here is swept up a second later."""
        if not retries or self._held.monotonic() < self._no_hints_until:
            return
        try:
            tasks.hint_retries(retries)
        except tasks.BROKER_AWAY as error:
            self._no_hints_until = self._held.monotonic() + REDIS_PAUSE_S
            observe.hint_failed(error=error)

    def _repeat(self, beat: Callable[[], None], interval_s: Callable[[], float]) -> None:
        while not self._stopping.wait(interval_s()):
            try:
                beat()
            except Exception as error:  # the thread's edge: PostgreSQL or the chain is away; the next beat may work
                observe.pulse_failed(task=beat.__name__, error=error)
            finally:
                connection.close()


_pulse: Pulse | None = None


def start() -> None:
    global _pulse
    _pulse = Pulse()
    _pulse.start()


def take_no_more() -> None:
    turns.give_no_more()
    if _pulse is not None:
        _pulse.take_no_more()


def stop() -> None:
    if _pulse is not None:
        _pulse.stop()
