"""Orders, attempts, events and venues as the API shows them. Every key is always there; what isn't known is null."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from orders.models import Order, OrderAttempt, OrderEvent
from orders.receipts import cost_as_json, execution_cost
from orders.settlement import ASK_AGAIN_S
from orders.stream import Event, error_as_json, executed_price, rfc3339
from orders.venue_report import RECENT_S, VenueReport
from routing.tokens import TOKENS, Token, from_base
from routing.venue import Venue


def order_as_json(order: Order) -> dict[str, Any]:
    """One order, without its history."""
    token_in, token_out = TOKENS[order.token_in], TOKENS[order.token_out]
    return {
        "orderId": str(order.id),
        "clientOrderId": order.client_order_id,
        "status": order.status,
        "seq": order.last_seq,
        "orderType": order.order_type,
        "tokenIn": order.token_in,
        "tokenOut": order.token_out,
        "amount": from_base(int(order.amount_in_base), token_in),
        "slippageBps": order.slippage_bps,
        "quoteId": str(order.quote_id) if order.quote_id else None,
        "attempt": order.attempt,
        "selectedDex": order.selected_dex or None,
        "txHash": order.tx_hash or None,
        "minAmountOut": _amount(order.min_amount_out_base, token_out),
        "amountOut": _amount(order.amount_out_base, token_out),
        "executedPrice": _executed_price(order, token_in, token_out),
        "error": _error(order),
        "inDoubt": _in_doubt(order),
        "cancelRequested": order.cancel_requested_at is not None,
        "createdAt": rfc3339(order.created_at),
        "updatedAt": rfc3339(order.updated_at),
    }


def order_with_history_as_json(order: Order) -> dict[str, Any]:
    """One order with its attempts and its events, each in their order."""
    return history_as_json(
        order, list(order.attempts.order_by("number")), list(order.events.order_by("seq"))
    )


def history_as_json(
    order: Order, attempts: Sequence[OrderAttempt], events: Sequence[OrderEvent]
) -> dict[str, Any]:
    """The same of what was read already."""
    token_out = TOKENS[order.token_out]
    return {
        **order_as_json(order),
        "attempts": [_attempt_as_json(attempt, token_out) for attempt in attempts],
        "events": [Event.from_row(row, account_id=order.account_id).as_json() for row in events],
    }


def venue_as_json(venue: Venue, report: VenueReport) -> dict[str, Any]:
    """One venue, and how it has done lately."""
    until = report.set_aside_until
    asked = report.asked > 0
    return {
        "venue": venue.name,
        "name": venue.label,
        "programId": str(venue.program_id),
        "state": "setAside" if until else "active",
        "setAsideUntil": rfc3339(until) if until else None,
        "recent": {
            "windowS": RECENT_S,
            "asked": report.asked,
            "failed": report.failed,
            "errorRate": report.error_rate,
            "latencyMs": {"mean": report.mean_ms, "max": report.slowest_ms} if asked else None,
            "winRate": report.win_rate,
        },
    }


def _attempt_as_json(attempt: OrderAttempt, token_out: Token) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "state": attempt.state,
        "venue": attempt.venue or None,
        "legs": (attempt.receipt or {}).get("legs", []),
        "quotes": attempt.quotes,
        "receipt": attempt.receipt,
        "cost": _cost(attempt, token_out),
        "minAmountOut": _amount(attempt.min_amount_out_base, token_out),
        "amountOut": _amount(attempt.amount_out_base, token_out),
        "txHash": attempt.signature,
        "lastValidBlockHeight": attempt.last_valid_block_height,
        "error": {"code": attempt.error_code, "message": attempt.error_message}
        if attempt.error_code
        else None,
        "proof": attempt.proof,
        "startedAt": rfc3339(attempt.started_at),
        "sentAt": rfc3339(attempt.sent_at) if attempt.sent_at else None,
        "endedAt": rfc3339(attempt.ended_at) if attempt.ended_at else None,
    }


def _cost(attempt: OrderAttempt, token_out: Token) -> dict[str, str] | None:
    if attempt.receipt is None or attempt.amount_out_base is None:
        return None
    cost = execution_cost(attempt.receipt, token_out, int(attempt.amount_out_base))
    return cost_as_json(cost, token_out)


def _amount(amount_base: Decimal | None, token: Token) -> str | None:
    return None if amount_base is None else from_base(int(amount_base), token)


def _executed_price(order: Order, token_in: Token, token_out: Token) -> str | None:
    if order.amount_out_base is None:
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
