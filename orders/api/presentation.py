"""Attempts, events and venues as the API shows them. Every key is always there; what isn't known is null."""

from collections.abc import Sequence
from typing import Any

from orders.models import Order, OrderAttempt, OrderEvent
from orders.order_json import amount_as_json, order_as_json
from orders.receipts import cost_as_json, execution_cost
from orders.stream import Event, rfc3339
from orders.venue_report import RECENT_S, VenueReport
from routing.tokens import TOKENS, Token
from routing.venue import Venue


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
        "minAmountOut": amount_as_json(attempt.min_amount_out_base, token_out),
        "amountOut": amount_as_json(attempt.amount_out_base, token_out),
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
