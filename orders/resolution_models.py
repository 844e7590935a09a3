"""What the database keeps of doubts that people end: who proposed which outcome, and who else decided on it."""

from enum import StrEnum

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q

from orders.engine_clock import EngineNow


class ResolutionState(StrEnum):
    """What became of a proposal. All but the first are for ever."""

    OPEN = "open"  # -> all others; waits for a second person
    CONFIRMED = "confirmed"  # the order ended with it
    REJECTED = "rejected"  # by a second person
    WITHDRAWN = "withdrawn"  # by whoever proposed it
    VOID = "void"  # the doubt that it was about was over before anybody decided


class Resolution(models.Model):
    """A proposal of how an order that is in doubt ends. What one person proposes, another one decides."""

    order = models.ForeignKey("orders.Order", on_delete=models.PROTECT, related_name="resolutions")
    # The doubt that it is about: it says nothing of any other.
    attempt = models.PositiveSmallIntegerField()
    in_doubt_since = models.DateTimeField()
    amount_out_base = models.DecimalField(
        max_digits=20, decimal_places=0, null=True
    )  # what was received; null: the swap did not land, and never will
    evidence = models.TextField()
    reason = models.TextField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(db_default=EngineNow())

    state = models.CharField(
        max_length=16,
        choices=[(state.value, state.value) for state in ResolutionState],
        db_default=ResolutionState.OPEN.value,
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    decision_reason = models.TextField(db_default="")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state=ResolutionState.OPEN.value),
                name="one_open_resolution_per_order",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ResolutionState]),
                name="resolution_state_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(decided_by=F("proposed_by")), name="nobody_decides_their_own_proposal"
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[ResolutionState.CONFIRMED.value, ResolutionState.REJECTED.value],
                    decided_by__isnull=False,
                )
                & ~Q(decision_reason="")
                | Q(
                    state__in=[
                        ResolutionState.OPEN.value,
                        ResolutionState.WITHDRAWN.value,
                        ResolutionState.VOID.value,
                    ],
                    decided_by__isnull=True,
                ),
                name="decided_by_somebody_for_a_reason",
            ),
            models.CheckConstraint(
                condition=Q(state=ResolutionState.OPEN.value, closed_at__isnull=True)
                | Q(~Q(state=ResolutionState.OPEN.value), closed_at__isnull=False),
                name="resolution_closed_unless_open",
            ),
            models.CheckConstraint(
                condition=Q(amount_out_base__isnull=True) | Q(amount_out_base__gt=0),
                name="resolution_received_something",
            ),
        ]
        triggers = [
            # What is confirmed is what was proposed.
            pgtrigger.ReadOnly(
                name="proposal_is_kept",
                fields=[
                    "order",
                    "attempt",
                    "in_doubt_since",
                    "amount_out_base",
                    "evidence",
                    "reason",
                    "proposed_by",
                    "proposed_at",
                ],
            ),
            pgtrigger.Protect(
                name="decided_is_decided",
                operation=pgtrigger.Update,
                condition=~pgtrigger.Q(old__state=ResolutionState.OPEN.value),
            ),
            pgtrigger.Protect(name="resolution_is_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"resolution of {self.order_id}:{self.attempt}"
