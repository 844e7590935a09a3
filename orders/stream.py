"""An event on the wire: one shape for REST and sockets, and the group message that carries it.

A group message is a doorbell: it may be lost. Completeness rests on PostgreSQL and `hub`, which fills what is missing.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

import orjson
from channels.layers import get_channel_layer

from orders import background, observe
from orders.lifecycle import TERMINAL, Status
from orders.models import OrderEvent
from routing.tokens import Token

GROUP_MESSAGE = "order.events"
# Messages on their way to Redis. Beyond it they are dropped: the hub's query brings them a second later.
MAX_UNSENT = 5_000
# After a failure Redis is left alone this long, so that a dead one costs nobody a time-out per message.
PAUSE_AFTER_FAILURE_S = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the log with whose it is. `details` holds the optional fields of the message, in wire form."""

    account_id: int
    order_id: UUID
    seq: int
    status: Status
    attempt: int
    at: datetime
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: OrderEvent, *, account_id: int) -> "Event":
        return cls(
            account_id=account_id,
            order_id=row.order_id,
            seq=row.seq,
            status=Status(row.status),
            attempt=row.attempt,
            at=row.at,
            message=row.message,
            details=row.details,
        )

    @classmethod
    def from_columns(cls, columns: Sequence[Any]) -> "Event":
        """From a statement that answers these eight columns in this order, `details` as JSON text."""
        account_id, order_id, seq, status, attempt, at, message, details = columns
        return cls(
            account_id, order_id, seq, Status(status), attempt, at, message, orjson.loads(details)
        )

    @property
    def is_final(self) -> bool:
        return self.status in TERMINAL

    def as_json(self) -> dict[str, Any]:
        """`{type, orderId, seq, status, attempt, timestamp, message, …details}`."""
        return {
            "type": "order.event",
            "orderId": str(self.order_id),
            "seq": self.seq,
            "status": self.status.value,
            "attempt": self.attempt,
            "timestamp": rfc3339(self.at),
            "message": self.message,
            **self.details,
        }


def rfc3339(at: datetime) -> str:
    """`2026-11-21T07:41:00.123456Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def error_as_json(code: str, message: str, *, retryable: bool) -> dict[str, Any]:
    return {"code": code, "message": message, "retryable": retryable}


def executed_price(
    token_in: Token, amount_in_base: int, token_out: Token, amount_out_base: int
) -> str:
    """Whole tokens out for one whole token in, to 12 significant digits, half to even."""
    price = Context(prec=12).divide(
        Decimal(amount_out_base).scaleb(-token_out.decimals),
        Decimal(amount_in_base).scaleb(-token_in.decimals),
    )
    return f"{price.normalize():f}"


def as_text(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


def group_of(account_id: int) -> str:
    """Where an account's events are announced. One message reaches its order sockets and its account sockets."""
    return f"account.{account_id}"


def publish(events: Sequence[Event]) -> None:
    """Announce committed events. Returns at once, never raises, may lose them."""
    by_account: dict[int, list[list[Any]]] = defaultdict(list)
    for event in events:
        by_account[event.account_id].append(
            [str(event.order_id), event.seq, event.is_final, as_text(event.as_json())]
        )
    for account_id, rows in by_account.items():
        _outbox.send(
            group_of(account_id), {"type": GROUP_MESSAGE, "account": account_id, "events": rows}
        )


class _Outbox:
    """Counts what is on its way to Redis, and stops trying for a moment when Redis is away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsent = 0
        self._paused_until = 0.0

    def send(self, group: str, message: dict[str, Any]) -> None:
        with self._lock:
            if self._unsent >= MAX_UNSENT or time.monotonic() < self._paused_until:
                return
            self._unsent += 1
        background.submit(self._deliver(group, message))

    async def _deliver(self, group: str, message: dict[str, Any]) -> None:
        try:
            if time.monotonic() >= self._paused_until:
                await get_channel_layer().group_send(group, message)
        except Exception as error:  # a process's edge: a doorbell that fails is only counted
            self._paused_until = time.monotonic() + PAUSE_AFTER_FAILURE_S
            observe.announcement_failed(error=error)
        finally:
            with self._lock:
                self._unsent -= 1


_outbox = _Outbox()
