"""How the console shows things to people: whole tokens, UTC instants, status chips, links."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from orders import figures
from orders.models import Order, OrderAttempt

# A row that shows nothing else is hidden: see templates/admin/base_site.html.
NOTHING = SafeString('<span class="nothing">–</span>')


def chip(state: str) -> SafeString:
    return format_html('<span class="chip chip-{}">{}</span>', state, state.replace("_", " "))


def whole(amount_base: Decimal | int | None, symbol: str) -> str:
    """`1,234.5 SOL`; see `figures.amount`."""
    return NOTHING if amount_base is None else figures.amount(amount_base, symbol)


def received(filled: Order | OrderAttempt, symbol: str) -> str:
    """`235.42 USDC (minimum 234 USDC)`."""
    if filled.min_amount_out_base is None:
        return NOTHING
    least = f"minimum {whole(filled.min_amount_out_base, symbol)}"
    if filled.amount_out_base is None:
        return f"none ({least})"
    return f"{whole(filled.amount_out_base, symbol)} ({least})"


def instant(at: datetime | None) -> str:
    """`2026-11-21 07:41:00.123 UTC`."""
    return (
        f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03d} UTC"
        if at
        else NOTHING
    )


def elapsed(span: timedelta) -> str:
    """`+0.123 s`."""
    return f"{span.total_seconds():+.3f} s"


def pretty_json(document: Any) -> SafeString | str:
    if document is None:
        return NOTHING
    return format_html(
        '<pre class="document">{}</pre>', json.dumps(document, indent=2, ensure_ascii=False)
    )


def folded(shown: SafeString | str, *, title: str) -> SafeString | str:
    """What is long, and rarely looked at. Nothing stays nothing."""
    if shown == NOTHING:
        return NOTHING
    return format_html("<details><summary>{}</summary>{}</details>", title, shown)


def code(text: str) -> SafeString:
    return format_html("<code>{}</code>", text)


def error_of(failed: Order | OrderAttempt) -> SafeString | str:
    if not failed.error_code:
        return ""
    return format_html("<code>{}</code> {}", failed.error_code, failed.error_message)


def two_lines(first: str, second: str) -> SafeString:
    return format_html("{} <br>{}", first, second)


def order_url(order_id: UUID, *, attempt: int | None = None) -> str:
    """The order's page, at one of its attempts if `attempt` says which."""
    url = reverse("admin:orders_order_change", args=[order_id])
    # Inlines are numbered from 0, attempts from 1 and without holes.
    return url if attempt is None else f"{url}#attempts-{attempt - 1}"


def attempt_link(attempt: OrderAttempt) -> SafeString:
    url = order_url(attempt.order_id, attempt=attempt.number)
    return format_html('<a href="{}">{}</a>', url, attempt)


def transaction_link(signature: str | None) -> SafeString | str:
    if not signature:
        return NOTHING
    url = reverse("admin:orders_chaintransaction", args=[signature])
    return format_html('<a href="{}"><code>{}</code></a>', url, signature)
