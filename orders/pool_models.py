"""What the database keeps of pools: the states that decisions rest on. `receipts` writes and reads them."""

import pgtrigger
from django.db import models


class PoolState(models.Model):
    """What a decision found in a pool, kept once per slot: decisions refer to it, and can be made again from it."""

    pool = models.CharField(max_length=44)
    slot = models.BigIntegerField()
    venue = models.CharField(max_length=32)
    state = models.JSONField()

    class Meta:
        constraints = [
            # receipts: a decision's states, and whether one is kept already
            models.UniqueConstraint(fields=["pool", "slot"], name="pool_state_once_per_slot"),
        ]
        triggers = [pgtrigger.Protect(name="state_is_kept", operation=pgtrigger.Update)]

    def __str__(self) -> str:
        return f"{self.pool}@{self.slot}"
