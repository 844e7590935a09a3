"""Where Django looks for a backend: its own for PostgreSQL, with connections taken as `patience` says."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from config.postgres import patience


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Raises psycopg.OperationalError when there is none in time."""
        pool = self.pool
        if pool is None:  # for the server's own database, when a database is made
            return super().get_new_connection(conn_params)
        self.isolation_level = IsolationLevel.READ_COMMITTED
        pool.open()
        return patience.take(pool, patience.PatientConnection.server)
