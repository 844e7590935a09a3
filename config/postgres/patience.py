"""How long this process waits for PostgreSQL, and what it last heard of it.

libpq waits for ever for a server that keeps its connections and says nothing: one that was stopped, or whose network
went dark. The kernel still acknowledges, so no TCP time-out ends that wait. Here every wait has a limit.
"""

import math
import select
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg_pool import ConnectionPool, PoolTimeout

RV = TypeVar("RV")

# A server that answered anybody here within this time is there: whoever waits longer has a slow statement.
RECENT_S = 0.5
# While the server is away, one caller in this time finds out whether it is back; the others needn't wait with it.
ASK_EVERY_S = 0.5
# What the database has for all that a client waits for. Behind it come the threads' own work, and the queue for one.
ANSWER_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """What a process of some kind can wait for, in seconds."""

    silence_s: float  # for the next byte of an answer
    connection_s: float  # for a connection of the pool
    fails_fast: bool  # refuses at once what a server that is known to be away would have to answer


# Whoever serves or executes looks up a few rows by an index, with plans that are kept. One made for a small table would
# read all of it, and go on doing so while it grows, until PostgreSQL analyzes it: a minute, or thousands of orders.
LOOK_UP = "SET enable_seqscan = off"

COMMAND = Patience(silence_s=600, connection_s=10, fails_fast=False)

_patience = COMMAND
_answer_by: ContextVar[float | None] = ContextVar("answer_by", default=None)


def serve_web(*, silence_s: float) -> None:
    """This process answers clients: nobody queues behind a server that is away."""
    global _patience
    _patience = Patience(silence_s, connection_s=1, fails_fast=True)


def execute_orders(*, silence_s: float) -> None:
    """This process is a worker: its threads wait a while for the server to come back, then let go."""
    global _patience
    _patience = Patience(silence_s, connection_s=silence_s, fails_fast=False)


@contextmanager
def answering_within(seconds: float) -> Iterator[None]:
    """From now on, all that this context asks of the database has so long together."""
    token = _answer_by.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _answer_by.reset(token)


def time_left_s() -> float:
    """What remains of that; infinite where nobody said how long."""
    answer_by = _answer_by.get()
    return math.inf if answer_by is None else answer_by - time.monotonic()


def _give_up_at(*, since: float, limit_s: float) -> float:
    """When a wait that began then, and may take `limit_s`, ends (monotonic clock)."""
    limit, answer_by = since + limit_s, _answer_by.get()
    return limit if answer_by is None else min(limit, answer_by)


class Server:
    """What this process last heard of a server, whichever connection it was on."""

    def __init__(self) -> None:
        self._heard_at = self._missed_at = self._asked_at = float("-inf")
        self._asking = threading.Lock()

    @property
    def is_away(self) -> bool:
        return self._missed_at > self._heard_at

    def answered(self) -> None:
        self._heard_at = time.monotonic()

    def refused(self, *, asked_at: float) -> None:
        """Nobody took a connection up. An attempt from before the server was last heard says nothing of it now."""
        if asked_at >= self._heard_at:
            self._is_missed(time.monotonic())

    def was_silent(self) -> None:
        """Somebody waited in vain. That is the server's silence only if nobody else heard from it either."""
        now = time.monotonic()
        if now - self._heard_at >= RECENT_S:
            self._is_missed(now)

    def _is_missed(self, now: float) -> None:
        if not self.is_away:
            # Whoever queued behind the one that waited in vain has waited as long: none of them asks next.
            self._asked_at = now
        self._missed_at = now

    def may_be_asked(self) -> bool:
        """While the server is away: whether this caller is the one who finds out if it is back."""
        if not self.is_away:
            return True
        with self._asking:
            now = time.monotonic()
            if now - self._asked_at < ASK_EVERY_S:
                return False
            self._asked_at = now
            return True


class PatientConnection(psycopg.Connection[Any]):
    """Gives a silent server up: closes itself and raises OperationalError, the statement's outcome being unknown."""

    server: ClassVar[Server] = Server()

    @classmethod
    def connect(cls, *args: Any, **kwargs: Any) -> Self:
        asked_at = time.monotonic()
        try:
            connection = super().connect(*args, **kwargs)
            if _patience is not COMMAND:
                connection.execute(LOOK_UP)
                connection.commit()
        except psycopg.OperationalError:
            cls.server.refused(asked_at=asked_at)
            raise
        cls.server.answered()
        return connection

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        return super().wait(self._patiently(gen), *args, **kwargs)

    def _patiently(self, gen: PQGen[RV]) -> Generator[Any, Any, RV]:
        """The same conversation, with a look at the clock whenever the socket has been idle for a moment."""
        silent_since = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                if ready := (yield wanted):
                    silent_since = time.monotonic()
                elif time.monotonic() >= _give_up_at(
                    since=silent_since, limit_s=_patience.silence_s
                ):
                    self.server.was_silent()
                    self.pgconn.finish()
                    raise psycopg.OperationalError("PostgreSQL has been silent for too long")
                wanted = gen.send(ready)
        except StopIteration as end:
            self.server.answered()
            value: RV = end.value
            return value


def take(pool: ConnectionPool[Any], server: Server) -> Any:
    """A connection that works, as far as can be known without asking. Raises psycopg.OperationalError."""
    if _patience.fails_fast and not server.may_be_asked():
        raise psycopg.OperationalError("PostgreSQL did not answer a moment ago")
    give_up_at = _give_up_at(since=time.monotonic(), limit_s=_patience.connection_s)
    while True:
        try:
            connection = pool.getconn(timeout=give_up_at - time.monotonic())
        except PoolTimeout:
            server.was_silent()
            raise
        if _is_sound(connection):
            return connection
        pool.putconn(connection)


def _is_sound(connection: psycopg.Connection[Any]) -> bool:
    """An idle connection on which something arrived was closed, as a rule; asking each would cost a round trip."""
    try:
        arrivals = select.poll()
        arrivals.register(connection.fileno(), select.POLLIN)
        if arrivals.poll(0):
            ConnectionPool.check_connection(connection)
    except psycopg.Error:
        return False
    return True
