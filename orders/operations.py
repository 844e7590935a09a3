"""What an operator needs to know at a glance: how deep the queue is, how long orders take, which ones went wrong.

Each question reads a bounded number of rows by an index, however many orders there are. Nothing here changes anything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import F, OuterRef, QuerySet, Subquery, Value
from django.utils import timezone

from orders.lifecycle import TERMINAL, Status
from orders.models import EngineNow, Order, OrderAttempt, OrderEvent

MOST_QUEUED: Final = 20_000
SAMPLE: Final = 1_000
# Where the ends of so many orders are looked for: an order has five events or more, seldom twenty.
SAMPLE_EVENTS: Final = 20 * SAMPLE
SAMPLE_WITHIN_H: Final = 1
FAILED_WITHIN: Final = timedelta(hours=24)
MOST_LISTED: Final = 20
MOST_COUNTED: Final = 1_000
HOLDERS_AMONG: Final = 500

_TERMINAL = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


# --- The queue --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Oldest:
    """The order that has been due longest without a worker taking it."""

    order_id: UUID
    status: Status
    due_for_s: float
    claims: int  # how often it was taken since its last event, and nothing came of it


@dataclass(frozen=True, slots=True)
class Queue:
    """Every order that has not ended is in one of the four, counted up to MOST_QUEUED."""

    due: int  # now, and no worker has taken it
    working: int  # a worker holds it, and nothing is sent
    in_flight: int  # sent, and asked for
    backing_off: int  # its next attempt is due later
    oldest: Oldest | None

    @property
    def is_cut(self) -> bool:
        """There may be more than was counted."""
        return max(self.due, self.working + self.in_flight + self.backing_off) >= MOST_QUEUED


# An attempt after the first begins without a holder, and nobody claims it before it is due.
QUEUE = f"""
WITH due AS (
    SELECT 1 FROM orders_order WHERE due_at <= engine_now() LIMIT {MOST_QUEUED}
), later AS (
    SELECT CASE WHEN status = '{Status.SUBMITTED}' THEN 'in flight'
                WHEN status = '{Status.ROUTING}' AND attempt > 1 AND claims = 0 THEN 'backing off'
                ELSE 'working' END AS place
    FROM orders_order WHERE due_at > engine_now() LIMIT {MOST_QUEUED}
)
SELECT (SELECT count(*) FROM due), count(*) FILTER (WHERE place = 'working'),
       count(*) FILTER (WHERE place = 'in flight'), count(*) FILTER (WHERE place = 'backing off')
FROM later
"""

OLDEST = """
SELECT id, status, extract(epoch FROM engine_now() - due_at)::float8, claims
FROM orders_order WHERE due_at <= engine_now() ORDER BY due_at LIMIT 1
"""


def queue() -> Queue:
    oldest = [
        Oldest(order_id, Status(status), due_for_s, claims)
        for order_id, status, due_for_s, claims in _ask(OLDEST)
    ]
    ((due, working, in_flight, backing_off),) = _ask(QUEUE)
    return Queue(due, working, in_flight, backing_off, oldest[0] if oldest else None)


# --- How long orders take ---------------------------------------------------------------------------------------------


class Phase(StrEnum):
    QUEUE = "queue"  # accepted, until a worker begins the first attempt
    QUOTES = "quotes"  # until a venue is chosen; of first attempts only: later ones wait for their back-off in it
    BUILDING = "building"  # until the signed transaction is stored; of any attempt
    LANDING = "landing"  # until the chain has confirmed it
    TOTAL = "total"  # accepted, until the order ended in whatever way


@dataclass(frozen=True, slots=True)
class Spread:
    """How long a phase took, of `count`: half of them up to `p50_s`, 99 of a hundred up to `p99_s`."""

    phase: Phase
    count: int
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the newest orders that ended in the last SAMPLE_WITHIN_H, up to SAMPLE, between two instants.

    A phase that none of them had is left out.
    """

    orders: int
    since: datetime | None
    until: datetime | None
    spreads: tuple[Spread, ...]


_PERCENTILES = "percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP"


def _spread(phase: Phase, seconds: str) -> str:
    """SQL for the count and the percentiles of a column, whose empty places are left out."""
    return (
        f"count({seconds}) AS {phase}_count, {_PERCENTILES} (ORDER BY {seconds}) AS {phase}_seconds"
    )


def _seconds(since: str, until: str) -> str:
    return f"extract(epoch FROM {until} - {since})::float8"


# Steps that are quick are written together, at one instant: what they took is then in the queue's phase.
LATENCY = f"""
WITH ended AS (
    SELECT order_id, at FROM orders_orderevent
    WHERE id > (SELECT max(id) FROM orders_orderevent) - {SAMPLE_EVENTS} AND status IN ({_TERMINAL})
      AND at >= (SELECT engine_now() - interval '{SAMPLE_WITHIN_H} hours')
    ORDER BY id DESC LIMIT {SAMPLE}
), tries AS (
    SELECT order_id, e.attempt, min(e.at) AS begun_at, max(e.at) AS ended_at,
           min(e.at) FILTER (WHERE e.status = '{Status.ROUTING}') AS routing_at,
           min(e.at) FILTER (WHERE e.status = '{Status.BUILDING}') AS building_at,
           min(e.at) FILTER (WHERE e.status = '{Status.SUBMITTED}') AS submitted_at,
           min(e.at) FILTER (WHERE e.status = '{Status.CONFIRMED}') AS confirmed_at
    FROM ended JOIN orders_orderevent e USING (order_id)
    GROUP BY order_id, e.attempt
), phases AS (
    SELECT CASE attempt WHEN 1 THEN {_seconds("routing_at", "building_at")} END AS quotes,
           {_seconds("building_at", "submitted_at")} AS building, {_seconds("submitted_at", "confirmed_at")} AS landing
    FROM tries
), lives AS (
    SELECT {_seconds("min(begun_at)", "min(routing_at)")} AS queue,
           {_seconds("min(begun_at)", "max(ended_at)")} AS total
    FROM tries GROUP BY order_id
)
SELECT * FROM
    (SELECT count(*), min(at), max(at) FROM ended) AS sample,
    (SELECT {_spread(Phase.QUEUE, "queue")}, {_spread(Phase.TOTAL, "total")} FROM lives) AS of_lives,
    (SELECT {_spread(Phase.QUOTES, "quotes")}, {_spread(Phase.BUILDING, "building")},
            {_spread(Phase.LANDING, "landing")} FROM phases) AS of_phases
"""
_IN_ORDER_OF_COLUMNS = (Phase.QUEUE, Phase.TOTAL, Phase.QUOTES, Phase.BUILDING, Phase.LANDING)


def latency() -> Latency:
    ((orders, since, until, *figures),) = _ask(LATENCY)
    spreads = {
        phase: Spread(phase, count, *percentiles)
        for phase, count, percentiles in zip(
            _IN_ORDER_OF_COLUMNS, figures[::2], figures[1::2], strict=True
        )
        if count
    }
    in_order = tuple(spreads[phase] for phase in Phase if phase in spreads)
    return Latency(orders, since, until, in_order)


# --- Orders that went wrong -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Concern:
    """An order to look at. `seconds` is how long ago it came to that; of a retry, how soon it is due (late: below 0).

    `amount_in_base` is in base units of `token_in`.
    """

    order_id: UUID
    account: str
    token_in: str
    token_out: str
    amount_in_base: Decimal
    status: Status
    attempt: int
    seconds: float
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Concerns:
    """The first MOST_LISTED of them; `count` of all, up to MOST_COUNTED."""

    orders: tuple[Concern, ...]
    count: int

    @property
    def is_cut(self) -> bool:
        return self.count >= MOST_COUNTED


def in_doubt() -> Concerns:
    """The longest first."""
    doubts = OrderEvent.objects.filter(order=OuterRef("id"), details__has_key="inDoubt")
    sentence = Subquery(doubts.order_by("-seq").values("message")[:1])
    # Whoever is in doubt is due, and what is due has an index.
    orders = Order.objects.filter(in_doubt_since__isnull=False, due_at__isnull=False)
    return _concerns(
        orders.order_by("in_doubt_since"),
        span=EngineNow() - F("in_doubt_since"),
        code=Value(""),
        sentence=sentence,
    )


def failed() -> Concerns:
    """Those that did in the last FAILED_WITHIN, the newest first."""
    # A failed order's last event is that it failed; there is an index of those.
    orders = Order.objects.filter(
        status=Status.FAILED, updated_at__gte=timezone.now() - FAILED_WITHIN
    )
    return _concerns(
        # Those that failed together are told by their ids, so that rows keep their places.
        orders.order_by("-updated_at", "-id"),
        span=EngineNow() - F("updated_at"),
        code=F("error_code"),
        sentence=F("error_message"),
    )


def retried() -> Concerns:
    """Those that are at a later attempt than the first, with why the last one failed. The one due soonest is first."""
    last = OrderAttempt.objects.filter(order=OuterRef("id"), number=OuterRef("attempt") - 1)
    orders = Order.objects.filter(due_at__isnull=False, attempt__gt=1)
    return _concerns(
        orders.order_by("due_at"),
        span=F("due_at") - EngineNow(),
        code=Subquery(last.values("error_code")),
        sentence=Subquery(last.values("error_message")),
    )


def _concerns(orders: QuerySet[Order], *, span: Any, code: Any, sentence: Any) -> Concerns:
    columns = ("account__name", "token_in", "token_out", "amount_in_base", "status", "attempt")
    rows = orders.annotate(span=span, code=code, sentence=sentence).values_list(
        "id", *columns, "span", "code", "sentence"
    )
    listed = tuple(
        Concern(
            order_id=order_id,
            account=account,
            token_in=token_in,
            token_out=token_out,
            amount_in_base=amount,
            status=Status(status),
            attempt=attempt,
            seconds=passed.total_seconds(),
            code=code or "",
            sentence=why or "",
        )
        for order_id, account, token_in, token_out, amount, status, attempt, passed, code, why in rows[
            :MOST_LISTED
        ]
    )
    more = len(listed) == MOST_LISTED
    return Concerns(listed, orders[:MOST_COUNTED].count() if more else len(listed))


# --- Workers ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Holder:
    """A worker's process, as its claims name it, and how long ago one of its orders changed."""

    name: str
    orders: int
    seconds_ago: float


HOLDERS = f"""
SELECT holder, count(*), extract(epoch FROM engine_now() - max(updated_at))::float8 AS seconds_ago
FROM (SELECT holder, updated_at FROM orders_order ORDER BY id DESC LIMIT {HOLDERS_AMONG}) AS newest
WHERE holder <> '' GROUP BY holder ORDER BY seconds_ago
"""


def holders() -> tuple[Holder, ...]:
    """Who took the newest HOLDERS_AMONG orders, the one that did something last first."""
    return tuple(Holder(*row) for row in _ask(HOLDERS))


def _ask(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
