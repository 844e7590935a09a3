"""What a client may ask for: place an order, cancel one. Everything here has been validated by its caller."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, transaction

from config.postgres.patience import ANSWER_WITHIN_S, answering_within, time_left_s
from orders import journal, leases, stored_quotes, tasks
from orders.gathering import Gathering, TurnMissed
from orders.interventions import Intervention
from orders.journal import AttemptChange, NewOrder, OutcomeUnknown, Refused, Transition
from orders.lifecycle import UNSENT, AttemptState, Status
from orders.models import Order
from orders.stored_quotes import QuoteGone
from orders.stream import Event

# Requests that share a statement and a commit, when so many come at once.
MOST_TOGETHER = 100
# A crowd is answered no sooner than the workers follow: it waits for what they are behind beyond a queue that makes
# good batches. Orders that pile up behind `201` would wait longer, and their intake takes the workers' time.
A_CROWD = 8
A_GOOD_QUEUE_S = 0.1
LONGEST_PAUSE_S = 0.1
DATABASE_AWAY = (OperationalError, InterfaceError)


class IdempotencyConflict(Exception):
    """This clientOrderId names an earlier order that asked for something else."""


class AlreadyAsked(Exception):
    """The order is cancelled, or a cancel was asked for already: nobody else's name would be kept with it."""


class AlreadyFinal(Exception):
    """The order has ended; there is nothing to cancel."""


class Halted(Exception):
    """Nobody knows yet what a restored database has forgotten: the order may have swapped."""


@dataclass(frozen=True, slots=True)
class Placed:
    """`replayed`: this clientOrderId was used before, for the same; the order is the earlier one."""

    order: Order
    replayed: bool


def place_order(new: NewOrder) -> Placed:
    """Accept the order, durably, and hint the workers. Safe to repeat with a `client_order_id`.

    Raises IdempotencyConflict, a QuoteRefused, and journal.OutcomeUnknown when the order may have been accepted all the
    same.
    """
    (bound,) = _on_their_quotes([new])
    answer = _place_alone(bound) if isinstance(bound, NewOrder) else bound
    if isinstance(answer, Exception):
        raise answer
    return answer


def _place_alone(new: NewOrder) -> Placed | Exception:
    if connection.in_atomic_block:  # a caller's transaction can't share another thread's statement
        (answer,) = _place([new])
        return answer
    return _place_with_others(new)


def _place_with_others(new: NewOrder) -> Placed | Exception:
    """Whose turn doesn't come within its own time is refused: an answer takes that and a round's, no longer."""
    # Who waits holds no connection: the one who works for all may need it.
    connection.close()
    try:
        return _together(new, turn_within_s=time_left_s())
    except TurnMissed as error:
        raise OperationalError("Storing the orders before this one took too long.") from error


def place_orders(orders: Sequence[NewOrder]) -> list[Placed | Exception]:
    """Accept the orders in one statement, each for itself: answers what `place_order` would return or raise for it.

    Of two orders with the same `client_order_id` the second is a repetition of the first. Raises OutcomeUnknown when
    orders may have been accepted all the same; after any other OperationalError or InterfaceError none was.
    """
    bound = _on_their_quotes(orders)
    answers = _place([new for new in bound if isinstance(new, NewOrder)])
    for answer in answers:
        if isinstance(answer, DATABASE_AWAY):  # behind the commit of all the others
            raise OutcomeUnknown(str(answer)) from answer
    placed = iter(answers)
    return [next(placed) if isinstance(new, NewOrder) else new for new in bound]


def _on_their_quotes(orders: Sequence[NewOrder]) -> Sequence[NewOrder | Placed | Exception]:
    """Each order as it can be placed. Where a quote is too old for that, a repetition still has its answer.

    Whoever is told that it came too late can rely on that: should an earlier request for the order be stored only now,
    no worker that finds it will start it.
    """
    bound = stored_quotes.bind(orders)
    pairs = list(zip(orders, bound, strict=True))
    gone = [new for new, answer in pairs if isinstance(answer, QuoteGone)]
    if not gone:
        return bound
    earlier = _earlier(gone)
    return [
        _placed_before(new, earlier)
        if isinstance(answer, QuoteGone) and _key(new) in earlier
        else answer
        for new, answer in pairs
    ]


def _place_together(orders: Sequence[NewOrder]) -> list[Placed | Exception]:
    """A round for its callers. It has a time of its own: with what is left of the oldest's, all would fail."""
    with answering_within(ANSWER_WITHIN_S):
        return _place(orders)


_together = Gathering(_place_together, most=MOST_TOGETHER)


def _place(orders: Sequence[NewOrder]) -> list[Placed | Exception]:
    """Placed, or why not: one of DATABASE_AWAY for a repetition whose earlier order could not be looked for."""
    answers = _accept(orders)
    repeated = [new for new, answer in zip(orders, answers, strict=True) if answer is None]
    try:
        earlier = _earlier(repeated)
    except DATABASE_AWAY as error:
        return [answer or error for answer in answers]
    return [
        answer or _placed_before(new, earlier) for new, answer in zip(orders, answers, strict=True)
    ]


def _accept(orders: Sequence[NewOrder]) -> list[Placed | Exception | None]:
    """Placed, or why not; None where the `client_order_id` was used before."""
    answers = journal.accept(orders)
    tasks.hint_soon([answer.order_id for answer in answers if isinstance(answer, Event)])
    if len(orders) >= A_CROWD and not connection.in_atomic_block:
        _let_the_workers_follow()
    return [_answered(new, answer) for new, answer in zip(orders, answers, strict=True)]


def _answered(new: NewOrder, answer: journal.Outcome) -> Placed | Exception | None:
    match answer:
        case Event():
            return _as_accepted(new, answer)
        case Refused(error):
            return error
    return None


def _let_the_workers_follow() -> None:
    """A courtesy: the orders are stored, and it costs nobody one, whatever goes wrong with it."""
    try:
        behind_s = leases.behind_s(within_s=LONGEST_PAUSE_S)
    except Error:
        connection.close()  # what it may have broken is not what orders are stored on
        return
    tasks.workers_are_behind(behind_s)
    longest_s = max(0.0, min(LONGEST_PAUSE_S, time_left_s() / 2))
    time.sleep(min(longest_s, max(0.0, behind_s - A_GOOD_QUEUE_S)))


Key = tuple[int, str | None]
"""An account and its `client_order_id`."""

Earlier = dict[Key, Order]


def _key(new: NewOrder) -> Key:
    return new.account_id, new.client_order_id


def _earlier(repeated: Sequence[NewOrder]) -> Earlier:
    """The orders that have their `client_order_id`s."""
    if not repeated:
        return {}
    orders = Order.objects.filter(
        account_id__in={new.account_id for new in repeated},
        client_order_id__in=[new.client_order_id for new in repeated],
    )
    return {(order.account_id, order.client_order_id): order for order in orders}


def _placed_before(new: NewOrder, earlier: Earlier) -> Placed | IdempotencyConflict:
    """The order that has its `client_order_id`, unless that is another wish."""
    order = earlier[_key(new)]
    if new.slippage_bps is None and new.quote_id == order.quote_id:
        new = replace(new, slippage_bps=order.slippage_bps)  # the quote's, which is gone
    if _wish(order) != _wish(new):
        return IdempotencyConflict(
            f"clientOrderId {new.client_order_id} was used for another order before."
        )
    return Placed(order, replayed=True)


def _as_accepted(new: NewOrder, event: Event) -> Placed:
    assert new.slippage_bps is not None  # the database takes no order without
    minimum_base = new.min_amount_out_base
    order = Order(
        id=new.id,
        account_id=new.account_id,
        client_order_id=new.client_order_id,
        order_type=new.order_type,
        token_in=new.token_in,
        token_out=new.token_out,
        amount_in_base=Decimal(new.amount_in_base),
        slippage_bps=new.slippage_bps,
        quote_id=new.quote_id,
        quote_expires_at=new.quote_expires_at,
        min_amount_out_base=None if minimum_base is None else Decimal(minimum_base),
        status=event.status.value,
        last_seq=event.seq,
        attempt=event.attempt,
        due_at=event.at,
        fence=0,
        holder="",
        claims=0,
        selected_dex="",
        tx_hash="",
        error_code="",
        error_message="",
        error_retryable=False,
        created_at=event.at,
        updated_at=event.at,
    )
    return Placed(order, replayed=False)


def _wish(order: Order | NewOrder) -> Sequence[object]:
    return (
        order.order_type,
        order.token_in,
        order.token_out,
        int(order.amount_in_base),
        order.slippage_bps,
        order.quote_id,
    )


def cancel_order(
    order_id: UUID, *, account_id: int, intervention: Intervention | None = None
) -> Order:
    """Cancel at once while nothing is committed to; afterwards ask for it, and the stream tells who won.

    `intervention` says who asks, if not the client. Raises Order.DoesNotExist (also for somebody else's), AlreadyFinal
    and Halted. Safe to repeat, which tells nothing new: an intervention is then refused with AlreadyAsked.
    """
    with transaction.atomic():
        # Locked, so that no worker moves the order on meanwhile: one try is enough.
        order = Order.objects.select_for_update().get(id=order_id, account_id=account_id)
        if order.is_final and order.status != Status.CANCELLED:
            raise AlreadyFinal(f"The order is {order.status} already.")
        if order.is_final or order.cancel_requested_at:
            if intervention:
                raise AlreadyAsked(
                    "The order is cancelled already."
                    if order.is_final
                    else "Its cancel was asked for already, and the chain decides."
                )
            return order
        if order.status in UNSENT and settings.EXECUTION == "halted":
            raise Halted("Execution is halted, so it can't be known that nothing was sent yet.")
        cancel = _cancel(order)
        (outcome,) = journal.record([_told(cancel, intervention) if intervention else cancel])
        if isinstance(outcome, Refused):
            raise outcome.error
        return Order.objects.get(id=order_id)


def _cancel(order: Order) -> Transition:
    if order.status in UNSENT:
        ended = AttemptChange(state=AttemptState.FAILED, error_code="CANCELLED")
        return Transition.of(
            order,
            fenced=False,
            status=Status.CANCELLED,
            message="Cancelled before anything was sent.",
            due_in_s=None,
            attempt=ended if order.attempt else None,
        )
    return Transition.of(
        order,
        fenced=False,
        status=Status.SUBMITTED,
        message="Cancel requested; the swap may have landed, so the chain decides.",
        due_in_s=None,
        details={"cancelRequested": True},
        cancel_requested=True,
    )


def _told(cancel: Transition, intervention: Intervention) -> Transition:
    """The same, in the name of whoever asks for it."""
    return replace(
        cancel,
        message=f"{cancel.message} Asked for by {intervention.by}: {intervention.reason}",
        details={**cancel.details, "cancellation": intervention.as_json()},
    )
