"""A trading desk's life on an engine of its own: orders of all sizes, most of them filled, and some that tell a story.

The engine is `make up`'s, in a temporary folder. It is started again for each mood of the venues and the chain, since
their faults are settings; what was placed before stays.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psycopg

from config.stack.engine_processes import PROJECT
from config.stack.ports import port_is_free
from tests.up import STOP_TIMEOUT_S, Up, start, up_environment
from tests.waiting import wait_until

SEED = 1
FINAL = ("confirmed", "failed", "cancelled")
# Slow enough to be seen at work.
PACE = {
    "MOCK_SEED": str(SEED),
    "MOCK_QUOTE_DELAY_MS": "600",
    "QUOTE_DEADLINE_MS": "1500",
    "MOCK_SWAP_DELAY_MS": "2500-3500",
    "LOG_LEVEL": "WARNING",
}
BAD_LUCK = {"MOCK_FAULTS": "slippage=0.8"}
SILENCE = {"MOCK_FAULTS": "dropped=1,no_history=1"}
HOURS_OF_PRICES = 1
ORDER_TIMEOUT_S = 120.0
ORDERS_PER_S = 3.0
USUAL_PORT = 8000

# Pairs, each with the whole tokens that its orders are about.
PAIRS = (
    ("SOL", "USDC", 20.0),
    ("USDC", "SOL", 2_500.0),
    ("SOL", "JUP", 12.0),
    ("USDC", "WIF", 900.0),
    ("BONK", "USDC", 40_000_000.0),
    ("JTO", "SOL", 650.0),
    ("RAY", "mSOL", 400.0),
    ("USDT", "PYTH", 1_200.0),
)


@dataclass
class Desk:
    """An account, and what it asks of the engine."""

    url: str
    key: str

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    def place(self, token_in: str, token_out: str, amount: str, **more: Any) -> str:
        body = {"tokenIn": token_in, "tokenOut": token_out, "amount": amount, "orderType": "market"}
        return str(self.ask("/api/orders/execute", {**body, **more})["orderId"])

    def cancel(self, order_id: str) -> None:
        self.ask(f"/api/orders/{order_id}/cancel", {})

    def order(self, order_id: str) -> dict[str, Any]:
        return self.ask(f"/api/orders/{order_id}")

    def place_at_random(self, rng: Random) -> str:
        """Most are small, a few are large enough to be divided."""
        time.sleep(rng.expovariate(ORDERS_PER_S))
        token_in, token_out, usual = rng.choice(PAIRS)
        size = usual * rng.lognormvariate(0, 1.1)
        amount = f"{size:.0f}" if size > 100 else f"{size:.2f}"
        return self.place(
            token_in, token_out, amount, clientOrderId=f"desk-{rng.randrange(10**6):06}"
        )

    def wait_for(self, order_ids: list[str], done: Callable[[dict[str, Any]], bool]) -> None:
        wait_until(
            lambda: all(done(self.order(order_id)) for order_id in order_ids),
            timeout_s=ORDER_TIMEOUT_S,
        )


def has_ended(order: Mapping[str, Any]) -> bool:
    return order["status"] in FINAL


def is_sent(order: Mapping[str, Any]) -> bool:
    return order["status"] == "submitted" or has_ended(order)


def is_in_doubt(order: Mapping[str, Any]) -> bool:
    return order["inDoubt"] is not None


class Office:
    """The engine in its folder, and its desks."""

    def __init__(self, folder: Path) -> None:
        # The address is seen in pictures.
        port = {"PORT": str(USUAL_PORT)} if port_is_free(USUAL_PORT) else {}
        self._env = up_environment(folder, **PACE, **port)
        self.rng = Random(SEED)

    @contextmanager
    def open(self, **mood: str) -> Iterator[Up]:
        up = start(self._env | mood)
        try:
            yield up
        finally:
            up.process.terminate()
            up.process.wait(timeout=STOP_TIMEOUT_S)

    def desk(self, up: Up, account: str = "") -> Desk:
        """The demo account's, or that of another, which is made if it is new."""
        return Desk(url=up.ready["url"], key=self._key(account) if account else up.ready["apiKey"])

    def _key(self, account: str) -> str:
        issued = subprocess.run(
            [sys.executable, "manage.py", "apikey", "issue", account],
            cwd=PROJECT,
            env=self._env,
            capture_output=True,
            text=True,
            check=True,
        )
        return issued.stdout.strip()


@contextmanager
def office() -> Iterator[Office]:
    # Root's PostgreSQL runs as another account, which must reach it.
    folder = Path(tempfile.mkdtemp(prefix="order-engine-life-"))
    folder.chmod(0o711)
    try:
        yield Office(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def let_prices_begin_earlier(desk: Desk, up: Up) -> None:
    """So that charts have something to show. Only before the first order: slots are counted from the chain's genesis.

    Whoever runs has the genesis in memory, and has to be started again.
    """
    desk.ask("/api/prices?tokenIn=SOL&tokenOut=USDC")  # the first question begins the chain
    with psycopg.connect(up.ready["chainDatabaseUrl"]) as chain:
        changed = chain.execute(
            "UPDATE simulated_chain.ledger SET genesis_ms = genesis_ms - %s",
            [HOURS_OF_PRICES * 3_600_000],
        )
    assert changed.rowcount == 1
