"""What only somebody with the run of the server can do to the database."""

from django.db import connection


def as_superuser(sql: str, **params: object) -> None:
    """Past every trigger, as whoever owns the server can."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(sql, params)
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")
