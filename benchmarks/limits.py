"""What PostgreSQL alone does with an order's life on this machine: the limits that no engine on it can pass.

The five statements that write an order and its five events, in bare tables without rules: one commit each in 32
connections, and 200 orders a statement in one. Run by pgbench, prepared.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.generator import BenchError
from benchmarks.stages import Stages
from config.stack.embedded import EmbeddedPostgres
from config.stack.server_binaries import EmbeddedServerError, find_postgres

CONNECTIONS = 32
ORDERS_A_STATEMENT = 200
RUN_S, QUICK_S = 15, 1
LIFE = ("pending", "routing", "building", "submitted", "confirmed")

TABLES = """
CREATE TABLE limit_order (
    id bigint PRIMARY KEY, status text NOT NULL, last_seq integer NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE limit_event (
    order_id bigint, seq integer, status text NOT NULL, at timestamptz NOT NULL, details text NOT NULL,
    PRIMARY KEY (order_id, seq));
"""
# About what an order's events carry on average.
DETAILS = "x" * 300


@dataclass(frozen=True)
class Limits:
    """Orders per second."""

    unbatched: float
    batched: float


def measure_limits(stages: Stages, *, quick: bool) -> Limits:
    """Raises BenchError."""
    run_s = QUICK_S if quick else RUN_S
    folder = Path(tempfile.mkdtemp(prefix="order-engine-bench-"))
    server = EmbeddedPostgres(folder)
    try:
        server.start()
        with psycopg.connect(server.url, dbname="postgres", autocommit=True) as database:
            database.execute(TABLES)

        def rate(name: str, orders: int, connections: int) -> float:
            with stages.stage(f"PostgreSQL alone, {name}", run_s) as tell:
                script = life_of(orders)
                return orders * run_pgbench(server.url, script, connections, run_s, tell)

        return Limits(
            unbatched=rate("one by one", 1, CONNECTIONS),
            batched=rate("batched", ORDERS_A_STATEMENT, 1),
        )
    except EmbeddedServerError as error:
        raise BenchError(str(error)) from None
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def life_of(orders: int) -> str:
    """A pgbench script in which so many orders are written from beginning to end; each statement commits."""
    event = f"INSERT INTO limit_event SELECT id, last_seq, status, updated_at, '{DETAILS}' FROM o;"
    low, high = ":first::bigint", f":first::bigint + {orders - 1}"
    lines = [
        # Of so many numbers that a run of minutes draws none twice.
        f"\\set first random(1, 90000000000000) * {orders}",
        "WITH o AS (INSERT INTO limit_order SELECT id, 'pending', 1, now()"
        f" FROM generate_series({low}, {high}) AS id RETURNING *) {event}",
    ]
    for seq, status in enumerate(LIFE[1:], start=2):
        lines.append(
            f"WITH o AS (UPDATE limit_order SET status = '{status}', last_seq = {seq}, updated_at = now()"
            f" WHERE id BETWEEN {low} AND {high} AND last_seq = {seq - 1} RETURNING *) {event}"
        )
    return "\n".join(lines) + "\n"


def run_pgbench(
    url: str, script: str, connections: int, run_s: int, tell: Callable[[float], None]
) -> float:
    """How often a second the script ran to its end. Raises BenchError."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        database = psycopg.conninfo.make_conninfo(url, dbname="postgres")
        command = [
            *(find_pgbench(), "--no-vacuum", "--protocol", "prepared", "--file", file.name),
            *("--client", str(connections), "--jobs", "2" if connections > 1 else "1"),
            *("--time", str(run_s), "--progress", "1", database),
        ]
        pgbench = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        said = []
        with pgbench:
            assert pgbench.stdout
            for line in pgbench.stdout:
                said.append(line)
                if found := re.match(r"progress: ([\d.]+) s", line):
                    tell(float(found.group(1)))
    rate = re.search(r"^tps = ([\d.]+)", "".join(said), re.MULTILINE)
    if pgbench.returncode != 0 or rate is None:
        error = next((line for line in said if "ERROR" in line), said[-1])
        raise BenchError(f"pgbench can't measure PostgreSQL's limits: {error.strip()}")
    return float(rate.group(1))


def find_pgbench() -> str:
    """Beside the embedded server's programs, or on PATH. Raises BenchError."""
    beside = find_postgres(major=None).bin / "pgbench"
    if found := str(beside) if beside.exists() else shutil.which("pgbench"):
        return found
    raise BenchError("pgbench is missing: install PostgreSQL's client programs.")
