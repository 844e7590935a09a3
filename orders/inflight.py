"""What this process holds right now: orders that a thread works on, and transactions that wait for the chain.

Nothing here is the truth. If the process dies, its leases end and others take over from PostgreSQL.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from orders.leases import Held
from routing.venue import Swap


@dataclass(slots=True)
class Sent:
    """A committed transaction whose fate isn't known yet. Times are of the monotonic clock, in seconds."""

    order_id: UUID
    fence: int
    last_seq: int
    attempt: int
    swap: Swap
    venue_label: str
    signature: str
    signed_bytes: bytes = field(repr=False)
    last_valid_block_height: int
    genesis_hash: str
    signed_slot: int
    sent_at: float = float("-inf")
    answered_at: float = field(default_factory=time.monotonic)  # or when asking began
    in_doubt: bool = False
    can_land: bool = True

    @property
    def held(self) -> Held:
        return self.order_id, self.fence


class InFlight:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[UUID, int] = {}
        self._waiting: dict[UUID, Sent] = {}

    @contextmanager
    def running(self, held: Held) -> Iterator[None]:
        """For as long as a thread works on the order, its lease is renewed."""
        order_id, fence = held
        with self._lock:
            self._running[order_id] = fence
        try:
            yield
        finally:
            with self._lock:
                if self._running.get(order_id) == fence:
                    del self._running[order_id]

    def wait_for(self, sent: Iterable[Sent]) -> None:
        """The orders' threads are done; the pulse asks for the transactions from here on."""
        with self._lock:
            self._waiting.update({each.order_id: each for each in sent})

    def waiting(self) -> list[Sent]:
        with self._lock:
            return list(self._waiting.values())

    def held(self) -> list[Held]:
        """Every lease that this process should renew."""
        with self._lock:
            return [*self._running.items(), *(sent.held for sent in self._waiting.values())]

    def forget(self, held: Iterable[Held]) -> None:
        """Their fate is known, or their leases are lost."""
        with self._lock:
            for order_id, fence in held:
                if order_id in self._waiting and self._waiting[order_id].fence == fence:
                    del self._waiting[order_id]
                if self._running.get(order_id) == fence:
                    del self._running[order_id]


here = InFlight()
