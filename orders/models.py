"""What the database keeps: accounts, orders, attempts, events. It guards them with the rules that stand here.

Only `journal` writes an order's status, its attempts and its events.
"""

from collections.abc import Iterable
from datetime import timedelta

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import GreaterThan

from orders.account_models import Account as Account  # Django looks for all of them here
from orders.account_models import ApiKey as ApiKey
from orders.account_models import Member as Member
from orders.account_models import StreamTicket as StreamTicket
from orders.engine_clock import EngineNow as EngineNow
from orders.export_models import Export as Export
from orders.export_models import ExportFormat as ExportFormat
from orders.export_models import ExportPart as ExportPart
from orders.export_models import ExportState as ExportState
from orders.lifecycle import TERMINAL, AttemptState, Status, legal_moves, legal_pairs
from orders.order_ids import new_order_id as new_order_id
from orders.pool_models import PoolState as PoolState
from orders.quote_models import Quote as Quote
from orders.resolution_models import Resolution as Resolution
from orders.resolution_models import ResolutionState as ResolutionState
from orders.venue_models import VenueState as VenueState
from orders.venue_models import VenueTally as VenueTally

# Longer than orders usually take, whichever way they go.
SLOW_S = 10
# Claims without progress that may have been an unlucky neighbour's fault; with more of them an order is a suspect.
SOUND_CLAIMS = 2


def choices(kind: type[Status] | type[AttemptState]) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in kind]


def sql_list(values: frozenset[Status]) -> list[str]:
    """Sorted, so that a migration made twice is the same."""
    return sorted(value.value for value in values)


def _sql_array(moves: Iterable[tuple[Status, Status, int]]) -> str:
    return ",".join(f"{status}:{successor}:{events}" for status, successor, events in moves)


class Order(models.Model):
    """A swap that a client asked for. Amounts are integers in the token's base units."""

    id = models.UUIDField(primary_key=True, default=new_order_id, editable=False)
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="orders", db_index=False
    )
    client_order_id = models.CharField(max_length=64, null=True)
    order_type = models.CharField(max_length=16, default="market")
    token_in = models.CharField(max_length=16)
    token_out = models.CharField(max_length=16)
    amount_in_base = models.DecimalField(max_digits=20, decimal_places=0)
    slippage_bps = models.PositiveSmallIntegerField()
    # The quote that the client named, and until when a venue may be chosen on it. No foreign key: quotes are removed.
    quote_id = models.UUIDField(null=True)
    quote_expires_at = models.DateTimeField(null=True)

    status = models.CharField(
        max_length=16, choices=choices(Status), db_default=Status.PENDING.value
    )
    last_seq = models.PositiveIntegerField(
        db_default=1
    )  # the last event's seq: what a writer must have seen
    attempt = models.PositiveSmallIntegerField(
        db_default=0
    )  # the current attempt's number; 0 before the first
    cancel_requested_at = models.DateTimeField(null=True)
    in_doubt_since = models.DateTimeField(null=True)

    # The lease's end, the back-off's end and the sweep's cursor in one; empty when nothing is left to do.
    due_at = models.DateTimeField(null=True, db_default=EngineNow())
    fence = models.BigIntegerField(
        db_default=0
    )  # raised by each claim; a writer with an older one is refused
    holder = models.CharField(max_length=120, db_default="")  # the worker that claimed last
    claims = models.PositiveSmallIntegerField(db_default=0)  # since the last event

    min_amount_out_base = models.DecimalField(
        max_digits=20, decimal_places=0, null=True
    )  # the quote's, if the order names one; else the first attempt's
    selected_dex = models.CharField(max_length=100, db_default="")  # as the attempt's venue
    tx_hash = models.CharField(max_length=88, db_default="")
    amount_out_base = models.DecimalField(max_digits=20, decimal_places=0, null=True)
    error_code = models.CharField(max_length=40, db_default="")
    error_message = models.TextField(db_default="")
    error_retryable = models.BooleanField(
        db_default=False
    )  # would the same order, placed again, have a chance?

    created_at = models.DateTimeField(db_default=EngineNow())
    updated_at = models.DateTimeField(db_default=EngineNow())  # the last event's time, by trigger
    head_hash = models.BinaryField(editable=False)  # the last event's, which the next one continues

    class Meta:
        permissions = [
            ("cancel_order", "Can cancel an order of any account"),
            ("requeue_order", "Can make an order due that waits for its next attempt"),
            (
                "resolve_order",
                "Can propose how an order in doubt ends, and decide on others' proposals",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "client_order_id"], name="client_order_id_once_per_account"
            ),
            models.CheckConstraint(condition=Q(amount_in_base__gt=0), name="amount_in_is_positive"),
            models.CheckConstraint(
                condition=Q(slippage_bps__lte=10_000), name="slippage_is_a_share"
            ),
            models.CheckConstraint(condition=~Q(token_in=F("token_out")), name="tokens_differ"),
            models.CheckConstraint(
                condition=Q(quote_id__isnull=True, quote_expires_at__isnull=True)
                | Q(
                    quote_id__isnull=False,
                    quote_expires_at__isnull=False,
                    min_amount_out_base__isnull=False,
                ),
                name="quoted_has_an_expiry_and_a_minimum",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in Status]), name="order_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=sql_list(TERMINAL), due_at__isnull=True)
                | Q(~Q(status__in=sql_list(TERMINAL)), due_at__isnull=False),
                name="due_unless_terminal",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.CONFIRMED.value)
                | Q(~Q(tx_hash=""), amount_out_base__isnull=False),
                name="confirmed_has_a_receipt",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.FAILED.value) | ~Q(error_code=""),
                name="failed_has_an_error_code",
            ),
        ]
        indexes = [
            # leases.claim and pulse.sweep: what is due, oldest first
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="order_due"),
            # leases.claim: the suspect that is due longest, without reading past all others that are due
            models.Index(
                fields=["due_at"],
                condition=Q(due_at__isnull=False, claims__gte=SOUND_CLAIMS),
                name="order_suspect",
            ),
            # GET /api/orders and the account's stream
            models.Index(fields=["account", "-id"], name="order_of_account"),
            # the console's search across accounts
            models.Index(
                fields=["client_order_id"],
                condition=Q(client_order_id__isnull=False),
                name="order_client_order_id",
            ),
            # the console: failed today
            models.Index(
                fields=["updated_at"], condition=Q(status=Status.FAILED.value), name="order_failed"
            ),
            # the console: retried, newest first
            models.Index(fields=["-id"], condition=Q(attempt__gt=1), name="order_retried"),
            # the console: slow, newest first; how many those are, the planner knows by the statistics order_took
            models.Index(
                fields=["-id"],
                condition=Q(
                    GreaterThan(F("updated_at") - F("created_at"), timedelta(seconds=SLOW_S))
                ),
                name="order_slow",
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="accepted_as_pending",
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__status=Status.PENDING.value),
            ),
            pgtrigger.Trigger(
                name="legal_status",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__status__df=pgtrigger.F("new__status")),
                func=f"""
                    IF concat_ws(':', OLD.status, NEW.status, NEW.last_seq - OLD.last_seq)
                            <> ALL ('{{{_sql_array(legal_moves())}}}'::text[]) THEN
                        RAISE EXCEPTION 'illegal transition of order %: from % to % with % event(s)',
                            NEW.id, OLD.status, NEW.status, NEW.last_seq - OLD.last_seq
                            USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NEW;
                """,
            ),
            pgtrigger.Protect(
                name="terminal_is_terminal",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=sql_list(TERMINAL)),
            ),
            pgtrigger.Trigger(
                name="updated_at",
                operation=pgtrigger.Update,
                when=pgtrigger.Before,
                condition=pgtrigger.Q(old__last_seq__df=pgtrigger.F("new__last_seq")),
                func="NEW.updated_at = engine_now(); RETURN NEW;",
            ),
            # After: the statement that moves an order writes its attempt, too, in whichever order it likes.
            pgtrigger.Trigger(
                name="fate_is_proven",
                operation=pgtrigger.Update,
                when=pgtrigger.After,
                condition=pgtrigger.Q(old__status=Status.SUBMITTED.value)
                & ~pgtrigger.Q(new__status=Status.SUBMITTED.value),
                func=f"""
                    PERFORM 1 FROM orders_orderattempt
                    WHERE order_id = NEW.id AND number = OLD.attempt AND CASE NEW.status
                        WHEN '{Status.CONFIRMED}' THEN state = '{AttemptState.CONFIRMED}'
                        ELSE state = '{AttemptState.DEAD}' END;
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'order % can''t become %: the fate of attempt % is not proven',
                            NEW.id, NEW.status, OLD.attempt USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NULL;
                """,
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def is_final(self) -> bool:
        return self.status in TERMINAL


class OrderAttempt(models.Model):
    """One try at an order: what was quoted, what was signed, what came of it. At most one is alive at a time."""

    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="attempts", db_index=False
    )
    number = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=choices(AttemptState))
    quotes = models.JSONField(
        db_default=[]
    )  # every way that was weighed, with why it lost: see quoting.quotes_as_json
    receipt = models.JSONField(
        null=True
    )  # what the decision rests on: see receipts.receipt_as_json
    # Of a route through several pools each in its order, with a + between.
    venue = models.CharField(max_length=100, db_default="")
    pool = models.CharField(max_length=134, db_default="")
    min_amount_out_base = models.DecimalField(max_digits=20, decimal_places=0, null=True)
    signature = models.CharField(max_length=88, null=True, unique=True)
    signed_bytes = models.BinaryField(null=True)
    last_valid_block_height = models.BigIntegerField(null=True)
    genesis_hash = models.CharField(max_length=44, db_default="")
    signed_slot = models.BigIntegerField(
        null=True
    )  # a node without history back to here can't prove death
    proof = models.JSONField(null=True)  # of death: what was asked and what was answered
    amount_out_base = models.DecimalField(max_digits=20, decimal_places=0, null=True)
    error_code = models.CharField(max_length=40, db_default="")
    error_message = models.TextField(db_default="")
    started_at = models.DateTimeField(db_default=EngineNow())
    sent_at = models.DateTimeField(null=True)  # committed to; the bytes left just after
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["order", "number"], name="attempt_number_once_per_order"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in AttemptState]),
                name="attempt_state_is_known",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["sent", "in_doubt", "confirmed", "dead"])
                | Q(
                    signature__isnull=False,
                    signed_bytes__isnull=False,
                    last_valid_block_height__isnull=False,
                ),
                name="sent_bytes_are_stored",
            ),
            models.CheckConstraint(
                condition=~Q(state="dead") | Q(proof__isnull=False), name="dead_has_a_proof"
            ),
            models.CheckConstraint(
                condition=~Q(state="failed") | Q(signature__isnull=True),
                name="failed_means_nothing_was_sent",
            ),
        ]
        triggers = [
            # After, for the same reason as above: the statement that opens an attempt ends the one before.
            pgtrigger.Trigger(
                name="next_attempt_needs_proof",
                operation=pgtrigger.Insert,
                when=pgtrigger.After,
                condition=pgtrigger.Q(new__number__gt=1),
                func=f"""
                    PERFORM 1 FROM orders_orderattempt
                    WHERE order_id = NEW.order_id AND number = NEW.number - 1
                      AND state IN ('{AttemptState.DEAD}', '{AttemptState.FAILED}');
                    IF NOT FOUND THEN
                        RAISE EXCEPTION 'attempt %:% needs proof that the one before is dead or sent nothing',
                            NEW.order_id, NEW.number USING ERRCODE = 'check_violation';
                    END IF;
                    RETURN NULL;
                """,
            ),
            pgtrigger.Protect(
                name="ended_is_ended",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(
                    old__state__in=[AttemptState.CONFIRMED, AttemptState.DEAD, AttemptState.FAILED]
                ),
            ),
            pgtrigger.Protect(
                name="signed_bytes_are_immutable",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__signature__isnull=False)
                & (
                    pgtrigger.Q(old__signature__df=pgtrigger.F("new__signature"))
                    | pgtrigger.Q(old__signed_bytes__df=pgtrigger.F("new__signed_bytes"))
                    | pgtrigger.Q(
                        old__last_valid_block_height__df=pgtrigger.F("new__last_valid_block_height")
                    )
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id}:{self.number}"


class OrderEvent(models.Model):
    """One change of an order, for ever. `details` holds what only some messages carry, ready for the wire."""

    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, related_name="events", db_index=False
    )
    seq = models.PositiveIntegerField()
    from_status = models.CharField(max_length=16, null=True)
    status = models.CharField(max_length=16, choices=choices(Status))
    attempt = models.PositiveSmallIntegerField()
    at = models.DateTimeField(db_default=EngineNow())
    message = models.TextField()
    details = models.JSONField(db_default={})
    hash = models.BinaryField(
        editable=False
    )  # of the one before and this one's text: journal_sql.EVENT_HASH

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "seq"], name="event_seq_once_per_order"),
            models.CheckConstraint(
                condition=Q(from_status__isnull=True, status=Status.PENDING.value, seq=1)
                | Q(
                    *(
                        Q(from_status=status.value, status=successor.value)
                        for status, successor in legal_pairs()
                    ),
                    _connector=Q.OR,
                )
                # Said aloud: a comparison with NULL is neither true nor false, and a CHECK lets that pass.
                & Q(seq__gt=1, from_status__isnull=False),
                name="event_is_a_legal_transition",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"{self.order_id}#{self.seq} {self.status}"
