"""What an order of each active status is to become: plans, that are written later, all in one call.

Each function takes orders of one status together, so that one call to a venue or the node serves all of them. Nothing
is sent here, and nothing is written.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from solders.pubkey import Pubkey

from orders import background, turns
from orders.exchange import TradingDesk
from orders.journal import AttemptChange, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.quoting import below_the_limit, choice_in_words, quotes_as_json, swap_of
from orders.retries import after_failure, nothing_was_sent
from routing.chain import Blockhash
from routing.errors import RoutingError, Unavailable
from routing.router import Candidate, choose, collect_all_quotes, min_amount_out
from routing.transaction import SignedTransaction, build_swap
from routing.venue import Quote, Swap, Venue

Written = dict[UUID, AttemptChange]
"""What was just written of orders' current attempts, so that it need not be read."""


class _Built(NamedTuple):
    order: Order
    venue: Venue
    transaction: SignedTransaction


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
            planned.append(give_up(order, error))
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
        return give_up(order, error, quotes=quotes_as_json(candidates, swap, winner=None))
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
    attempts = current_attempts(orders, written)
    connection.close()
    try:
        with turns.outside("blockhash"):
            recent = desk.chain.latest_blockhash()
        if recent.genesis_hash != desk.genesis_hash():
            wrong = "the node is on another cluster than this engine"
            raise Unavailable("WRONG_CLUSTER", wrong)
    except RoutingError as error:
        return [give_up(order, error) for order in orders]
    planned, built, owner = [], [], desk.signer.pubkey()
    for order in orders:
        try:
            built.append(_build(order, attempts[order.id], recent=recent, owner=owner, desk=desk))
        except RoutingError as error:
            planned.append(give_up(order, error))
    return planned + _try_out(built, recent, desk)


def _build(
    order: Order,
    attempt: AttemptChange | OrderAttempt,
    *,
    recent: Blockhash,
    owner: Pubkey,
    desk: TradingDesk,
) -> _Built:
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
    return _Built(order, venue, transaction)


def _try_out(built: Sequence[_Built], recent: Blockhash, desk: TradingDesk) -> list[Transition]:
    """Simulate the transactions, all in one call; whichever would fail is not to be sent."""
    if not built:
        return []
    try:
        with turns.outside("simulations"):
            troubles = desk.chain.simulate_many([each.transaction.raw for each in built])
    except RoutingError as error:
        return [give_up(each.order, error) for each in built]
    return [
        _submission(each, recent) if trouble is None else _refusal(each, trouble)
        for each, trouble in zip(built, troubles, strict=True)
    ]


def _refusal(built: _Built, trouble: RoutingError) -> Transition:
    ended = f"the simulation on {built.venue.label} ended with {trouble.code}"
    return give_up(built.order, type(trouble)(trouble.code, f"{ended}, so nothing was sent"))


def _submission(built: _Built, recent: Blockhash) -> Transition:
    order, venue, transaction = built
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


PLANS: dict[Status, Callable[[Sequence[Order], TradingDesk, Written], list[Transition]]] = {
    Status.PENDING: _start,
    Status.ROUTING: _choose_venues,
    Status.BUILDING: _build_all,
}


def _to(order: Order, *, status: Status, message: str, **changes: Any) -> Transition:
    """One step on, under this worker's lease."""
    return Transition.of(
        order, status=status, message=message, due_in_s=settings.LEASE_S, **changes
    )


def give_up(
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


def current_attempts(
    orders: Sequence[Order], written: Written
) -> dict[UUID, AttemptChange | OrderAttempt]:
    """Each order's attempt that is under way: as it was written on the way here, or read. At most one query."""
    attempts: dict[UUID, AttemptChange | OrderAttempt] = {**written}
    at = {order.id: order.attempt for order in orders if order.id not in written}
    if at:
        read = OrderAttempt.objects.filter(order__in=list(at)).defer("quotes", "proof")
        attempts |= {each.order_id: each for each in read if each.number == at[each.order_id]}
    return attempts
