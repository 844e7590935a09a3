from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orders", "0005_no_hinted_at"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("claims__gte", 2), ("due_at__isnull", False)),
                fields=["due_at"],
                name="order_suspect",
            ),
        ),
    ]
