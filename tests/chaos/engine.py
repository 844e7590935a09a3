"""The engine under test: servers, web, beat and workers of its own, each a process that can be harmed by name."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from config.settings import sibling_database
from config.stack.embedded import EmbeddedPostgres, EmbeddedRedis
from config.stack.embedded_server import EmbeddedServer
from config.stack.engine_processes import engine_processes, prepare_databases, python
from config.stack.ports import free_port
from config.stack.probes import web_is_ready
from config.stack.processes import Command
from tests.chaos.plan import Plan
from tests.chaos.processes import Keeper, Kept
from tests.outage_proxy import OutageProxy

STAGE_POSTGRES, STAGE_REDIS, STAGE_ENGINE = 0, 1, 2
START_TIMEOUT_S = 90.0
URLS = ("DATABASE_URL", "CHAIN_DATABASE_URL", "REDIS_URL")


class ChaosError(Exception):
    """The run can't go on; the message is one sentence that says why."""


class Engine:
    """`postgres`, `redis`, `web`, `beat`, `workers`. The last worker reaches its servers through `proxies`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.logs = folder / "logs"
        self.keys: dict[str, str] = {}
        self.proxies: dict[str, OutageProxy] = {}
        self._proxying = ExitStack()
        self.workers: list[Kept] = []
        self._data_dir = folder / "data"
        self._port = free_port()
        self._keeper = Keeper(restart_after_s=plan.restart_after_s)
        self._keeping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def database_url(self) -> str:
        return self.env["DATABASE_URL"]

    @property
    def cut_off_worker(self) -> Kept:
        return self.workers[-1]

    async def start(self, tell: Callable[[str], None]) -> None:
        """Returns once everything does its work. Raises ChaosError and EmbeddedServerError."""
        self.logs.mkdir()
        postgres, redis = EmbeddedPostgres(self._data_dir), EmbeddedRedis(self._data_dir)
        self._keeping = asyncio.create_task(self._keeper.keep())
        tell("starting PostgreSQL and Redis")
        self.postgres = await self._serve(postgres, STAGE_POSTGRES)
        self.redis = await self._serve(redis, STAGE_REDIS)
        chain_url = sibling_database(postgres.url, "_chain")
        self.env = {
            **os.environ,
            **self.plan.environment,
            **dict(zip(URLS, (postgres.url, chain_url, redis.url), strict=True)),
            "DATA_DIR": str(self._data_dir),
            "SECRET_KEY": "only-for-this-run-" + "x" * 40,
        }
        tell("preparing the databases")
        await self.run("prepare", prepare_databases(env=self.env))
        tell("starting the web server, beat and workers")
        names = [f"account-{number}" for number in range(1, self.plan.accounts + 1)]
        issued = await self.run(
            "keys", python("-m", "tests.chaos.inside", "keys", *names, env=self.env)
        )
        self.keys = json.loads(issued)
        await self._start_processes()

    async def until_up(self, worker: Kept) -> None:
        """Raises ChaosError when the worker, dead or alive now, is not at work in time."""
        await until(lambda: worker.lives and worker.says(f':{worker.pid}"'), what=worker.name)

    async def until_web_is_up(self) -> None:
        """Raises ChaosError when it is not ready in time."""
        await until(lambda: web_is_ready(self._port), what="the web server")

    async def run(self, name: str, command: Command) -> str:
        """Run a command to its end, answer its last line of output. Raises ChaosError."""
        process, log = None, self.logs / f"{name}.log"
        with log.open("wb") as output:
            process = command.spawn(output=output)
        try:
            await until(lambda: process.poll() is not None, what=name)
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise ChaosError(f"{name} ended with code {process.returncode}: {log} says why.")
        return log.read_text().rstrip().rpartition("\n")[2]

    async def stop(self) -> None:
        """Safe to call whatever came of the start."""
        if self._keeping:
            self._keeping.cancel()
        await asyncio.to_thread(self._keeper.stop)
        self._proxying.close()

    async def _serve(self, server: EmbeddedServer, stage: int) -> Kept:
        await asyncio.to_thread(server.prepare)
        log = self.logs / f"{server.name}.log"
        kept = Kept(server.name, server.command, log, stage, server.stop_signal)
        self._keeper.start(kept)
        await asyncio.to_thread(server.wait_until_it_answers, is_running=lambda: kept.starts < 4)
        return kept

    async def _start_processes(self) -> None:
        self.web = self._start_process("web", self.env, log="web", port=self._port)
        self.beat = self._start_process("beat", self.env, log="beat", port=self._port)
        for number in range(1, self.plan.workers + 1):
            env = self.env
            if number == self.plan.workers:
                self.proxies = {name: self._proxy(env[name]) for name in URLS}
                env = env | {name: proxy.url for name, proxy in self.proxies.items()}
            name = f"worker-{number}"
            self.workers.append(self._start_process("worker", env, log=name, port=free_port()))
        for worker in self.workers:
            await self.until_up(worker)
        await self.until_web_is_up()

    def _proxy(self, url: str) -> OutageProxy:
        return self._proxying.enter_context(OutageProxy(url))

    def _start_process(self, name: str, env: Mapping[str, str], *, log: str, port: int) -> Kept:
        processes = engine_processes(
            env=env,
            data_dir=self._data_dir,
            port=port,
            stream_port=None,
            flower_port=0,
            flower_login=":",
        )
        (process,) = [process for process in processes if process.name == name]
        kept = Kept(log, process.command, self.logs / f"{log}.log", STAGE_ENGINE)
        self._keeper.start(kept)
        return kept


async def until(
    condition: Callable[[], bool], *, what: str, timeout_s: float = START_TIMEOUT_S
) -> None:
    """Raises ChaosError when the condition, asked in a thread, does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            raise ChaosError(f"{what} did not come up within {timeout_s:g} s.")
        await asyncio.sleep(0.05)
