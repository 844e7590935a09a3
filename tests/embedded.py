"""Pytest plugin: real PostgreSQL and Redis for the session, where the environment names none.

Loaded by `-p tests.embedded` (pyproject.toml), because the environment must be complete before
pytest-django reads the settings. The servers run under a supervisor like those of `manage.py up`:
one that a test kills comes back, and all of them end with the session, however it ends. With `-n`,
every process that runs tests has servers of its own, and the one that hands the tests out has none.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from config.stack.embedded import EmbeddedPostgres, EmbeddedRedis
from config.stack.embedded_server import EmbeddedServer
from config.stack.supervisor import Log, Supervisor
from routing import simulated_schema

NOWHERE = {"DATABASE_URL": "postgresql://127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    asked = early_config.known_args_namespace
    hands_out = asked.numprocesses and "PYTEST_XDIST_WORKER" not in os.environ
    if hands_out:
        if any(map(is_named, NOWHERE)):
            raise pytest.UsageError("-n starts servers: leave out DATABASE_URL and REDIS_URL.")
        os.environ.update(NOWHERE)
    elif not asked.help:
        undo = ExitStack()
        early_config.add_cleanup(undo.close)
        name_servers(undo)
    return (yield)


@pytest.fixture
def reachable_dir() -> Iterator[Path]:
    """A folder for a data folder. `tmp_path` won't do for root, whose servers run as another."""
    folder = Path(tempfile.mkdtemp(prefix="order-engine-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def name_servers(undo: ExitStack) -> None:
    """Complete the environment; start what it doesn't name."""
    data_dir = Path(tempfile.mkdtemp(prefix="order-engine-tests-"))
    undo.callback(shutil.rmtree, data_dir, ignore_errors=True)
    servers: dict[str, EmbeddedServer] = {}
    if not is_named("DATABASE_URL"):
        servers["DATABASE_URL"] = EmbeddedPostgres(data_dir)
    if not is_named("REDIS_URL"):
        servers["REDIS_URL"] = EmbeddedRedis(data_dir)
    if servers:
        run_servers(servers, data_dir, undo)
    os.environ.update({variable: server.url for variable, server in servers.items()})
    # Never a folder of a running engine: settings would find its servers in there.
    os.environ["DATA_DIR"] = str(data_dir)
    os.environ["CHAIN_DATABASE_URL"] = fresh_chain_database(undo)
    os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(50))


def is_named(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", NOWHERE[variable])


def run_servers(servers: dict[str, EmbeddedServer], data_dir: Path, undo: ExitStack) -> None:
    for server in servers.values():
        server.prepare()
    log = undo.enter_context((data_dir / "servers.log").open("w"))
    supervisor = Supervisor(log=Log(log))
    undo.callback(supervisor.stop)
    for server in servers.values():
        supervisor.start(server.child(stage=0))
    for server in servers.values():
        server.wait_until_it_answers(is_running=lambda: True)


def fresh_chain_database(undo: ExitStack) -> str:
    """An empty, installed chain beside the orders', under a name that no real chain has."""
    server_url = os.environ["DATABASE_URL"]
    parts = urlsplit(server_url)
    name = f"test_{parts.path.strip('/')}_chain"
    url = parts._replace(path=f"/{name}").geturl()
    drop_database(server_url=server_url, name=name)
    undo.callback(drop_database, server_url=server_url, name=name)
    simulated_schema.create_database_if_missing(url)
    simulated_schema.install(url)
    return url


def drop_database(*, server_url: str, name: str) -> None:
    with psycopg.connect(server_url, dbname="postgres", autocommit=True) as server:
        # A worker that a test left running may still be connected.
        server.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
