"""A database that refuses some orders: what only a bug, or a full disk, could bring about."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def refused_by_the_database(*, token_in: str, error: str = "check_violation") -> Iterator[None]:
    """Every statement that would store an order of this token fails, with a PostgreSQL error of that name."""
    name = f"test_refuses_{token_in.lower()}"
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE {error}; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON orders_order FOR EACH ROW "
            f"WHEN (NEW.token_in = '{token_in}') EXECUTE FUNCTION {name}()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP FUNCTION {name} CASCADE")
