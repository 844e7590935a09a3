"""The disturbances, by the names that plans give them. Each returns when what it harmed may be harmed again."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

import redis.asyncio as redis

from tests.chaos.engine import Engine, until
from tests.chaos.processes import Kept
from tests.chaos.recovery import Held, Witness

# Longer than its lease by so many times is a worker paused, or cut off.
LEASES_AWAY = 1.6
SOON_S = 20.0
# Harm to a worker that holds no order proves little: another moment is tried.
CATCH_TRIES, CATCH_EVERY_S = 30, 0.1


class Disturber:
    def __init__(self, engine: Engine, witness: Witness, rng: random.Random) -> None:
        self._engine = engine
        self._witness = witness
        self._rng = rng
        self._cuts = 0
        self._doing = ""
        self._by_name: dict[str, Callable[[], Awaitable[None]]] = {
            "kill a worker": self._kill_a_worker,
            "kill workers one after the other": self._kill_one_after_the_other,
            "kill all workers at once": self._kill_all,
            "pause a worker past its lease": self._pause,
            "cut a worker off from everything": self._cut_off,
            "cut a worker off from the orders' database": self._cut_off_from_orders,
            "stop Redis": self._stop_redis,
            "kill Redis": self._kill_redis,
            "wipe Redis": self._wipe_redis,
            "freeze Redis": self._freeze_redis,
            "restart PostgreSQL": self._restart_postgres,
            "kill PostgreSQL": self._kill_postgres,
            "kill beat": self._kill_beat,
            "kill the web server": self._kill_web,
        }

    async def disturb(self, names: str) -> None:
        """One disturbance, or several that `+` joins, at the same time. Raises ChaosError."""
        self._doing = names
        await asyncio.gather(*(self._by_name[name]() for name in names.split(" + ")))

    # --- workers ------------------------------------------------------------------------------------------------------

    async def _kill_a_worker(self) -> None:
        worker = self._rng.choice(self._engine.workers)
        await self._kill(worker)
        await self._engine.until_up(worker)

    async def _kill_one_after_the_other(self) -> None:
        """Within one lease the second dies that may have taken over from the first; then the first again."""
        first, second = self._rng.sample(self._engine.workers, 2)
        await self._kill(first)
        await asyncio.sleep(self._engine.plan.lease_s * 0.4)
        await self._kill(second)
        await self._engine.until_up(first)
        await self._kill(first)
        await self._engine.until_up(second)
        await self._engine.until_up(first)

    async def _kill_all(self) -> None:
        await self._kill(*self._engine.workers)
        await asyncio.gather(*(self._engine.until_up(worker) for worker in self._engine.workers))

    async def _kill(self, *workers: Kept) -> None:
        """Frozen first, so that what they hold doesn't change while that is read."""
        held = await self._catch(
            workers, freeze=tell(workers, signal.SIGSTOP), thaw=tell(workers, signal.SIGCONT)
        )
        tell(workers, signal.SIGKILL)()
        self._witness.watch("killed", during=self._doing, held=held)
        await until(lambda: not any(worker.lives for worker in workers), what="the killed's end")

    async def _pause(self) -> None:
        worker = self._rng.choice(self._engine.workers)
        freeze, thaw = tell([worker], signal.SIGSTOP), tell([worker], signal.SIGCONT)
        held = await self._catch([worker], freeze=freeze, thaw=thaw)
        await self._be_away("paused", worker, held, thaw)

    async def _cut_off(self) -> None:
        await self._darken(list(self._engine.proxies))

    async def _cut_off_from_orders(self) -> None:
        """It can still send, but no longer read or write what it may send."""
        await self._darken(["DATABASE_URL"])

    async def _darken(self, names: list[str]) -> None:
        """Once what waited in the dark arrives late, the next time it is lost."""
        worker = self._engine.cut_off_worker
        proxies = [self._engine.proxies[name] for name in names]
        self._cuts += 1
        is_lost = self._cuts % 2 == 0

        def darken() -> None:
            for proxy in proxies:
                proxy.go_dark()

        def lighten() -> None:
            for proxy in proxies:
                proxy.recover()

        def come_back() -> None:
            for proxy in proxies if is_lost else ():
                proxy.refuse()
            lighten()

        held = await self._catch([worker], freeze=darken, thaw=lighten)
        await self._be_away("cut off", worker, held, come_back)

    async def _catch(
        self, workers: Sequence[Kept], *, freeze: Callable[[], None], thaw: Callable[[], None]
    ) -> list[Held]:
        """Freeze them, at a moment when they hold orders if there soon is one; answers what they hold."""
        tries = 0
        while True:
            freeze()
            held = [each for worker in workers for each in await self._witness.held_by(worker.pid)]
            tries += 1
            if held or tries == CATCH_TRIES:
                return held
            thaw()
            await asyncio.sleep(CATCH_EVERY_S)

    async def _be_away(
        self, cause: str, worker: Kept, held: list[Held], come_back: Callable[[], None]
    ) -> None:
        """Until the lease is long over and others took the orders; then nothing of them is the worker's any more."""
        taken_over = self._witness.watch(cause, during=self._doing, held=held)
        try:
            await asyncio.sleep(self._engine.plan.lease_s * LEASES_AWAY)
            await asyncio.wait([taken_over], timeout=SOON_S)
            lost = await self._witness.lost_by(held)
        finally:
            back_at = time.time()
            come_back()
        await self._witness.watch_zombie(pid=worker.pid, log=worker.log, lost=lost, back_at=back_at)

    # --- servers ------------------------------------------------------------------------------------------------------

    async def _stop_redis(self) -> None:
        redis_server = self._engine.redis
        redis_server.hold_down(signal.SIGTERM)
        await asyncio.sleep(self._engine.plan.outage_s)
        redis_server.wanted = True
        await self._until_redis_answers()

    async def _kill_redis(self) -> None:
        self._engine.redis.tell(signal.SIGKILL)
        await until(lambda: not self._engine.redis.lives, what="the killed Redis' end")
        await self._until_redis_answers()

    async def _wipe_redis(self) -> None:
        async with self._redis() as client:
            await client.flushall()

    async def _freeze_redis(self) -> None:
        """It takes connections and answers nothing."""
        self._engine.redis.tell(signal.SIGSTOP)
        await asyncio.sleep(self._engine.plan.outage_s)
        self._engine.redis.tell(signal.SIGCONT)

    async def _restart_postgres(self) -> None:
        """A fast shutdown: open transactions are rolled back, connections closed."""
        self._engine.postgres.tell(signal.SIGINT)
        await self._until_postgres_is_back()

    async def _kill_postgres(self) -> None:
        """Only the postmaster: its children find out by themselves, and the next one recovers."""
        self._engine.postgres.tell(signal.SIGKILL)
        await self._until_postgres_is_back()

    async def _until_postgres_is_back(self) -> None:
        await until(lambda: not self._engine.postgres.lives, what="PostgreSQL's end")
        await self._witness.lost_by([])

    async def _until_redis_answers(self) -> None:
        for _ in range(int(SOON_S / 0.1)):
            try:
                async with self._redis() as client:
                    await client.ping()
                return
            except redis.RedisError:
                await asyncio.sleep(0.1)

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self._engine.env["REDIS_URL"])

    # --- the rest -----------------------------------------------------------------------------------------------------

    async def _kill_beat(self) -> None:
        await self._kill_and_see_it_return(self._engine.beat)

    async def _kill_web(self) -> None:
        await self._kill_and_see_it_return(self._engine.web)
        await self._engine.until_web_is_up()

    async def _kill_and_see_it_return(self, kept: Kept) -> None:
        starts = kept.starts
        kept.tell(signal.SIGKILL)
        await until(lambda: kept.starts > starts, what=f"the next {kept.name}")


def tell(workers: Sequence[Kept], number: signal.Signals) -> Callable[[], None]:
    def tell() -> None:
        for worker in workers:
            worker.tell(number)

    return tell
