"""Who takes over what a harmed worker held, and when: watched from PostgreSQL, by PostgreSQL's clock."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

WATCH_EVERY_S = 0.05
WATCH_FOR_S = 90.0
# How long a worker that comes back is watched for a write it has no right to.
WATCH_ZOMBIE_S = 3.0

# Under a lease: claimed, and neither finished nor in the back-off that gives the lease back.
HELD = """
SELECT o.id::text, o.fence, o.last_seq,
       extract(epoch FROM greatest(o.due_at, clock_timestamp()))::float8,
       extract(epoch FROM clock_timestamp())::float8
FROM orders_order o JOIN orders_orderevent e ON e.order_id = o.id AND e.seq = o.last_seq
WHERE o.due_at IS NOT NULL AND o.holder ~ %s
  AND NOT (o.status = 'routing' AND o.claims = 0 AND e.details::text LIKE '%%"error"%%')
"""
NOW = """
SELECT id::text, fence, last_seq, holder, extract(epoch FROM clock_timestamp())::float8
FROM orders_order WHERE id = ANY(%s::uuid[])
"""


@dataclass(frozen=True)
class Held:
    """An order that a worker held when it was harmed. Times are seconds of PostgreSQL's clock."""

    order_id: str
    fence: int
    last_seq: int
    lease_end: float
    seen_at: float


@dataclass(frozen=True)
class TakeOver:
    """`after_s` since the harm, `beyond_lease_s` since the lease ended (0 if before that)."""

    order_id: str
    after_s: float
    beyond_lease_s: float


@dataclass
class Harm:
    """One worker harmed once. `never` are orders that nobody took over while they were watched."""

    cause: str
    during: str
    held: list[Held]
    taken: list[TakeOver] = field(default_factory=list)
    never: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Zombie:
    """A worker that came back after others took its orders over: of `lost` it may write nothing any more.

    Until `watched_until` it claimed none of them anew; times are seconds of the system's clock.
    """

    log: Path
    lost: frozenset[str]
    back_at: float
    watched_until: float


class Witness:
    """Asks PostgreSQL, through any number of its restarts."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._watching: set[asyncio.Task[None]] = set()
        self.harms: list[Harm] = []
        self.zombies: list[Zombie] = []

    async def held_by(self, pid: int) -> list[Held]:
        rows = await self._ask(HELD, [f":{pid}(:|$)"])
        return [Held(*row) for row in rows]

    def watch(self, cause: str, *, during: str, held: list[Held]) -> "asyncio.Task[None]":
        """Note when each is taken over; the task ends when all are, or after WATCH_FOR_S."""
        harm = Harm(cause, during, held)
        self.harms.append(harm)
        task = asyncio.create_task(self._watch(harm))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return task

    async def finish(self) -> None:
        await asyncio.gather(*self._watching)

    async def lost_by(self, held: list[Held]) -> set[str]:
        """Which of these others have taken over."""
        fences = {each.order_id: each.fence for each in held}
        return {row[0] for row in await self._ask(NOW, [list(fences)]) if row[1] > fences[row[0]]}

    async def watch_zombie(self, *, pid: int, log: Path, lost: set[str], back_at: float) -> None:
        """Call as the worker comes back. An order that it claims anew, under a newer fence, is its own again."""
        reclaimed = set[str]()
        while (now := time.time()) < back_at + WATCH_ZOMBIE_S:
            rows = await self._ask(NOW, [list(lost)])
            reclaimed |= {row[0] for row in rows if row[3].split(":")[1] == str(pid)}
            await asyncio.sleep(WATCH_EVERY_S)
        self.zombies.append(Zombie(log, frozenset(lost - reclaimed), back_at, now))

    async def _watch(self, harm: Harm) -> None:
        waiting = {each.order_id: each for each in harm.held}
        deadline = time.monotonic() + WATCH_FOR_S
        while waiting and time.monotonic() < deadline:
            for order_id, fence, last_seq, _, now in await self._ask(NOW, [list(waiting)]):
                held = waiting[order_id]
                if fence > held.fence or last_seq > held.last_seq:
                    del waiting[order_id]
                    harm.taken.append(
                        TakeOver(order_id, now - held.seen_at, max(0.0, now - held.lease_end))
                    )
            await asyncio.sleep(WATCH_EVERY_S)
        harm.never += waiting

    async def _ask(self, sql: str, params: list[Any]) -> list[Any]:
        """A connection for each question: there is none to break when PostgreSQL is killed."""
        deadline = time.monotonic() + WATCH_FOR_S
        while True:
            try:
                connecting = psycopg.AsyncConnection.connect(self._url, connect_timeout=3)
                async with await connecting as database:
                    return await (await database.execute(sql, params)).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(WATCH_EVERY_S)
