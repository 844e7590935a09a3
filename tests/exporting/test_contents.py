"""Exports: what stands in them, and of which orders."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import signing
from django.db.models import F, Q

from orders import accounts, execution, export_selection, exporting
from orders.exchange import TradingDesk
from orders.export_rows import COLUMNS, safe_cell
from orders.lifecycle import Status
from orders.models import (
    Account,
    Export,
    ExportFormat,
    ExportState,
    Order,
    OrderAttempt,
)
from orders.order_json import order_as_json
from tests.exporting.files import ids_of, rows_of, text_of
from tests.factories import order_at, place

pytestmark = pytest.mark.django_db(transaction=True)

JSON_LINES = ExportFormat.JSON_LINES


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
