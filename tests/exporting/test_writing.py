"""Exports: a crash, a race or a cancel leaves none that is wrong, and orders come first."""

import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import exporting, leases, turns
from orders.models import (
    Account,
    Export,
    ExportPart,
    ExportState,
    Order,
)
from orders.tasks import write_exports
from tests.engine import Worker
from tests.exporting.files import ids_of, many_orders, newest_first
from tests.factories import place
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 16_000  # several seconds' worth


def become_stale() -> None:
    """Whoever writes has not got on for longer than it may."""
    Export.objects.update(touched_at=timezone.now() - exporting.STALE - timedelta(seconds=1))


def test_no_statement_reads_more_than_some_thousand_orders_or_counts(
    account: Account, ask: Callable[..., Export], small_parts: None
) -> None:
    many_orders(account, 7)
    export = ask(Order.objects.filter(client_order_id="bot-0"))

    with CaptureQueriesContext(connection) as queries:
        exporting.write_all()

    of_orders = [query["sql"] for query in queries if 'FROM "orders_order"' in query["sql"]]
    assert (
        len(of_orders) == 9
    )  # where the next ids end and which of them fit, four times; and which are the last
    assert all(
        re.search(r'LIMIT 2|OFFSET 1 LIMIT 1|LIMIT 1 OFFSET 1|"id" >= ', sql) for sql in of_orders
    )
    assert not [sql for sql in of_orders if "COUNT(" in sql.upper()]
    assert len(ids_of(export)) == 1
    assert export.parts_written == 1  # what has nothing in it is no part


def test_after_an_error_the_next_worker_goes_on_behind_the_last_part(
    account: Account,
    ask: Callable[..., Export],
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_orders(account, 7)
    export = ask()
    written = exporting._Writer._write_part
    with monkeypatch.context() as broken:
        broken.setattr(exporting._Writer, "_write_part", after(2, written, raises=OSError))
        claimed = exporting.claim()
        assert claimed is not None
        with pytest.raises(OSError):
            exporting._Writer(claimed).run()
    export.refresh_from_db()
    assert (export.state, export.parts_written) == (ExportState.RUNNING, 2)
    exporting.write_all()  # not stale yet: the one who writes may be alive
    assert Export.objects.get().parts_written == 2

    become_stale()
    exporting.write_all()

    assert ids_of(export) == newest_first()
    assert export.parts_written == 4


def after(calls: int, function: Callable[..., Any], *, raises: type[Exception]) -> Any:
    left = [calls]

    def counted(*arguments: Any) -> Any:
        if left[0] == 0:
            raise raises
        left[0] -= 1
        return function(*arguments)

    return counted


def test_a_writer_that_was_given_up_can_not_write_a_part_any_more(
    account: Account, ask: Callable[..., Export], small_parts: None
) -> None:
    many_orders(account, 5)
    export = ask()
    late = exporting.claim()
    become_stale()
    second = exporting.claim()
    assert late is not None and second is not None

    exporting.write(late)
    assert ExportPart.objects.count() == 0
    exporting.write(second)

    assert ids_of(export) == newest_first()


def test_of_two_workers_at_once_one_claims(ask: Callable[..., Export]) -> None:
    ask()
    ask()
    for _ in range(10):
        Export.objects.update(state=ExportState.WAITING)
        barrier = Barrier(2)

        claims = in_two_threads(lambda barrier=barrier: (barrier.wait(5), exporting.claim())[1])

        assert [claim is None for claim in claims].count(False) == 1
        assert Export.objects.filter(state=ExportState.RUNNING).count() == 1


def test_two_writers_of_one_claim_never_write_a_part_twice(
    account: Account, ask: Callable[..., Export], small_parts: None
) -> None:
    many_orders(account, 30)
    export = ask()
    claimed = exporting.claim()
    assert claimed is not None
    barrier = Barrier(2)

    def race() -> None:
        mine = Export.objects.get(id=export.id)
        barrier.wait(5)
        exporting.write(mine)

    in_two_threads(race)

    assert ids_of(export) == newest_first()
    assert export.parts_written == ExportPart.objects.count()


def in_two_threads(work: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(on_own_connection, work) for _ in range(2)]
        return [future.result(30) for future in both]


def on_own_connection(work: Callable[[], Any]) -> Any:
    try:
        return work()
    finally:
        connection.close()


def test_an_export_that_was_begun_often_and_never_got_on_fails(ask: Callable[..., Export]) -> None:
    export = ask()
    for _ in range(exporting.MOST_CLAIMS):
        assert exporting.claim() is not None
        become_stale()

    assert exporting.claim() is None

    export.refresh_from_db()
    assert export.state == ExportState.FAILED
    assert "Ask again, with fewer orders" in export.error


def test_a_cancelled_export_keeps_nothing_and_stays_cancelled(
    account: Account, ask: Callable[..., Export], small_parts: None
) -> None:
    many_orders(account, 5)
    export = ask()
    claimed = exporting.claim()
    assert claimed is not None
    exporting._Writer(claimed)._write_part(Order.objects.prefetch_related("account"))
    assert ExportPart.objects.count() == 1

    assert exporting.cancel(export)
    exporting.write(Export.objects.get())
    exporting.write_all()

    assert Export.objects.get().state == ExportState.CANCELLED
    assert ExportPart.objects.count() == 0
    assert not exporting.cancel(export)


def test_an_export_is_kept_for_a_day_after_it_ended(ask: Callable[..., Export]) -> None:
    old, kept, waiting = ask(), ask(), ask()
    for export, hours in ((old, 25), (kept, 23)):
        exporting.write(claimed(export))
        ended_at = timezone.now() - timedelta(hours=hours)
        Export.objects.filter(id=export.id).update(expires_at=ended_at + exporting.KEPT)

    exporting.remove_expired()

    assert set(Export.objects.values_list("id", flat=True)) == {kept.id, waiting.id}
    assert set(ExportPart.objects.values_list("export_id", flat=True)) == {kept.id}


def claimed(export: Export) -> Export:
    found = exporting.claim()
    assert found is not None and found.id == export.id
    return found


def test_a_long_export_lets_others_go_first_after_a_while(
    account: Account,
    ask: Callable[..., Export],
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_orders(account, 5)
    long, short = ask(), ask(Order.objects.filter(id__in=[]))
    monkeypatch.setattr(exporting, "TURN_S", 0.0)

    exporting.write(claimed(long))

    long.refresh_from_db()
    assert (long.state, long.parts_written) == (ExportState.WAITING, 0)
    exporting.write(claimed(short))  # nobody else waits but the long one, which had its turn
    monkeypatch.setattr(exporting, "TURN_S", 60.0)
    exporting.write_all()
    assert ids_of(long) == newest_first()


def test_a_worker_that_is_about_to_stop_hands_the_export_over(
    account: Account,
    ask: Callable[..., Export],
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_orders(account, 5)
    export = ask()
    found = claimed(export)
    monkeypatch.setattr(turns, "are_over", lambda: True)

    exporting.write(found)

    assert Export.objects.get().state == ExportState.WAITING
    monkeypatch.undo()
    exporting.write_all()
    assert ids_of(export) == newest_first()


def test_while_orders_wait_for_a_worker_an_export_waits_with_them(
    account: Account,
    ask: Callable[..., Export],
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = place(account)
    long_ago = timezone.now() - timedelta(seconds=10)
    Order.objects.filter(id=waiting.id).update(due_at=long_ago)
    export = ask()
    monkeypatch.setattr(exporting, "GIVE_WAY_S", 60.0)

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(on_own_connection, exporting.write_all)
        wait_until(lambda: Export.objects.get().state == ExportState.RUNNING, what="a claim")
        with pytest.raises(TimeoutError):
            writing.result(1.0)
        assert Export.objects.get().orders_seen == 0
        leases.claim([waiting.id], holder="tests")  # somebody takes the order
        writing.result(10)

    assert ids_of(export) == [waiting.id]


def test_however_long_orders_wait_an_export_gets_on(
    account: Account,
    ask: Callable[..., Export],
    small_parts: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_orders(account, 3)
    Order.objects.update(due_at=timezone.now() - timedelta(seconds=10))
    export = ask()
    monkeypatch.setattr(exporting, "GIVE_WAY_S", 0.3)

    exporting.write_all()

    assert ids_of(export) == newest_first()


def test_when_a_worker_is_killed_another_goes_on_and_the_file_is_whole(
    account: Account, ask: Callable[..., Export], start_worker: Callable[..., Worker]
) -> None:
    many_orders(account, MANY)
    export = ask()
    killed = start_worker()
    write_exports.delay()
    wait_until(lambda: ExportPart.objects.count() >= 2, timeout_s=30, what="two parts")

    killed.kill()
    killed.process.wait()

    export.refresh_from_db()
    assert export.state == ExportState.RUNNING
    assert 0 < export.rows_written < MANY
    become_stale()
    start_worker()
    write_exports.delay()
    wait_until(
        lambda: Export.objects.get().state == ExportState.DONE, timeout_s=60, what="the export"
    )
    assert ids_of(export) == newest_first()


def test_a_worker_that_is_stopped_does_not_make_its_supervisor_wait_for_the_export(
    account: Account, ask: Callable[..., Export], start_worker: Callable[..., Worker]
) -> None:
    many_orders(account, MANY)
    ask()
    leaving = start_worker()
    write_exports.delay()
    wait_until(lambda: ExportPart.objects.count() >= 1, timeout_s=30, what="a part")

    leaving.kill(signal.SIGTERM)

    assert leaving.process.wait(10) == 0
    export = Export.objects.get()
    assert export.state == ExportState.WAITING
    assert 0 < export.rows_written < MANY
