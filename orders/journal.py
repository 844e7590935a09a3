"""The only writer of orders, attempts and events.

A transition says what its writer believed (status, last seq, fencing token). Where the row still says the same, order,
attempt and event change together in one statement; where it doesn't, somebody else was first and nothing changes.
Events are announced after the commit.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from config.postgres.prepared import fetch_prepared
from orders import observe, stream
from orders.journal_sql import ACCEPT, ACCEPTED, RECORD
from orders.lifecycle import AttemptState, Status
from orders.models import Order, new_order_id
from orders.stream import Event

# What the database answers when a row breaks one of its rules, rather than when it can't be reached.
REFUSALS = (IntegrityError, DataError, ProgrammingError, InternalError)


class OutcomeUnknown(OperationalError):
    """The connection broke while orders were being stored: they may have been, or be about to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """A checked order that nobody has seen yet. Amounts in base units.

    What follows from a quote that it names is missing until it is bound to that: see `stored_quotes.bind`.
    """

    account_id: int
    client_order_id: str | None
    order_type: str
    token_in: str
    token_out: str
    amount_in_base: int
    slippage_bps: int | None
    quote_id: UUID | None = None
    quote_expires_at: datetime | None = None
    min_amount_out_base: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    id: UUID = field(default_factory=new_order_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptChange:
    """What a transition writes of the attempt that it found. None leaves a column as it is."""

    state: AttemptState
    quotes: list[dict[str, Any]] | None = None
    receipt: dict[str, Any] | None = None
    venue: str | None = None
    pool: str | None = None
    min_amount_out_base: int | None = None
    signature: str | None = None
    signed_bytes: str | None = None  # base64, as JSON carries it
    last_valid_block_height: int | None = None
    genesis_hash: str | None = None
    signed_slot: int | None = None
    proof: dict[str, Any] | None = None
    amount_out_base: int | None = None
    error_code: str | None = None
    error_message: str | None = None

    def then(self, later: "AttemptChange") -> "AttemptChange":
        """Both in one: what the later one leaves as it is, is as the earlier one wrote it."""
        left = [each.name for each in fields(self) if getattr(later, each.name) is None]
        return replace(later, **{name: getattr(self, name) for name in left})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A status that an order only passes: an event like any other, written with the one that follows."""

    from_status: Status
    status: Status
    message: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One change of one order: what the writer believes now, and what is to follow.

    `passed` are the statuses between the two. `fence` is None only for writers that need no lease (a client's cancel).
    `due_in_s` says when a worker should look again: the end of the writer's lease, or of a back-off. None leaves that
    as it is; a terminal state has none.
    """

    order_id: UUID
    from_status: Status
    from_seq: int
    fence: int | None
    passed: tuple[Passed, ...] = ()
    status: Status
    message: str
    due_in_s: float | None
    details: dict[str, Any] = field(default_factory=dict)
    # Written to the attempt that the order is at; to the first, if that begins with this transition.
    attempt: AttemptChange | None = None
    opens_attempt: bool = False  # the next attempt begins with this transition
    releases: bool = False  # gives the lease back: the writer's fencing token is void from here on
    selected_dex: str | None = None
    tx_hash: str | None = None
    min_amount_out_base: int | None = None
    amount_out_base: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_retryable: bool = False
    in_doubt: bool | None = None
    next_check_in_s: float | None = (
        None  # while in doubt: the event tells since when, and when we ask again
    )
    cancel_requested: bool = False

    @classmethod
    def of(cls, order: Order, *, fenced: bool = True, **changes: Any) -> "Transition":
        """A change of the order as its writer has read it."""
        return cls(
            order_id=order.id,
            from_status=Status(order.status),
            from_seq=order.last_seq,
            fence=order.fence if fenced else None,
            **changes,
        )

    @property
    def seq(self) -> int:
        """Of its own event, the last."""
        return self.from_seq + len(self.passed) + 1

    def then(self, later: "Transition") -> "Transition":
        """Both in one, to be written together: `later` believes what this one is about to make true.

        It opens no attempt.
        """
        passed = Passed(
            from_status=self.passed[-1].status if self.passed else self.from_status,
            status=self.status,
            message=self.message,
            details=self.details,
        )
        attempt = later.attempt or self.attempt
        if later.attempt and self.attempt:
            attempt = self.attempt.then(later.attempt)
        return replace(
            later,
            from_status=self.from_status,
            from_seq=self.from_seq,
            passed=(*self.passed, passed, *later.passed),
            attempt=attempt,
            opens_attempt=self.opens_attempt,
            selected_dex=later.selected_dex or self.selected_dex,
            min_amount_out_base=later.min_amount_out_base or self.min_amount_out_base,
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """The database's own guard refused the transition: a bug of ours, and nothing was written."""

    error: DatabaseError


Outcome = Event | Refused | None


def accept(orders: Sequence[NewOrder]) -> list[Outcome]:
    """Write each order with its first event; None where the account has used that `client_order_id` before.

    If the database refuses the statement, its halves are tried on their own, so that one bad row stops no other.
    Raises OutcomeUnknown; after any other OperationalError or InterfaceError nothing was stored, nor will be.
    """
    if not orders:
        return []
    # Whoever writes a client_order_id waits for others who are about to: in one order, they can't wait in a circle.
    # The sort is stable, so that of two orders with the same the first is written.
    rows = sorted(orders, key=lambda order: (order.account_id, order.client_order_id or ""))
    by_id = {order.id: order for order in orders}

    def accepted(columns: Sequence[Any]) -> list[Event]:
        account_id, order_id, at = columns
        details = by_id[order_id].details
        return [Event(account_id, order_id, 1, Status.PENDING, 0, at, ACCEPTED, details)]

    connection.ensure_connection()
    try:
        events = _execute(ACCEPT, [_as_json(rows)], accepted)
    except (OperationalError, InterfaceError) as error:
        if connection.connection.closed:
            raise OutcomeUnknown(str(error)) from error
        raise
    except REFUSALS as error:
        if len(orders) > 1:
            return _accept_halves(orders)
        return [Refused(error)]
    return [events.get(order.id) for order in orders]


def _accept_halves(orders: Sequence[NewOrder]) -> list[Outcome]:
    middle = len(orders) // 2
    answers = accept(orders[:middle])
    try:
        return answers + accept(orders[middle:])
    except (OperationalError, InterfaceError) as error:
        # Of the first half something may be stored, and its caller will never be told what.
        raise OutcomeUnknown(str(error)) from error


def record(transitions: Sequence[Transition]) -> list[Outcome]:
    """Write every transition whose beliefs hold; answer each with its event, None (somebody was first) or Refused.

    Transitions of different orders, and the events of one, are written in one statement and commit together. If the
    database refuses it, each transition is written on its own, so that one bad row stops no other. A connection that
    breaks raises OperationalError: the writes may or may not have happened, and nothing must be sent on the strength
    of them.
    """
    if not transitions:
        return []
    if len({transition.order_id for transition in transitions}) != len(transitions):
        raise ValueError(
            "record() takes one transition per order: in one statement the second would vanish"
        )
    try:
        return _write(transitions)
    except REFUSALS as error:
        if len(transitions) > 1:
            return [record([transition])[0] for transition in transitions]
        (transition,) = transitions
        observe.write_refused(order_id=transition.order_id, status=transition.status, error=error)
        return [Refused(error)]


def _write(transitions: Sequence[Transition]) -> list[Outcome]:
    by_id = {transition.order_id: transition for transition in transitions}

    def recorded(columns: Sequence[Any]) -> list[Event]:
        account_id, order_id, seq, attempt, at, completed = columns
        wanted = by_id[order_id]
        details = orjson.loads(completed) if completed else wanted.details
        passed = [
            Event(account_id, order_id, nth, each.status, attempt, at, each.message, each.details)
            for nth, each in enumerate(wanted.passed, start=wanted.from_seq + 1)
        ]
        return [
            *passed,
            Event(account_id, order_id, seq, wanted.status, attempt, at, wanted.message, details),
        ]

    events = _execute(RECORD, [_as_json(transitions), list(by_id)], recorded)
    for transition in transitions:
        if transition.order_id not in events:
            observe.race_lost(order_id=transition.order_id, status=transition.status)
    return [events.get(transition.order_id) for transition in transitions]


def _as_json(rows: Sequence[Any]) -> str:
    return orjson.dumps(rows).decode()


def _execute(
    sql: str, params: list[Any], as_events: Callable[[Sequence[Any]], list[Event]]
) -> dict[UUID, Event]:
    """Run one statement; announce what it wrote once that is committed. Answers each order's last event."""
    # A savepoint only where a caller has opened a transaction: there a refusal must not spoil the rest.
    guard = transaction.atomic() if connection.in_atomic_block else nullcontext()
    with guard:
        events = [event for row in fetch_prepared(sql, params) for event in as_events(row)]
    transaction.on_commit(partial(_announce, events))
    return {event.order_id: event for event in events}


def _announce(events: Sequence[Event]) -> None:
    for event in events:
        observe.event_recorded(
            order_id=event.order_id,
            seq=event.seq,
            status=event.status,
            attempt=event.attempt,
            message=event.message,
        )
    stream.publish(events)
