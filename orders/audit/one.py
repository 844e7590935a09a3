"""The audit of a single order's log: what is checked of every order, without the chain and without checkpoints."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import connection

from orders.audit.checks import CHECKS, OF_A_RANGE
from orders.audit.run import BASE_UNITS

# Of its log and what lies beside it. Whether it is overdue says nothing about that.
OF_THE_LOG = ("events", "hashes", "heads", "attempts", "proofs", "quotes")


@dataclass(frozen=True, slots=True)
class Check:
    """`troubles` say where it does not hold, each with the event's seq or the attempt's number."""

    what: str
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogReport:
    events: int
    checks: tuple[Check, ...]

    @property
    def is_whole(self) -> bool:
        return not any(check.troubles for check in self.checks)


def check_log(order_id: uuid.UUID) -> LogReport:
    """Compute the order's chain of hashes anew, and compare it with what is stored. An engine may go on meanwhile."""
    just_below = uuid.UUID(int=order_id.int - 1)
    bounds: dict[str, Any] = {"low": just_below, "high": order_id, "base_units": BASE_UNITS}
    found: list[tuple[str, uuid.UUID, str]] = []
    with connection.cursor() as cursor:
        for sql in OF_A_RANGE:
            cursor.execute(sql, bounds)
            found += cursor.fetchall()
        cursor.execute("SELECT count(*) FROM orders_orderevent WHERE order_id = %s", [order_id])
        (events,) = cursor.fetchone()
    checks = [
        Check(CHECKS[name], tuple(detail for check, _, detail in found if check == name))
        for name in OF_THE_LOG
    ]
    return LogReport(events, tuple(checks))
