"""Connections that wait for nothing without a limit, on a PostgreSQL that is there, slow, or gone."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from config.postgres import patience
from config.postgres.patience import PatientConnection, Server, answering_within
from tests.engine import environment
from tests.outage_proxy import OutageProxy

pytestmark = pytest.mark.django_db(transaction=True)


class Connection(PatientConnection):
    """Apart from those of the tests' own process."""

    server = Server()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[OutageProxy]:
    monkeypatch.setattr(Connection, "server", Server())
    monkeypatch.setattr(patience, "_patience", patience.COMMAND)
    with OutageProxy(environment()["DATABASE_URL"]) as proxy:
        yield proxy


@pytest.fixture
def pool(proxy: OutageProxy) -> Iterator[ConnectionPool[Connection]]:
    with ConnectionPool(
        proxy.url, connection_class=Connection, min_size=2, kwargs={"autocommit": True}
    ) as pool:
        pool.wait()
        yield pool


def test_a_command_waits_for_a_slow_statement(proxy: OutageProxy) -> None:
    with Connection.connect(proxy.url) as connection:
        assert connection.execute("SELECT 1 FROM pg_sleep(0.7)").fetchone() == (1,)


def test_a_worker_gives_a_silent_server_up_and_one_that_answers_slowly_not(
    proxy: OutageProxy,
) -> None:
    patience.execute_orders(silence_s=0.5)
    with Connection.connect(proxy.url, autocommit=True) as connection:
        # Longer than the limit, but each row is more than the server keeps back before it sends.
        rows = connection.execute(
            "SELECT repeat('x', 20000), pg_sleep(0.25) FROM generate_series(1, 4)"
        )
        assert rows.rowcount == 4

        proxy.go_dark()
        with pytest.raises(psycopg.OperationalError, match="silent"):
            connection.execute("SELECT 1")
        assert connection.broken
    assert Connection.server.is_away


def test_all_that_a_request_asks_has_one_deadline(proxy: OutageProxy) -> None:
    with Connection.connect(proxy.url, autocommit=True) as connection, answering_within(0.6):
        begun = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match="silent"):
            for _ in range(10):
                connection.execute("SELECT pg_sleep(0.25)")
    assert time.monotonic() - begun < 2


def test_a_slow_statement_does_not_make_a_server_away_that_answers_others(
    proxy: OutageProxy,
) -> None:
    with (
        Connection.connect(proxy.url, autocommit=True) as slow,
        Connection.connect(proxy.url, autocommit=True) as quick,
        answering_within(1.0),
        pytest.raises(psycopg.OperationalError),
        slow.cursor() as cursor,
    ):
        for _ in range(10):
            quick.execute("SELECT 1")
            cursor.execute("SELECT pg_sleep(0.3)")

    assert not Connection.server.is_away


def test_a_connection_that_ended_while_it_was_idle_is_not_handed_out(
    pool: ConnectionPool[Connection], proxy: OutageProxy
) -> None:
    proxy.refuse()
    proxy.recover()

    connection = patience.take(pool, Connection.server)

    assert connection.execute("SELECT 1").fetchone() == (1,)
    pool.putconn(connection)


def test_while_the_server_is_away_one_caller_asks_and_the_others_are_refused_at_once(
    pool: ConnectionPool[Connection], proxy: OutageProxy
) -> None:
    patience.serve_web(silence_s=5)
    proxy.refuse()
    with pytest.raises(psycopg.OperationalError):
        patience.take(pool, Connection.server)
    time.sleep(patience.ASK_EVERY_S)
    begun = time.monotonic()

    assert [Connection.server.may_be_asked() for _ in range(3)] == [True, False, False]
    with pytest.raises(psycopg.OperationalError, match="a moment ago"):
        patience.take(pool, Connection.server)
    assert time.monotonic() - begun < patience.ASK_EVERY_S


def test_an_attempt_from_before_the_server_was_last_heard_says_nothing_of_it() -> None:
    """It began while the server was away, and fails when that is over: nobody is to be refused for it."""
    server = Server()
    asked_at = time.monotonic()
    server.refused(asked_at=asked_at)
    assert server.is_away

    server.answered()
    server.refused(asked_at=asked_at)
    assert not server.is_away

    server.refused(asked_at=time.monotonic())
    assert server.is_away
