"""What was weighed for an order: in wire form, and in words."""

from collections.abc import Sequence
from typing import Any

from orders.models import Order
from routing.errors import Rejected, RoutingError, Unavailable
from routing.route import Route
from routing.router import Candidate, Decision
from routing.tokens import TOKENS, from_base
from routing.venue import Swap


def swap_of(order: Order) -> Swap:
    if order.token_in not in TOKENS or order.token_out not in TOKENS:
        raise Rejected("UNKNOWN_TOKEN", "one of the order's tokens is not listed any more")
    return Swap(TOKENS[order.token_in], TOKENS[order.token_out], int(order.amount_in_base))


def quotes_as_json(candidates: Sequence[Candidate], swap: Swap) -> list[dict[str, Any]]:
    """Every candidate in wire form, the winner and the losers with why they lost."""
    return [_quote_as_json(candidate, swap) for candidate in candidates]


def _quote_as_json(candidate: Candidate, swap: Swap) -> dict[str, Any]:
    route = candidate.route
    if route is None:
        return {
            "venue": candidate.venue,
            "chosen": False,
            "error": {"code": candidate.error_code, "message": candidate.error},
            "lostBecause": candidate.lost_because,
        }
    quote = {
        "venue": route.venue,
        "chosen": candidate.lost_because is None,
        "pools": [leg.pool.address for leg in route.legs],
        "amountOut": from_base(route.amount_out_base, swap.token_out),
        "netAmountOut": from_base(candidate.net_out_base, swap.token_out),
        "priceImpactBps": route.price_impact_bps,
    }
    if candidate.lost_because is not None:
        quote["lostBecause"] = candidate.lost_because
    return quote


def legs_as_json(route: Route) -> list[dict[str, Any]]:
    """A route's legs in their order; `sharePct` is the leg's part of what its hop takes in, to a hundredth."""
    return [
        {
            "hop": leg.hop + 1,
            "venue": leg.pool.venue,
            "pool": leg.pool.address,
            "tokenIn": leg.token_in.symbol,
            "tokenOut": leg.token_out.symbol,
            "amountIn": from_base(leg.fill.amount_in_base, leg.token_in),
            "amountOut": from_base(leg.fill.amount_out_base, leg.token_out),
            "fee": from_base(leg.fill.fee_base, leg.token_in),
            "sharePct": round(100 * leg.fill.amount_in_base / taken_base, 2),
        }
        for legs in route.hops()
        for taken_base in [sum(leg.fill.amount_in_base for leg in legs)]
        for leg in legs
    ]


def choice_in_words(decision: Decision) -> str:
    """What the chosen route offers, and how far behind the best way through each other venue is, or why it has none."""
    swap = decision.swap
    offer = f"{from_base(decision.route.amount_out_base, swap.token_out)} {swap.token_out.symbol}"
    best: dict[str, Candidate] = {}
    for candidate in decision.candidates:
        known = best.get(candidate.venue)
        if known is None or (
            candidate.route is not None
            and (known.route is None or candidate.net_out_base > known.net_out_base)
        ):
            best[candidate.venue] = candidate
    (winner,) = [each for each in decision.candidates if each.lost_because is None]
    best[winner.venue] = winner
    losers = [f"{_way(each)}: {each.lost_because}." for each in best.values() if each.lost_because]
    return " ".join([f"{_way(winner)} for {offer}.", *losers])


def _way(candidate: Candidate) -> str:
    """What people call it: "Raydium", or "Meteora over SOL"."""
    label, route = label_of(candidate.venue), candidate.route
    if route is None or route.legs[-1].hop == 0:
        return label
    return f"{label} over {route.legs[0].token_out.symbol}"


def label_of(venue: str) -> str:
    """What people call it: "Raydium", or "Raydium and Meteora" for a route through both."""
    labels = [name.capitalize() for name in venue.split("+")]
    return " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))


def below_the_limit(order: Order, amount_out_base: int, limit_base: int, swap: Swap) -> Unavailable:
    """Nobody pays what the order's quote, or the first attempt's slippage limit, asks for; that may change."""
    limited_by = "the order's quote" if order.quote_id else "the first attempt's slippage limit"
    offer, limit = (from_base(amount, swap.token_out) for amount in (amount_out_base, limit_base))
    return Unavailable(
        "SLIPPAGE_EXCEEDED",
        f"the best offer, {offer} {swap.token_out.symbol}, is below the {limit} "
        f"that {limited_by} allows",
    )


def as_sentence(error: RoutingError) -> str:
    """With a capital and a full stop."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
