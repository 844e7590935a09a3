"""Orders to export, and what an export's file says."""

import csv
import gzip
import io
from uuid import UUID

from django.db import connection

from orders import exporting
from orders.models import (
    Account,
    Export,
    ExportState,
    Order,
    new_order_id,
)


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


def newest_first() -> list[UUID]:
    return list(Order.objects.order_by("-id").values_list("id", flat=True))
