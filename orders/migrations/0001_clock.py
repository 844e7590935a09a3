"""The engine's clock in SQL: the server's, or the one that a simulation sets with `SET engine.now = '…'`.

STABLE, so that `due_at <= engine_now()` can use an index; statement_timestamp() because one statement is one instant.
"""

from django.db import migrations

CREATE = """
CREATE FUNCTION engine_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(current_setting('engine.now', true), '')::timestamptz, statement_timestamp())
$$
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION engine_now()")]
