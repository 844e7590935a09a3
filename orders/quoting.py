"""What venues offered for an order: in wire form, and in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from orders.models import Order
from routing.errors import Rejected, Unavailable
from routing.router import Candidate, Route
from routing.tokens import TOKENS, from_base
from routing.venue import Quote, Swap, Venue


def swap_of(order: Order) -> Swap:
    if order.token_in not in TOKENS or order.token_out not in TOKENS:
        raise Rejected("UNKNOWN_TOKEN", "one of the order's tokens is not listed any more")
    return Swap(TOKENS[order.token_in], TOKENS[order.token_out], int(order.amount_in_base))


def quotes_as_json(
    candidates: Sequence[Candidate], swap: Swap, *, winner: Quote | None
) -> list[dict[str, Any]]:
    """Every candidate in wire form, the winner and the losers with why they lost."""
    return [
        _quote_as_json(candidate, swap, chosen=candidate.quote is winner)
        for candidate in candidates
    ]


def _quote_as_json(candidate: Candidate, swap: Swap, *, chosen: bool) -> dict[str, Any]:
    lost = {} if chosen else {"lostBecause": candidate.lost_because}
    quote = candidate.quote
    if quote is None:
        return {
            "venue": candidate.venue,
            "chosen": False,
            "error": {"code": candidate.error_code, "message": candidate.error},
            **lost,
        }
    return {
        "venue": quote.venue,
        "chosen": chosen,
        "pool": quote.pool,
        "amountOut": from_base(quote.amount_out_base, swap.token_out),
        "netAmountOut": from_base(quote.net_out_base, swap.token_out),
        "fee": from_base(quote.fee_base, swap.token_in),
        "networkFee": from_base(quote.network_fee_base, swap.token_out),
        "priceImpactBps": quote.price_impact_bps,
        "depth": from_base(quote.depth_base, swap.token_out),
        "slot": quote.slot,
        **lost,
    }


def choice_in_words(route: Route, swap: Swap, venues: Mapping[str, Venue]) -> str:
    """What the winner offers, and why each other lost."""
    offer = f"{from_base(route.winner.amount_out_base, swap.token_out)} {swap.token_out.symbol}"
    sentence = f"{venues[route.winner.venue].label} offers {offer}."
    losers = [
        f"{venues[candidate.venue].label}: {candidate.lost_because}."
        for candidate in route.candidates
        if candidate.lost_because
    ]
    return " ".join([sentence, *losers])


def below_the_limit(quote: Quote, limit_base: int, swap: Swap) -> Unavailable:
    """Nobody pays what the first attempt's slippage limit asks for; that may change."""
    offer, limit = (
        from_base(quote.amount_out_base, swap.token_out),
        from_base(limit_base, swap.token_out),
    )
    return Unavailable(
        "SLIPPAGE_EXCEEDED",
        f"the best offer, {offer} {swap.token_out.symbol}, is below the {limit} "
        "that the first attempt's slippage limit allows",
    )
