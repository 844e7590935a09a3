"""Whether the servers that DATABASE_URL and REDIS_URL name answer, and one sentence when not."""

import time
from urllib.parse import unquote, urlsplit

import psycopg
import redis
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_TIMEOUT_S = 5

Row = tuple[object, ...]


class Unreachable(Exception):
    """A named server doesn't answer; the message is one sentence, without a password."""


def reach_postgres(*, url: str, variable: str, patience_s: float = 0.0) -> None:
    """Returns once the server lets us in, to the database itself or to one that can create it."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return connect_beside(url).close()
        except psycopg.ProgrammingError:
            raise Unreachable(
                f"{variable} is not an address like postgresql://user:password@host:5432/name."
            ) from None
        except psycopg.OperationalError as error:
            if time.monotonic() >= deadline:
                raise Unreachable(
                    f"The PostgreSQL that {variable} names can't be reached: {_reason(error)}."
                ) from None
            time.sleep(0.2)


def create_database(*, url: str) -> bool:
    """Create the database that `url` names. False if it was there. Safe to race: one wins."""
    name = unquote(urlsplit(url).path.lstrip("/"))
    with connect_beside(url) as server:
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            return False
        try:
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False
    return True


def reach_redis(*, url: str, variable: str) -> None:
    try:
        ping_redis(url=url, timeout_s=CONNECT_TIMEOUT_S)
    except ValueError:
        raise Unreachable(
            f"{variable} is not an address like redis://:password@host:6379/0."
        ) from None
    except (redis.RedisError, OSError) as error:
        raise Unreachable(
            f"The Redis that {variable} names can't be reached: {_reason(error)}."
        ) from None


def ping_redis(*, url: str, timeout_s: float) -> None:
    """Asks once: the client's own retries would wait for seconds. Raises redis.RedisError."""
    with redis.Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    ) as server:
        server.ping()


def connect_beside(url: str) -> psycopg.Connection[Row]:
    """To the server's own `postgres` database, which is there before ours is; else to ours."""
    try:
        return psycopg.connect(
            url, dbname="postgres", connect_timeout=CONNECT_TIMEOUT_S, autocommit=True
        )
    except psycopg.OperationalError as first:
        try:
            return psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True)
        except psycopg.OperationalError:
            raise first from None


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].removeprefix("connection failed: ").rstrip(".")
