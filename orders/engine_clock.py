"""The time, as PostgreSQL tells it: what one process writes and another reads is compared by one clock."""

from django.db.models.functions import Now


class EngineNow(Now):
    """`engine_now()`: the server's clock, or the one that a simulation sets for its session."""

    template = "engine_now()"

    def as_postgresql(self, compiler, connection, **extra_context):  # type: ignore[no-untyped-def]
        return self.as_sql(compiler, connection, template=self.template, **extra_context)
