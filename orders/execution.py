"""Moves a claimed order on: one function per active status, until it is final, waits for the chain, or backs off.

Every step starts from what PostgreSQL holds, so that a crash between two steps costs nothing but time. The signed bytes
are committed with `submitted` before the first of them leaves; from there `settlement` asks for their fate.
"""

import base64
import copy
import os
import socket
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from orders import background, inflight, journal, leases, settlement
from orders.exchange import TradingDesk, trading_desk
from orders.inflight import InFlight, Sent
from orders.journal import AttemptChange, Refused, Transition
from orders.lifecycle import UNSENT, AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.quoting import below_the_limit, choice_in_words, quotes_as_json, swap_of
from orders.retries import RetryDue, after_failure, nothing_was_sent
from routing.router import choose, collect_quotes, min_amount_out
from routing.transaction import build_swap
from routing.venue import Quote, Rejected, RoutingError, Unavailable

# A step that kills its worker each time must not do so for ever. Only before anything was sent.
MAX_FRUITLESS_CLAIMS = 10

HOLDER = f"{socket.gethostname()}:{os.getpid()}"


class LostRace(Exception):
    """Somebody else moved the order first, or holds its lease now: stop, quietly."""


def execute(
    order_id: UUID, *, desk: TradingDesk | None = None, held: InFlight | None = None
) -> None:
    """Claim the order if it is due and move it on as far as it goes now. Safe to repeat at any time.

    Raises RetryDue when another attempt comes after a back-off. An order that waits for the chain is left to the pulse,
    which finds it in `held`: this process's, unless said otherwise.
    """
    desk, held = desk or trading_desk(), held or inflight.here
    held_since = desk.monotonic()
    order = leases.claim(order_id, holder=HOLDER)
    if order is None:
        return
    try:
        with held.running((order.id, order.fence)):
            sent = advance(order, desk=desk, held_since=held_since)
            if sent is None:
                return
            settlement.send(sent, desk=desk)
            settled = settlement.settle([sent], desk=desk)
            held.wait_for(settled.waiting)
    except LostRace:
        return
    if settled.retries:
        raise RetryDue(f"Order {order_id} has another attempt coming.")


def advance(order: Order, *, desk: TradingDesk, held_since: float) -> Sent | None:
    """Run the steps that fit; answer the transaction to send, or None when the order is final.

    `held_since` is the desk's monotonic time just before the claim. Raises LostRace, and RetryDue after writing a
    back-off.
    """
    if order.claims > MAX_FRUITLESS_CLAIMS and order.status in UNSENT:
        stuck = f"{MAX_FRUITLESS_CLAIMS} workers in a row took this order up and none moved it on."
        order = _give_up(order, Rejected("STUCK", stuck))
    while not order.is_final:
        if order.status == Status.SUBMITTED:
            return resume(order, desk, held_since=held_since)
        held_since = (
            desk.monotonic()
        )  # what the step writes extends the lease, from here at the least
        try:
            order = STEPS[Status(order.status)](order, desk)
        except RoutingError as error:
            order = _give_up(order, error)
    return None


def _start(order: Order, desk: TradingDesk) -> Order:
    """pending → routing: the first attempt begins."""
    return _record(order, status=Status.ROUTING, message="Comparing venues.", opens_attempt=True)


def _choose_venue(order: Order, desk: TradingDesk) -> Order:
    """routing → building: every venue quoted under one deadline, the best net output chosen."""
    swap = swap_of(order)
    connection.close()  # back to the pool: a thread that waits for venues needs none
    deadline_s = settings.QUOTE_DEADLINE_MS / 1000
    candidates = background.run(
        collect_quotes(desk.venues.values(), swap, deadline_s=deadline_s), timeout_s=deadline_s + 5
    )
    try:
        route = choose(candidates)
        quote, limit = route.winner, _limit(order, route.winner)
        if quote.amount_out_base < limit:
            raise below_the_limit(quote, limit, swap)
    except RoutingError as error:
        return _give_up(order, error, quotes=quotes_as_json(candidates, swap, winner=None))
    quotes = quotes_as_json(route.candidates, swap, winner=quote)
    return _record(
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


def _build(order: Order, desk: TradingDesk) -> Order:
    """building → submitted: sign, try the transaction out, and commit its bytes. Nothing is sent here."""
    attempt = OrderAttempt.objects.get(order=order, number=order.attempt)
    connection.close()
    venue = desk.venues.get(attempt.venue)
    if venue is None or attempt.min_amount_out_base is None:
        raise Unavailable("VENUE_GONE", f"{attempt.venue} is not a venue of this engine any more")
    swap = swap_of(order)
    recent = desk.chain.latest_blockhash()
    if recent.genesis_hash != desk.genesis_hash():
        raise Unavailable("WRONG_CLUSTER", "the node is on another cluster than this engine")
    instruction = venue.instruction(
        pool=attempt.pool,
        swap=swap,
        min_amount_out_base=int(attempt.min_amount_out_base),
        owner=desk.signer.pubkey(),
    )
    transaction = build_swap(
        instruction,
        memo=f"{order.id}:{order.attempt}",
        blockhash=recent.blockhash,
        signer=desk.signer,
    )
    trouble = desk.chain.simulate(transaction.raw)
    if trouble is not None:
        raise Unavailable(
            trouble, f"the simulation on {venue.label} ended with {trouble}, so nothing was sent"
        )
    return _record(
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


STEPS: dict[Status, Callable[[Order, TradingDesk], Order]] = {
    Status.PENDING: _start,
    Status.ROUTING: _choose_venue,
    Status.BUILDING: _build,
}


def resume(order: Order, desk: TradingDesk, *, held_since: float) -> Sent:
    """The stored transaction of a submitted order, as its (new) holder sends it and asks for it.

    `held_since` is from before the lease was taken or extended: whoever sleeps in between must not think it longer.
    """
    attempt = OrderAttempt.objects.get(order=order, number=order.attempt)
    return Sent(
        order_id=order.id,
        fence=order.fence,
        last_seq=order.last_seq,
        attempt=order.attempt,
        swap=swap_of(order),
        venue_label=attempt.venue.capitalize(),
        signature=attempt.signature or "",
        signed_bytes=bytes(attempt.signed_bytes or b""),
        last_valid_block_height=attempt.last_valid_block_height or 0,
        genesis_hash=attempt.genesis_hash,
        signed_slot=attempt.signed_slot or 0,
        lease_until=held_since + settings.LEASE_S,
        answered_at=desk.monotonic(),
        in_doubt=order.in_doubt_since is not None,
    )


def _record(order: Order, *, status: Status, message: str, **changes: Any) -> Order:
    """Write one transition under this worker's lease; answer the order as it now is. Raises LostRace."""
    return _write(
        order,
        Transition.of(
            order,
            status=status,
            message=message,
            due_in_s=settings.LEASE_S,
            **changes,
        ),
    )


def _give_up(
    order: Order, error: RoutingError, *, quotes: list[dict[str, Any]] | None = None
) -> Order:
    """End the attempt, of which nothing was sent; answer the order if that was its end. Raises RetryDue if not."""
    sentence = _as_sentence(error)
    ended = nothing_was_sent(error.code, sentence, quotes=quotes) if order.attempt else None
    order = _write(
        order,
        after_failure(
            order, code=error.code, sentence=sentence, retryable=error.retryable, ended=ended
        ),
    )
    if not order.is_final:
        raise RetryDue(f"Order {order.id} has another attempt coming.") from error
    return order


def _write(order: Order, transition: Transition) -> Order:
    (outcome,) = journal.record([transition])
    if isinstance(outcome, Refused):
        raise outcome.error
    if outcome is None:
        raise LostRace
    moved = copy.copy(order)
    moved.status, moved.last_seq, moved.attempt = outcome.status.value, outcome.seq, outcome.attempt
    if transition.min_amount_out_base is not None and moved.min_amount_out_base is None:
        moved.min_amount_out_base = Decimal(transition.min_amount_out_base)
    return moved


def _limit(order: Order, quote: Quote) -> int:
    """The least to accept, in base units: never below the first attempt's, so that retrying loosens nothing."""
    limit = min_amount_out(quote.amount_out_base, order.slippage_bps)
    return max(limit, int(order.min_amount_out_base or 0), 1)


def _as_sentence(error: RoutingError) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
