"""Claims orders and moves them on, step by step, until they are final, wait for the chain, or back off.

Orders that are due together go through the steps together, so that a statement, a call to the node or a commit serves
all of them; each still has its own fate. Every step starts from what PostgreSQL holds, so that a crash between two
steps costs nothing but time. The signed bytes are committed with `submitted` before the first of them leaves; from
there `settlement` asks for their fate.
"""

import base64
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import connection

from orders import inflight, journal, leases, observe, settlement, turns
from orders.exchange import TradingDesk, trading_desk
from orders.inflight import InFlight, Sent
from orders.journal import AttemptChange, Transition
from orders.lifecycle import UNSENT, Status
from orders.models import SOUND_CLAIMS, Order, OrderAttempt
from orders.quoting import swap_of
from orders.retries import Retry
from orders.steps import PLANS, Written, current_attempts, give_up
from orders.stream import Event
from routing.errors import Rejected
from routing.venue import Swap

# How many orders go through the steps together, at the most.
AT_ONCE = 100
# A step that kills its worker each time must not do so for ever. Only before anything was sent.
MAX_FRUITLESS_CLAIMS = 10

STUCK = Rejected(
    "STUCK", f"{MAX_FRUITLESS_CLAIMS} workers in a row took this order up and none moved it on"
)

HOLDER = f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True)
class Advanced:
    """`sents` have a transaction to send; `retries` have another attempt coming. All others are final, or lost.

    `written` is what was written of the orders' current attempts on the way, so that it need not be read; `unwritten`
    are steps that were only passed. `held` forgets each order that ends or backs off, as soon as that is written.
    """

    sents: list[Sent] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    written: Written = field(default_factory=dict)
    unwritten: dict[UUID, Transition] = field(default_factory=dict)
    held: InFlight | None = field(default=None, compare=False)


@dataclass(slots=True)
class Executed:
    """How many orders were claimed, how many of those are suspects, and which have another attempt coming.

    A claim takes one suspect: where it found one, there may be others.
    """

    claimed: int = 0
    suspects: int = 0
    retries: list[Retry] = field(default_factory=list)


def execute(
    hinted: Sequence[UUID],
    *,
    room: int = 0,
    desk: TradingDesk | None = None,
    held: InFlight | None = None,
) -> Executed:
    """Claim the hinted orders that are due, and up to `room` others; move each on as far as it goes now.

    Safe to repeat at any time. Orders that wait for the chain are left to the pulse, which finds them in `held`: this
    process's, unless said otherwise. An error that no step foresaw is raised once all others had their turn; the
    leases of its batch end, and what has another attempt coming is left to the sweep.
    """
    desk, held = desk or trading_desk(), held or inflight.here
    if not connection.in_atomic_block:
        connection.close()  # back to the pool: the turn may be long in coming
    try:
        with turns.mine():
            return _execute(hinted, room=room, desk=desk, held=held)
    except turns.NoMoreTurns:
        return Executed()  # they stay due, for another worker


def _execute(hinted: Sequence[UUID], *, room: int, desk: TradingDesk, held: InFlight) -> Executed:
    held_since = desk.monotonic()
    orders = leases.claim(hinted, holder=HOLDER, room=room)
    if not orders:
        return Executed()
    suspects = [order for order in orders if order.claims > SOUND_CLAIMS]
    done, failures = Executed(claimed=len(orders), suspects=len(suspects)), []
    with held.running([(order.id, order.fence) for order in orders]):
        for batch in _kept_apart(orders, suspects):
            try:
                done.retries += _move_on(batch, desk=desk, held=held, held_since=held_since)
            except Exception as error:  # the batch's edge: the next one may work
                failures.append(error)
    for another in failures[1:]:
        observe.execution_failed(error=another)
    if failures:
        raise failures[0]
    return done


def _kept_apart(orders: Sequence[Order], suspects: Sequence[Order]) -> list[Sequence[Order]]:
    """Whatever may have cost its workers their lives goes last, and alone: it takes no other order with it.

    The others go in batches, however many a message named.
    """
    sound = [order for order in orders if order not in suspects]
    batches = [sound[start : start + AT_ONCE] for start in range(0, len(sound), AT_ONCE)]
    return [*batches, *([order] for order in suspects)]


def _move_on(
    batch: Sequence[Order], *, desk: TradingDesk, held: InFlight, held_since: float
) -> list[Retry]:
    """As far as these orders go now; answers those that have another attempt coming."""
    advanced = advance(batch, desk=desk, held_since=held_since, held=held)
    settlement.send(advanced.sents, desk=desk)
    settled = settlement.settle(advanced.sents, desk=desk, held=held)
    held.wait_for(settled.waiting)
    return advanced.retries + settled.retries


def advance(
    orders: Sequence[Order],
    *,
    desk: TradingDesk,
    held_since: float,
    held: InFlight | None = None,
) -> Advanced:
    """Run the steps that fit, together, for as long as any order has one.

    `held_since` is the desk's monotonic time just before the claim. Whoever lost a race to somebody else's write is
    left alone, quietly.
    """
    done = Advanced(held=held)
    stuck = [order for order in orders if _is_stuck(order)]
    _write(stuck, [give_up(order, STUCK) for order in stuck], done)
    orders = [order for order in orders if not _is_stuck(order)]
    while orders:
        sent = [order for order in orders if order.status == Status.SUBMITTED]
        done.sents += resume(sent, held_since=held_since, written=done.written)
        orders = [order for order in orders if order.status != Status.SUBMITTED]
        if not orders:
            break
        held_since = desk.monotonic()  # what the steps write extends the lease, from here at least
        orders = step(orders, desk=desk, done=done)
    return done


def step(orders: Sequence[Order], *, desk: TradingDesk, done: Advanced) -> list[Order]:
    """Each order's next step; answers those that go on, as they now are, or are about to be.

    What is ready is written together. A step that is only passed, because the next one is usually done at once, is
    written with that.
    """
    planned = [
        transition
        for status, plan in PLANS.items()
        if (group := [order for order in orders if order.status == status])
        for transition in plan(group, desk, done.written)
    ]
    by_id = {order.id: order for order in orders}
    on_their_way, ready = [], []
    for transition in planned:
        if _is_passed(transition):
            done.unwritten[transition.order_id] = _with_unwritten(transition, done)
            on_their_way.append(_move(by_id[transition.order_id], transition, done))
        else:
            ready.append(transition)
    return on_their_way + _write([by_id[each.order_id] for each in ready], ready, done)


def _is_passed(transition: Transition) -> bool:
    match transition.status:
        case Status.ROUTING if not transition.releases:
            return turns.are_quick("quotes")
        case Status.BUILDING:
            return turns.are_quick("blockhash", "simulations")
    return False


def _with_unwritten(transition: Transition, done: Advanced) -> Transition:
    earlier = done.unwritten.pop(transition.order_id, None)
    return earlier.then(transition) if earlier else transition


def _write(orders: Sequence[Order], planned: Sequence[Transition], done: Advanced) -> list[Order]:
    """One journal call, or two; answers the orders that go on."""
    by_id = {order.id: order for order in orders}
    lost = _write_what_led_to_another_attempt(planned, done)
    ready = [each for each in planned if each.order_id not in lost]
    outcomes = journal.record([_with_unwritten(each, done) for each in ready])
    going_on = []
    for transition, outcome in zip(ready, outcomes, strict=True):
        if not isinstance(outcome, Event):
            continue  # somebody was first, or the database refused and the journal said so
        if transition.releases:
            done.retries.append((outcome.order_id, transition.due_in_s or 0.0))
        elif not outcome.is_final:
            going_on.append(_move(by_id[outcome.order_id], transition, done))
    if done.held is not None:
        still = {order.id for order in going_on}
        done.held.forget((order.id, order.fence) for order in orders if order.id not in still)
    return going_on


def _write_what_led_to_another_attempt(planned: Sequence[Transition], done: Advanced) -> set[UUID]:
    """The next attempt begins with a statement of its own. Answers whose race was lost before it."""
    before = [
        done.unwritten.pop(each.order_id)
        for each in planned
        if each.opens_attempt and each.order_id in done.unwritten
    ]
    if not before:
        return set()
    outcomes = journal.record(before)
    return {
        each.order_id
        for each, outcome in zip(before, outcomes, strict=True)
        if not isinstance(outcome, Event)
    }


def _move(order: Order, transition: Transition, done: Advanced) -> Order:
    """The order as the transition makes it."""
    if transition.attempt is not None:
        done.written[order.id] = transition.attempt
    order.status, order.last_seq = transition.status.value, transition.seq
    order.attempt += transition.opens_attempt
    order.claims = 0
    order.selected_dex = transition.selected_dex or order.selected_dex
    if transition.min_amount_out_base is not None and order.min_amount_out_base is None:
        order.min_amount_out_base = Decimal(transition.min_amount_out_base)
    return order


def resume(
    orders: Sequence[Order], *, held_since: float, written: Written | None = None
) -> list[Sent]:
    """The stored transactions of submitted orders, as their (new) holder sends them and asks for them.

    An order that can't be read, because a token of it was delisted, is told and left out. It stays submitted, and is
    tried again each time that its lease ends.

    `held_since` is from before the leases were taken or extended: whoever sleeps in between must not think them longer.
    `written` is what the caller has just committed of their attempts; the others are read.
    """
    attempts = current_attempts(orders, written or {})
    return [
        Sent(
            order_id=order.id,
            fence=order.fence,
            last_seq=order.last_seq,
            attempt=order.attempt,
            swap=swap,
            venue=order.selected_dex,
            signature=attempt.signature or "",
            signed_bytes=_raw(attempt),
            last_valid_block_height=attempt.last_valid_block_height or 0,
            genesis_hash=attempt.genesis_hash or "",
            signed_slot=attempt.signed_slot or 0,
            lease_until=held_since + settings.LEASE_S,
            answered_at=held_since,
            in_doubt=order.in_doubt_since is not None,
        )
        for order in orders
        if (swap := _read(order)) is not None
        for attempt in [attempts[order.id]]
    ]


def _read(order: Order) -> Swap | None:
    try:
        return swap_of(order)
    except Rejected as error:
        observe.order_unreadable(order_id=order.id, error=error)
        return None


def _raw(attempt: AttemptChange | OrderAttempt) -> bytes:
    if isinstance(attempt, AttemptChange):
        return base64.b64decode(attempt.signed_bytes or "")
    return bytes(attempt.signed_bytes or b"")


def _is_stuck(order: Order) -> bool:
    return order.claims > MAX_FRUITLESS_CLAIMS and order.status in UNSENT
