"""What is there when all is over: read from PostgreSQL, the chain's database, the workers' logs and the audit."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from config.stack.engine_processes import PROJECT, python
from tests.chaos.recovery import Zombie

ORDERS = """
SELECT id::text, status, last_seq, extract(epoch FROM updated_at - created_at)::float8 FROM orders_order
"""
EVENTS = """
SELECT order_id::text, seq, from_status, status, extract(epoch FROM at)::float8
FROM orders_orderevent ORDER BY order_id, seq
"""
ATTEMPTS = """
SELECT order_id::text, number, state, signature, proof IS NOT NULL,
       extract(epoch FROM started_at)::float8, extract(epoch FROM ended_at)::float8
FROM orders_orderattempt ORDER BY order_id, number
"""
TRANSACTIONS = "SELECT signature, memo, error, raw IS NULL FROM simulated_chain.transactions"


@dataclass(frozen=True)
class Attempt:
    """Times in seconds of PostgreSQL's clock. `signature` is None if nothing was ever signed."""

    number: int
    state: str
    signature: str | None
    has_proof: bool
    started_at: float
    ended_at: float | None


@dataclass(frozen=True)
class Event:
    """`at` is when PostgreSQL was asked to write it."""

    seq: int
    from_status: str | None
    status: str
    at: float = 0.0


@dataclass
class Record:
    """An order as PostgreSQL has it. `took_s` is from its acceptance to its last event."""

    status: str
    last_seq: int
    took_s: float = 0.0
    events: list[Event] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class Transaction:
    """One that the chain took. In flight while it has not landed; `error` is None if it moved the tokens."""

    signature: str
    memo: str
    error: str | None
    has_landed: bool

    @property
    def order_id(self) -> str:
        return self.memo.rpartition(":")[0]

    @property
    def has_swapped(self) -> bool:
        return self.has_landed and self.error is None


@dataclass
class Evidence:
    """`zombie_writes` are sentences about what a worker wrote after it had lost the lease."""

    records: dict[str, Record]
    transactions: list[Transaction]
    zombie_writes: list[str] = field(default_factory=list)
    audit_exit_code: int = 0
    audit_output: str = ""


def collect(*, env: Mapping[str, str], zombies: list[Zombie], logs: Path) -> Evidence:
    """Call once nothing moves any more."""
    records = read_records(env["DATABASE_URL"])
    with psycopg.connect(env["CHAIN_DATABASE_URL"]) as chain:
        transactions = [Transaction(*row) for row in chain.execute(TRANSACTIONS)]
    log = logs / "audit.log"
    audit = run_audit(env, log)
    writes = [sentence for zombie in zombies for sentence in writes_of(zombie, records)]
    said = audit.stdout or log.read_text()
    return Evidence(records, transactions, writes, audit.returncode, said.strip())


def read_records(database_url: str) -> dict[str, Record]:
    with psycopg.connect(database_url) as database:
        records = {order_id: Record(*columns) for order_id, *columns in database.execute(ORDERS)}
        for order_id, *columns in database.execute(EVENTS):
            records[order_id].events.append(Event(*columns))
        for order_id, *columns in database.execute(ATTEMPTS):
            records[order_id].attempts.append(Attempt(*columns))
    return records


def run_audit(env: Mapping[str, str], log: Path) -> "subprocess.CompletedProcess[str]":
    """Its errors go to the log."""
    command = python("manage.py", "audit", "--json", env=env)
    with log.open("w") as errors:
        return subprocess.run(
            command.argv,
            env=command.env,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            timeout=120,
            check=False,
        )


def writes_of(zombie: Zombie, records: Mapping[str, Record]) -> Iterator[str]:
    """Events of orders it had lost that are the worker's, by its own log, and were written after it came back.

    The time of the log's line proves nothing: the answer to an early write may have waited in the dark.
    """
    written_at = {
        (order_id, event.seq): event.at
        for order_id in zombie.lost
        for event in records[order_id].events
    }
    for line in read_lines(zombie.log):
        order_id, seq = str(line.get("order_id", "")), int(line.get("seq") or 0)
        if zombie.back_at <= written_at.get((order_id, seq), 0.0) <= zombie.watched_until:
            yield f"{order_id}: {zombie.log.stem} wrote seq {seq} after it had lost the lease"


def read_lines(log: Path) -> Iterator[dict[str, Any]]:
    """The structured ones; a process that was killed may have left half a line."""
    with log.open(errors="replace") as lines:
        for line in lines:
            if line.startswith("{"):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue
