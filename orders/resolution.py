"""How two people end an order whose outcome the chain can't tell: one proposes on other evidence, another one decides.

A proposal is about one doubt of one attempt. Once that is over, whatever ended it, the proposal is void.
"""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from orders import journal
from orders.engine_clock import EngineNow
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order, Resolution, ResolutionState
from orders.stream import error_as_json, executed_price
from routing.tokens import TOKENS, from_base

CODE = "RESOLVED_BY_OPERATOR"


class NotInDoubt(Exception):
    """The order's outcome is known, or will be by itself: nobody decides it by hand."""


class AlreadyProposed(Exception):
    """Somebody has proposed how this doubt ends; that is to be decided first."""


class NotOpen(Exception):
    """The proposal was decided or withdrawn, or the doubt that it was about is over."""


class NotTheirs(Exception):
    """Nobody decides on their own proposal, nor withdraws another one's."""


def open_resolution(order: Order) -> Resolution | None:
    """What is proposed for the doubt that the order is in now."""
    people = Resolution.objects.select_related("proposed_by")
    proposed = people.filter(order=order, state=ResolutionState.OPEN).first()
    return proposed if proposed and is_about_now(proposed, order) else None


def is_about_now(proposed: Resolution, order: Order) -> bool:
    """Whether the order is still in the doubt that the proposal is about."""
    now = (order.status, order.attempt, order.in_doubt_since)
    return now == (Status.SUBMITTED, proposed.attempt, proposed.in_doubt_since)


def propose(
    order_id: UUID, *, amount_out_base: int | None, evidence: str, reason: str, by: User
) -> Resolution:
    """Propose that the order ends confirmed with this amount, or for None as one that never landed.

    Raises NotInDoubt, AlreadyProposed and Order.DoesNotExist.
    """
    with transaction.atomic():
        order = _in_doubt(order_id)
        if open_resolution(order):
            raise AlreadyProposed("Somebody has proposed how this doubt ends already.")
        left_open = Resolution.objects.filter(order=order, state=ResolutionState.OPEN)
        left_open.update(state=ResolutionState.VOID, closed_at=EngineNow())
        assert order.in_doubt_since is not None
        return Resolution.objects.create(
            order=order,
            attempt=order.attempt,
            in_doubt_since=order.in_doubt_since,
            amount_out_base=amount_out_base,
            evidence=evidence,
            reason=reason,
            proposed_by=by,
        )


def confirm(resolution_id: int, *, by: User, reason: str) -> Order:
    """End the order as was proposed. Both names, the evidence and the reasons stay in its log for ever.

    Raises NotOpen, NotTheirs, NotInDoubt (also when the chain was first) and Resolution.DoesNotExist.
    """
    with transaction.atomic():
        proposed = _decided(resolution_id, ResolutionState.CONFIRMED, by=by, reason=reason)
        order = proposed.order
        record = {
            "by": proposed.proposed_by.get_username(),
            "reason": proposed.reason,
            "evidence": proposed.evidence,
            "confirmedBy": by.get_username(),
            "confirmation": reason,
        }
        landed = proposed.amount_out_base is not None
        change = (
            _landed(order, int(proposed.amount_out_base or 0), record)
            if landed
            else _dead(order, record)
        )
        (outcome,) = journal.record([change])
        if isinstance(outcome, Refused):
            raise outcome.error
        return Order.objects.get(id=order.id)


def reject(resolution_id: int, *, by: User, reason: str) -> Resolution:
    """The order stays in doubt, and somebody may propose anew. Raises what `confirm` raises."""
    with transaction.atomic():
        return _decided(resolution_id, ResolutionState.REJECTED, by=by, reason=reason)


def withdraw(resolution_id: int, *, by: User) -> Resolution:
    """Take one's own proposal back. Raises NotOpen, NotTheirs and Resolution.DoesNotExist."""
    with transaction.atomic():
        proposed = _locked(resolution_id)
        if proposed.proposed_by_id != by.pk:
            raise NotTheirs("Only who proposed it withdraws it.")
        return _closed(proposed, state=ResolutionState.WITHDRAWN)


def _decided(resolution_id: int, state: ResolutionState, *, by: User, reason: str) -> Resolution:
    proposed = _locked(resolution_id)
    if proposed.proposed_by_id == by.pk:
        raise NotTheirs("Somebody else decides: nobody confirms or rejects their own proposal.")
    order = _in_doubt(proposed.order_id)
    if not is_about_now(proposed, order):
        raise NotOpen("The proposal is about an earlier doubt.")
    proposed.order = order
    return _closed(proposed, state=state, decided_by=by, decision_reason=reason)


def _locked(resolution_id: int) -> Resolution:
    """The order first, as everybody locks it first who writes both."""
    order_id = Resolution.objects.values_list("order_id", flat=True).get(pk=resolution_id)
    Order.objects.select_for_update().get(id=order_id)
    proposed = Resolution.objects.select_related("proposed_by").get(pk=resolution_id)
    if proposed.state != ResolutionState.OPEN:
        raise NotOpen(f"The proposal is {proposed.state} already.")
    return proposed


def _closed(proposed: Resolution, **changes: Any) -> Resolution:
    for name, value in changes.items():
        setattr(proposed, name, value)
    proposed.closed_at = EngineNow()
    proposed.save(update_fields=[*changes, "closed_at"])
    return proposed


def _in_doubt(order_id: UUID) -> Order:
    """Locked, so that no worker writes meanwhile."""
    order = Order.objects.select_for_update().get(id=order_id)
    if order.status != Status.SUBMITTED or order.in_doubt_since is None:
        raise NotInDoubt(f"The order is {order.status}, and not in doubt.")
    return order


def _landed(order: Order, amount_out_base: int, record: dict[str, str]) -> Transition:
    token_in, token_out = TOKENS[order.token_in], TOKENS[order.token_out]
    amount_out = from_base(amount_out_base, token_out)
    return _ended(
        order,
        record,
        status=Status.CONFIRMED,
        message=f"Confirmed by {_names(record)}: {amount_out} {token_out.symbol} received. {record['reason']}",
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
    sentence = f"Ended by {_names(record)}, as one that never landed: {record['reason']}"
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


def _names(record: dict[str, str]) -> str:
    return f"{record['by']} and {record['confirmedBy']}"
