"""The whole system on one computer: servers, web, worker, beat and Flower, started in order.

    with Stack(data_dir=Path(".data")) as ready:
        print(ready.url)

Whatever DATABASE_URL and REDIS_URL don't name runs as an embedded server. While the stack runs,
`data_dir/ready.json` says where everything is; other commands find the servers there.
"""

import os
import secrets
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from types import TracebackType

from config.stack.data_lock import DataFolderInUse, lock_data_dir
from config.stack.embedded_server import EmbeddedServer, explain_unwritable, make_data_dir
from config.stack.engine_processes import EngineProcess, engine_processes, prepare_databases
from config.stack.interrupts import ignored
from config.stack.kept import ADMIN_USER, keep_secret, secret_path
from config.stack.left_overs import stop_left_overs
from config.stack.ports import free_port, port_is_free
from config.stack.reach import Unreachable, reach_postgres, reach_redis
from config.stack.ready import Ready
from config.stack.server_binaries import EmbeddedServerError
from config.stack.supervisor import Child, Log, Supervisor

DEFAULT_PORTS = {"PORT": 8000, "STREAM_PORT": 8001, "FLOWER_PORT": 5555}
READY_TIMEOUT_S = 120.0
GIVE_UP_AFTER_DEATHS = 3
# PostgreSQL is stopped last: whoever still runs may have something to write down.
STAGE_POSTGRES, STAGE_REDIS, STAGE_ENGINE = 0, 1, 2
# All of it ends within 15 s, and the servers may take 6 of them.
ENGINE_STOP_TIMEOUT_S = 8.0


class StackError(Exception):
    """The stack can't run; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Servers:
    database_url: str
    chain_database_url: str
    redis_url: str


class Stack:
    """Starts everything on entering (raises StackError) and stops everything on leaving.

    `port` and `flower_port`: None means PORT and FLOWER_PORT, 0 any free one. With WEB=split, sockets
    have a process of their own, at STREAM_PORT (any free one if `port` is 0). `quiet` sends the log to
    `log_file` (`data_dir/up.log` unless named) instead of standard output.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        port: int | None = None,
        flower_port: int | None = None,
        quiet: bool = False,
        log_file: Path | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.ready_path = self.data_dir / "ready.json"
        self.log_file = log_file or (self.data_dir / "up.log" if quiet else None)
        self._asked_ports = {
            "PORT": port,
            "STREAM_PORT": 0 if port == 0 else None,
            "FLOWER_PORT": flower_port,
        }
        self._to_undo = ExitStack()
        self._ready: Ready | None = None
        self._ready_lock = threading.Lock()

    def __enter__(self) -> Ready:
        try:
            return self._start()
        except (DataFolderInUse, EmbeddedServerError, Unreachable) as error:
            self.stop()
            raise StackError(str(error)) from None
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Safe to repeat. A signal that comes meanwhile is ignored: it asks for what is done."""
        with ignored():
            with self._ready_lock:
                self._ready = None
            self._to_undo.close()

    def _start(self) -> Ready:
        self._open_data_dir()
        ports = self._choose_ports()
        port, flower_port = ports["PORT"], ports["FLOWER_PORT"]
        stream_port = ports.get("STREAM_PORT")
        ws_url = f"ws://127.0.0.1:{stream_port or port}"
        reach_named_servers()
        servers = self._start_servers()
        flower_login = os.environ.get("FLOWER_BASIC_AUTH") or (
            f"{ADMIN_USER}:{self._secret('flower-password')}"
        )
        env = {
            **os.environ,
            "DATABASE_URL": servers.database_url,
            "CHAIN_DATABASE_URL": servers.chain_database_url,
            "REDIS_URL": servers.redis_url,
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self._secret("secret-key"),
            "DATA_DIR": str(self.data_dir),
        }
        if stream_port and not env.get("STREAM_URL"):
            env["STREAM_URL"] = ws_url
        flower_url = f"http://127.0.0.1:{flower_port}"
        if not env.get("FLOWER_URL"):
            env["FLOWER_URL"] = flower_url
        processes = engine_processes(
            env=env,
            data_dir=self.data_dir,
            port=port,
            stream_port=stream_port,
            flower_port=flower_port,
            flower_login=flower_login,
        )
        # Each needs seconds to load; those that read no tables can load while there are none yet.
        self._start_processes(process for process in processes if not process.reads_tables)
        self._log.line("up", "preparing the databases")
        if self._supervisor.run_once(name="prepare", command=prepare_databases(env=env)) != 0:
            raise StackError(f"The databases could not be prepared: {self._why()}.")
        self._start_processes(process for process in processes if process.reads_tables)
        self._wait_until_ready(processes)
        url = f"http://127.0.0.1:{port}"
        flower_user, _, flower_password = flower_login.partition(":")
        self._ready = Ready(
            url=url,
            ws_url=ws_url,
            flower_url=flower_url,
            admin_url=f"{url}/admin/",
            api_key=self._kept("demo-api-key"),
            admin_user=ADMIN_USER,
            admin_password=self._kept("admin-password"),
            flower_user=flower_user,
            flower_password=flower_password,
            database_url=servers.database_url,
            chain_database_url=servers.chain_database_url,
            redis_url=servers.redis_url,
            pids=self._pids,
        )
        self._ready.write(self.ready_path)
        return self._ready

    def _open_data_dir(self) -> None:
        """The folder, its lock, the log and the supervisor: what everything else needs."""
        try:
            make_data_dir(self.data_dir)
            lock_file = self._to_undo.enter_context(lock_data_dir(self.data_dir))
            # Left by a killed run, it would send other commands to servers that are gone.
            left_over = stop_left_overs(ready_path=self.ready_path)
            self.ready_path.unlink(missing_ok=True)
            stream = sys.stdout
            if self.log_file:
                stream = self._to_undo.enter_context(self.log_file.open("w", encoding="utf-8"))
        except OSError as error:
            raise StackError(explain_unwritable(self.data_dir, error)) from None
        self._log = Log(stream)
        if left_over:
            self._log.line("up", f"stopped what a killed run had left: {', '.join(left_over)}")
        self._supervisor = Supervisor(
            log=self._log, on_restart=self._tell_new_pids, held_files=(lock_file.fileno(),)
        )
        self._to_undo.callback(self._supervisor.stop)
        self._to_undo.callback(self.ready_path.unlink, missing_ok=True)

    def _choose_ports(self) -> dict[str, int]:
        """The port of each variable that counts. Raises StackError."""
        variables = tuple(DEFAULT_PORTS) if is_split() else ("PORT", "FLOWER_PORT")
        asked = {variable: self._asked_port(variable) for variable in variables}
        for (one, port), (other, its_port) in combinations(asked.items(), 2):
            if port == its_port != 0:
                raise StackError(
                    f"{one} and {other} are both {port}: set one of them to another number."
                )
        for variable, port in asked.items():
            if port and not port_is_free(port):
                raise StackError(
                    f"Port {port} is taken: stop the program that uses it, or set {variable} to "
                    "another number."
                )
        return {variable: port or free_port() for variable, port in asked.items()}

    def _asked_port(self, variable: str) -> int:
        """0: any free one."""
        asked = self._asked_ports[variable]
        if asked == 0:
            return 0
        text = str(asked or os.environ.get(variable) or DEFAULT_PORTS[variable])
        if not (text.isdigit() and 0 < int(text) < 65536):
            raise StackError(f"{variable} must be a number from 1 to 65535, not {text!r}.")
        return int(text)

    def _start_servers(self) -> Servers:
        """Those that the environment names, embedded ones otherwise."""
        # Imported late: with named servers, the packages of embedded ones need not be installed.
        from config.settings import sibling_database

        database_url = os.environ.get("DATABASE_URL", "")
        redis_url = os.environ.get("REDIS_URL", "")
        embedded: list[EmbeddedServer] = []
        if not database_url:
            from config.stack.embedded import EmbeddedPostgres

            postgres = EmbeddedPostgres(self.data_dir)
            self._start_server(postgres, STAGE_POSTGRES)
            database_url = postgres.url
            embedded.append(postgres)
        if not redis_url:
            from config.stack.embedded import EmbeddedRedis

            redis = EmbeddedRedis(self.data_dir)
            self._start_server(redis, STAGE_REDIS)
            redis_url = redis.url
            embedded.append(redis)
        for server in embedded:
            self._wait_for_server(server)
        chain_url = os.environ.get("CHAIN_DATABASE_URL")
        return Servers(
            database_url=database_url,
            chain_database_url=chain_url or sibling_database(database_url, "_chain"),
            redis_url=redis_url,
        )

    def _start_server(self, server: EmbeddedServer, stage: int) -> None:
        self._log.line("up", f"starting an embedded {server.name} server")
        server.prepare()
        self._supervisor.start(server.child(stage=stage))

    def _wait_for_server(self, server: EmbeddedServer) -> None:
        server.wait_until_it_answers(
            is_running=lambda: self._supervisor.deaths(server.name) < GIVE_UP_AFTER_DEATHS
        )

    def _start_processes(self, processes: Iterable[EngineProcess]) -> None:
        for process in processes:
            self._log.line("up", f"starting {process.name}")
            self._supervisor.start(
                Child(
                    name=process.name,
                    command=process.command,
                    stage=STAGE_ENGINE,
                    stop_timeout_s=ENGINE_STOP_TIMEOUT_S,
                )
            )

    def _wait_until_ready(self, processes: Iterable[EngineProcess]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        for process in processes:
            while not process.is_ready():
                if self._supervisor.deaths(process.name) >= GIVE_UP_AFTER_DEATHS:
                    raise StackError(f"{process.name} does not stay up: {self._why()}.")
                if time.monotonic() > deadline:
                    raise StackError(f"{process.name} does not answer: {self._why()}.")
                time.sleep(0.05)

    def _why(self) -> str:
        where = f"in {self.log_file}" if self.log_file else "above"
        return f"its log lines {where} say why"

    @property
    def _pids(self) -> dict[str, int]:
        return {"up": os.getpid(), **self._supervisor.pids}

    def _tell_new_pids(self) -> None:
        with self._ready_lock:
            if self._ready:
                self._ready = replace(self._ready, pids=self._pids)
                self._ready.write(self.ready_path)

    def _kept(self, name: str) -> str:
        """What `prepare` kept; empty for the password of an admin who chose another one."""
        path = secret_path(data_dir=self.data_dir, name=name)
        return path.read_text().strip() if path.exists() else ""

    def _secret(self, name: str) -> str:
        path = secret_path(data_dir=self.data_dir, name=name)
        return keep_secret(path=path, make=lambda: secrets.token_urlsafe(24))


def is_split() -> bool:
    """Whether REST and sockets have a process each. Raises StackError."""
    web = os.environ.get("WEB") or "together"
    if web not in ("together", "split"):
        raise StackError(f"WEB must be together or split, not {web!r}.")
    return web == "split"


def reach_named_servers() -> None:
    """Asked before anything is started. Raises Unreachable."""
    for variable in ("DATABASE_URL", "CHAIN_DATABASE_URL"):
        if url := os.environ.get(variable):
            reach_postgres(url=url, variable=variable)
    if url := os.environ.get("REDIS_URL"):
        reach_redis(url=url, variable="REDIS_URL")
