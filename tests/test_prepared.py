"""Statements that PostgreSQL plans once per connection."""

from collections.abc import Callable

import pytest
from django.db import ProgrammingError, connection

from config.postgres import patience
from config.postgres.patience import PatientConnection
from config.postgres.prepared import fetch_prepared

pytestmark = pytest.mark.django_db

# The connection may have others, of the tests before.
KEPT = """
SELECT generic_plans FROM pg_prepared_statements WHERE statement = 'SELECT $1::int + 1'
"""


def test_a_statement_is_parsed_once_and_its_plan_kept() -> None:
    for number in range(8):
        assert fetch_prepared("SELECT %s::int + 1", [number]) == [(number + 1,)]

    with connection.cursor() as cursor:
        cursor.execute(KEPT)
        assert cursor.fetchall() == [(3,)]


def test_names_may_be_used_and_errors_are_django_s() -> None:
    assert fetch_prepared("SELECT %(a)s::text || %(a)s::text", {"a": "x"}) == [("xx",)]
    with pytest.raises(ProgrammingError):
        fetch_prepared("SELECT nothing FROM nowhere")


@pytest.mark.parametrize(
    ("begin", "shown"),
    [
        (lambda: patience.serve_web(silence_s=5), "off"),
        (lambda: patience.execute_orders(silence_s=5), "off"),
        (lambda: None, "on"),  # a command may have to read it all
    ],
)
def test_who_serves_or_executes_keeps_no_plan_that_reads_a_whole_table(
    begin: Callable[[], None], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_patience", patience.COMMAND)
    begin()
    wanted = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with PatientConnection.connect(
        **{name: wanted[name] for name in names if name in wanted}
    ) as own:
        assert own.execute("SHOW enable_seqscan").fetchone() == (shown,)
