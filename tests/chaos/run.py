"""One run from beginning to end: start, load and disturb, wait until all is over, judge, stop."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.engine import allow_many_sockets
from config.stack.engine_processes import python
from tests.chaos import evidence
from tests.chaos.clients import Clients, Seen
from tests.chaos.disturbances import Disturber
from tests.chaos.engine import ChaosError, Engine
from tests.chaos.judge import Verdict, judge
from tests.chaos.plan import Plan
from tests.chaos.recovery import Harm, Witness

POLL_S = 0.2


@dataclass
class Progress:
    """How far a run has come; `doing` is what happens now."""

    doing: str = ""
    accepted: int = 0
    ended: int = 0
    disturbances: int = 0


@dataclass
class Report:
    """`folder` holds every log, and the databases, of a run that failed; it is gone after a good one."""

    plan: Plan
    seen: Seen
    verdict: Verdict
    harms: list[Harm]
    folder: Path
    elapsed_s: float
    disturbed: list[tuple[float, str]] = field(default_factory=list)


async def run(plan: Plan, tell: Callable[[Progress], None]) -> Report:
    """Raises ChaosError when the engine can't be started, or does not come back; the folder is kept then."""
    allow_many_sockets()
    folder = Path(tempfile.mkdtemp(prefix="order-engine-chaos-"))
    folder.chmod(0o711)  # the servers of a run as root belong to another account
    engine = Engine(plan, folder)
    keep_folder = True
    try:
        report = await Run(plan, engine, folder, tell).go()
        keep_folder = not report.verdict.passed
        return report
    except ChaosError as error:
        raise ChaosError(f"{error} The logs are in {engine.logs}.") from error
    except asyncio.CancelledError:
        keep_folder = False
        raise
    finally:
        await engine.stop()
        if not keep_folder:
            shutil.rmtree(folder, ignore_errors=True)


class Run:
    def __init__(
        self, plan: Plan, engine: Engine, folder: Path, tell: Callable[[Progress], None]
    ) -> None:
        self._plan = plan
        self._engine = engine
        self._folder = folder
        self._tell = tell
        self._progress = Progress()
        self._disturbed: list[tuple[float, str]] = []

    async def go(self) -> Report:
        await self._engine.start(self._say)
        started_at = time.monotonic()
        witness = Witness(self._engine.database_url)
        clients = Clients(self._plan, url=self._engine.url, keys=self._engine.keys)
        loading = asyncio.create_task(clients.run())
        watching = asyncio.create_task(self._watch(clients))
        try:
            await self._disturb(witness)
            self._say("waiting until every order has ended")
            await self._settle(clients, loading)
            await witness.finish()
        finally:
            for task in (watching, loading):
                task.cancel()
            await asyncio.gather(watching, loading, return_exceptions=True)
        elapsed_s = time.monotonic() - started_at
        self._say("judging")
        await self._engine.run(
            "land", python("-m", "tests.chaos.inside", "land", env=self._engine.env)
        )
        found = await asyncio.to_thread(
            evidence.collect,
            env=self._engine.env,
            zombies=witness.zombies,
            logs=self._engine.logs,
        )
        verdict = judge(clients.seen, found, wanted=self._plan.orders)
        never = {order_id for harm in witness.harms for order_id in harm.never}
        verdict.troubles += [f"{order_id}: nobody took it over" for order_id in sorted(never)]
        return Report(
            plan=self._plan,
            seen=clients.seen,
            verdict=verdict,
            harms=witness.harms,
            folder=self._folder,
            elapsed_s=elapsed_s,
            disturbed=self._disturbed,
        )

    async def _disturb(self, witness: Witness) -> None:
        rng = random.Random(self._plan.seed)
        disturber = Disturber(self._engine, witness, rng)
        started_at = time.monotonic()
        for name in self._plan.disturbances:
            await asyncio.sleep(rng.uniform(*self._plan.pause_s))
            self._disturbed.append((time.monotonic() - started_at, name))
            self._say(name)
            await disturber.disturb(name)
            self._progress.disturbances += 1
            self._say("letting it recover")

    async def _settle(self, clients: Clients, loading: "asyncio.Task[None]") -> None:
        """Until clients have seen the end of all that was accepted, or for as long as the plan allows."""
        deadline = time.monotonic() + self._plan.settle_timeout_s
        with suppress(TimeoutError):
            while not clients.is_complete() and time.monotonic() < deadline:
                if loading.done():
                    await loading  # raises what broke the clients
                await asyncio.sleep(POLL_S)

    async def _watch(self, clients: Clients) -> None:
        while True:
            self._progress.accepted = len(clients.seen.accepted)
            self._progress.ended = clients.seen.ended
            self._tell(self._progress)
            await asyncio.sleep(POLL_S)

    def _say(self, doing: str) -> None:
        self._progress.doing = doing
        self._tell(self._progress)
