"""Orders at a status, made through the calls that make them in production."""

from collections import deque
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from orders import execution, intake, journal, leases, stored_quotes
from orders.exchange import TradingDesk
from orders.execution import Executed
from orders.inflight import Sent
from orders.journal import AttemptChange, NewOrder, Transition
from orders.lifecycle import TRANSITIONS, AttemptState, Status
from orders.models import Account, Order, OrderEvent, Quote
from orders.stored_quotes import Issued
from orders.stream import Event
from routing.tokens import TOKENS
from routing.venue import Swap

SOL = 10**9
HOPELESS: dict[str, Any] = {"token_in": "BONK", "token_out": "SOL", "amount_in_base": 1}
"""What to wish for an order that no pool can execute: it is too small."""
NOBODYS = "01a1fd4c-ef08-7332-9646-bb96946cec96"
"""The id of an order that there never was."""
ALL_THE_WAY = ["pending", "routing", "building", "submitted", "confirmed"]


def new_order(account: Account, **wishes: Any) -> NewOrder:
    """1.5 SOL for USDC, unless the test wishes otherwise."""
    defaults: dict[str, Any] = {
        "client_order_id": None,
        "order_type": "market",
        "token_in": "SOL",
        "token_out": "USDC",
        "amount_in_base": 3 * SOL // 2,
        "slippage_bps": 50,
    }
    return NewOrder(account_id=account.pk, **defaults | wishes)


def place(account: Account, **wishes: Any) -> Order:
    return intake.place_order(new_order(account, **wishes)).order


def order_at(status: Status, account: Account, **wishes: Any) -> Order:
    """An order that took the shortest legal way to `status`."""
    order = place(account, **wishes)
    for step in way_to(status):
        move(order, step)
        order.refresh_from_db()
    return order


def move(order: Order, status: Status, **changes: Any) -> Event:
    """One transition by whoever holds the order; it must succeed."""
    (outcome,) = journal.record([transition(order, status, **changes)])
    assert isinstance(outcome, Event), outcome
    return outcome


def transition(order: Order, status: Status, **changes: Any) -> Transition:
    """A complete transition: with all that the database asks of an order in `status`."""
    is_final = not TRANSITIONS[status]
    needed: dict[str, Any] = {"message": f"to {status}", "due_in_s": None if is_final else 10.0}
    if order.status == Status.SUBMITTED and status is not Status.SUBMITTED:
        needed |= {"attempt": proven(confirmed=status is Status.CONFIRMED)}
    match status:
        case Status.ROUTING:
            needed |= {"opens_attempt": True}
            if order.status in (Status.ROUTING, Status.BUILDING):
                needed |= {"attempt": AttemptChange(state=AttemptState.FAILED)}
        case Status.SUBMITTED if order.status != Status.SUBMITTED:
            needed |= {
                "tx_hash": signature_of(order.id),
                "attempt": AttemptChange(
                    state=AttemptState.SENT,
                    signature=signature_of(order.id),
                    signed_bytes="AAAA",
                    last_valid_block_height=150,
                ),
            }
        case Status.CONFIRMED:
            needed |= {"amount_out_base": 1}
        case Status.FAILED:
            needed |= {"error_code": "NO_QUOTE", "error_message": "No venue quoted."}
    return Transition.of(order, status=status, **needed | changes)


def proven(*, confirmed: bool) -> AttemptChange:
    """What a sent transaction came to."""
    if confirmed:
        return AttemptChange(state=AttemptState.CONFIRMED, amount_out_base=1)
    return AttemptChange(state=AttemptState.DEAD, error_code="EXPIRED", proof={"kind": "made up"})


def signature_of(order_id: UUID) -> str:
    return f"signature-{order_id}"


def way_to(status: Status) -> list[Status]:
    """The steps from `pending`, not counting it."""
    ways: deque[list[Status]] = deque([[Status.PENDING]])
    while ways:
        way = ways.popleft()
        if way[-1] is status:
            return way[1:]
        ways.extend([*way, step] for step in TRANSITIONS[way[-1]] if step not in way)
    raise ValueError(f"nothing leads to {status}")


def quoted(account: Account, desk: TradingDesk, **wishes: Any) -> Issued:
    """A quote for what `new_order` wishes."""
    wish = new_order(account, **wishes)
    return stored_quotes.issue(
        Swap(TOKENS[wish.token_in], TOKENS[wish.token_out], wish.amount_in_base),
        slippage_bps=wish.slippage_bps or 0,
        account_id=account.pk,
        venues=desk.venues,
        prices=desk.prices,
    )


def let_quotes_expire() -> None:
    """All that there are expired a second ago, for the orders on them, too."""
    ago = timezone.now() - timedelta(seconds=1)
    Quote.objects.update(expires_at=ago)
    Order.objects.filter(quote_id__isnull=False, due_at__isnull=False).update(quote_expires_at=ago)


def claim(order: Order, *, holder: str = "tests") -> Order:
    """A due order, as its new holder has it."""
    (claimed,) = leases.claim([order.id], holder=holder)
    return claimed


def sign(order: Order, *, desk: TradingDesk) -> Sent:
    """A claimed order's transaction, committed and not sent yet."""
    (sent,) = execution.advance([order], desk=desk, held_since=desk.monotonic()).sents
    return sent


def statuses(order: Order | UUID) -> list[str]:
    """What the log says, in order."""
    order_id = order if isinstance(order, UUID) else order.id
    events = OrderEvent.objects.filter(order_id=order_id).order_by("seq")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event.status for event in events]


def become_due(order: Order) -> None:
    """The lease, or the back-off, ends now."""
    Order.objects.filter(id=order.id, due_at__isnull=False).update(
        due_at=timezone.now() - timedelta(seconds=1)
    )


def retried(done: Executed) -> list[UUID]:
    return [order_id for order_id, _ in done.retries]
