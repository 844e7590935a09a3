"""What the database keeps of exports: who asked for which orders, how far it is, and the file in parts.

The row is the queue: a message that wakes a worker is only a hint. `exporting` writes here, and nobody else.
"""

from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import Q

from orders.engine_clock import EngineNow


class ExportFormat(StrEnum):
    CSV = "csv"  # one row an order, for a spreadsheet
    JSON_LINES = "jsonl"  # one object a line, as the API shows orders


class ExportState(StrEnum):
    WAITING = "waiting"  # -> running when a worker claims it, -> cancelled
    RUNNING = "running"  # -> done, failed, cancelled; -> waiting when its worker stops or lets another one go first
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


UNFINISHED_EXPORTS = (ExportState.WAITING.value, ExportState.RUNNING.value)


class Export(models.Model):
    """A file of orders that somebody asked for. It walks from the newest order then to the oldest that can fit."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    format = models.CharField(max_length=8, choices=[(f.value, f.value) for f in ExportFormat])
    query = models.TextField(blank=True)  # the list's query string, which leads back to the list
    words = models.TextField()  # the same for people: “status: failed · created: in the last hour”
    condition = models.TextField()  # the same for PostgreSQL, signed: see export_selection

    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in ExportState],
        db_default=ExportState.WAITING.value,
    )
    # Where it begins, where it ends, and the last order it looked at; the two bounds are part of it, too.
    newest_id = models.UUIDField(null=True)
    oldest_id = models.UUIDField(null=True)
    cursor_id = models.UUIDField(null=True)
    orders_to_see = models.BigIntegerField()  # about: the planner's estimate
    orders_seen = models.BigIntegerField(db_default=0)
    rows_written = models.BigIntegerField(db_default=0)
    parts_written = models.PositiveIntegerField(db_default=0)

    fence = models.BigIntegerField(
        db_default=0
    )  # raised by each claim, so that a late writer is refused
    claims = models.PositiveSmallIntegerField(db_default=0)  # since it last got on
    touched_at = models.DateTimeField(
        db_default=EngineNow()
    )  # when it was asked for, claimed or got on
    error = models.TextField(db_default="", blank=True)

    created_at = models.DateTimeField(db_default=EngineNow())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True, db_index=True)  # housekeeping: remove_expired

    class Meta:
        default_permissions = ("view",)  # as each table of the console has it: see roles
        permissions = [("export_order", "Can export orders")]
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in ExportState]), name="export_state_is_known"
            ),
            models.CheckConstraint(
                condition=Q(state__in=UNFINISHED_EXPORTS, expires_at__isnull=True)
                | Q(~Q(state__in=UNFINISHED_EXPORTS), expires_at__isnull=False),
                name="export_expires_once_it_ended",
            ),
            # All exports of the engine together take one thread of one worker: the others are for orders.
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=ExportState.RUNNING.value),
                name="one_export_runs_at_a_time",
            ),
        ]
        indexes = [
            # exporting.claim: the one that was touched longest ago
            models.Index(
                fields=["touched_at"],
                condition=Q(state__in=UNFINISHED_EXPORTS),
                name="export_unfinished",
            ),
            # the console's list of one's own, newest first
            models.Index(fields=["user", "-id"], name="export_of_user"),
        ]

    def __str__(self) -> str:
        return f"{ExportFormat(self.format).name.replace('_', ' ')}, {self.words}"

    @property
    def is_final(self) -> bool:
        return self.state not in UNFINISHED_EXPORTS


class ExportPart(models.Model):
    """Some thousand rows of the file, as a gzip member: one after another they are the whole file, compressed."""

    export = models.ForeignKey(
        Export, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    number = models.PositiveIntegerField()  # from 1
    compressed = models.BinaryField()
    bytes_compressed = models.PositiveIntegerField()
    bytes_plain = models.PositiveIntegerField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["export", "number"], name="export_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.export_id}:{self.number}"
