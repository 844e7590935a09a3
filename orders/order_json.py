"""An order as clients and auditors are told of it. Every key is always there; what isn't known is null."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from orders.models import Order
from orders.settlement import ASK_AGAIN_S
from orders.stream import error_as_json, executed_price, rfc3339
from routing.tokens import TOKENS, Token, from_base


def order_as_json(order: Order) -> dict[str, Any]:
    """One order, without its history. Amounts of a token that isn't listed any more are null: its decimals are lost."""
    token_in, token_out = TOKENS.get(order.token_in), TOKENS.get(order.token_out)
    return {
        "orderId": str(order.id),
        "clientOrderId": order.client_order_id,
        "status": order.status,
        "seq": order.last_seq,
        "orderType": order.order_type,
        "tokenIn": order.token_in,
        "tokenOut": order.token_out,
        "amount": amount_as_json(order.amount_in_base, token_in),
        "slippageBps": order.slippage_bps,
        "quoteId": str(order.quote_id) if order.quote_id else None,
        "attempt": order.attempt,
        "selectedDex": order.selected_dex or None,
        "txHash": order.tx_hash or None,
        "minAmountOut": amount_as_json(order.min_amount_out_base, token_out),
        "amountOut": amount_as_json(order.amount_out_base, token_out),
        "executedPrice": _executed_price(order, token_in, token_out),
        "error": _error(order),
        "inDoubt": _in_doubt(order),
        "cancelRequested": order.cancel_requested_at is not None,
        "createdAt": rfc3339(order.created_at),
        "updatedAt": rfc3339(order.updated_at),
    }


def amount_as_json(amount_base: Decimal | None, token: Token | None) -> str | None:
    """Whole tokens, exactly."""
    return None if amount_base is None or token is None else from_base(int(amount_base), token)


def _executed_price(order: Order, token_in: Token | None, token_out: Token | None) -> str | None:
    if order.amount_out_base is None or token_in is None or token_out is None:
        return None
    return executed_price(
        token_in, int(order.amount_in_base), token_out, int(order.amount_out_base)
    )


def _error(order: Order) -> dict[str, Any] | None:
    if not order.error_code:
        return None
    return error_as_json(order.error_code, order.error_message, retryable=order.error_retryable)


def _in_doubt(order: Order) -> dict[str, Any] | None:
    if order.in_doubt_since is None:
        return None
    return {
        "since": rfc3339(order.in_doubt_since),
        # Its holder asks that often; without one, whoever finds it when it is due.
        "nextCheckAt": rfc3339(datetime.now(UTC) + timedelta(seconds=ASK_AGAIN_S)),
    }
