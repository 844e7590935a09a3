"""The engine's own processes: the command of each, and the question that shows it does its work."""

import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.stack.probes import WorkerProbe, flower_answers, web_is_ready
from config.stack.processes import Command

# Requests that wait for a commit together share it.
DEFAULT_REST_THREADS = 32
PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class EngineProcess:
    name: str
    command: Command
    is_ready: Callable[[], bool]
    reads_tables: bool = True


def engine_processes(
    *,
    env: Mapping[str, str],
    data_dir: Path,
    port: int,
    stream_port: int | None,
    flower_port: int,
    flower_login: str,
) -> list[EngineProcess]:
    """Web, worker, beat, Flower. `env` is all that they get; `flower_login` is `user:password`.

    With a `stream_port`, sockets have a process of their own there, and REST is served by a WSGI server.
    """
    celery = ("-m", "celery", "--quiet", "-A", "config")
    # The port makes the node's name unique where two stacks share a named Redis.
    node = f"worker-{port}@{socket.gethostname()}"
    return [
        *web_processes(env=env, port=port, stream_port=stream_port),
        EngineProcess(
            name="worker",
            command=python(
                *(*celery, "worker", "--pool", "threads", "--hostname", node),
                *("--concurrency", env.get("WORKER_CONCURRENCY", "10")),
                # Workers need nothing of each other: PostgreSQL tells them what is due.
                *("--without-mingle", "--without-gossip"),
                env=env,
            ),
            is_ready=WorkerProbe(redis_url=env["REDIS_URL"], node=node),
        ),
        EngineProcess(
            name="beat",
            # No pid file: one that a killed beat left behind would keep the next from starting.
            command=python(
                *(*celery, "beat", "--pidfile", ""),
                *("--schedule", str(data_dir / "celerybeat-schedule")),
                env=env,
            ),
            # It has nothing to answer; that it runs is all there is to ask.
            is_ready=lambda: True,
            reads_tables=False,
        ),
        EngineProcess(
            name="flower",
            # The password in the environment: every account can read a command line.
            command=python(
                *(*celery, "flower", "--address=127.0.0.1", f"--port={flower_port}"),
                # It warns of every worker that isn't there yet, and lists every task.
                env={**env, "FLOWER_BASIC_AUTH": flower_login, "LOG_LEVEL": "ERROR"},
            ),
            is_ready=lambda: flower_answers(flower_port),
            reads_tables=False,
        ),
    ]


def web_processes(
    *, env: Mapping[str, str], port: int, stream_port: int | None
) -> list[EngineProcess]:
    """One process for all of it, or one each for REST and sockets."""
    if stream_port is None:
        return [
            EngineProcess(
                name="web",
                command=python("-m", "config.web", "--port", str(port), env=env),
                is_ready=lambda: web_is_ready(port),
            )
        ]
    threads = env.get("WEB_THREADS") or str(DEFAULT_REST_THREADS)
    rest = (
        *("-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(port), "--blocking-threads", threads),
        *("--backlog", "4096", "--log-level", "warning", "config.wsgi:application"),
    )
    return [
        EngineProcess(
            name="web",
            # Told to the settings too: each thread may need a connection.
            command=python(*rest, env={**env, "WEB_THREADS": threads}),
            is_ready=lambda: web_is_ready(port),
        ),
        EngineProcess(
            name="stream",
            command=python("-m", "config.sockets", "--port", str(stream_port), env=env),
            is_ready=lambda: web_is_ready(stream_port),
        ),
    ]


def prepare_databases(*, env: Mapping[str, str]) -> Command:
    return python("manage.py", "prepare", "--demo", env=env)


def python(*argv: str, env: Mapping[str, str]) -> Command:
    """This Python in the project's folder, its lines written as they come."""
    env = {**env, "PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "config.settings"}
    # Not resolved: the link inside a virtual environment is what makes it one.
    return Command(argv=(str(Path(sys.executable).absolute()), *argv), env=env, cwd=PROJECT)
