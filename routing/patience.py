"""Connections that wait for no server for ever.

libpq waits without a limit for a server that keeps its connections and says nothing, and no TCP time-out ends that: the
kernel still acknowledges. The orders' database has limits of its own, which this package must not know.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

RV = TypeVar("RV")


class SilentServer(psycopg.OperationalError):
    """Nothing came for too long. What was asked for may have been done."""


def giving_up_after(silence_s: float) -> type[psycopg.Connection[Any]]:
    """A class of connections that close themselves, and raise SilentServer, when no byte has come for that long."""

    class PatientConnection(psycopg.Connection[Any]):
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
                    elif time.monotonic() - silent_since >= silence_s:
                        self.pgconn.finish()
                        raise SilentServer(f"silent for {silence_s:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                value: RV = end.value
                return value

    return PatientConnection
