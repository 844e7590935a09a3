"""What is measured: each scenario is one load on an engine with one set of settings."""

from dataclasses import dataclass, field, replace

# Said, not left out: a `.env` would say something else.
SETTINGS = {
    "MOCK_SEED": "1",
    "MOCK_FAULT_RATE": "0.0",
    "MOCK_SLOT_MS": "400",
    "WORKER_CONCURRENCY": "10",
    "WEB": "split",
    "WEB_THREADS": "32",
    "LOG_LEVEL": "WARNING",
    # One account places every order.
    "ORDER_RATE_LIMIT": "1000000/s",
}
NO_DELAY = {"MOCK_QUOTE_DELAY_MS": "0", "MOCK_SWAP_DELAY_MS": "0"}
DEFAULT_DELAYS = {"MOCK_QUOTE_DELAY_MS": "200", "MOCK_SWAP_DELAY_MS": "2000-3000"}
LONG_IN_FLIGHT = {"MOCK_QUOTE_DELAY_MS": "0", "MOCK_SWAP_DELAY_MS": "10000"}
# One process for REST and sockets: what `make up` runs unless told otherwise.
TOGETHER = {"WEB": "together"}


@dataclass(frozen=True)
class Scenario:
    """`concurrency` clients submit one order (or `batch`) after the other; one that `waits` lets each end first.

    `crowd` sockets are open at once; the tables are filled with `history` finished orders half-way.
    """

    name: str
    title: str
    orders: int
    concurrency: int
    sockets: bool
    delays: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    batch: int = 1
    waits: bool = False
    crowd: int = 0
    history: int = 0
    timeout_s: float = 600.0

    @property
    def environment(self) -> dict[str, str]:
        return SETTINGS | self.delays | self.settings

    @property
    def is_together(self) -> bool:
        return self.environment["WEB"] == "together"

    def changed(
        self, *, orders: int | None, concurrency: int | None, worker_threads: int | None
    ) -> "Scenario":
        """The same with what was asked for on the command line."""
        threads = {"WORKER_CONCURRENCY": str(worker_threads)} if worker_threads else {}
        return replace(
            self,
            orders=orders or self.orders,
            concurrency=concurrency or self.concurrency,
            settings=self.settings | threads,
        )

    def made_quick(self) -> "Scenario":
        return replace(
            self,
            batch=min(self.batch, 5),
            crowd=min(self.crowd, QUICK_ORDERS),
            history=min(self.history, QUICK_HISTORY),
        )


QUICK_ORDERS = 20
QUICK_HISTORY = 2_000

SCENARIOS = (
    Scenario(
        name="no-delay",
        title="No delays, no sockets",
        orders=2_000,
        concurrency=50,
        sockets=False,
        delays=NO_DELAY,
    ),
    Scenario(
        name="no-delay-sockets",
        title="No delays, a socket per order",
        orders=2_000,
        concurrency=50,
        sockets=True,
        delays=NO_DELAY,
    ),
    Scenario(
        name="no-delay-together",
        title="No delays, no sockets, one web process",
        orders=2_000,
        concurrency=50,
        sockets=False,
        delays=NO_DELAY,
        settings=TOGETHER,
    ),
    Scenario(
        name="no-delay-sockets-together",
        title="No delays, a socket per order, one web process",
        orders=2_000,
        concurrency=50,
        sockets=True,
        delays=NO_DELAY,
        settings=TOGETHER,
    ),
    Scenario(
        name="low-latency",
        title="No delays, two clients that wait for each order to end on its socket",
        orders=400,
        concurrency=2,
        sockets=True,
        delays=NO_DELAY,
        waits=True,
    ),
    # Long enough for the rate that lasts: the last orders land 3 s after they were accepted.
    Scenario(
        name="default-delays",
        title="Default delays, no sockets, one worker",
        orders=12_000,
        concurrency=50,
        sockets=False,
        delays=DEFAULT_DELAYS,
    ),
    Scenario(
        name="default-delays-sockets",
        title="Default delays, a socket per order, one worker",
        orders=3_000,
        concurrency=50,
        sockets=True,
        delays=DEFAULT_DELAYS,
    ),
    # Landing takes 10 s: so many are in flight once a worker signs 1,000 a second. Batches leave it the processor.
    Scenario(
        name="in-flight",
        title="10,000 orders in flight at once, one worker",
        orders=15_000,
        concurrency=4,
        sockets=False,
        delays=LONG_IN_FLIGHT,
        batch=250,
    ),
    Scenario(
        name="batch",
        title="Batches of 500, no delays, no sockets",
        orders=20_000,
        concurrency=4,
        sockets=False,
        delays=NO_DELAY,
        batch=500,
    ),
    Scenario(
        name="sockets-idle",
        title="5,000 sockets on one stream process; 1,000 clients on one account's stream",
        orders=200,
        concurrency=50,
        sockets=True,
        delays=NO_DELAY,
        crowd=5_000,
    ),
    Scenario(
        name="growth",
        title="No delays, no sockets; empty tables, then 1,000,000 orders and 6,000,000 events",
        orders=2_000,
        concurrency=50,
        sockets=False,
        delays=NO_DELAY,
        history=1_000_000,
    ),
)
