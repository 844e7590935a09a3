"""Exports: what stands in them, and that a crash, a race or a cancel leaves none that is wrong."""

import csv
import gzip
import io
import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.db import connection
from django.db.models import F, Q, QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import accounts, execution, export_selection, exporting, leases, turns
from orders.exchange import TradingDesk
from orders.export_rows import COLUMNS, safe_cell
from orders.lifecycle import Status
from orders.models import (
    Account,
    Export,
    ExportFormat,
    ExportPart,
    ExportState,
    Order,
    OrderAttempt,
    new_order_id,
)
from orders.order_json import order_as_json
from orders.tasks import write_exports
from tests.engine import Worker
from tests.factories import order_at, place
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 16_000  # several seconds' worth
CSV, JSON_LINES = ExportFormat.CSV, ExportFormat.JSON_LINES


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("auditor")


@pytest.fixture
def ask(user: User) -> Callable[..., Export]:
    def ask(orders: QuerySet[Order] | None = None, format: ExportFormat = CSV) -> Export:
        asked = Order.objects.all() if orders is None else orders
        return exporting.ask(asked, user_id=user.pk, format=format, query="", words="some orders")

    return ask


@pytest.fixture(autouse=True)
def nobody_executes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The orders of these tests are due, and no worker comes for them: exports would wait with them."""
    monkeypatch.setattr(exporting, "GIVE_WAY_S", 0.0)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two orders at a time, in parts of two."""
    monkeypatch.setattr(exporting, "IDS_AT_ONCE", 2)
    monkeypatch.setattr(exporting, "ROWS_OF_A_PART", 2)


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_worker(**env: str) -> Worker:
        workers.append(Worker(EXECUTION="halted", **env))
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.stop()


def many_orders(account: Account, count: int) -> None:
    """As intake leaves them, without their events."""
    ids = ", ".join(f"('{new_order_id()}'::uuid)" for _ in range(count))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO orders_order (id, account_id, client_order_id, order_type, token_in, token_out,
                    amount_in_base, slippage_bps, head_hash)
                SELECT id, {account.pk}, 'bot-' || row_number() OVER (ORDER BY id) - 1, 'market', 'SOL', 'USDC',
                    1500000000, 50, ''
                FROM (VALUES {ids}) AS new (id)"""
        )


def text_of(export: Export) -> str:
    export.refresh_from_db()
    assert export.state == ExportState.DONE, (export.state, export.error)
    plain = b"".join(exporting.file_of(export, compressed=False))
    compressed = b"".join(exporting.file_of(export, compressed=True))
    assert gzip.decompress(compressed) == plain
    assert exporting.sizes(export) == (len(plain), len(compressed))
    return plain.decode()


def rows_of(export: Export) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text_of(export), newline="")))


def ids_of(export: Export) -> list[UUID]:
    return [UUID(row["orderId"]) for row in rows_of(export)]


def become_stale() -> None:
    """Whoever writes has not got on for longer than it may."""
    Export.objects.update(touched_at=timezone.now() - exporting.STALE - timedelta(seconds=1))


def newest_first() -> list[UUID]:
    return list(Order.objects.order_by("-id").values_list("id", flat=True))


def test_csv_holds_every_column_of_every_order_exactly(
    account: Account, desk: TradingDesk, ask: Callable[..., Export]
) -> None:
    pending = place(account)
    failed = order_at(Status.FAILED, account, slippage_bps=7)
    confirmed = place(account, client_order_id="bot:1", amount_in_base=1_500_000_001)
    execution.execute([confirmed.id], desk=desk)
    confirmed.refresh_from_db()
    export = ask()

    exporting.write_all()

    first, second, third = rows_of(export)
    told = order_as_json(confirmed)
    assert list(first) == list(COLUMNS)
    assert first == {
        "orderId": str(confirmed.id),
        "account": "alice",
        "clientOrderId": "bot:1",
        "status": "confirmed",
        "orderType": "market",
        "tokenIn": "SOL",
        "tokenOut": "USDC",
        "amount": "1.500000001",
        "slippageBps": "50",
        "quoteId": "",
        "minAmountOut": told["minAmountOut"],
        "amountOut": told["amountOut"],
        "executedPrice": told["executedPrice"],
        "selectedDex": confirmed.selected_dex,
        "txHash": confirmed.tx_hash,
        "attempt": "1",
        "errorCode": "",
        "errorMessage": "",
        "errorRetryable": "",
        "inDoubtSince": "",
        "cancelRequested": "false",
        "createdAt": told["createdAt"],
        "updatedAt": told["updatedAt"],
    }
    assert (second["orderId"], second["status"]) == (str(failed.id), "failed")
    assert (second["errorCode"], second["errorMessage"]) == ("NO_QUOTE", "No venue quoted.")
    assert (second["errorRetryable"], second["slippageBps"]) == ("false", "7")
    assert (third["orderId"], third["amountOut"], third["txHash"]) == (str(pending.id), "", "")
    export.refresh_from_db()
    assert (export.rows_written, export.orders_seen) == (3, 3)


def test_json_lines_hold_what_the_api_says_and_the_account(
    account: Account, ask: Callable[..., Export]
) -> None:
    orders = [place(account, client_order_id="-1+1"), order_at(Status.FAILED, account)]
    export = ask(format=JSON_LINES)

    exporting.write_all()

    lines = text_of(export).splitlines()
    expected = [{"account": "alice", **order_as_json(order)} for order in reversed(orders)]
    assert [json.loads(line) for line in lines] == expected


def test_a_token_that_is_not_listed_any_more_costs_only_its_amounts(
    account: Account, ask: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(account)
    monkeypatch.setattr("orders.order_json.TOKENS", {})
    export = ask()

    exporting.write_all()

    (row,) = rows_of(export)
    assert (row["tokenIn"], row["amount"]) == ("SOL", "")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "＋1", "－1", "＠x"],
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"
    assert safe_cell("bot=1") == "bot=1"


def test_cells_of_a_clients_choice_are_safe_and_quoted_as_rfc_4180_says(
    ask: Callable[..., Export],
) -> None:
    odd = accounts.create_account('=HYPERLINK("http://x","a,\nb")')
    place(odd, client_order_id="-2-3")
    export = ask()

    exporting.write_all()

    text = text_of(export)
    assert '"\'=HYPERLINK(""http://x"",""a,\nb"")",\'-2-3,' in text
    assert text.startswith("orderId,account,") and text.endswith("Z\r\n")


def test_an_export_without_orders_has_its_head(ask: Callable[..., Export]) -> None:
    of_nothing, of_no_lines = ask(), ask(format=JSON_LINES)

    exporting.write_all()

    assert text_of(of_nothing) == ",".join(COLUMNS) + "\r\n"
    assert text_of(of_no_lines) == ""


@pytest.mark.parametrize(
    "fits",
    [
        Q(status="failed"),
        Q(id__in=[]),
        ~Q(id__in=[]),
        Q(client_order_id="100%_'--") | Q(status="failed"),
        Q(id__in=OrderAttempt.objects.filter(state="failed").values("order_id")),
        Q(updated_at__gt=F("created_at") + timedelta(microseconds=1)),
    ],
    ids=["column", "none", "all", "either", "subquery", "expression"],
)
def test_an_export_holds_what_its_filter_lets_through(
    account: Account, ask: Callable[..., Export], small_parts: None, fits: Q
) -> None:
    for n in range(5):
        place(account)
        order_at(Status.FAILED, account, client_order_id="100%_'--" if n == 3 else None)
    fitting = list(Order.objects.filter(fits).order_by("-id").values_list("id", flat=True))
    export = ask(Order.objects.filter(fits))

    exporting.write_all()

    assert ids_of(export) == fitting
    assert export.orders_seen == 10


def test_a_filter_by_time_means_the_time_at_which_it_was_asked(
    account: Account, ask: Callable[..., Export]
) -> None:
    old, young = place(account), place(account)
    since = young.created_at
    orders = Order.objects.filter(id__gte=young.id).filter(created_at__gte=since)

    export = ask(orders)
    place(account)  # after it was asked for
    exporting.write_all()

    assert ids_of(export) == [young.id]
    assert export.orders_seen == 1  # it ends where no older one can fit
    assert old.id < young.id


def test_a_filter_over_another_table_is_refused_when_it_is_asked(
    account: Account, ask: Callable[..., Export]
) -> None:
    with pytest.raises(export_selection.JoinsOtherTables, match="orders_account"):
        ask(Order.objects.filter(account__name="alice"))


def test_a_condition_that_this_engine_did_not_sign_is_not_run(
    account: Account, ask: Callable[..., Export]
) -> None:
    export = ask()
    forged = signing.dumps("TRUE; DROP TABLE x", salt=export_selection.SALT, key="another")
    Export.objects.update(condition=forged)

    exporting.write_all()

    export.refresh_from_db()
    assert export.state == ExportState.FAILED
    assert (
        export.error == "The filters were kept under another SECRET_KEY. Ask for the export again."
    )


def test_no_statement_reads_more_than_some_thousand_orders_or_counts(
    account: Account, ask: Callable[..., Export], small_parts: None
) -> None:
    many_orders(account, 7)
    export = ask(Order.objects.filter(client_order_id="bot-0"))

    with CaptureQueriesContext(connection) as queries:
        exporting.write_all()

    of_orders = [query["sql"] for query in queries if 'FROM "orders_order"' in query["sql"]]
    assert len(of_orders) == 8  # the next ids, and those that fit, four times
    assert all("LIMIT 2" in sql or '"id" >= ' in sql for sql in of_orders)
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
