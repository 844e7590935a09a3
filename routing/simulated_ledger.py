"""What the simulated chain remembers, in PostgreSQL: the only module that speaks SQL to it at run time.

Every method takes a connection from a bounded pool, runs one short piece of work, and gives it back. It
knows nothing of prices, delays or faults.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout

from routing.errors import Unavailable
from routing.patience import SilentServer, giving_up_after
from routing.simulated_schema import LANDING_LOCK

_LANDED_AT_ONCE: Final = 1_000
# After a silence nobody asks for this long: a caller that has waited in vain asks twice more at once.
_LEFT_ALONE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Genesis:
    """When the chain began, in milliseconds of the epoch, and how long its slots are."""

    genesis_hash: str
    genesis_ms: int
    slot_ms: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a transaction did: it paid out, or it failed with an error code and moved nothing.

    `moved_x_base` is the net amount of its token X that each pool got, by its address.
    """

    error: str | None
    amount_out_base: int = 0
    moved_x_base: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction that the chain took. `raw` is None once it landed; `slot` is where it lands."""

    signature: str
    slot: int
    raw: bytes | None
    error: str | None
    memo: str
    signer: str
    venue: str
    pool: str
    amount_in_base: int
    min_amount_out_base: int
    amount_out_base: int
    moved_x_base: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A signature's slot and error, and whether it is still to land."""

    slot: int
    error: str | None
    in_flight: bool


_ENTRY: Final = (
    "signature, slot, raw, error, memo, signer, venue, pool, amount_in_base, min_amount_out_base,"
    " amount_out_base"
)


_columns = attrgetter(*(each.name for each in fields(Entry)[:-1]))


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(*row[:8], *(int(amount_base) for amount_base in row[8:]))


def _moves(moved_x_base: Mapping[str, int]) -> str | None:
    if not moved_x_base:
        return None
    return json.dumps({pool: str(moved) for pool, moved in moved_x_base.items()})


ExecuteAt = Callable[[int], Callable[[bytes], Effect | None]]
"""What executes transactions in a slot: it answers None for what can't land in it."""


class Ledger:
    """The chain's tables. Every method raises `Unavailable` when the database does not answer."""

    def __init__(self, conninfo: str, *, pool_size: int, timeout_s: float) -> None:
        self._timeout_ms = round(timeout_s * 1_000)
        # Opened by the first use: a process that forks after importing must not share connections.
        self._pool = ConnectionPool(
            conninfo,
            min_size=min(1, pool_size),
            max_size=pool_size,
            timeout=timeout_s,
            connection_class=giving_up_after(timeout_s),
            # Attempts to reconnect start anew this often, instead of backing off for minutes.
            reconnect_timeout=4,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(2, round(timeout_s)),
                # A server that vanished from the network does not hold a thread for ever.
                "tcp_user_timeout": self._timeout_ms,
            },
            configure=self._configure,
            open=False,
            name="simulated-chain",
        )
        self._is_open = False
        self._asked_again_at = float("-inf")

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"SET statement_timeout = {self._timeout_ms}")

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        if time.monotonic() < self._asked_again_at:
            raise Unavailable("RPC_UNAVAILABLE", "the chain's node did not answer a moment ago")
        if not self._is_open:
            self._pool.open()
            self._is_open = True
        broken = False
        try:
            with self._pool.connection() as connection:
                try:
                    yield connection
                finally:
                    broken = connection.broken
        except psycopg.Error as error:
            if broken:
                # The idle ones broke with it: replaced unasked, since a silent server answers no question either.
                self._pool.drain()
            if isinstance(error, SilentServer | PoolTimeout):
                self._asked_again_at = time.monotonic() + _LEFT_ALONE_S
            sentence = f"the chain's node does not answer ({type(error).__name__})"
            raise Unavailable("RPC_UNAVAILABLE", sentence) from error

    def begin(self, first: Genesis) -> Genesis:
        """The chain's genesis: `first`, unless the chain began before."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO simulated_chain.ledger (genesis_hash, genesis_ms, slot_ms)"
                " VALUES (%s, %s, %s) ON CONFLICT (only_row) DO NOTHING",
                [first.genesis_hash, first.genesis_ms, first.slot_ms],
            )
            row = connection.execute(
                "SELECT genesis_hash, genesis_ms, slot_ms FROM simulated_chain.ledger"
            ).fetchone()
        assert row is not None
        return Genesis(*row)

    def close_until(self, slot: int, *, execute_at: ExecuteAt) -> int:
        """End all slots up to `slot`: land what is due in them, and let nothing land in them any more.

        Returns the first slot that history still has. Any number of processes may call it.
        """
        while True:
            with self._connection() as connection:
                row = connection.execute(
                    "SELECT * FROM simulated_chain.close(%s)", [slot]
                ).fetchone()
            assert row is not None
            due_slot, first_available_slot = row
            if due_slot is None:
                return int(first_available_slot)
            self.land(due_slot, execute_at=execute_at)

    def moved_x_base(self, first_slot: int, last_slot: int) -> dict[int, dict[str, int]]:
        """What the transactions of these slots moved, by slot and pool. The slots must be closed."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT slot, pool, moved_x_base FROM simulated_chain.moves WHERE slot BETWEEN %s AND %s",
                [first_slot, last_slot],
            ).fetchall()
        moved: defaultdict[int, dict[str, int]] = defaultdict(dict)
        for slot, pool, moved_x_base in rows:
            moved[slot][pool] = int(moved_x_base)
        return moved

    def take(self, entries: Sequence[Entry]) -> set[str]:
        """Write those whose signature isn't known. Returns those that landed in a slot that is closed: untaken."""
        columns = zip(*map(_columns, entries), strict=True)
        moves = [_moves(entry.moved_x_base) for entry in entries]
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT simulated_chain.take(%s, %s, %s::bytea[], %s::text[], %s, %s, %s, %s,"
                " %s::numeric[], %s::numeric[], %s::numeric[], %s::jsonb[])",
                [*(list(column) for column in columns), moves],
            ).fetchall()
        return {row[0] for row in rows}

    def outcomes(self, signatures: Sequence[str], *, slot: int) -> tuple[int, dict[str, Outcome]]:
        """The first available slot, and what is known of these signatures up to `slot`."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT l.first_available_slot, t.signature, t.slot, t.error, t.raw IS NOT NULL"
                " FROM simulated_chain.ledger l LEFT JOIN simulated_chain.transactions t"
                " ON t.signature = ANY(%s) AND t.slot <= %s",
                [list(signatures), slot],
            ).fetchall()
        first_available_slot = int(rows[0][0]) if rows else 0
        return first_available_slot, {row[1]: Outcome(*row[2:]) for row in rows if row[1]}

    def entries(self, signatures: Sequence[str], *, slot: int) -> dict[str, Entry]:
        """The transactions with these signatures up to `slot`, landed or in flight."""
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT {_ENTRY} FROM simulated_chain.transactions"
                " WHERE signature = ANY(%s) AND slot <= %s",
                [list(signatures), slot],
            ).fetchall()
        return {row[0]: _entry(row) for row in rows}

    def history(self, signer: str, *, before: str | None, limit: int, slot: int) -> list[Entry]:
        """What this key signed and what landed up to `slot`, newest first, older than the signature `before`."""
        with self._connection() as connection:
            if (
                before is not None
                and not connection.execute(
                    "SELECT 1 FROM simulated_chain.transactions WHERE signature = %s", [before]
                ).fetchone()
            ):
                raise Unavailable("HISTORY_NOT_AVAILABLE", "the node does not know that signature")
            rows = connection.execute(
                f"SELECT {_ENTRY} FROM simulated_chain.transactions"
                " WHERE signer = %(signer)s AND raw IS NULL AND slot <= %(slot)s"
                " AND (%(before)s::text IS NULL OR (slot, signature) < ("
                "  SELECT slot, signature FROM simulated_chain.transactions WHERE signature = %(before)s))"
                " ORDER BY slot DESC, signature DESC LIMIT %(limit)s",
                {"signer": signer, "slot": slot, "before": before, "limit": limit},
            ).fetchall()
        return [_entry(row) for row in rows]

    def land(self, slot: int, *, execute_at: ExecuteAt) -> None:
        """Land what is in flight in `slot`, in the order of signatures.

        Any number of processes may call it: the lock lets one work while the others wait, and then find
        nothing left to do. All slots before it must be closed.
        """
        execute = execute_at(slot)
        with self._connection() as connection:
            while self._land_some(connection, slot, execute) == _LANDED_AT_ONCE:
                pass

    @staticmethod
    def _land_some(
        connection: psycopg.Connection[tuple[Any, ...]],
        slot: int,
        execute: Callable[[bytes], Effect | None],
    ) -> int:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [LANDING_LOCK])
            due = connection.execute(
                "SELECT signature, raw FROM simulated_chain.transactions"
                " WHERE raw IS NOT NULL AND slot = %s ORDER BY signature LIMIT %s",
                [slot, _LANDED_AT_ONCE],
            ).fetchall()
            effects = {signature: execute(raw) for signature, raw in due}
            landed = [
                (signature, effect.error, effect.amount_out_base, _moves(effect.moved_x_base))
                for signature, effect in effects.items()
                if effect is not None
            ]
            refused = [signature for signature, effect in effects.items() if effect is None]
            if landed:
                connection.execute(
                    "UPDATE simulated_chain.transactions t"
                    " SET raw = NULL, error = e.error, amount_out_base = e.amount_out_base, moves = e.moves"
                    " FROM unnest(%s::text[], %s::text[], %s::numeric[], %s::jsonb[])"
                    " AS e (signature, error, amount_out_base, moves) WHERE t.signature = e.signature",
                    [list(column) for column in zip(*landed, strict=True)],
                )
            if refused:
                connection.execute(
                    "DELETE FROM simulated_chain.transactions WHERE signature = ANY(%s)", [refused]
                )
        return len(due)

    def count_send(self, signature: str, *, slot: int) -> int:
        """How often this signature was sent, this time included."""
        with self._connection() as connection:
            row = connection.execute(
                "INSERT INTO simulated_chain.sends AS s (signature, slot) VALUES (%s, %s)"
                " ON CONFLICT (signature) DO UPDATE SET times = s.times + 1 RETURNING times",
                [signature, slot],
            ).fetchone()
        assert row is not None
        return int(row[0])

    def purge(self, before_slot: int) -> int:
        """Forget what landed before `before_slot`, and say so. Returns how many transactions."""
        with self._connection() as connection, connection.transaction():
            connection.execute(
                "UPDATE simulated_chain.ledger SET first_available_slot = %s"
                " WHERE first_available_slot < %s",
                [before_slot, before_slot],
            )
            connection.execute("DELETE FROM simulated_chain.sends WHERE slot < %s", [before_slot])
            connection.execute("DELETE FROM simulated_chain.moves WHERE slot < %s", [before_slot])
            return connection.execute(
                "DELETE FROM simulated_chain.transactions WHERE raw IS NULL AND slot < %s",
                [before_slot],
            ).rowcount

    def close(self) -> None:
        """Close every connection. The ledger can't be used afterwards."""
        self._pool.close()
