"""What the stream reads from PostgreSQL: an order's place in the log, what a socket lacks, an account's snapshot."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ParamSpec, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Q

from config.postgres.patience import ANSWER_WITHIN_S, answering_within
from config.postgres.prepared import fetch_prepared
from orders.lifecycle import TERMINAL
from orders.models import Order
from orders.stream import Event

P = ParamSpec("P")
T = TypeVar("T")

# How far the clocks and commits of several processes may lie apart.
OVERLAP_S = 10.0
# Well below what a client may leave unread.
SNAPSHOT_PAGE = 200

EVENTS_AFTER = """
SELECT o.account_id, e.order_id, e.seq, e.status, e.attempt, e.at, e.message, e.details
FROM unnest(%s::uuid[], %s::integer[]) AS heard(order_id, seq)
JOIN orders_order o ON o.id = heard.order_id
JOIN orders_orderevent e ON e.order_id = heard.order_id AND e.seq > heard.seq
ORDER BY e.order_id, e.seq
"""

PLACES = "SELECT id, account_id, last_seq, status FROM orders_order WHERE id = ANY(%s::uuid[])"

LAST_SEQS = """
SELECT account_id, id, last_seq FROM orders_order WHERE id = ANY(%s::uuid[])
UNION
SELECT o.account_id, o.id, o.last_seq
FROM unnest(%s::bigint[], %s::uuid[]) AS wanted(account_id, newer_than)
JOIN orders_order o ON o.account_id = wanted.account_id AND o.id >= wanted.newer_than
"""


async def in_database(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run it in a thread that gives its connection back: one hop, however many queries."""

    def run() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(run)


async def promptly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Ask what a client waits for: as long as a request to the API may."""

    def run() -> T:
        with answering_within(ANSWER_WITHIN_S):
            return function(*args, **kwargs)

    return await in_database(run)


def events_after(heard: Mapping[UUID, int]) -> list[Event]:
    """Every event of these orders after the given seq, each order's in order."""
    rows = fetch_prepared(EVENTS_AFTER, [list(heard), list(heard.values())])
    return [Event.from_columns(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose an order is, and how far its log has come."""

    account_id: int
    last_seq: int
    is_final: bool


def places(order_ids: Sequence[UUID]) -> list[Place | None]:
    """Where each of these orders is; None for one that there is not."""
    rows = fetch_prepared(PLACES, [list(set(order_ids))])
    found = {row[0]: Place(row[1], row[2], row[3] in TERMINAL) for row in rows}
    return [found.get(order_id) for order_id in order_ids]


def last_seqs(
    order_ids: Sequence[UUID], newer_than: Mapping[int, UUID]
) -> list[tuple[int, UUID, int]]:
    """(account, order, last seq) of these orders, and of each account's orders from an id on."""
    watched = [list(order_ids), list(newer_than), list(newer_than.values())]
    return [
        (account_id, order_id, seq)
        for account_id, order_id, seq in fetch_prepared(LAST_SEQS, watched)
    ]


def open_orders(
    account_id: int, *, since: datetime | None, newer_than: UUID, after: UUID | None
) -> list[Order]:
    """What an account's stream begins with, a page at a time: unfinished orders, new ones, those changed since."""
    wanted = Q(due_at__isnull=False) | Q(id__gte=newer_than)
    if since is not None:
        wanted |= Q(updated_at__gte=since)
    orders = Order.objects.filter(wanted, account_id=account_id).order_by("id")
    return list((orders.filter(id__gt=after) if after else orders)[:SNAPSHOT_PAGE])


def oldest_recent_id(now: float | None = None) -> UUID:
    """The smallest id that an order accepted in the last few seconds can have (UUIDv7 begins with its milliseconds)."""
    milliseconds = int(((now or time.time()) - OVERLAP_S) * 1000)
    return UUID(int=milliseconds << 80)
