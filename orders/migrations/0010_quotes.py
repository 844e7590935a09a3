import django.db.models.deletion
from django.db import migrations, models

import orders.models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0009_venue_health"),
    ]

    operations = [
        migrations.CreateModel(
            name="Quote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=orders.models.new_order_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="orders.account",
                    ),
                ),
                ("token_in", models.CharField(max_length=16)),
                ("token_out", models.CharField(max_length=16)),
                ("amount_in_base", models.DecimalField(decimal_places=0, max_digits=20)),
                ("slippage_bps", models.PositiveSmallIntegerField()),
                ("min_amount_out_base", models.DecimalField(decimal_places=0, max_digits=20)),
                ("document", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=orders.models.EngineNow())),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("min_amount_out_base__gt", 0)),
                        name="quoted_minimum_is_positive",
                    )
                ],
            },
        ),
        migrations.AddField(model_name="order", name="quote_id", field=models.UUIDField(null=True)),
        migrations.AddField(
            model_name="order", name="quote_expires_at", field=models.DateTimeField(null=True)
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("quote_expires_at__isnull", True), ("quote_id__isnull", True)),
                    models.Q(
                        ("min_amount_out_base__isnull", False),
                        ("quote_expires_at__isnull", False),
                        ("quote_id__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="quoted_has_an_expiry_and_a_minimum",
            ),
        ),
    ]
