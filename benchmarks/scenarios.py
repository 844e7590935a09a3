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


@dataclass(frozen=True)
class Scenario:
    """`concurrency` clients submit one order after the other and don't wait for its end."""

    name: str
    title: str
    orders: int
    concurrency: int
    sockets: bool
    delays: dict[str, str]
    settings: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 600.0

    @property
    def environment(self) -> dict[str, str]:
        return SETTINGS | self.delays | self.settings

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
        name="default-delays",
        title="Default delays, a socket per order, one worker",
        orders=3_000,
        concurrency=50,
        sockets=True,
        delays=DEFAULT_DELAYS,
    ),
)
QUICK_ORDERS = 20
