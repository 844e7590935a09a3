"""Moves claimed orders on: one function per active status, until they are final, wait for the chain, or back off.

Orders that are due together go through the steps together, so that a statement, a call to the node or a commit serves
all of them; each still has its own fate. Every step starts from what PostgreSQL holds, so that a crash between two
steps costs nothing but time. The signed bytes are committed with `submitted` before the first of them leaves; from
there `settlement` asks for their fate.
"""

import base64
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from solders.pubkey import Pubkey

from orders import background, inflight, journal, leases, settlement, turns
from orders.exchange import TradingDesk, trading_desk
from orders.inflight import InFlight, Sent
from orders.journal import AttemptChange, Transition
from orders.lifecycle import UNSENT, AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.quoting import below_the_limit, choice_in_words, quotes_as_json, swap_of
from orders.retries import Retry, after_failure, nothing_was_sent
from orders.stream import Event
from routing.chain import Blockhash
from routing.router import Candidate, choose, collect_all_quotes, min_amount_out
from routing.transaction import build_swap
from routing.venue import Quote, Rejected, RoutingError, Swap, Unavailable

# How many orders go through the steps together, at the most.
AT_ONCE = 100
# A step that kills its worker each time must not do so for ever. Only before anything was sent.
MAX_FRUITLESS_CLAIMS = 10
# Claims without progress that may have been an unlucky neighbour's fault.
SOUND_CLAIMS = 2

STUCK = Rejected(
    "STUCK", f"{MAX_FRUITLESS_CLAIMS} workers in a row took this order up and none moved it on"
)

HOLDER = f"{socket.gethostname()}:{os.getpid()}"


Written = dict[UUID, AttemptChange]


@dataclass(slots=True)
class Advanced:
    """`sents` have a transaction to send; `retries` have another attempt coming. All others are final, or lost.

    `written` is what was written of the orders' current attempts on the way, so that it need not be read.
    """

    sents: list[Sent] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    written: Written = field(default_factory=dict)


@dataclass(slots=True)
class Executed:
    """How many orders were claimed, and which of them have another attempt coming."""

    claimed: int = 0
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
    process's, unless said otherwise.
    """
    desk, held = desk or trading_desk(), held or inflight.here
    with turns.mine():
        return _execute(hinted, room=room, desk=desk, held=held)


def _execute(hinted: Sequence[UUID], *, room: int, desk: TradingDesk, held: InFlight) -> Executed:
    held_since = desk.monotonic()
    orders = leases.claim(hinted, holder=HOLDER, room=room)
    if not orders:
        return Executed()
    done = Executed(claimed=len(orders))
    with held.running([(order.id, order.fence) for order in orders]):
        for group in _kept_apart(orders):
            advanced = advance(group, desk=desk, held_since=held_since)
            settlement.send(advanced.sents, desk=desk)
            settled = settlement.settle(advanced.sents, desk=desk)
            held.wait_for(settled.waiting)
            done.retries += advanced.retries + settled.retries
    return done


def _kept_apart(orders: Sequence[Order]) -> list[list[Order]]:
    """Whatever has cost its workers their lives goes last, and alone: it takes no other order with it."""
    sound = [order for order in orders if order.claims <= SOUND_CLAIMS]
    return [sound, *([order] for order in orders if order.claims > SOUND_CLAIMS)]


def advance(orders: Sequence[Order], *, desk: TradingDesk, held_since: float) -> Advanced:
    """Run the steps that fit, together, for as long as any order has one.

    `held_since` is the desk's monotonic time just before the claim. Whoever lost a race to somebody else's write is
    left alone, quietly.
    """
    done = Advanced()
    stuck = [order for order in orders if _is_stuck(order)]
    _write(stuck, [_give_up(order, STUCK) for order in stuck], done)
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
    """Each order's next step, all written together; answers those that go on, as they now are."""
    planned = [
        transition
        for status, plan in STEPS.items()
        if (group := [order for order in orders if order.status == status])
        for transition in plan(group, desk, done.written)
    ]
    return _write(orders, planned, done)


def _write(orders: Sequence[Order], planned: Sequence[Transition], done: Advanced) -> list[Order]:
    """One journal call; answers the orders that go on."""
    by_id = {order.id: order for order in orders}
    going_on = []
    for transition, outcome in zip(planned, journal.record(planned), strict=True):
        if not isinstance(outcome, Event):
            continue  # somebody was first, or the database refused and the journal said so
        if transition.releases:
            done.retries.append((outcome.order_id, transition.due_in_s or 0.0))
        elif not outcome.is_final:
            if transition.attempt is not None:
                done.written[outcome.order_id] = transition.attempt
            going_on.append(_move(by_id[outcome.order_id], transition, outcome))
    return going_on


def _move(order: Order, transition: Transition, event: Event) -> Order:
    order.status, order.last_seq, order.attempt = event.status.value, event.seq, event.attempt
    order.claims = 0
    order.selected_dex = transition.selected_dex or order.selected_dex
    if transition.min_amount_out_base is not None and order.min_amount_out_base is None:
        order.min_amount_out_base = Decimal(transition.min_amount_out_base)
    return order


# --- The steps: what each order of a group is to become ---------------------------------------------------------------


def _start(orders: Sequence[Order], desk: TradingDesk, written: Written) -> list[Transition]:
    """pending → routing: the first attempt begins."""
    return [
        _to(order, status=Status.ROUTING, message="Comparing venues.", opens_attempt=True)
        for order in orders
    ]


def _choose_venues(
    orders: Sequence[Order], desk: TradingDesk, written: Written
) -> list[Transition]:
    """routing → building: every venue quoted under one deadline, the best net output chosen."""
    planned, swaps = [], {}
    for order in orders:
        try:
            swaps[order] = swap_of(order)
        except RoutingError as error:
            planned.append(_give_up(order, error))
    connection.close()  # back to the pool: a thread that waits for venues needs none
    deadline_s = settings.QUOTE_DEADLINE_MS / 1000
    with turns.outside("quotes"):
        quoted = background.run(
            collect_all_quotes(desk.venues.values(), list(swaps.values()), deadline_s=deadline_s),
            timeout_s=deadline_s + 5,
        )
    for (order, swap), candidates in zip(swaps.items(), quoted, strict=True):
        planned.append(_choice(order, swap, candidates, desk))
    return planned


def _choice(
    order: Order, swap: Swap, candidates: tuple[Candidate, ...], desk: TradingDesk
) -> Transition:
    try:
        route = choose(candidates)
        quote, limit = route.winner, _limit(order, route.winner)
        if quote.amount_out_base < limit:
            raise below_the_limit(quote, limit, swap)
    except RoutingError as error:
        return _give_up(order, error, quotes=quotes_as_json(candidates, swap, winner=None))
    quotes = quotes_as_json(route.candidates, swap, winner=quote)
    return _to(
        order,
        status=Status.BUILDING,
        message=choice_in_words(route, swap, desk.venues),
        details={"selectedDex": quote.venue, "quotes": quotes},
        attempt=AttemptChange(
            state=AttemptState.BUILT,
            quotes=quotes,
            venue=quote.venue,
            pool=quote.pool,
            min_amount_out_base=limit,
        ),
        selected_dex=quote.venue,
        min_amount_out_base=limit,
    )


def _build_all(orders: Sequence[Order], desk: TradingDesk, written: Written) -> list[Transition]:
    """building → submitted: sign, try each transaction out, and commit its bytes. Nothing is sent here."""
    attempts = _current_attempts(orders, written)
    connection.close()
    try:
        with turns.outside("blockhash"):
            recent = desk.chain.latest_blockhash()
        if recent.genesis_hash != desk.genesis_hash():
            wrong = "the node is on another cluster than this engine"
            raise Unavailable("WRONG_CLUSTER", wrong)
    except RoutingError as error:
        return [_give_up(order, error) for order in orders]
    planned, owner = [], desk.signer.pubkey()
    for order in orders:
        try:
            planned.append(_build(order, attempts[order.id], recent=recent, owner=owner, desk=desk))
        except RoutingError as error:
            planned.append(_give_up(order, error))
    return planned


def _build(
    order: Order,
    attempt: AttemptChange | OrderAttempt,
    *,
    recent: Blockhash,
    owner: Pubkey,
    desk: TradingDesk,
) -> Transition:
    venue = desk.venues.get(attempt.venue or "")
    if venue is None:
        raise Unavailable("VENUE_GONE", f"{attempt.venue} is not a venue of this engine any more")
    instruction = venue.instruction(
        pool=attempt.pool or "",
        swap=swap_of(order),
        min_amount_out_base=int(attempt.min_amount_out_base or 0),
        owner=owner,
    )
    transaction = build_swap(
        instruction,
        memo=f"{order.id}:{order.attempt}",
        blockhash=recent.blockhash,
        signer=desk.signer,
        payer=owner,
    )
    trouble = desk.chain.simulate(transaction.raw)
    if trouble is not None:
        raise Unavailable(
            trouble, f"the simulation on {venue.label} ended with {trouble}, so nothing was sent"
        )
    return _to(
        order,
        status=Status.SUBMITTED,
        message=f"Transaction signed; sending it to {venue.label}.",
        details={"selectedDex": venue.name, "txHash": transaction.signature},
        attempt=AttemptChange(
            state=AttemptState.SENT,
            signature=transaction.signature,
            signed_bytes=base64.b64encode(transaction.raw).decode(),
            last_valid_block_height=recent.last_valid_block_height,
            genesis_hash=recent.genesis_hash,
            signed_slot=recent.slot,
        ),
        tx_hash=transaction.signature,
    )


STEPS: dict[Status, Callable[[Sequence[Order], TradingDesk, Written], list[Transition]]] = {
    Status.PENDING: _start,
    Status.ROUTING: _choose_venues,
    Status.BUILDING: _build_all,
}


def resume(
    orders: Sequence[Order], *, held_since: float, written: Written | None = None
) -> list[Sent]:
    """The stored transactions of submitted orders, as their (new) holder sends them and asks for them.

    `held_since` is from before the leases were taken or extended: whoever sleeps in between must not think them longer.
    `written` is what the caller has just committed of their attempts; the others are read.
    """
    attempts = _current_attempts(orders, written or {})
    return [
        Sent(
            order_id=order.id,
            fence=order.fence,
            last_seq=order.last_seq,
            attempt=order.attempt,
            swap=swap_of(order),
            venue_label=order.selected_dex.capitalize(),
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
        for attempt in [attempts[order.id]]
    ]


def _raw(attempt: AttemptChange | OrderAttempt) -> bytes:
    if isinstance(attempt, AttemptChange):
        return base64.b64decode(attempt.signed_bytes or "")
    return bytes(attempt.signed_bytes or b"")


def _current_attempts(
    orders: Sequence[Order], written: Written
) -> dict[UUID, AttemptChange | OrderAttempt]:
    """Each order's attempt that is under way: as it was written on the way here, or read. At most one query."""
    attempts: dict[UUID, AttemptChange | OrderAttempt] = {**written}
    at = {order.id: order.attempt for order in orders if order.id not in written}
    if at:
        read = OrderAttempt.objects.filter(order__in=list(at)).defer("quotes", "proof")
        attempts |= {each.order_id: each for each in read if each.number == at[each.order_id]}
    return attempts


def _to(order: Order, *, status: Status, message: str, **changes: Any) -> Transition:
    """One step on, under this worker's lease."""
    return Transition.of(
        order, status=status, message=message, due_in_s=settings.LEASE_S, **changes
    )


def _is_stuck(order: Order) -> bool:
    return order.claims > MAX_FRUITLESS_CLAIMS and order.status in UNSENT


def _give_up(
    order: Order, error: RoutingError, *, quotes: list[dict[str, Any]] | None = None
) -> Transition:
    """The end of the attempt, of which nothing was sent; and of the order, or the next attempt after a back-off."""
    sentence = _as_sentence(error)
    ended = nothing_was_sent(error.code, sentence, quotes=quotes) if order.attempt else None
    return after_failure(
        order, code=error.code, sentence=sentence, retryable=error.retryable, ended=ended
    )


def _limit(order: Order, quote: Quote) -> int:
    """The least to accept, in base units: never below the first attempt's, so that retrying loosens nothing."""
    limit = min_amount_out(quote.amount_out_base, order.slippage_bps)
    return max(limit, int(order.min_amount_out_base or 0), 1)


def _as_sentence(error: RoutingError) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
