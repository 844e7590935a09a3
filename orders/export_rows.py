"""An order as a line of a file: CSV for spreadsheets (RFC 4180, UTF-8), or JSON lines for programs.

Both tell what the API tells of an order, by the same names, with the account's name before it. JSON lines hold it
exactly. CSV is made safe to open: see `safe_cell`.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from orders.models import ExportFormat, Order
from orders.order_json import order_as_json

# A spreadsheet takes a cell that begins so for a formula, in full width, too, and some trim what stands before it.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

COLUMNS = (
    "orderId",
    "account",
    "clientOrderId",
    "status",
    "orderType",
    "tokenIn",
    "tokenOut",
    "amount",
    "slippageBps",
    "quoteId",
    "minAmountOut",
    "amountOut",
    "executedPrice",
    "selectedDex",
    "txHash",
    "attempt",
    "errorCode",
    "errorMessage",
    "errorRetryable",
    "inDoubtSince",
    "cancelRequested",
    "createdAt",
    "updatedAt",
)

MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.JSON_LINES: "application/jsonl; charset=utf-8",
}


def head(format: ExportFormat) -> bytes:
    """What stands before the first order."""
    return _as_csv([COLUMNS]) if format is ExportFormat.CSV else b""


def lines(orders: Sequence[Order], format: ExportFormat) -> bytes:
    """A line for each; their accounts have been read."""
    documents = ({"account": order.account.name, **order_as_json(order)} for order in orders)
    if format is ExportFormat.CSV:
        return _as_csv(_cells(document) for document in documents)
    return b"".join(orjson.dumps(document) + b"\n" for document in documents)


def safe_cell(text: str) -> str:
    """Text that a spreadsheet shows as it is. What it would run as a formula gets an apostrophe before it.

    Clients choose their order ids, operators the accounts' names, and venues the words of an error.
    """
    if text[:1].isalnum():  # as nearly all are
        return text
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


def _cells(document: dict[str, Any]) -> list[str]:
    error, doubt = document["error"] or {}, document["inDoubt"] or {}
    flat = {
        **document,
        "errorCode": error.get("code"),
        "errorMessage": error.get("message"),
        "errorRetryable": error.get("retryable"),
        "inDoubtSince": doubt.get("since"),
    }
    return [_cell(flat[column]) for column in COLUMNS]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return safe_cell(str(value))


def _as_csv(rows: Iterable[Sequence[str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(rows)
    return file.getvalue().encode()
