"""Statements that PostgreSQL plans once per connection. Ours take longer to plan than to run for one order.

Django's own cursors put parameters into the text, so that each of their statements is new to the server.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.db import connection


def fetch_prepared(
    sql: str, params: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """All rows. Raises Django's database errors, like its own cursors; a caller's transaction holds here, too."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        return psycopg.Cursor(connection.connection).execute(sql, params, prepare=True).fetchall()
