"""How an operator ends an order whose outcome the chain can't tell: on other evidence, in their own name."""

from typing import Any
from uuid import UUID

from django.db import transaction

from orders import journal
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order
from orders.stream import error_as_json, executed_price
from routing.tokens import TOKENS, from_base

CODE = "RESOLVED_BY_OPERATOR"


class NotInDoubt(Exception):
    """The order's outcome is known, or will be by itself: nobody decides it by hand."""


def resolve(
    order_id: UUID, *, amount_out_base: int | None, evidence: str, reason: str, by: str
) -> Order:
    """End an order that is in doubt: confirmed with this amount, or for None as one that never landed.

    The evidence, the reason and the name stay in the order's log for ever. Raises NotInDoubt (also when the chain was
    first) and Order.DoesNotExist.
    """
    record = {"by": by, "reason": reason, "evidence": evidence}
    with transaction.atomic():
        order = Order.objects.select_for_update().get(id=order_id)
        if order.status != Status.SUBMITTED or order.in_doubt_since is None:
            raise NotInDoubt(f"The order is {order.status}, and not in doubt.")
        landed = amount_out_base is not None
        change = _landed(order, amount_out_base, record) if landed else _dead(order, record)
        (outcome,) = journal.record([change])
        if isinstance(outcome, Refused):
            raise outcome.error
        return Order.objects.get(id=order_id)


def _landed(order: Order, amount_out_base: int | None, record: dict[str, str]) -> Transition:
    assert amount_out_base is not None
    token_in, token_out = TOKENS[order.token_in], TOKENS[order.token_out]
    amount_out = from_base(amount_out_base, token_out)
    return _ended(
        order,
        record,
        status=Status.CONFIRMED,
        message=f"Confirmed by {record['by']}: {amount_out} {token_out.symbol} received. {record['reason']}",
        details={
            "selectedDex": order.selected_dex,
            "txHash": order.tx_hash,
            "amountOut": amount_out,
            "executedPrice": executed_price(
                token_in, int(order.amount_in_base), token_out, amount_out_base
            ),
        },
        attempt={"state": AttemptState.CONFIRMED, "amount_out_base": amount_out_base},
        amount_out_base=amount_out_base,
    )


def _dead(order: Order, record: dict[str, str]) -> Transition:
    sentence = f"Ended by {record['by']}, as one that never landed: {record['reason']}"
    attempt = {"state": AttemptState.DEAD, "error_code": CODE, "error_message": sentence}
    if order.cancel_requested_at:
        return _ended(
            order, record, status=Status.CANCELLED, message=sentence, details={}, attempt=attempt
        )
    return _ended(
        order,
        record,
        status=Status.FAILED,
        message=sentence,
        details={"error": error_as_json(CODE, sentence, retryable=True)},
        attempt=attempt,
        error_code=CODE,
        error_message=sentence,
        error_retryable=True,
    )


def _ended(
    order: Order,
    record: dict[str, str],
    *,
    details: dict[str, Any],
    attempt: dict[str, Any],
    **changes: Any,
) -> Transition:
    return Transition.of(
        order,
        fenced=False,  # whoever holds the order only asks for it
        releases=True,
        due_in_s=None,
        details={**details, "resolution": record},
        attempt=AttemptChange(**attempt, proof={"kind": "operator", **record}),
        in_doubt=False,
        **changes,
    )
