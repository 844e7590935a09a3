"""What an order of each active status is to become: plans, that are written later, all in one call.

Each function takes orders of one status together, so that one call to a venue or the node serves all of them. Nothing
is sent here, and nothing of an order is written.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from orders import background, receipts, stored_quotes, turns
from orders.exchange import TradingDesk
from orders.journal import AttemptChange, Transition
from orders.lifecycle import AttemptState, Status
from orders.models import Order, OrderAttempt
from orders.quoting import (
    as_sentence,
    below_the_limit,
    choice_in_words,
    label_of,
    quotes_as_json,
    swap_of,
)
from orders.retries import after_failure, nothing_was_sent
from routing import route_program
from routing.answers import Answer
from routing.chain import Blockhash
from routing.errors import RoutingError, Unavailable
from routing.router import Terms, Undecided, decide, min_amount_out, pairs_of
from routing.set_aside import collect_around
from routing.transaction import SignedTransaction, build_swap
from routing.venue import Swap

Written = dict[UUID, AttemptChange]
"""What was just written of orders' current attempts, so that it need not be read."""


class _Built(NamedTuple):
    order: Order
    venue: str
    transaction: SignedTransaction


def _start(orders: Sequence[Order], desk: TradingDesk, written: Written) -> list[Transition]:
    """pending → routing: the first attempt begins."""
    return [
        _to(order, status=Status.ROUTING, message="Comparing venues.", opens_attempt=True)
        for order in orders
    ]


def _choose_routes(
    orders: Sequence[Order], desk: TradingDesk, written: Written
) -> list[Transition]:
    """routing → building: every venue that isn't set aside asked under one deadline, the best net output chosen.

    Those set aside are asked only if a swap has no way without them.
    """
    planned, swaps, expired = [], {}, stored_quotes.expired(orders)
    for order in orders:
        try:
            if order.id in expired:
                raise stored_quotes.too_late(order)
            swaps[order] = swap_of(order)
        except RoutingError as error:
            planned.append(give_up(order, error))
    connection.close()  # back to the pool: a thread that waits for venues needs none
    deadline_s = settings.QUOTE_DEADLINE_MS / 1000
    with turns.outside("quotes"):
        answers = background.run(
            collect_around(
                desk.venues.values(),
                swaps.values(),
                set_aside=desk.health.set_aside(),
                deadline_s=deadline_s,
            ),
            timeout_s=2 * deadline_s + 5,
        )
    desk.health.heard(chain.from_iterable(answers.values()))
    receipts.keep(chain.from_iterable(answers.values()))
    terms = {pairs: desk.terms(pairs, found) for pairs, found in answers.items()}
    chosen, weighed = [], []
    for order, swap in swaps.items():
        pairs = pairs_of(swap)
        choice = _choice(order, swap, answers[pairs], terms[pairs])
        venues = [answer.venue for answer in answers[pairs] if answer.pools]
        weighed.append((venues, choice.selected_dex.split("+") if choice.selected_dex else []))
        chosen.append(choice)
    desk.health.weighed(weighed)
    return planned + chosen


def _choice(order: Order, swap: Swap, answers: tuple[Answer, ...], terms: Terms) -> Transition:
    try:
        decision = decide(swap, answers, terms)
    except Undecided as undecided:
        quotes = quotes_as_json(undecided.candidates, swap)
        return give_up(order, undecided.error, quotes=quotes)
    route, quotes = decision.route, quotes_as_json(decision.candidates, swap)
    limit = _limit(order, route.amount_out_base)
    if route.amount_out_base < limit:
        error = below_the_limit(order, route.amount_out_base, limit, swap)
        return give_up(order, error, quotes=[{**quote, "chosen": False} for quote in quotes])
    receipt = receipts.receipt_as_json(decision)
    return _to(
        order,
        status=Status.BUILDING,
        message=choice_in_words(decision),
        details={"selectedDex": route.venue, "legs": receipt["legs"], "quotes": quotes},
        attempt=AttemptChange(
            state=AttemptState.BUILT,
            quotes=quotes,
            receipt=receipt,
            venue=route.venue,
            pool="+".join(leg.pool.address for leg in route.legs),
            min_amount_out_base=limit,
        ),
        selected_dex=route.venue,
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
    instruction = swap_instruction(order, attempt, owner=owner, desk=desk)
    transaction = build_swap(
        instruction,
        memo=f"{order.id}:{order.attempt}",
        blockhash=recent.blockhash,
        signer=desk.signer,
        payer=owner,
    )
    return _Built(order, attempt.venue or "", transaction)


def swap_instruction(
    order: Order, attempt: AttemptChange | OrderAttempt, *, owner: Pubkey, desk: TradingDesk
) -> Instruction:
    """A venue's own instruction, for a route of one leg; else one of the route program."""
    if attempt.receipt is None:  # chosen by an earlier version
        raise Unavailable("NO_RECEIPT", "the route that was chosen isn't known any more")
    legs = receipts.legs_of(attempt.receipt)
    minimum_base = int(attempt.min_amount_out_base or 0)
    single = len(legs) == 1
    instructions = []
    for leg in legs:
        venue = desk.venues.get(leg.venue)
        if venue is None:
            raise Unavailable("VENUE_GONE", f"{leg.venue} is not a venue of this engine any more")
        terms = replace(leg.terms, min_amount_out_base=minimum_base) if single else leg.terms
        instructions.append((leg.hop, venue.instruction(terms, owner=owner)))
    if single:
        ((_, instruction),) = instructions
        return instruction
    return route_program.instruction(
        instructions,
        amount_in_base=int(order.amount_in_base),
        min_amount_out_base=minimum_base,
        owner=owner,
    )


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
    label = label_of(built.venue)
    ended = f"the simulation on {label} ended with {trouble.code}"
    return give_up(built.order, type(trouble)(trouble.code, f"{ended}, so nothing was sent"))


def _submission(built: _Built, recent: Blockhash) -> Transition:
    order, venue, transaction = built
    return _to(
        order,
        status=Status.SUBMITTED,
        message=f"Transaction signed; sending it to {label_of(venue)}.",
        details={"selectedDex": venue, "txHash": transaction.signature},
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
    Status.ROUTING: _choose_routes,
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
    sentence = as_sentence(error)
    ended = nothing_was_sent(error.code, sentence, quotes=quotes) if order.attempt else None
    return after_failure(
        order, code=error.code, sentence=sentence, retryable=error.retryable, ended=ended
    )


def _limit(order: Order, amount_out_base: int) -> int:
    """The least to accept, in base units: what its client was quoted, to the unit, if the order names a quote.

    Otherwise never below the first attempt's, so that retrying loosens nothing.
    """
    if order.quote_id:
        return int(order.min_amount_out_base or 0)
    limit = min_amount_out(amount_out_base, order.slippage_bps)
    return max(limit, int(order.min_amount_out_base or 0), 1)


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
