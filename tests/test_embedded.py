"""The embedded servers: real, private, not root, and able to cope with what a kill leaves."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from config.stack import embedded, server_binaries
from config.stack.embedded import EmbeddedPostgres, EmbeddedRedis
from config.stack.reach import ping_redis
from config.stack.server_binaries import (
    EmbeddedServerError,
    copy_postgres,
    find_postgres,
    find_redis,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


@pytest.fixture
def postgres(reachable_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(reachable_dir)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(reachable_dir: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(reachable_dir)
    server.start()
    yield server
    server.stop()


def connect(server: EmbeddedPostgres, **changes: str) -> psycopg.Connection:
    return psycopg.connect(
        server.url, **{"dbname": "postgres", "connect_timeout": "5"} | changes, autocommit=True
    )


def ask(server: EmbeddedPostgres, question: str) -> object:
    with connect(server) as connection:
        row = connection.execute(question).fetchone()
        return row and row[0]


def remember_seven(server: EmbeddedPostgres) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def listening_addresses(pid: int) -> set[str]:
    connections = psutil.Process(pid).net_connections(kind="inet")
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}


def test_postgres_keeps_what_it_commits(postgres: EmbeddedPostgres) -> None:
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert ask(postgres, f"SHOW {setting}") == "on"


def test_postgres_listens_on_loopback_only(postgres: EmbeddedPostgres) -> None:
    assert ask(postgres, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(postgres, "SHOW unix_socket_directories") == ""
    assert listening_addresses(postgres.pid) == {"127.0.0.1"}


def test_postgres_asks_for_its_password(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres, password="guessed")


def test_redis_listens_on_loopback_only_and_asks_for_its_password(
    redis_server: EmbeddedRedis,
) -> None:
    assert listening_addresses(redis_server.pid) == {"127.0.0.1"}
    with pytest.raises(redis.AuthenticationError):
        ping_redis(url=f"redis://127.0.0.1:{redis_server.port}/0", timeout_s=5)


@pytest.mark.parametrize("kind", [EmbeddedPostgres, EmbeddedRedis])
def test_a_server_shows_its_password_to_its_own_account_only(
    kind: type[EmbeddedPostgres | EmbeddedRedis], reachable_dir: Path
) -> None:
    server = kind(reachable_dir)
    server.start()
    try:
        password = (server.folder / "password").read_text().strip()
        process = psutil.Process(server.pid)
        shown = [*process.cmdline(), *process.environ().values()]
        assert not any(password in word for word in shown)
        assert process.uids().real != 0
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600
    finally:
        server.stop()


def test_postgres_keeps_its_data_and_password_between_runs(reachable_dir: Path) -> None:
    first = EmbeddedPostgres(reachable_dir)
    first.start()
    password = first.url.split("@")[0]
    remember_seven(first)
    first.stop()

    second = EmbeddedPostgres(reachable_dir)
    second.start()
    try:
        assert ask(second, "SELECT n FROM kept") == 7
        assert second.url.split("@")[0] == password
    finally:
        second.stop()


def test_a_server_that_an_earlier_run_left_running_is_stopped_first(
    postgres: EmbeddedPostgres, redis_server: EmbeddedRedis
) -> None:
    for left_over in (postgres, redis_server):
        server = type(left_over)(left_over.data_dir)
        server.start()
        try:
            assert left_over._process.poll() is not None
            assert server.answers()
        finally:
            server.stop()


def test_postgres_recovers_from_a_kill(postgres: EmbeddedPostgres) -> None:
    remember_seven(postgres)
    os.killpg(postgres.pid, signal.SIGKILL)
    postgres._process.wait()

    again = EmbeddedPostgres(postgres.data_dir)
    again.start()
    try:
        assert ask(again, "SELECT n FROM kept") == 7
    finally:
        again.stop()


def test_a_pid_file_whose_number_went_to_another_program_is_no_obstacle(
    postgres: EmbeddedPostgres,
) -> None:
    pid_file = postgres.folder / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    os.killpg(postgres.pid, signal.SIGKILL)
    postgres._process.wait()
    pid_file.write_text("".join([f"{os.getppid()}\n", *lines[1:]]))

    again = EmbeddedPostgres(postgres.data_dir)
    again.start()
    try:
        assert again.answers()
    finally:
        again.stop()
    with suppress(psutil.NoSuchProcess):
        assert psutil.Process(os.getppid()).is_running()


def test_a_data_folder_that_was_never_finished_is_made_anew(reachable_dir: Path) -> None:
    unfinished = reachable_dir / "postgres" / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(reachable_dir)
    server.start()
    try:
        assert server.answers()
    finally:
        server.stop()


def test_a_cluster_of_another_major_version_is_refused_in_a_sentence(reachable_dir: Path) -> None:
    cluster = reachable_dir / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedServerError, match=r"written by PostgreSQL 9, .* set DATA_DIR"):
        EmbeddedPostgres(reachable_dir).prepare()


@as_root
def test_a_data_folder_out_of_the_accounts_reach_is_refused_in_a_sentence(
    reachable_dir: Path,
) -> None:
    data_dir = reachable_dir / "closed" / ".data"
    data_dir.mkdir(parents=True)
    data_dir.parent.chmod(0o700)
    with pytest.raises(EmbeddedServerError, match=r"nobody can't reach .* such as /var/lib"):
        EmbeddedPostgres(data_dir).prepare()


@as_root
def test_programs_out_of_the_accounts_reach_are_copied(
    reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = reachable_dir / "closed"
    closed.mkdir()
    programs = copy_postgres(programs=find_postgres(major=None), into=closed)
    redis_program = shutil.copy2(find_redis(), closed)
    closed.chmod(0o700)
    monkeypatch.setattr(embedded, "find_postgres", lambda *, major: programs)
    monkeypatch.setattr(embedded, "find_redis", lambda: Path(redis_program))

    for server in (EmbeddedPostgres(reachable_dir), EmbeddedRedis(reachable_dir)):
        server.start()
        try:
            assert server.answers()
            assert server.command.argv[0].startswith(str(server.folder))
        finally:
            server.stop()


def test_missing_programs_are_named_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_binaries, "_package_folder", lambda name: None)
    monkeypatch.setattr(server_binaries, "DEBIAN_FOLDERS", Path("/nowhere"))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL is missing: .* DATABASE_URL"):
        find_postgres(major=None)
    with pytest.raises(EmbeddedServerError, match=r"Redis is missing: .* REDIS_URL"):
        find_redis()


def test_programs_on_path_are_the_fallback(
    reachable_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = find_postgres(major=None).bin
    monkeypatch.setattr(server_binaries, "_package_folder", lambda name: None)
    monkeypatch.setenv("PATH", f"{wheel}:{os.environ['PATH']}")
    server = EmbeddedPostgres(reachable_dir)
    server.start()
    try:
        assert server.answers()
    finally:
        server.stop()
