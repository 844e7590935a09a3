"""A real dump, taken while orders are executed, is restored: what the backup has forgotten is not swapped again.

No order is accepted after the dump: the backup could not know it, and its swap would need a human (`test_reconcile`).
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from config.settings import sibling_database
from config.stack.embedded import DATABASE, EmbeddedPostgres, EmbeddedRedis
from config.stack.engine_processes import PROJECT
from config.stack.kept import secret_path
from config.stack.server_binaries import find_postgres
from tests.engine import WebServer, Worker, environment
from tests.waiting import wait_until

ORDERS = 150
SWAP = {"tokenIn": "SOL", "tokenOut": "USDC", "amount": "1.5", "orderType": "market"}
# Slow enough to be cut off in the middle, and a chain that is soon final.
PACE = {
    "MOCK_QUOTE_DELAY_MS": "100",
    "MOCK_SWAP_DELAY_MS": "100-4000",
    "MOCK_SLOT_MS": "100",
    "MOCK_BLOCKHASH_VALID_BLOCKS": "60",
    "MOCK_FINALITY_SLOTS": "4",
}
WRITE_CHECKPOINT = "from orders import checkpoints; checkpoints.write()"
SWAPS = """
SELECT split_part(memo, ':', 1) FROM simulated_chain.transactions WHERE raw IS NULL AND error IS NULL
"""


@pytest.fixture
def env(reachable_dir: Path) -> Iterator[dict[str, str]]:
    """Servers of its own: the orders' database is dropped, and comes back as it was; the chain's goes on."""
    postgres, redis = EmbeddedPostgres(reachable_dir), EmbeddedRedis(reachable_dir)
    with ExitStack() as to_stop:
        for server in (postgres, redis):
            server.start()
            to_stop.callback(server.stop)
        yield {
            "DATABASE_URL": postgres.url,
            "CHAIN_DATABASE_URL": sibling_database(postgres.url, "_chain"),
            "REDIS_URL": redis.url,
            "DATA_DIR": str(reachable_dir),
            "CHECKPOINT_DIR": str(reachable_dir / "checkpoints"),
            **PACE,
        }


@pytest.fixture
def start_worker(env: dict[str, str]) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_worker(**changes: str) -> Worker:
        workers.append(Worker(**env | changes))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.stop()


@pytest.fixture
def client(env: dict[str, str]) -> Iterator[httpx.Client]:
    """Of a web server that lives through all of it."""
    done = manage(env, "prepare", "--demo")
    assert done.returncode == 0, done.stderr
    web = WebServer(**env)
    key = secret_path(data_dir=Path(env["DATA_DIR"]), name="demo-api-key").read_text().strip()
    with httpx.Client(
        base_url=f"http://127.0.0.1:{web.port}",
        headers={"Authorization": f"Bearer {key}"},
        timeout=20,
    ) as client:
        yield client
    web.stop()


def manage(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment(**env),
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def place(client: httpx.Client) -> str:
    answer = client.post("/api/orders/execute", json=SWAP)
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["orderId"]
    return order_id


def dump(env: dict[str, str], into: Path) -> None:
    run_program("pg_dump", "--format=custom", f"--file={into}", env["DATABASE_URL"])


def restore(env: dict[str, str], backup: Path) -> None:
    """The database is gone, and comes back as the backup knows it."""
    with psycopg.connect(env["DATABASE_URL"], dbname="postgres", autocommit=True) as server:
        name = sql.Identifier(DATABASE)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
    run_program("pg_restore", "--exit-on-error", f"--dbname={env['DATABASE_URL']}", str(backup))


def run_program(name: str, *arguments: str) -> None:
    """The one that came with the server; else PATH's, which may be of another version."""
    beside = find_postgres(major=None).bin / name
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"there is no {name}")
    subprocess.run([program, *arguments], check=True, timeout=60)


def ask(env: dict[str, str], query: str, *, of: str = "DATABASE_URL") -> list[Any]:
    with psycopg.connect(env[of]) as database:
        return database.execute(query.encode()).fetchall()


def count(env: dict[str, str], where: str) -> int:
    return int(ask(env, f"SELECT count(*) FROM orders_order WHERE {where}")[0][0])


def test_a_dump_taken_under_load_is_restored_and_nothing_is_swapped_twice(
    env: dict[str, str], client: httpx.Client, start_worker: Any, reachable_dir: Path
) -> None:
    backup = reachable_dir / "orders.dump"
    with ThreadPoolExecutor(8) as clients:
        placed = list(clients.map(lambda _: place(client), range(ORDERS)))
    worker = start_worker()
    wait_until(lambda: count(env, "status = 'confirmed'") > 10, what="orders under way")
    dump(env, backup)
    known = count(env, "status = 'confirmed'")
    wait_until(lambda: count(env, "status = 'confirmed'") > known + 30, what="news since the dump")
    worker.kill()
    assert count(env, "status <> 'confirmed'") > 10
    assert manage(env, "shell", "-c", WRITE_CHECKPOINT).returncode == 0

    restore(env, backup)
    restored = count(env, "status = 'confirmed'")
    swapped = ask(env, SWAPS, of="CHAIN_DATABASE_URL")
    assert 10 < restored < len(swapped) - 30

    halted = start_worker(EXECUTION="halted")
    placed.append(place(client))
    reconciled = manage(env | {"EXECUTION": "halted"}, "reconcile")
    assert reconciled.returncode == 0, reconciled.stdout + reconciled.stderr
    assert "Execution may go on" in reconciled.stdout
    assert client.get(f"/api/orders/{placed[-1]}").json()["status"] == "pending"
    halted.stop()

    start_worker()
    wait_until(
        lambda: count(env, "status = 'confirmed'") == len(placed),
        timeout_s=30,
        what="the end of every order",
    )

    swaps = [order_id for (order_id,) in ask(env, SWAPS, of="CHAIN_DATABASE_URL")]
    assert sorted(swaps) == sorted(placed)
    assert manage(env, "shell", "-c", WRITE_CHECKPOINT).returncode == 0
    assert offended(env) == set()


def offended(env: dict[str, str]) -> set[str]:
    """The checks of the audit that found something."""
    audited = manage(env, "audit", "--json")
    offended = {c["name"] for c in json.loads(audited.stdout)["checks"] if c["offenders"]}
    assert audited.returncode == (1 if offended else 0), audited.stderr
    return offended
