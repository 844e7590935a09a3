"""An order brought to where a test wants it, and what its page would say then."""

from datetime import timedelta

from django.utils import timezone

from orders import execution, settlement
from orders.exchange import TradingDesk
from orders.inflight import Sent
from orders.lifecycle import TERMINAL
from orders.models import Order
from orders.story.outcome import Outcome, outcome
from tests.desks import Node
from tests.factories import (
    become_due,
)
from tests.routing.lab import ChainLab

FOR_EVER = 151 + 33  # slots until a transaction signed now is expired, and that is final
Dropped = tuple[Sent, TradingDesk, Node]


def told(order: Order, *, later_s: float = 0) -> Outcome:
    """What its page would say, so many seconds from now."""
    order.refresh_from_db()
    now = timezone.now() + timedelta(seconds=later_s)
    attempts = list(order.attempts.order_by("number"))
    return outcome(order, attempts, list(order.events.order_by("seq")), now=now)


def execute(order: Order, desk: TradingDesk) -> Order:
    execution.execute([order.id], desk=desk)
    order.refresh_from_db()
    return order


def tried_to_the_end(order: Order, desk: TradingDesk) -> Order:
    while execute(order, desk).status not in TERMINAL:
        become_due(order)
    return order


def in_doubt(dropped: Dropped, lab: ChainLab) -> Order:
    sent, desk, node = dropped
    node.first_available_slot = 10**9
    lab.clock.pass_slots(FOR_EVER)
    settlement.settle([sent], desk=desk)
    return Order.objects.get(id=sent.order_id)
