"""How many orders were accepted and ended, second by second: counted from the log of events.

The log has no index on time and needs none: ids grow with it, so the newest events are the last by primary key. They
are counted in pieces of so many ids. One whose events are all old is counted once in a process's life; each look then
costs what was written since the last one, however long the log is.
"""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from orders.lifecycle import TERMINAL, Status

POINTS: Final = 60
POINT_S: Final = 15
SPAN_S: Final = POINTS * POINT_S
PIECE: Final = 5_000
# The first look of a process at a busy engine: what can't be counted within this time is left to the next ones.
BUDGET_S: Final = 0.05
PIECES_AT_LEAST: Final = 2
# An event has its id before it is committed. No statement that writes some takes this long.
SETTLED_AFTER_S: Final = 10

EDGES = """
SELECT extract(epoch FROM engine_now())::bigint,
       coalesce((SELECT min(id) FROM orders_orderevent), 0), coalesce((SELECT max(id) FROM orders_orderevent), 0)
"""

# Each order has one event that is `pending`, and one that ends it. Older ones tell only that there are some.
COUNT = f"""
SELECT CASE WHEN at >= to_timestamp(%s) THEN extract(epoch FROM date_trunc('second', at))::bigint END AS second,
       CASE WHEN status IN ({", ".join(f"'{kind}'" for kind in sorted({Status.PENDING, *TERMINAL}))}) THEN status END,
       count(*)
FROM orders_orderevent
WHERE id >= %s AND id < %s
GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """So many orders were accepted, and so many ended in each way, within the same time."""

    accepted: int = 0
    confirmed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def ended(self) -> int:
        return self.confirmed + self.failed + self.cancelled


@dataclass(frozen=True, slots=True)
class Throughput:
    """`points` are the last POINTS whole intervals of POINT_S seconds, oldest first.

    `counted_s` is how far back the count has come: SPAN_S, or less while a busy engine's log is still being read.
    """

    minute: Counts
    span: Counts
    points: tuple[Counts, ...]
    counted_s: int

    @property
    def is_complete(self) -> bool:
        return self.counted_s >= SPAN_S


Tally = Counter[tuple[int, Status]]
"""By second (Unix time) and by what the orders became in it."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """`since` and `until` are its first and last second; None if nothing in it is recent."""

    tally: Tally
    since: int | None
    until: int | None
    reaches_back: bool  # some of its events are too old to be counted

    def is_settled(self, *, now: int) -> bool:
        if self.until is None:
            return self.reaches_back
        return self.until < now - SETTLED_AFTER_S


class EventCount:
    """One process's count. Callable from any thread; what one caller has counted, the next need not count again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: dict[int, _Piece] = {}

    def look(self) -> Throughput:
        with self._lock:
            now, oldest, newest = _ask(EDGES)[0]
            # One interval more, so that the first point is whole.
            since = now - SPAN_S - POINT_S
            tally, counted_since = self._count(oldest, newest, now=now, since=since)
            return _throughput(tally, now=now, counted_s=now - max(counted_since, now - SPAN_S))

    def _count(self, oldest: int, newest: int, *, now: int, since: int) -> tuple[Tally, int]:
        """The newest piece first. Answers the second back to which everything is counted, too."""
        tally: Tally = Counter()
        counted_since, asked = now, 0
        give_up_at = time.monotonic() + BUDGET_S
        for number in range(newest // PIECE, oldest // PIECE - 1, -1):
            piece = self._settled.get(number)
            if piece is None:
                if asked >= PIECES_AT_LEAST and time.monotonic() >= give_up_at:
                    break
                asked += 1
                piece = _count_piece(number, since=since)
                # Ids that are still to be given belong to the newest.
                if number < newest // PIECE and piece.is_settled(now=now):
                    self._settled[number] = piece
            tally.update(piece.tally)
            if piece.since is not None:
                counted_since = min(counted_since, piece.since)
            if piece.reaches_back or (piece.since is not None and piece.since < since):
                counted_since = since
                break
        else:
            counted_since = since  # that is the whole log
        for old in [each for each in self._settled if each < number]:
            del self._settled[old]
        return tally, counted_since


def _count_piece(number: int, *, since: int) -> _Piece:
    tally: Tally = Counter()
    seconds: set[int] = set()
    reaches_back = False
    for second, kind, count in _ask(COUNT, [since, number * PIECE, (number + 1) * PIECE]):
        if second is None:
            reaches_back = True
            continue
        seconds.add(second)
        if kind:
            tally[second, Status(kind)] += count
    return _Piece(tally, min(seconds, default=None), max(seconds, default=None), reaches_back)


def _throughput(tally: Tally, *, now: int, counted_s: int) -> Throughput:
    # The interval that has just begun would look like a lull.
    first = now // POINT_S * POINT_S - SPAN_S
    by_point: Counter[tuple[int, Status]] = Counter()
    for (second, kind), count in tally.items():
        by_point[(second - first) // POINT_S, kind] += count
    return Throughput(
        minute=_within(tally, since=now - 60),
        span=_within(tally, since=now - SPAN_S),
        points=tuple(
            Counts(*(by_point[point, kind] for kind in _COLUMNS)) for point in range(POINTS)
        ),
        counted_s=counted_s,
    )


_COLUMNS = (Status.PENDING, Status.CONFIRMED, Status.FAILED, Status.CANCELLED)


def _within(tally: Tally, *, since: int) -> Counts:
    kinds: Counter[Status] = Counter()
    for (second, kind), count in tally.items():
        if second >= since:
            kinds[kind] += count
    return Counts(*(kinds[kind] for kind in _COLUMNS))


def _ask(sql: str, params: list[int] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
