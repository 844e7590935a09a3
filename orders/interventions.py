"""What people do to an order by hand, beside its client: in their own name, and for a reason.

Nothing here moves a status: a cancel is `intake`'s, the end of a doubt `resolution`'s.
"""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import transaction

from orders import leases, tasks
from orders.models import Order


class NothingToHurry(Exception):
    """The order has ended, or a worker has it: to make it due would gain nothing, or take it from who works on it."""


@dataclass(frozen=True, slots=True)
class Intervention:
    """Who acted, and why: both stay in the order's log."""

    by: str
    reason: str

    def as_json(self) -> dict[str, str]:
        return {"by": self.by, "reason": self.reason}


def requeue(order_id: UUID) -> None:
    """Make an order due now, and hint the workers: the end of its back-off, and of its time as a suspect.

    An order that a worker holds is left to it, so that nothing is sent by two at once. Raises NothingToHurry and
    Order.DoesNotExist. Safe to repeat.
    """
    if not leases.hurry(order_id):
        order = Order.objects.get(id=order_id)
        if order.is_final:
            raise NothingToHurry(f"The order is {order.status} already.")
        raise NothingToHurry("A worker holds the order, and is working on it.")
    transaction.on_commit(partial(tasks.hint_soon, [order_id]))
