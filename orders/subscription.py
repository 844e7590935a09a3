"""One socket's place in the stream: what it follows, and how far it has heard."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from orders.passes import Pass
from orders.stream import Event, as_text

# How long a finished order is remembered, so that a group message that comes late isn't taken for news.
REMEMBER_FINISHED_S = 60.0


@dataclass(frozen=True, slots=True)
class Line:
    """An event, ready to be sent."""

    account_id: int
    order_id: UUID
    seq: int
    is_final: bool
    text: str

    @classmethod
    def of(cls, event: Event) -> "Line":
        return cls(
            event.account_id, event.order_id, event.seq, event.is_final, as_text(event.as_json())
        )


@dataclass(eq=False, slots=True)
class Subscription:
    """`order_id` None follows all of the account's orders; `seen` says up to which seq each has been heard.

    Orders that an account's stream has not seen count from seq 1, if their ids are not smaller than `newer_than`.
    """

    opened_by: Pass
    order_id: UUID | None
    send: Callable[[str], Awaitable[None]]
    close: Callable[[int], Awaitable[None]]
    seen: dict[UUID, int] = field(default_factory=dict)
    newer_than: UUID | None = None
    finished_at: dict[UUID, float] = field(default_factory=dict)

    @property
    def account_id(self) -> int:
        return self.opened_by.account_id

    def lacks(self, order_id: UUID, seq: int) -> bool:
        return self.seen.get(order_id, 0) < seq

    def is_next(self, order_id: UUID, seq: int) -> bool:
        return self.seen.get(order_id, 0) + 1 == seq

    async def deliver(self, line: Line) -> None:
        """Send the next event of its order; an order's own socket closes after the last one."""
        self.seen[line.order_id] = line.seq
        if line.is_final:
            self.finished_at[line.order_id] = time.monotonic()
        await self.send(line.text)
        if line.is_final and self.order_id is not None:
            await self.close(1000)

    async def heartbeat(self) -> None:
        """`seq` is the last one heard; an account's stream has none."""
        seq = self.seen.get(self.order_id) if self.order_id else None
        await self.send(as_text({"type": "heartbeat", "seq": seq}))

    def forget_finished(self, *, newer_than: UUID) -> None:
        """Keep an account's long-lived socket small. Orders younger than `newer_than` are never forgotten."""
        long_ago = time.monotonic() - REMEMBER_FINISHED_S
        for order_id in [order_id for order_id, at in self.finished_at.items() if at < long_ago]:
            if order_id < newer_than:
                del self.finished_at[order_id]
                self.seen.pop(order_id, None)
        self.newer_than = newer_than
