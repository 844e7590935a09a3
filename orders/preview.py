"""What the venues would make of a swap now: the route that an order would take, and all that was compared for it.

The one place where quotes for clients meet the router. It stores nothing and promises nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from orders import background
from orders.exchange import terms_of
from orders.quoting import legs_as_json, quotes_as_json
from routing.answers import Answer
from routing.errors import Unavailable
from routing.exchange import Prices
from routing.router import Decision, Undecided, decide, min_amount_out, pairs_of
from routing.set_aside import collect_around
from routing.tokens import from_base
from routing.venue import Swap, Venue

# For what comes after the deadline: late answers are cancelled, and the loop has other work.
GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class Preview:
    """`document` is in wire form; the minimum is in base units of token out."""

    min_amount_out_base: int
    document: dict[str, Any]


def preview(
    swap: Swap,
    *,
    slippage_bps: int,
    venues: Mapping[str, Venue],
    prices: Prices,
    set_aside: Mapping[str, datetime],
) -> Preview:
    """Ask the venues, under the same deadline as for an order, and decide as for one.

    For threads: it waits, and the caller should hold no connection meanwhile. Raises `Unavailable` (`NO_QUOTE`) or
    `Rejected`, the error of `Undecided`, soon after the deadline at the latest; or after a second one, when venues that
    are set aside have to be asked.
    """
    answers = _answers(swap, venues, set_aside)
    try:
        decision = decide(swap, answers, terms_of(pairs_of(swap), answers, prices))
    except Undecided as undecided:
        raise undecided.error from undecided
    minimum_base = min_amount_out(decision.route.amount_out_base, slippage_bps)
    return Preview(minimum_base, _as_json(decision, minimum_base))


def _answers(
    swap: Swap, venues: Mapping[str, Venue], set_aside: Mapping[str, datetime]
) -> tuple[Answer, ...]:
    deadline_s = settings.QUOTE_DEADLINE_MS / 1000
    longest_s = (2 if set_aside else 1) * deadline_s + GRACE_S
    asked = collect_around(venues.values(), [swap], set_aside=set_aside, deadline_s=deadline_s)
    try:
        return background.run(asked, timeout_s=longest_s)[pairs_of(swap)]
    except TimeoutError as error:
        sentence = f"the venues were asked, and nothing came within {longest_s:g} s"
        raise Unavailable("NO_QUOTE", sentence) from error


def _as_json(decision: Decision, minimum_base: int) -> dict[str, Any]:
    route, token_out = decision.route, decision.swap.token_out
    return {
        "amountOut": from_base(route.amount_out_base, token_out),
        "netAmountOut": from_base(decision.net_out_base, token_out),
        "minAmountOut": from_base(minimum_base, token_out),
        "referenceValue": from_base(decision.reference_base, token_out),
        "priceImpactBps": route.price_impact_bps,
        "networkFee": from_base(decision.terms.network_fee_base(token_out), token_out),
        "legs": legs_as_json(route),
        "quotes": quotes_as_json(decision.candidates, decision.swap),
    }
