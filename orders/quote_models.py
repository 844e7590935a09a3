"""What the database keeps of quotes that clients were given. `stored_quotes` writes and reads them."""

from django.db import models
from django.db.models import Q

from orders.account_models import Account
from orders.engine_clock import EngineNow
from orders.order_ids import new_order_id


class Quote(models.Model):
    """What a client was offered for a swap. It reserves nothing; an order that names it in time accepts no less."""

    id = models.UUIDField(primary_key=True, default=new_order_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    token_in = models.CharField(max_length=16)
    token_out = models.CharField(max_length=16)
    amount_in_base = models.DecimalField(max_digits=20, decimal_places=0)
    slippage_bps = models.PositiveSmallIntegerField()
    min_amount_out_base = models.DecimalField(max_digits=20, decimal_places=0)
    document = (
        models.JSONField()
    )  # the route and every candidate, as the client was told: see preview
    created_at = models.DateTimeField(db_default=EngineNow())
    expires_at = models.DateTimeField(db_index=True)  # housekeeping: remove_old_quotes

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(min_amount_out_base__gt=0), name="quoted_minimum_is_positive"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)
