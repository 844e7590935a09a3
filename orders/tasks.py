"""Celery's side: the task that executes an order, the hints that wake it, and beat's housekeeping.

A hint is a message that may be lost, late or doubled: the claim decides who executes, the sweep finds what nobody
heard.
"""

import queue
import threading
import time
from functools import cache
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import KombuError, OperationalError

from orders import checkpoints, execution, observe
from orders.exchange import trading_desk
from orders.models import StreamTicket
from orders.retries import BACK_OFF_S, MAX_ATTEMPTS, RetryDue

BROKER_AWAY = (KombuError, OperationalError, OSError)
PAUSE_AFTER_FAILURE_S = 1.0


@shared_task(
    autoretry_for=(RetryDue,),
    retry_backoff=BACK_OFF_S,
    retry_jitter=False,  # the journal's own back-off is never longer, so this hint comes when the attempt is due
    max_retries=MAX_ATTEMPTS - 1,
)
def execute_order(order_id: str) -> None:
    """Move one order on as far as it goes now; while execution is halted, not at all."""
    if settings.EXECUTION == "halted":
        return
    execution.execute(UUID(order_id))


def hint(order_id: UUID, *, after_s: float = 0.0) -> None:
    """Tell the workers that an order is (or will be) due. Raises one of BROKER_AWAY."""
    execute_order.apply_async((str(order_id),), countdown=after_s)


def hint_soon(order_id: UUID) -> None:
    """The same from another thread, for callers that must not wait for Redis. Never raises; may lose the hint."""
    _hints().put(order_id)


@cache
def _hints() -> "queue.SimpleQueue[UUID]":
    hints: queue.SimpleQueue[UUID] = queue.SimpleQueue()
    threading.Thread(target=_pass_on, args=[hints], name="hints", daemon=True).start()
    return hints


def _pass_on(hints: "queue.SimpleQueue[UUID]") -> None:
    while True:
        order_id = hints.get()
        try:
            hint(order_id)
        except (
            Exception
        ) as error:  # the thread's edge: the sweep does what these hints would have done
            observe.hint_failed(error=error)
            time.sleep(PAUSE_AFTER_FAILURE_S)
            while not hints.empty():
                hints.get()


@shared_task
def remove_expired_tickets() -> None:
    StreamTicket.objects.filter(expires_at__lt=timezone.now()).delete()


@shared_task
def write_checkpoint() -> None:
    """What the log said by now, signed, outside the database."""
    checkpoints.write()


@shared_task
def remove_old_slots() -> None:
    """Landed transactions that nobody will ask the simulated chain for any more."""
    desk = trading_desk()
    slots_kept = settings.MOCK_HISTORY_H * 3_600_000 // settings.MOCK_SLOT_MS
    desk.purge(desk.chain.head().slot - slots_kept)
