"""Celery's side: the task that executes orders, the hints that wake it, and beat's housekeeping.

A hint is a message that may be lost, late or doubled: the claim decides who executes, the sweep finds what nobody
heard.
"""

import queue
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone
from kombu.exceptions import KombuError, OperationalError

from orders import checkpoints, execution, exporting, observe, stored_quotes
from orders.exchange import trading_desk
from orders.models import StreamTicket, VenueTally
from orders.retries import BACK_OFF_S, MAX_ATTEMPTS, Retry

BROKER_AWAY = (KombuError, OperationalError, OSError)
PAUSE_AFTER_FAILURE_S = 1.0
# How long hints are gathered into one message. Workers that are behind look for themselves before they rest.
GATHER_S, GATHER_BEHIND_S = 0.01, 0.05
LONGEST_BUSY_S = 1.0
TALLIES_KEPT = timedelta(hours=1)


class RetryDue(Exception):
    """Some of these orders have another attempt coming; Celery brings the hint after the same back-off."""


@shared_task(
    bind=True,
    autoretry_for=(RetryDue,),
    retry_backoff=BACK_OFF_S,
    retry_jitter=False,  # the journal's own back-off is never longer, so this hint comes when the attempt is due
    max_retries=MAX_ATTEMPTS - 1,
)
def execute_orders(self: Any, order_ids: list[str]) -> None:
    """Move these orders on as far as they go now, and what else is due; while execution is halted, nothing."""
    if settings.EXECUTION == "halted":
        return
    hinted = [UUID(order_id) for order_id in order_ids]
    done = execution.execute(hinted, room=max(0, execution.AT_ONCE - len(hinted)))
    mine = set(hinted) if self.request.retries < self.max_retries else set()
    others = [retry for retry in done.retries if retry[0] not in mine]
    _hint_if_possible(others)
    if len(others) < len(done.retries):
        raise RetryDue(f"{len(done.retries) - len(others)} orders have another attempt coming.")
    while done.claimed:  # what came meanwhile needs no hint
        done = execution.execute([], room=execution.AT_ONCE)
        _hint_if_possible(done.retries)


def _hint_if_possible(retries: Sequence[Retry]) -> None:
    with suppress(*BROKER_AWAY):  # what gets lost here is swept up a second later
        hint_retries(retries)


def hint(order_ids: Collection[UUID], *, after_s: float = 0.0) -> None:
    """Tell the workers that orders are (or will be) due. Raises one of BROKER_AWAY."""
    execute_orders.apply_async(([str(order_id) for order_id in order_ids],), countdown=after_s)


def hint_retries(retries: Sequence[Retry]) -> None:
    """The same for orders whose next attempt is not due yet: a message per batch, when the last of its own is."""
    by_delay = sorted(retries, key=lambda retry: retry[1])
    for start in range(0, len(by_delay), execution.AT_ONCE):
        batch = by_delay[start : start + execution.AT_ONCE]
        hint([order_id for order_id, _ in batch], after_s=batch[-1][1])


def hint_soon(order_ids: Sequence[UUID]) -> None:
    """The same from another thread, for callers that must not wait for Redis. Never raises; may lose the hint."""
    for order_id in order_ids:
        _hints().put(order_id)


def workers_are_behind(seconds: float) -> None:
    """How long the order that is due longest has been waiting: about as long they will be busy."""
    global _busy_until
    _busy_until = time.monotonic() + min(seconds, LONGEST_BUSY_S)


_busy_until = float("-inf")


def _gather_s() -> float:
    return GATHER_BEHIND_S if time.monotonic() < _busy_until else GATHER_S


@cache
def _hints() -> "queue.SimpleQueue[UUID]":
    hints: queue.SimpleQueue[UUID] = queue.SimpleQueue()
    threading.Thread(target=_pass_on, args=[hints], name="hints", daemon=True).start()
    return hints


def _pass_on(hints: "queue.SimpleQueue[UUID]") -> None:
    sent_at = 0.0
    while True:
        order_ids = [hints.get()]
        # The first goes at once. A message costs both sides as much as moving an order on: a crowd shares one.
        time.sleep(max(0.0, sent_at + _gather_s() - time.monotonic()))
        sent_at = time.monotonic()
        while not hints.empty() and len(order_ids) < execution.AT_ONCE:
            order_ids.append(hints.get())
        try:
            hint(order_ids)
        except (
            Exception
        ) as error:  # the thread's edge: the sweep does what these hints would have done
            observe.hint_failed(error=error)
            time.sleep(PAUSE_AFTER_FAILURE_S)
            while not hints.empty():
                hints.get()


@shared_task
def write_exports() -> None:
    """What people asked for, and what a dead worker left."""
    exporting.write_all()


def hint_exports() -> None:
    """Tell a worker that an export waits. May lose the hint: beat asks all the time."""
    with suppress(*BROKER_AWAY):
        write_exports.delay()


@shared_task
def remove_expired_exports() -> None:
    exporting.remove_expired()


@shared_task
def remove_expired_tickets() -> None:
    StreamTicket.objects.filter(expires_at__lt=timezone.now()).delete()


@shared_task
def remove_expired_sessions() -> None:
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


@shared_task
def remove_old_quotes() -> None:
    stored_quotes.remove_old()


@shared_task
def write_checkpoint() -> None:
    """What the log said by now, signed, outside the database."""
    checkpoints.write()


@shared_task
def remove_old_tallies() -> None:
    """What venues answered in seconds that nobody asks about any more."""
    VenueTally.objects.filter(at__lt=timezone.now() - TALLIES_KEPT).delete()


@shared_task
def remove_old_slots() -> None:
    """Landed transactions that nobody will ask the simulated chain for any more."""
    desk = trading_desk()
    slots_kept = settings.MOCK_HISTORY_H * 3_600_000 // settings.MOCK_SLOT_MS
    desk.purge(desk.chain.head().slot - slots_kept)
