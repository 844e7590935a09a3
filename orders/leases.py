"""Who may work on an order, and until when. A lease is a row's `due_at` and `fence`; no statement here moves a status.

A claim raises the fence, so that every later write of an earlier holder is refused. Times come from `engine_now()`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from orders.models import Order

Held = tuple[UUID, int]
"""An order and the fencing token under which it is held."""

CLAIM = """
UPDATE orders_order
SET fence = fence + 1, holder = %s, claims = claims + 1, due_at = engine_now() + make_interval(secs => %s)
WHERE id = %s AND due_at <= engine_now()
RETURNING *
"""

DUE = """
WITH due AS (
    SELECT id, hinted_at FROM orders_order
    WHERE due_at <= engine_now() - make_interval(secs => %s)
      AND (hinted_at IS NULL OR hinted_at < engine_now() - make_interval(secs => %s))
    ORDER BY due_at
    LIMIT %s
    FOR UPDATE SKIP LOCKED
)
UPDATE orders_order o SET hinted_at = engine_now() FROM due WHERE o.id = due.id
RETURNING o.id, due.hinted_at IS NOT NULL
"""

_HELD = """
    SELECT o.id FROM orders_order o JOIN unnest(%s::uuid[], %s::bigint[]) AS h(id, fence) ON o.id = h.id
    WHERE o.fence = h.fence AND o.due_at IS NOT NULL
    ORDER BY o.id
    FOR NO KEY UPDATE OF o
"""

RENEW = f"""
WITH held AS ({_HELD})
UPDATE orders_order o SET due_at = engine_now() + make_interval(secs => %s)
FROM held WHERE o.id = held.id RETURNING o.id
"""

RELEASE = f"""
WITH held AS ({_HELD})
UPDATE orders_order o SET due_at = engine_now(), fence = o.fence + 1
FROM held WHERE o.id = held.id RETURNING o.id
"""


def claim(order_id: UUID, *, holder: str) -> Order | None:
    """Take the lease of a due order; None when it isn't due, is final, or somebody else was first."""
    claimed = list(Order.objects.raw(CLAIM, [holder, settings.LEASE_S, order_id]))
    return claimed[0] if claimed else None


def take_due(*, limit: int, grace_s: float, rehint_s: float) -> list[tuple[UUID, bool]]:
    """Orders that nobody has looked at `grace_s` after they were due, oldest first, marked as hinted.

    With each: whether it was answered before, and nobody acted on that. The same order is answered again only after
    `rehint_s`; rows that another process is taking are passed over.
    """
    with connection.cursor() as cursor:
        cursor.execute(DUE, [grace_s, rehint_s, limit])
        return [(order_id, was_hinted) for order_id, was_hinted in cursor.fetchall()]


def renew(held: Sequence[Held]) -> set[UUID]:
    """Extend these leases by one lease time from now; answers those that were still held."""
    return set(_ids(RENEW, [*_columns(held), settings.LEASE_S])) if held else set()


def release(held: Sequence[Held]) -> set[UUID]:
    """Make these orders due at once, for whoever claims them; their fencing tokens are void from here on."""
    return set(_ids(RELEASE, [*_columns(held)])) if held else set()


def _columns(held: Sequence[Held]) -> tuple[list[UUID], list[int]]:
    return [order_id for order_id, _ in held], [fence for _, fence in held]


def _ids(sql: str, params: list[Any]) -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [row[0] for row in cursor.fetchall()]
