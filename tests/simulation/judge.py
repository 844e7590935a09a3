"""What must hold of every order when a run is over, whatever happened in it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from uuid import UUID

from orders.lifecycle import TERMINAL, TRANSITIONS, Status
from orders.models import Order, OrderEvent
from routing.chain import LandedTransaction


def complaints(orders: Sequence[UUID], landed: Sequence[LandedTransaction]) -> Iterator[str]:
    """One sentence for each promise that did not hold."""
    swaps: defaultdict[str, list[LandedTransaction]] = defaultdict(list)
    for receipt in landed:
        if receipt.error is None:
            swaps[receipt.memo.partition(":")[0]].append(receipt)
    for stray in swaps.keys() - {str(order_id) for order_id in orders}:
        yield f"a swap landed for {stray}, which is no order"
    for order_id in orders:
        order = Order.objects.get(id=order_id)
        for complaint in _of(order, swaps[str(order_id)]):
            yield f"{order_id}: {complaint}"


def _of(order: Order, swaps: Sequence[LandedTransaction]) -> Iterator[str]:
    if order.status not in TERMINAL:
        yield f"is stuck in {order.status}"
    if len(swaps) > 1:
        yield f"swapped {len(swaps)} times: {[swap.memo for swap in swaps]}"
    if order.status == Status.CONFIRMED and [swap.signature for swap in swaps] != [order.tx_hash]:
        yield f"is confirmed by {order.tx_hash}, but {len(swaps)} swaps landed"
    if order.status in (Status.FAILED, Status.CANCELLED) and swaps:
        yield f"is {order.status}, but its swap landed"
    yield from _of_its_events(order)
    yield from _of_its_attempts(order)


def _of_its_events(order: Order) -> Iterator[str]:
    events = list(OrderEvent.objects.filter(order=order).order_by("seq"))
    if [event.seq for event in events] != list(range(1, order.last_seq + 1)):
        yield f"has the events {[event.seq for event in events]}, and last_seq {order.last_seq}"
    for before, event in pairwise(events):
        if event.from_status != before.status:
            yield f"#{event.seq} comes from {event.from_status}, after {before.status}"
        if Status(event.status) not in TRANSITIONS[Status(before.status)]:
            yield f"#{event.seq} goes from {before.status} to {event.status}"
        if bytes(event.hash) == bytes(before.hash):
            yield f"#{event.seq} has the hash of the one before"
    if events[-1].status != order.status:
        yield f"is {order.status}, but its last event says {events[-1].status}"
    asked = [event.attempt for event in events if event.details.get("cancelRequested")]
    if asked and order.attempt > asked[0]:
        yield f"attempt {order.attempt} started after a cancel was asked for"


def _of_its_attempts(order: Order) -> Iterator[str]:
    attempts = list(order.attempts.order_by("number"))
    if [attempt.number for attempt in attempts] != list(range(1, order.attempt + 1)):
        yield f"has the attempts {[a.number for a in attempts]}, and is at {order.attempt}"
    for attempt in attempts[:-1]:
        if attempt.state not in ("dead", "failed"):
            yield f"attempt {attempt.number} is {attempt.state}, and another one started"
