"""An order as its client sees it: what was asked for, and what the stream has told so far."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

from orders.lifecycle import TERMINAL


class DemoError(Exception):
    """The demo can't go on, or what it saw was not right; the message is one sentence that says why."""


@dataclass(frozen=True, slots=True)
class Swap:
    """`amount` is in whole tokens of `token_in`, in wire form."""

    token_in: str
    token_out: str
    amount: str

    @property
    def pair(self) -> str:
        return f"{self.token_in}/{self.token_out}"


SWAPS = (
    Swap("SOL", "USDC", "1.5"),
    Swap("USDC", "SOL", "2500"),
    Swap("SOL", "mSOL", "40"),
    Swap("BONK", "USDC", "5000000"),
    Swap("JUP", "SOL", "1200"),
    Swap("USDC", "WIF", "750.25"),
    Swap("RAY", "USDC", "320"),
    Swap("SOL", "JTO", "12.75"),
    Swap("USDT", "USDC", "10000"),
    Swap("PYTH", "SOL", "4800"),
)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An `order.event` message. What a message may leave out is empty here."""

    seq: int
    status: str
    message: str
    venue: str
    executed_price: str
    amount_out: str
    error_code: str

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> "StreamEvent":
        """Raises KeyError, TypeError or ValueError for a message that is no event."""
        return cls(
            seq=int(message["seq"]),
            status=str(message["status"]),
            message=str(message["message"]),
            venue=str(message.get("selectedDex") or ""),
            executed_price=str(message.get("executedPrice") or ""),
            amount_out=str(message.get("amountOut") or ""),
            error_code=str((message.get("error") or {}).get("code", "")),
        )

    @property
    def is_final(self) -> bool:
        return self.status in TERMINAL


@dataclass
class DemoOrder:
    """One order and its stream. Times are `time.monotonic()`."""

    swap: Swap
    order_id: str = ""
    events: list[StreamEvent] = field(default_factory=list)
    started_at: float | None = None
    ended_at: float | None = None
    reconnects: int = 0
    # Why the engine refused the stream, or what in it could not be read.
    trouble: str = ""

    def hear(self, event: StreamEvent) -> None:
        self.events.append(event)
        if event.is_final and self.ended_at is None:
            self.ended_at = time.monotonic()

    @property
    def short_id(self) -> str:
        """The end: the ids begin with the time, so those of one second begin alike."""
        return self.order_id[-8:]

    @property
    def status(self) -> str:
        return self.events[-1].status if self.events else ""

    @property
    def last_seq(self) -> int:
        return self.events[-1].seq if self.events else 0

    @property
    def has_ended(self) -> bool:
        return self.ended_at is not None

    @property
    def elapsed_s(self) -> float:
        """From the submission to the end, or until now."""
        if self.started_at is None:
            return 0.0
        return (self.ended_at or time.monotonic()) - self.started_at

    @property
    def flaw(self) -> str:
        """What is wrong with the stream; empty if it is complete."""
        return self.trouble or find_flaw(self.events)

    def latest(self, name: str) -> str:
        """The last value told of an event's field."""
        return next((value for e in reversed(self.events) if (value := str(getattr(e, name)))), "")


def demo_orders(count: int) -> list[DemoOrder]:
    """The same ones every time."""
    return [DemoOrder(swap) for swap in islice(cycle(SWAPS), count)]


def find_flaw(events: Sequence[StreamEvent]) -> str:
    """Complete is: each seq from 1 on, once, in order, to a terminal event and not beyond it. Empty if so."""
    for due, event in enumerate(events, start=1):
        if event.seq != due:
            return f"seq {event.seq} came where {due} was due"
        if event.is_final and due < len(events):
            return f"seq {events[due].seq} came after the end"
    if not (events and events[-1].is_final):
        return f"it stopped at seq {len(events)}, before the end"
    return ""
