"""Fates need proof in the database, too; and events are chained by hash, those that exist already included."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

from orders.journal_sql import event_hash, wish_hash

# Imported, not repeated: a change of what is hashed needs a migration that hashes every event anew, as this one does.
HASH_WHAT_EXISTS = f"""
ALTER TABLE orders_order DISABLE TRIGGER USER;
ALTER TABLE orders_orderevent DISABLE TRIGGER USER;
UPDATE orders_order o SET head_hash = {wish_hash("o")};
DO $$
DECLARE highest integer := (SELECT coalesce(max(seq), 0) FROM orders_orderevent);
BEGIN
    FOR this IN 1 .. highest LOOP
        UPDATE orders_orderevent e SET hash = {event_hash("o.head_hash", "e")}
        FROM orders_order o WHERE o.id = e.order_id AND e.seq = this;
        UPDATE orders_order o SET head_hash = e.hash
        FROM orders_orderevent e WHERE e.order_id = o.id AND e.seq = this;
    END LOOP;
END $$;
ALTER TABLE orders_order ENABLE TRIGGER USER;
ALTER TABLE orders_orderevent ENABLE TRIGGER USER;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0002_tables"),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="head_hash",
            field=models.BinaryField(default=b""),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="orderevent",
            name="hash",
            field=models.BinaryField(default=b""),
            preserve_default=False,
        ),
        migrations.RunSQL(HASH_WHAT_EXISTS, migrations.RunSQL.noop),
        pgtrigger.migrations.AddTrigger(
            model_name="order",
            trigger=pgtrigger.compiler.Trigger(
                name="fate_is_proven",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.\"status\" = 'submitted' AND NOT (NEW.\"status\" = 'submitted'))",
                    func="\n                    PERFORM 1 FROM orders_orderattempt\n                    WHERE order_id = NEW.id AND number = OLD.attempt AND CASE NEW.status\n                        WHEN 'confirmed' THEN state = 'confirmed'\n                        ELSE state = 'dead' END;\n                    IF NOT FOUND THEN\n                        RAISE EXCEPTION 'order % can''t become %: the fate of attempt % is not proven',\n                            NEW.id, NEW.status, OLD.attempt USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NULL;\n                ",
                    hash="ae0993029c62f91841693afbdf5ea642c1253fac",
                    operation="UPDATE",
                    pgid="pgtrigger_fate_is_proven_b6065",
                    table="orders_order",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="orderattempt",
            trigger=pgtrigger.compiler.Trigger(
                name="next_attempt_needs_proof",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (NEW."number" > 1)',
                    func="\n                    PERFORM 1 FROM orders_orderattempt\n                    WHERE order_id = NEW.order_id AND number = NEW.number - 1\n                      AND state IN ('dead', 'failed');\n                    IF NOT FOUND THEN\n                        RAISE EXCEPTION 'attempt %:% needs proof that the one before is dead or sent nothing',\n                            NEW.order_id, NEW.number USING ERRCODE = 'check_violation';\n                    END IF;\n                    RETURN NULL;\n                ",
                    hash="9c6edd8bdba11ad4bc72f4cb4651f8ee425ae8f5",
                    operation="INSERT",
                    pgid="pgtrigger_next_attempt_needs_proof_4ddd2",
                    table="orders_orderattempt",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="orderattempt",
            trigger=pgtrigger.compiler.Trigger(
                name="ended_is_ended",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.\"state\" IN ('confirmed', 'dead', 'failed'))",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="980d740983117dc61e34d24b5e8023f1939dab9c",
                    operation="UPDATE",
                    pgid="pgtrigger_ended_is_ended_47e33",
                    table="orders_orderattempt",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AddConstraint(
            model_name="orderattempt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "dead"), _negated=True),
                    ("proof__isnull", False),
                    _connector="OR",
                ),
                name="dead_has_a_proof",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderattempt",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "failed"), _negated=True),
                    ("signature__isnull", True),
                    _connector="OR",
                ),
                name="failed_means_nothing_was_sent",
            ),
        ),
    ]
