"""Each worker's pulse: asks the chain for what this process sent, renews its leases, and finds what is due.

It needs PostgreSQL only. While Redis is away it executes due orders itself, in as many threads as the worker has.
"""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from uuid import UUID

from django.conf import settings
from django.db import connection

from orders import execution, inflight, leases, observe, settlement, tasks
from orders.exchange import trading_desk
from orders.retries import RetryDue

ASK_EVERY_S = 0.2
# A hint that nobody acted on is repeated; until then the order may simply be waiting in the queue.
REHINT_S = 5.0


class Pulse:
    """Three loops, each in a thread of its own, so that a slow chain can't cost a lease."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._own_threads = ThreadPoolExecutor(
            settings.WORKER_CONCURRENCY, thread_name_prefix="pulse-execute"
        )
        self._own: list[Future[None]] = []

    def start(self) -> None:
        for beat, interval_s in (
            (self.confirm, lambda: ASK_EVERY_S),
            (self.renew, lambda: settings.LEASE_S / 3),
            (self.sweep, lambda: settings.SWEEP_INTERVAL_S * random.uniform(0.75, 1.25)),
        ):
            thread = threading.Thread(
                target=self._repeat, args=[beat, interval_s], name=f"pulse-{beat.__name__}"
            )
            thread.daemon = True
            thread.start()
            self._threads.append(thread)
        observe.pulse_started(holder=execution.HOLDER)

    def stop(self) -> None:
        """Hand over what is still held: due at once, for whoever claims it."""
        self._stopping.set()
        self._own_threads.shutdown(cancel_futures=True)
        for thread in self._threads:
            thread.join(timeout=5)
        try:
            released = leases.release(inflight.here.held())
            observe.pulse_stopped(released=len(released))
        except (
            Exception
        ) as error:  # the process's edge: without PostgreSQL the leases end by themselves
            observe.pulse_failed(task="release", error=error)

    def confirm(self) -> None:
        """Ask for every transaction that this process waits for."""
        waiting = inflight.here.waiting()
        if not waiting:
            return
        settled = settlement.settle(waiting, desk=trading_desk())
        still = {sent.held for sent in settled.waiting}
        inflight.here.forget(sent.held for sent in waiting if sent.held not in still)
        for order_id, delay_s in settled.retries:
            self._hint(order_id, after_s=delay_s)

    def renew(self) -> None:
        """Extend every lease that this process holds; let go of those that it lost."""
        held = inflight.here.held()
        kept = leases.renew(held)
        # What is no longer held by now has come to its end in the meantime.
        still = set(inflight.here.held())
        lost = [lease for lease in held if lease[0] not in kept and lease in still]
        if lost:
            inflight.here.forget(lost)
            observe.lease_lost(order_ids=[order_id for order_id, _ in lost])

    def sweep(self) -> None:
        """Find orders that are due and that nobody took up; hint them, or execute them here while Redis is away."""
        self._own = [future for future in self._own if not future.done()]
        due = leases.take_due(
            limit=settings.WORKER_CONCURRENCY * 10 - len(self._own),
            grace_s=settings.SWEEP_INTERVAL_S / 2,
            rehint_s=REHINT_S,
        )
        redis_away = False
        for order_id in due:
            redis_away = redis_away or not self._hint(order_id)
            if redis_away:
                self._own.append(self._own_threads.submit(self._execute, order_id))
        if due:
            observe.swept(due=len(due), hinted=not redis_away)

    def _hint(self, order_id: UUID, *, after_s: float = 0.0) -> bool:
        try:
            tasks.hint(order_id, after_s=after_s)
        except tasks.BROKER_AWAY as error:
            observe.hint_failed(error=error)
            return False
        return True

    def _execute(self, order_id: UUID) -> None:
        try:
            execution.execute(order_id)
        except RetryDue:
            pass  # the journal has written when
        except Exception as error:  # the thread's edge
            observe.execution_failed(order_id=order_id, error=error)
        finally:
            connection.close()

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


def stop() -> None:
    if _pulse is not None:
        _pulse.stop()
