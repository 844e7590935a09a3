"""What a run does: how many orders, on an engine with which settings, and which disturbances in which order."""

import random
from dataclasses import dataclass, field

# Each once, in an order that the seed gives; `a + b` are two at the same time.
DISTURBANCES = (
    "kill a worker",
    "kill workers one after the other",
    "kill all workers at once",
    "pause a worker past its lease",
    "cut a worker off from everything",
    "cut a worker off from the orders' database",
    "stop Redis",
    "kill Redis",
    "wipe Redis",
    "freeze Redis",
    "restart PostgreSQL",
    "kill PostgreSQL",
    "kill beat",
    "kill the web server",
    "kill a worker + stop Redis",
    "kill a worker + kill PostgreSQL",
    "kill the web server + wipe Redis",
)
IN_SHORT = (
    "kill beat + kill the web server",
    "kill workers one after the other",
    "pause a worker past its lease",
    "stop Redis",
    "wipe Redis",
    "restart PostgreSQL",
    "cut a worker off from everything",
    "kill PostgreSQL",
)

# Said, not left out: `.env` would say something else.
SETTINGS = {
    "ALLOWED_HOSTS": "127.0.0.1",
    "HTTPS": "false",
    "DEBUG": "false",
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": "json",
    "WORKER_CONCURRENCY": "8",
    "WEB_THREADS": "8",
    "ORDER_RATE_LIMIT": "1000000/s",
}


@dataclass(frozen=True)
class Plan:
    """Times in seconds. Orders are followed on their account's socket, `own_socket_share` of them also on their own."""

    orders: int
    seed: int
    disturbances: tuple[str, ...]
    clients: int = 24
    accounts: int = 3
    workers: int = 3
    lease_s: float = 5.0
    outage_s: float = 6.0
    pause_s: tuple[float, float] = (2.0, 5.0)  # between two disturbances, from the seed
    restart_after_s: float = 0.5
    expected_s: float = 170.0  # how long the disturbances take, over which the orders are spread
    own_socket_share: float = 0.25
    settle_timeout_s: float = 180.0
    market: dict[str, str] = field(
        default_factory=lambda: {
            "MOCK_QUOTE_DELAY_MS": "100",
            "MOCK_SWAP_DELAY_MS": "1500-2500",
            "MOCK_SLOT_MS": "100",
            "MOCK_FAULT_RATE": "0.02",
        }
    )

    @property
    def environment(self) -> dict[str, str]:
        return {
            **SETTINGS,
            "MOCK_SEED": str(self.seed),
            "LEASE_S": str(self.lease_s),
            **self.market,
        }

    @property
    def submits_per_s(self) -> float:
        return self.orders / self.expected_s


def whole(*, orders: int, seed: int, clients: int) -> Plan:
    disturbances = list(DISTURBANCES)
    random.Random(seed).shuffle(disturbances)
    return Plan(orders=orders, seed=seed, clients=clients, disturbances=tuple(disturbances))


def in_short(*, orders: int = 150, seed: int = 1, clients: int = 8) -> Plan:
    """The main disturbances on a fast chain, for CI."""
    return Plan(
        orders=orders,
        seed=seed,
        clients=clients,
        disturbances=IN_SHORT,
        accounts=2,
        lease_s=1.5,
        outage_s=2.0,
        pause_s=(0.2, 0.8),
        restart_after_s=0.3,
        expected_s=25.0,
        settle_timeout_s=90.0,
        market={
            "MOCK_QUOTE_DELAY_MS": "20",
            "MOCK_SWAP_DELAY_MS": "500-1500",
            "MOCK_SLOT_MS": "40",
            "MOCK_FAULT_RATE": "0.02",
            "SWEEP_INTERVAL_S": "0.5",
        },
    )
