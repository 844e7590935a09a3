"""What this process holds right now: orders that a thread works on, and transactions that wait for the chain.

Nothing here is the truth. If the process dies, its leases end and others take over from PostgreSQL.
"""

import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from orders.leases import Held
from routing.venue import Swap

# Everything outside answers or times out long before. A thread that still runs then hangs: others may take over.
LONGEST_RUN_S = 60.0


@dataclass(slots=True)
class Sent:
    """A committed transaction whose fate isn't known yet. Times are of the monotonic clock, in seconds."""

    order_id: UUID
    fence: int
    last_seq: int
    attempt: int
    swap: Swap
    venue: str
    signature: str
    signed_bytes: bytes = field(repr=False)
    last_valid_block_height: int
    genesis_hash: str
    signed_slot: int
    lease_until: float  # nothing is sent after it, unless the lease was renewed
    answered_at: float  # the chain, last; or when asking began
    sent_at: float = float("-inf")
    ask_at: float = float("-inf")  # not before; what is in doubt is asked for less often
    in_doubt: bool = False
    can_land: bool = True

    @property
    def held(self) -> Held:
        return self.order_id, self.fence


class InFlight:
    """Thread-safe. `monotonic` is the clock of all its times."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._lock = threading.Lock()
        self._running: dict[UUID, tuple[int, float]] = {}  # the fence, and since when
        self._waiting: dict[UUID, Sent] = {}

    @contextmanager
    def running(self, held: Iterable[Held]) -> Iterator[None]:
        """For as long as a thread works on the orders, and no longer than any should, their leases are renewed."""
        held, now = list(held), self.monotonic()
        with self._lock:
            self._running.update({order_id: (fence, now) for order_id, fence in held})
        try:
            yield
        finally:
            with self._lock:
                for order_id, fence in held:
                    self._stop_running(order_id, fence)

    def wait_for(self, sent: Iterable[Sent]) -> None:
        """The orders' threads are done; the pulse asks for the transactions from here on."""
        with self._lock:
            self._waiting.update({each.order_id: each for each in sent})

    def waiting(self) -> list[Sent]:
        """What is to be asked for now."""
        now = self.monotonic()
        with self._lock:
            return [sent for sent in self._waiting.values() if sent.ask_at <= now]

    def held(self) -> list[Held]:
        """Every lease that this process should renew."""
        running = self.running_now()
        with self._lock:
            return [*running, *(sent.held for sent in self._waiting.values())]

    def running_now(self) -> list[Held]:
        """The leases of orders that a thread works on: not those of threads that hang."""
        too_long_ago = self.monotonic() - LONGEST_RUN_S
        with self._lock:
            return [
                (order_id, fence)
                for order_id, (fence, since) in self._running.items()
                if since > too_long_ago
            ]

    def renewed(self, order_ids: Container[UUID], *, until: float) -> None:
        """These leases end later now."""
        with self._lock:
            for sent in self._waiting.values():
                if sent.order_id in order_ids:
                    sent.lease_until = until

    def forget(self, held: Iterable[Held]) -> None:
        """Their fate is known, or their leases are lost."""
        with self._lock:
            for order_id, fence in held:
                if order_id in self._waiting and self._waiting[order_id].fence == fence:
                    del self._waiting[order_id]
                self._stop_running(order_id, fence)

    def _stop_running(self, order_id: UUID, fence: int) -> None:
        if self._running.get(order_id, (None,))[0] == fence:
            del self._running[order_id]


here = InFlight()
