"""Real PostgreSQL and Redis servers that belong to one data folder and to whoever starts them.

They listen on loopback only, ask for a generated password, and keep everything under `data_dir`:
what PostgreSQL committed survives from run to run, what Redis held does not (it carries messages
that may be lost). A server that an earlier owner left running there is stopped first. Neither
ever runs as root.
"""

import os
import shutil
import signal
from pathlib import Path

import psycopg
import redis

from config.stack.embedded_server import START_TIMEOUT_S, EmbeddedServer
from config.stack.kept import write_private
from config.stack.ports import free_port
from config.stack.processes import Command, stop_process
from config.stack.reach import ping_redis
from config.stack.server_binaries import (
    EmbeddedServerError,
    PostgresPrograms,
    can_run,
    copy_postgres,
    copy_program,
    find_postgres,
    find_redis,
)

DATABASE = "order_engine"
ROLE = "engine"

POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # "Never lost, never twice" holds as long as what was committed is kept.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Prepared statements keep their plans until statistics change: those made for empty tables must not last a minute.
    "autovacuum_naptime": "15s",
    # The log goes to whoever runs the server, which adds the time.
    "logging_collector": "off",
    "log_line_prefix": "",
    "log_checkpoints": "off",
}


class EmbeddedPostgres(EmbeddedServer):
    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": open transactions are rolled back, connections closed
    stop_timeout_s = 4.0  # kept short: it recovers from a kill, and `up` must end within 15 s

    @property
    def url(self) -> str:
        return f"postgresql://{ROLE}:{self._password()}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def command(self) -> Command:
        settings = POSTGRES_SETTINGS | {"port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return self._run(str(self._programs.bin / "postgres"), "-D", str(self._cluster), *options)

    def prepare(self) -> None:
        self._make_folder()
        self._stop_left_over(pid_file=self._cluster / "postmaster.pid")
        version_file = self._cluster / "PG_VERSION"
        kept_major = int(version_file.read_text()) if version_file.exists() else None
        self._programs = self._reachable(find_postgres(major=kept_major))
        if kept_major is None:
            self._initialise()
        elif kept_major != self._programs.major:
            raise EmbeddedServerError(
                f"The data in {self._cluster} was written by PostgreSQL {kept_major}, and the "
                f"programs here are version {self._programs.major}: install version {kept_major}, "
                "or set DATA_DIR to a new folder."
            )
        self.port = free_port()

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, dbname="postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _cluster(self) -> Path:
        return self.folder / "cluster"

    def _initialise(self) -> None:
        # Made beside its place and renamed: a run that is killed half-way leaves nothing that
        # looks finished.
        unfinished = self.folder / "cluster.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._password()
        command = self._run(
            str(self._programs.bin / "initdb"),
            *("--pgdata", str(unfinished), "--username", ROLE),
            *("--pwfile", str(self.folder / "password"), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--no-locale", "--data-checksums", "--no-instructions"),
        )
        with self.log_path.open("wb") as log:
            self._process = command.spawn(output=log)
        try:
            if self._process.wait(timeout=START_TIMEOUT_S) != 0:
                raise EmbeddedServerError(
                    f"PostgreSQL could not make its data folder: {self._last_words()}"
                )
        finally:
            stop_process(self._process, stop_signal=signal.SIGTERM, timeout_s=2)
            self._process = None
        unfinished.rename(self._cluster)

    def _reachable(self, found: PostgresPrograms) -> PostgresPrograms:
        if can_run(program=found.bin / "initdb", user=self.system_user):
            return found
        return copy_postgres(programs=found, into=self.folder / "programs")

    def _run(self, *argv: str) -> Command:
        # A bare environment: no PG… variable of the caller's may redirect these programs.
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return Command(argv=argv, env=env, cwd=self.folder, user=self.system_user)


class EmbeddedRedis(EmbeddedServer):
    name = "redis"
    stop_signal = signal.SIGTERM
    stop_timeout_s = 2.0

    @property
    def url(self) -> str:
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> Command:
        # Settings in a file, for the password's sake: every account can read a command line.
        argv = (str(self._program), str(self.folder / "redis.conf"))
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return Command(argv=argv, env=env, cwd=self.folder, user=self.system_user)

    def prepare(self) -> None:
        self._make_folder()
        self._stop_left_over(pid_file=self.folder / "redis.pid")
        self._program = find_redis()
        if not can_run(program=self._program, user=self.system_user):
            self._program = copy_program(program=self._program, into=self.folder / "programs")
        self.port = free_port()
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self._password(),
            "dir": f'"{self.folder}"',
            "pidfile": f'"{self.folder / "redis.pid"}"',
            "save": '""',
            "appendonly": "no",
            "loglevel": "warning",
        }
        path = self.folder / "redis.conf"
        write_private(path=path, text="".join(f"{k} {v}\n" for k, v in settings.items()))
        self._own(path)

    def answers(self) -> bool:
        try:
            ping_redis(url=self.url, timeout_s=2)
        except (redis.RedisError, OSError):
            return False
        return True
