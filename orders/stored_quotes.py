"""The quotes that clients were given: stored for a while, bound to the orders that name them, removed.

Time is the database's (`engine_now()`), here and wherever an order's quote is looked at: so an order that somebody was
told came too late is never executed, though it may be committed a moment after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection

from config.postgres.patience import ANSWER_WITHIN_S, answering_within
from config.postgres.prepared import fetch_prepared
from orders import venue_report
from orders.journal import NewOrder
from orders.models import EngineNow, Order, Quote, new_order_id
from orders.preview import preview
from orders.stream import rfc3339
from routing.errors import Rejected
from routing.exchange import Prices
from routing.tokens import TOKENS, from_base
from routing.venue import Swap, Venue

# A quote can be told to have expired for so long; afterwards nobody has heard of it.
KEPT_EXPIRED = timedelta(hours=1)

ISSUE = """
INSERT INTO orders_quote (
    id, account_id, token_in, token_out, amount_in_base, slippage_bps, min_amount_out_base, document, created_at,
    expires_at)
SELECT %(id)s, %(account_id)s, %(token_in)s, %(token_out)s, %(amount_in_base)s, %(slippage_bps)s,
    %(min_amount_out_base)s, %(document)s::jsonb, engine_now(), engine_now() + make_interval(secs => %(ttl_s)s)
RETURNING created_at, expires_at
"""


class QuoteRefused(Exception):
    """The order can't be placed on the quote that it names."""


class QuoteGone(QuoteRefused):
    """The quote can't be named any more, or never could: a repetition of an order that it was accepted with can."""


class QuoteNotFound(QuoteGone):
    """The account was given no such quote, or it was removed since."""


class QuoteExpired(QuoteGone):
    """The quote is too old for an order to be accepted on it."""


class QuoteMismatch(QuoteRefused):
    """The quote is for something else. `differing` has what the quote says, by the order's field on the wire."""

    def __init__(self, differing: dict[str, str]) -> None:
        super().__init__(f"The quote says otherwise: {differing}")
        self.differing = differing


@dataclass(frozen=True, slots=True)
class Issued:
    """A stored quote, as its client is told of it."""

    id: UUID
    created_at: datetime
    expires_at: datetime
    document: dict[str, Any]


def issue(
    swap: Swap, *, slippage_bps: int, account_id: int, venues: Mapping[str, Venue], prices: Prices
) -> Issued:
    """Quote the swap and keep what was found for QUOTE_TTL_S. Raises as `preview` does; nothing is stored then."""
    set_aside = venue_report.set_aside()
    connection.close()  # back to the pool: a thread that waits for venues needs none
    found = preview(
        swap, slippage_bps=slippage_bps, venues=venues, prices=prices, set_aside=set_aside
    )
    quote_id = new_order_id()
    wanted = {
        "id": quote_id,
        "account_id": account_id,
        "token_in": swap.token_in.symbol,
        "token_out": swap.token_out.symbol,
        "amount_in_base": swap.amount_in_base,
        "slippage_bps": slippage_bps,
        "min_amount_out_base": found.min_amount_out_base,
        "document": orjson.dumps(found.document).decode(),
        "ttl_s": settings.QUOTE_TTL_S,
    }
    with answering_within(ANSWER_WITHIN_S):  # the venues' time is not the database's
        ((created_at, expires_at),) = fetch_prepared(ISSUE, wanted)
    return Issued(quote_id, created_at, expires_at, found.document)


def bind(orders: Sequence[NewOrder]) -> list[NewOrder | QuoteRefused]:
    """Each order with what its quote promises, or why it can't have that; one that names none as it is.

    One query for all of them, and none if no order names a quote.
    """
    named = {order.quote_id for order in orders if order.quote_id}
    if not named:
        return list(orders)
    quotes = {
        (quote.account_id, quote.id): (quote, quote.expires_at <= quote.now)
        for quote in Quote.objects.filter(id__in=named).defer("document").annotate(now=EngineNow())
    }
    bound: list[NewOrder | QuoteRefused] = []
    for order in orders:
        if order.quote_id is None:
            bound.append(order)
        elif found := quotes.get((order.account_id, order.quote_id)):
            quote, is_expired = found
            bound.append(_bound(order, quote, is_expired=is_expired))
        else:
            sentence = "is no quote of this account, or one that expired more than an hour ago."
            bound.append(QuoteNotFound(sentence))
    return bound


def _bound(order: NewOrder, quote: Quote, *, is_expired: bool) -> NewOrder | QuoteRefused:
    if differing := _differing(order, quote):
        return QuoteMismatch(differing)
    if is_expired:
        return QuoteExpired(f"The quote expired at {rfc3339(quote.expires_at)}; ask for a new one.")
    minimum_base = int(quote.min_amount_out_base)
    return replace(
        order,
        slippage_bps=quote.slippage_bps,
        quote_expires_at=quote.expires_at,
        min_amount_out_base=minimum_base,
        details={
            "quoteId": str(quote.id),
            "minAmountOut": from_base(minimum_base, TOKENS[quote.token_out]),
        },
    )


def _differing(order: NewOrder, quote: Quote) -> dict[str, str]:
    differing = {}
    if order.token_in != quote.token_in:
        differing["tokenIn"] = quote.token_in
    elif order.amount_in_base != quote.amount_in_base:  # base units of the same token
        differing["amount"] = from_base(int(quote.amount_in_base), TOKENS[quote.token_in])
    if order.token_out != quote.token_out:
        differing["tokenOut"] = quote.token_out
    if order.slippage_bps not in (None, quote.slippage_bps):
        differing["slippageBps"] = str(quote.slippage_bps)
    return differing


def expired(orders: Sequence[Order]) -> set[UUID]:
    """Those whose quote was too old before a venue was first chosen on it. No query if no order names a quote.

    An order that was begun in time is tried again like any other, and never accepts less than its quote's minimum.
    """
    quoted = [order.id for order in orders if order.quote_id and order.attempt <= 1]
    if not quoted:
        return set()
    late = Order.objects.filter(id__in=quoted, quote_expires_at__lte=EngineNow())
    return set(late.values_list("id", flat=True))


def too_late(order: Order) -> Rejected:
    """For an order whose quote expired while it waited for its turn."""
    assert order.quote_expires_at is not None
    at = rfc3339(order.quote_expires_at)
    sentence = f"the order's quote expired at {at}, before a venue was chosen; ask for a new quote"
    return Rejected("QUOTE_EXPIRED", sentence)


def remove_old() -> None:
    """Safe to repeat. Orders that named them keep what they need."""
    Quote.objects.filter(expires_at__lt=EngineNow() - KEPT_EXPIRED).delete()
