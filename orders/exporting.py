"""Exports of orders: asked for by a person, written by a worker part by part, kept for a day.

A writer walks down the primary key, some thousand ids at a time, whatever the filter: no statement reads more than
that, nothing is counted, and how far it is is known. Each part is committed together with where it ends, so that
whoever comes after a crash goes on from there. One export is written at a time, at half of a processor's speed at most,
and hardly while orders wait for a worker.
"""

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from orders import export_rows, export_selection, leases, observe, turns
from orders.export_models import UNFINISHED_EXPORTS
from orders.models import EngineNow, Export, ExportFormat, ExportPart, ExportState, Order

KEPT = timedelta(hours=24)
# Who hasn't got on for so long has died, or is cut off: the next one takes over.
STALE = timedelta(seconds=30)
MOST_CLAIMS = 5
# After so long another export goes on, if one waits.
TURN_S = 60.0

IDS_AT_ONCE = 2_000
ROWS_OF_A_PART = 4_000
# Where few orders fit, a part is what was found in this time.
PART_S = 1.0
# The interpreter is shared with the threads that execute orders: they never wait for more than a slice.
ROWS_OF_A_SLICE = 50
# With an order waiting for longer than this for a worker, a part is written every few seconds only.
ORDERS_WAIT_S = 0.5
GIVE_WAY_S = 5.0


class ExportLost(Exception):
    """Somebody else goes on with it, or it was cancelled: what this writer has is worth nothing."""


def ask(
    orders: QuerySet[Order], *, user_id: int, format: ExportFormat, query: str, words: str
) -> Export:
    """An export of the orders that these are now, waiting for a worker. Hint one after the commit."""
    newest_id = Order.objects.order_by("-id").values_list("id", flat=True).first()
    oldest_id = export_selection.oldest_possible(orders)
    export = Export.objects.create(
        user_id=user_id,
        format=format,
        query=query,
        words=words,
        condition=export_selection.freeze(orders),
        newest_id=newest_id,
        oldest_id=oldest_id,
        orders_to_see=_estimate(newest_id, oldest_id),
    )
    export.refresh_from_db()
    return export


def cancel(export: Export) -> bool:
    """Whether it was still unfinished. Its writer notices with the next part."""
    with transaction.atomic():
        ended = Export.objects.filter(id=export.id, state__in=UNFINISHED_EXPORTS).update(
            **_end(ExportState.CANCELLED)
        )
        if ended:
            ExportPart.objects.filter(export_id=export.id).delete()
    return ended == 1


def remove_expired() -> None:
    Export.objects.filter(expires_at__lt=EngineNow()).delete()


def write_all() -> None:
    """Write what waits, and what a dead writer left, until nothing is left or this worker stops."""
    while not turns.are_over() and (export := claim()):
        write(export)


def claim() -> Export | None:
    """The next to write: one whose writer is gone before those that wait, for only one may run."""
    is_stale = Q(state=ExportState.RUNNING, touched_at__lt=EngineNow() - STALE)
    candidates = Export.objects.filter(is_stale | Q(state=ExportState.WAITING))
    export = candidates.order_by("state", "touched_at").first()  # running before waiting
    if export is None:
        return None
    if export.claims >= MOST_CLAIMS:
        tried = f"{MOST_CLAIMS} workers began this export and none got on with it."
        _fail(
            export,
            f"{tried} Ask again, with fewer orders; if that fails too, look at the workers' logs.",
        )
        return claim()
    try:
        with transaction.atomic():
            claimed = Export.objects.filter(
                id=export.id, state=export.state, fence=export.fence
            ).update(
                state=ExportState.RUNNING,
                fence=F("fence") + 1,
                claims=F("claims") + 1,
                touched_at=EngineNow(),
                started_at=Coalesce("started_at", EngineNow()),
            )
    except (
        IntegrityError
    ):  # one_export_runs_at_a_time: it is being written, and so by somebody else
        return None
    if not claimed:  # by another worker, or cancelled, since it was read
        return None
    return Export.objects.get(id=export.id)


def write(export: Export) -> None:
    """Go on with a claimed export, to its end if nothing comes between; what does is said in the row or in the log."""
    try:
        _Writer(export).run()
    except ExportLost:
        observe.export_lost(export_id=export.pk)
    except (OperationalError, InterfaceError) as error:
        # PostgreSQL is away, or was too slow. The row stays as it is: somebody goes on when it is stale.
        observe.export_interrupted(export_id=export.pk, error=error)
    except export_selection.UnknownCondition as error:
        _fail(export, f"{error} Ask for the export again.")
    except (
        Exception
    ) as error:  # the edge: one export that can't be written must not keep others from it
        observe.export_failed(export_id=export.pk, error=error)
        _fail(
            export,
            f"{type(error).__name__}. Ask for it again; if that fails too, look at the workers' logs.",
        )


class _Writer:
    """One claim of an export: the position, and the part that is being filled."""

    def __init__(self, export: Export) -> None:
        self._export = export
        self._format = ExportFormat(export.format)
        self._began = time.monotonic()

    def run(self) -> None:
        orders = export_selection.thaw(self._export.condition).prefetch_related("account")
        while self._export.state == ExportState.RUNNING:
            if turns.are_over() or (self._had_its_turn() and _others_wait()):
                self._get_on(state=ExportState.WAITING)
                return
            _give_way()
            self._write_part(orders)
        observe.export_written(export_id=self._export.pk, rows=self._export.rows_written)

    def _had_its_turn(self) -> bool:
        return time.monotonic() - self._began > TURN_S

    def _write_part(self, orders: QuerySet[Order]) -> None:
        export, began, parts = self._export, time.monotonic(), list[bytes]()
        rows = seen = 0
        cursor_id, is_last = export.cursor_id, False
        while not is_last and rows < ROWS_OF_A_PART and time.monotonic() - began < PART_S:
            with _at_half_speed():
                end_id, count = self._next_ids(cursor_id)
                fitting = list(self._between(orders, cursor_id, end_id)) if end_id else []
            for start in range(0, len(fitting), ROWS_OF_A_SLICE):
                with _at_half_speed():
                    few = fitting[start : start + ROWS_OF_A_SLICE]
                    parts.append(export_rows.lines(few, self._format))
            rows, seen, cursor_id = rows + len(fitting), seen + count, end_id or cursor_id
            is_last = count < IDS_AT_ONCE
        if export.parts_written == 0 and (rows or is_last):
            parts.insert(0, export_rows.head(self._format))
        self._get_on(
            state=ExportState.DONE if is_last else ExportState.RUNNING,
            plain=b"".join(parts),
            has_part=bool(rows) or (is_last and export.parts_written == 0),
            cursor_id=cursor_id,
            orders_seen=export.orders_seen + seen,
            rows_written=export.rows_written + rows,
        )

    def _next_ids(self, cursor_id: UUID | None) -> tuple[UUID | None, int]:
        """The last of the next ids below the cursor, and how many they are: fewer than IDS_AT_ONCE at the end."""
        if self._export.newest_id is None:
            return None, 0
        orders = self._between(Order.objects.all(), cursor_id, self._export.oldest_id)
        ids = orders.values_list("id", flat=True)
        if last := list(ids[IDS_AT_ONCE - 1 : IDS_AT_ONCE]):
            return last[0], IDS_AT_ONCE
        rest = list(ids[:IDS_AT_ONCE])
        return (rest[-1], len(rest)) if rest else (None, 0)

    def _between(
        self, orders: QuerySet[Order], cursor_id: UUID | None, end_id: UUID | None
    ) -> QuerySet[Order]:
        """Newest first: below the cursor (from the newest, at the beginning), down to the end."""
        below = Q(id__lte=self._export.newest_id) if cursor_id is None else Q(id__lt=cursor_id)
        down_to = Q() if end_id is None else Q(id__gte=end_id)
        return orders.filter(below & down_to).order_by("-id")

    def _get_on(
        self, *, state: ExportState, plain: bytes = b"", has_part: bool = False, **changes: Any
    ) -> None:
        """Commit the part and where it ends. Raises ExportLost when somebody else did something meanwhile."""
        export = self._export
        number = export.parts_written + has_part
        compressed = gzip.compress(plain, compresslevel=3) if has_part else b""
        ended = _end(state) if state == ExportState.DONE else {"state": state}
        with transaction.atomic():
            ours = Export.objects.filter(
                id=export.id,
                state=ExportState.RUNNING,
                fence=export.fence,
                parts_written=export.parts_written,
            ).update(touched_at=EngineNow(), claims=0, parts_written=number, **ended | changes)
            if not ours:
                raise ExportLost
            if has_part:
                ExportPart.objects.create(
                    export_id=export.id,
                    number=number,
                    compressed=compressed,
                    bytes_compressed=len(compressed),
                    bytes_plain=len(plain),
                )
        for name, value in {"state": state, "parts_written": number, **changes}.items():
            setattr(export, name, value)


def sizes(export: Export) -> tuple[int, int]:
    """Of the file in bytes: as it is, and compressed."""
    found = ExportPart.objects.filter(export_id=export.pk).aggregate(
        plain=Sum("bytes_plain"), compressed=Sum("bytes_compressed")
    )
    return found["plain"] or 0, found["compressed"] or 0


def file_of(export: Export, *, compressed: bool) -> Iterator[bytes]:
    """The file of an export that is done, a part in memory at a time."""
    for number in range(1, export.parts_written + 1):
        parts = ExportPart.objects.values_list("compressed", flat=True)
        part = bytes(parts.get(export_id=export.pk, number=number))
        yield part if compressed else gzip.decompress(part)


def _end(state: ExportState) -> dict[str, Any]:
    return {
        "state": state,
        "finished_at": EngineNow(),
        "expires_at": EngineNow() + KEPT,
    }


def _fail(export: Export, error: str) -> None:
    """Unless somebody else goes on with it, or it was cancelled."""
    Export.objects.filter(id=export.id, state=export.state, fence=export.fence).update(
        error=error, **_end(ExportState.FAILED)
    )


def _estimate(newest_id: UUID | None, oldest_id: UUID | None) -> int:
    """About how many orders there are from the newest to the oldest, as the planner thinks; nothing is read."""
    if newest_id is None:
        return 0
    orders = Order.objects.filter(id__lte=newest_id)
    if oldest_id is not None:
        orders = orders.filter(id__gte=oldest_id)
    (plan,) = json.loads(orders.explain(format="json"))
    return int(plan["Plan"]["Plan Rows"])


def _others_wait() -> bool:
    return Export.objects.filter(state=ExportState.WAITING).exists()


@contextmanager
def _at_half_speed() -> Iterator[None]:
    """Rest for as long as this has taken: so long the interpreter, and PostgreSQL, are for others only."""
    began = time.monotonic()
    yield
    time.sleep(time.monotonic() - began)


def _give_way() -> None:
    """While orders wait for a worker, wait with them, but not for ever."""
    if settings.EXECUTION == "halted":  # then they wait for somebody else
        return
    until = time.monotonic() + GIVE_WAY_S
    while (
        time.monotonic() < until
        and not turns.are_over()
        and leases.behind_s(within_s=1.0) > ORDERS_WAIT_S
    ):
        time.sleep(0.25)
