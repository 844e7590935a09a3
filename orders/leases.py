"""Who may work on an order, and until when. A lease is a row's `due_at` and `fence`; no statement here moves a status.

A claim raises the fence, so that every later write of an earlier holder is refused. Times come from `engine_now()`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection

from config.postgres.prepared import fetch_prepared
from orders.lifecycle import Status
from orders.models import SOUND_CLAIMS, Order

Held = tuple[UUID, int]
"""An order and the fencing token under which it is held."""

_COLUMNS = [field.column for field in Order._meta.concrete_fields]
_FIELDS = [field.attname for field in Order._meta.concrete_fields]

# The most that the column can hold: an order may be sent, and unreadable, for very long.
_MOST_CLAIMS = 32_767

# Rows that another process is taking are passed over: it is working on them already. Of the suspects one is taken, so
# that a process that dies of it lets no other one look guilty; those that were not hinted only where there is room.
CLAIM = f"""
WITH hinted AS (
    SELECT id FROM orders_order
    WHERE id = ANY(%(hinted)s) AND due_at <= engine_now() AND claims < {SOUND_CLAIMS}
    FOR NO KEY UPDATE SKIP LOCKED
), others AS (
    SELECT id FROM orders_order
    WHERE due_at <= engine_now() AND id <> ALL(%(hinted)s) AND claims < {SOUND_CLAIMS}
    ORDER BY due_at
    LIMIT %(room)s
    FOR NO KEY UPDATE SKIP LOCKED
), suspect AS (
    SELECT id FROM orders_order
    WHERE due_at <= engine_now() AND claims >= {SOUND_CLAIMS} AND (%(room)s > 0 OR id = ANY(%(hinted)s))
    ORDER BY due_at
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    SELECT id FROM hinted UNION ALL SELECT id FROM others UNION ALL SELECT id FROM suspect
)
UPDATE orders_order o
SET fence = fence + 1, holder = %(holder)s, claims = least(claims + 1, {_MOST_CLAIMS}),
    due_at = engine_now() + make_interval(secs => %(lease_s)s)
FROM due WHERE o.id = due.id
RETURNING {", ".join(f"o.{name}" for name in _COLUMNS)}
"""

OVERDUE = """
SELECT count(*) FROM (
    SELECT 1 FROM orders_order WHERE due_at <= engine_now() - make_interval(secs => %s) LIMIT %s
) AS overdue
"""

BEHIND = """
SELECT extract(epoch FROM engine_now() - min(due_at)) FROM orders_order WHERE due_at IS NOT NULL
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

# Only what nobody holds. What is due is anybody's; what backs off is nobody's, since the event that opened the next
# attempt gave the lease back, and no claim has followed it. Whoever may still hold an order has claimed it since, so a
# suspect keeps one claim: at 0 it would look like one that backs off.
HURRY = f"""
UPDATE orders_order SET due_at = least(due_at, engine_now()), claims = least(claims, 1)
WHERE id = %s AND (due_at <= engine_now() OR status = '{Status.ROUTING}' AND attempt > 1 AND claims = 0)
RETURNING id
"""


def claim(hinted: Sequence[UUID], *, holder: str, room: int = 0) -> list[Order]:
    """Take the leases of the hinted orders that are due, and of up to `room` others, those due longest first.

    What isn't due, is final, or is being taken by somebody else is left out; so are all suspects but one, which comes
    on top of the others.
    """
    wanted = {
        "hinted": list(hinted),
        "room": room,
        "holder": holder,
        "lease_s": settings.LEASE_S,
    }
    rows = fetch_prepared(CLAIM, wanted)
    return [Order.from_db(DEFAULT_DB_ALIAS, _FIELDS, row) for row in rows]


def overdue(*, for_s: float, most: int) -> int:
    """How many orders have been due for so long without anybody taking them; counted up to `most`."""
    ((count,),) = fetch_prepared(OVERDUE, [for_s, most])
    return int(count)


def behind_s(*, within_s: float) -> float:
    """How long the order that is due longest has been waiting for somebody to take it; 0 if none is.

    Outside a transaction only. Raises OperationalError when PostgreSQL has no answer in time.
    """
    with connection.cursor() as cursor:
        # One message, and so one transaction: the limit ends with it, and the connection outlives the limit.
        cursor.execute(f"SET LOCAL statement_timeout = {int(within_s * 1000)}; {BEHIND}")
        cursor.nextset()
        (seconds,) = cursor.fetchone()
    return max(0.0, float(seconds or 0.0))


def renew(held: Sequence[Held]) -> set[UUID]:
    """Extend these leases by one lease time from now; answers those that were still held."""
    return set(_ids(RENEW, [*_columns(held), settings.LEASE_S])) if held else set()


def release(held: Sequence[Held]) -> set[UUID]:
    """Make these orders due at once, for whoever claims them; their fencing tokens are void from here on."""
    return set(_ids(RELEASE, [*_columns(held)])) if held else set()


def hurry(order_id: UUID) -> bool:
    """Make the order due now, and no suspect any more; False if it is final or may be held by somebody."""
    return bool(_ids(HURRY, [order_id]))


def _columns(held: Sequence[Held]) -> tuple[list[UUID], list[int]]:
    return [order_id for order_id, _ in held], [fence for _, fence in held]


def _ids(sql: str, params: list[Any]) -> list[UUID]:
    return [row[0] for row in fetch_prepared(sql, params)]
