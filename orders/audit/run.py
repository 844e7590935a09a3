"""One audit: the chain's history first, then one snapshot of the orders, whatever goes on meanwhile.

What had landed when the chain was read is committed to in every later snapshot, so a running engine raises no false
alarm; what was confirmed after the chain was read is asked for by its signature.
"""

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from orders import checkpoint_log
from orders.audit.chain import ChainReader, Sought
from orders.audit.checks import (
    CHECKS,
    CONFIRMED_UNSEEN,
    FORGET,
    HEADS,
    LANDED,
    OF_A_RANGE,
    OF_HEADS,
    OF_LANDINGS,
    UNCOVERED,
)
from orders.exchange import TradingDesk
from routing.chain import LandedTransaction
from routing.tokens import TOKENS, from_base

# What one of a token's base units is in whole tokens, for SQL that compares the two: exact, since it is a string.
BASE_UNITS = json.dumps({token.symbol: from_base(1, token) for token in TOKENS.values()})

ORDERS_AT_ONCE = 20_000
CONNECTIONS = 2

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it, and of how much (0: nobody knows)."""


@dataclass(frozen=True, slots=True)
class Offender:
    """`order_id` is None for a transaction that names no order."""

    order_id: str | None
    detail: str


@dataclass(slots=True)
class Report:
    """`covered` counts the heads in checkpoints, `unchecked` confirmed orders of which the chain can't tell.

    `notes` are what an auditor should know and is no offence; `newest` is the last checkpoint that can be trusted.
    """

    checked_at: datetime
    orders: int = 0
    events: int = 0
    landed: int = 0
    covered: int = 0
    unchecked: int = 0
    newest: checkpoint_log.Line = checkpoint_log.BEGINNING
    notes: list[str] = field(default_factory=list)
    offenders: dict[str, list[Offender]] = field(default_factory=lambda: defaultdict(list))

    @property
    def ok(self) -> bool:
        return not any(self.offenders.values())

    def add(self, rows: Sequence[tuple[str, uuid.UUID | None, str]]) -> None:
        for check, order_id, detail in rows:
            self.offenders[check].append(Offender(str(order_id) if order_id else None, detail))

    def as_json(self) -> dict[str, Any]:
        """`{ok, checkedAt, orders, events, landed, covered, newestCheckpoint: {n, hash}, notes, checks: […]}`.

        A check is `{name, what, offenders, notChecked}`.
        """
        return {
            "ok": self.ok,
            "checkedAt": self.checked_at.isoformat(),
            "orders": self.orders,
            "events": self.events,
            "landed": self.landed,
            "covered": self.covered,
            "newestCheckpoint": {"n": self.newest.n, "hash": self.newest.digest},
            "notes": self.notes,
            "checks": [
                {
                    "name": name,
                    "what": what,
                    "offenders": [
                        {"orderId": each.order_id, "detail": each.detail}
                        for each in self.offenders.get(name, ())
                    ],
                    "notChecked": self.unchecked if name == "confirmed and landed" else 0,
                }
                for name, what in CHECKS.items()
            ],
        }


def audit(
    desk: TradingDesk,
    progress: Progress = lambda what, done, of: None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Report:
    """Check everything. Raises OperationalError or Unavailable when the database or the chain can't be read."""
    chain = ChainReader(desk, sleep)
    head = chain.head()
    landed = list(
        chain.history(
            up_to=head.finalized_slot,
            tell=lambda count: progress("landed transactions", count, 0),
        )
    )
    report = Report(checked_at=datetime.now(UTC), landed=len(landed))
    with snapshot() as name, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM orders_order")
        (report.orders,) = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM orders_orderevent")
        (report.events,) = cursor.fetchone()
        done = 0
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for rows in pool.map(lambda bounds: in_snapshot(name, bounds), ranges(cursor)):
                report.add(rows)
                done = min(report.orders, done + ORDERS_AT_ONCE)
                progress("orders", done, report.orders)
    against_checkpoints(report, progress)
    progress("orders and the chain", 0, 0)
    unseen = against_landings(report, landed)
    against_the_chain(report, unseen, chain, first_available_slot=head.first_available_slot)
    return report


@contextmanager
def snapshot() -> Iterator[str]:
    """A read-only transaction on this thread's connection, and the name under which others can share its view."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            cursor.execute("SELECT pg_export_snapshot()")
            yield cursor.fetchone()[0]
        finally:
            cursor.execute("ROLLBACK")


def ranges(cursor: Any) -> Iterator[tuple[uuid.UUID, uuid.UUID]]:
    """Bounds `low < id <= high` that cover every id, so many orders in each."""
    low = uuid.UUID(int=0)
    while True:
        cursor.execute(
            "SELECT id FROM orders_order WHERE id > %s ORDER BY id OFFSET %s LIMIT 1",
            [low, ORDERS_AT_ONCE - 1],
        )
        row = cursor.fetchone()
        high = row[0] if row else uuid.UUID(int=2**128 - 1)
        yield low, high
        if row is None:
            return
        low = high


def in_snapshot(name: str, bounds: tuple[uuid.UUID, uuid.UUID]) -> list[Any]:
    """The offenders of a range of orders, seen as the snapshot's owner sees them."""
    low, high = bounds
    found: list[Any] = []
    try:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SET TRANSACTION SNAPSHOT %s", [name])
            for sql in OF_A_RANGE:
                cursor.execute(sql, {"low": low, "high": high, "base_units": BASE_UNITS})
                found += cursor.fetchall()
            cursor.execute("ROLLBACK")
    finally:
        connection.close()
    return found


def against_checkpoints(report: Report, progress: Progress) -> None:
    """Compare the log with what was signed of it."""
    try:
        lines = checkpoint_log.read()
    except checkpoint_log.NoKey as error:
        report.add([("checkpoints", None, f"can't be checked: {error}")])
        return
    restores = []
    with connection.cursor() as cursor:
        cursor.execute(HEADS)
        try:
            with cursor.copy("COPY heads FROM STDIN") as copy:
                for line in lines:
                    if line.trouble:
                        report.add([("checkpoints", None, f"{line.where} {line.trouble}")])
                        continue
                    report.newest = line
                    report.covered += len(line.heads)
                    progress("checkpoints", report.covered, 0)
                    for head in line.heads:
                        copy.write_row((line.n, *head))
                    if line.restored_to is not None:
                        restores.append(line)
            for line in restores:
                cursor.execute(FORGET, [line.restored_to, line.n])
                report.covered -= cursor.rowcount
                report.notes.append(
                    f"{line.where}: the database was restored before {line.at:%Y-%m-%d %H:%M} UTC. It has forgotten "
                    f"{cursor.rowcount:,} heads, signed after checkpoint {line.restored_to} (event {line.cursor})."
                )
            cursor.execute("ANALYZE heads")
            cursor.execute(OF_HEADS, [])
            report.add(cursor.fetchall())
            cursor.execute(UNCOVERED, [report.newest.cursor])
            report.add(cursor.fetchall())
        finally:
            cursor.execute("DROP TABLE heads")


def against_landings(report: Report, landed: Sequence[LandedTransaction]) -> list[Any]:
    """Compare the orders with what landed; answer the confirmed ones that it doesn't confirm."""
    with connection.cursor() as cursor:
        cursor.execute(LANDED)
        try:
            with cursor.copy("COPY landed FROM STDIN") as copy:
                for receipt in landed:
                    order_id, attempt = order_of(receipt.memo)
                    copy.write_row(
                        (
                            receipt.signature,
                            receipt.slot,
                            order_id,
                            attempt,
                            receipt.error,
                            receipt.amount_out_base,
                        )
                    )
            cursor.execute("ANALYZE landed")
            cursor.execute(OF_LANDINGS, [])
            report.add(cursor.fetchall())
            cursor.execute(CONFIRMED_UNSEEN)
            return list(cursor.fetchall())
        finally:
            cursor.execute("DROP TABLE landed")


def against_the_chain(
    report: Report, unseen: Sequence[Any], chain: ChainReader, *, first_available_slot: int
) -> None:
    """Ask for each of these by its signature: confirmed since the history was read, or a lie."""
    in_history = [row for row in unseen if row[3] >= first_available_slot]
    receipts, absent = chain.look_for(
        [Sought(tx_hash, *when) for _, tx_hash, _, *when in in_history]
    )
    report.unchecked += len(unseen) - len(in_history)
    for order_id, tx_hash, amount, *_ in in_history:
        found = receipts.get(tx_hash)
        if found is None and tx_hash not in absent:
            report.unchecked += 1
        elif found is None:
            report.add([("confirmed and landed", order_id, f"{tx_hash} did not land")])
        elif found.error or found.amount_out_base != amount:
            detail = f"{tx_hash} landed with {found.error or found.amount_out_base}"
            report.add([("confirmed and landed", order_id, detail)])


def order_of(memo: str) -> tuple[uuid.UUID | None, int | None]:
    """The order and attempt that a memo names; none for a memo that isn't ours."""
    order_id, _, attempt = memo.partition(":")
    try:
        return uuid.UUID(order_id), int(attempt)
    except ValueError:
        return None, None
