"""Statements of somebody who would rather be told that there is no answer yet than wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

# Whoever looks takes none from those who work.
ONE_CORE = "SET LOCAL max_parallel_workers_per_gather = 0"


class TooSlow(Exception):
    """A statement took longer than its caller gave it. The server has given it up; the connection is as it was."""


@contextmanager
def brief_statements(*, within_s: float) -> Iterator[None]:
    """A transaction in which each statement has so long. Raises TooSlow. In a caller's transaction the limit stays."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {int(within_s * 1000)}; {ONE_CORE}")
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooSlow(f"PostgreSQL had no answer within {within_s:g} s.") from error
        raise
